"""The projection put together: alarms are shown, then the steps follow; and who is woken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from gatehouse_events.chain import Lane
from gatehouse_fleet.ingest.writer import Committed
from gatehouse_fleet.projection.feed import FEED_TOPIC
from gatehouse_fleet.projection.follower import Follower
from gatehouse_fleet.projection.owed import Owed
from gatehouse_fleet.projection.project import READER, Projection
from gatehouse_fleet.projection.readers import JOURNAL_TOPIC
from gatehouse_fleet.projection.step import Step
from gatehouse_fleet.projection.steps import READER as STEPS
from gatehouse_fleet.projection.steps import Steps
from gatehouse_fleet.services import Services


class Projector:
    """`run` follows every gateway's alarm lane; `committed` is what ingest tells it."""

    def __init__(self, services: Services, *, steps: Sequence[Step]) -> None:
        self._wake: Final = services.wake
        self.owed: Final = Owed(services.store, services.clock, services.wake, steps)
        self.steps: Final = Follower(
            services.store,
            services.clock,
            services.wake,
            reader=STEPS,
            behind=READER,
            lane=Lane.ALARM,
            work=Steps(services.clock, steps),
            on_read=lambda _gateway_nos, _is_news: self._wake.notify(FEED_TOPIC),
        )
        self.follower: Final = Follower(
            services.store,
            services.clock,
            services.wake,
            reader=READER,
            lane=Lane.ALARM,
            work=Projection(services.clock),
            on_read=self._shown,
        )

    def committed(self, commits: Sequence[Committed]) -> None:
        """Pass on what ingest has committed: to the projection, and to everybody who waits for alarm lanes."""
        self.follower.arrived(commits)
        if any(commit.lane is Lane.ALARM for commit in commits):
            self._wake.notify(JOURNAL_TOPIC)

    def _shown(self, gateway_nos: Sequence[int], is_news: bool) -> None:
        self._wake.notify(FEED_TOPIC)
        self.steps.may_read(gateway_nos, is_news)

    async def run(self) -> None:
        """Project until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.follower.run(), name="projection")
            tasks.create_task(self.steps.run(), name="steps")

    async def catch_up(self) -> None:
        """Project everything that is there.

        Raises:
            SQLAlchemyError: the database is away.
        """
        await self.follower.catch_up()
        await self.steps.catch_up()
