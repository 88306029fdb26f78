"""The projection put together: the steps in their order, and who is woken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gatehouse_events.chain import Lane
from gatehouse_fleet.ingest.writer import Committed
from gatehouse_fleet.projection.feed import FEED_TOPIC
from gatehouse_fleet.projection.follower import Follower
from gatehouse_fleet.projection.project import READER, Projection
from gatehouse_fleet.projection.readers import JOURNAL_TOPIC
from gatehouse_fleet.projection.step import Step
from gatehouse_fleet.services import Services


class Projector:
    """`run` follows every gateway's alarm lane; `committed` is what ingest tells it."""

    def __init__(self, services: Services, *, steps: Sequence[Step]) -> None:
        self._wake: Final = services.wake
        self.follower: Final = Follower(
            services.store,
            services.clock,
            services.wake,
            reader=READER,
            lane=Lane.ALARM,
            work=Projection(services.clock, steps),
            tells=(FEED_TOPIC,),
        )

    def committed(self, commits: Sequence[Committed]) -> None:
        """Pass on what ingest has committed: to the projection, and to everybody who waits for alarm lanes."""
        self.follower.arrived(commits)
        if any(commit.lane is Lane.ALARM for commit in commits):
            self._wake.notify(JOURNAL_TOPIC)

    async def run(self) -> None:
        """Project until cancelled."""
        await self.follower.run()
