"""Orders put together: the gateways' side as an application, and the reader that takes their outcomes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import EntryKind, Lane
from gatehouse_events.orders import OrderOutcome
from gatehouse_fleet.ingest.app import Asgi, Downlink
from gatehouse_fleet.ingest.writer import Committed
from gatehouse_fleet.orders import lane
from gatehouse_fleet.orders.downlink import Authenticate, OrderDownlink
from gatehouse_fleet.orders.outcomes import take_outcome
from gatehouse_fleet.projection.feed import FEED_TOPIC, FeedItem, publish
from gatehouse_fleet.projection.follower import Follower
from gatehouse_fleet.projection.readers import Portion
from gatehouse_fleet.services import Services

READER: Final = "orders"
OUTCOMES_TOPIC: Final = "order-outcomes"
"""Woken when gateways have answered: screens and trials of configurations look again."""


OutcomeStep = Callable[[AsyncConnection, int, OrderOutcome], Awaitable[Sequence[FeedItem]]]
"""What else is done with an outcome in its transaction (cases write it down); returns what screens are to hear."""


class Orders:
    """`downlink` answers the gateways while `run` takes their outcomes."""

    def __init__(
        self, services: Services, authenticate: Authenticate, *, on_outcome: OutcomeStep | None = None
    ) -> None:
        self._services: Final = services
        self._on_outcome: Final = on_outcome
        self.downlink: Final = OrderDownlink(services.store, services.wake, services.clock, authenticate)
        self._follower: Final = Follower(
            services.store,
            services.clock,
            services.wake,
            reader=READER,
            lane=Lane.ALARM,
            work=self._take_outcomes,
            on_read=self._tell,
        )

    def _tell(self, _gateway_nos: Sequence[int], _is_news: bool) -> None:
        self._services.wake.notify(OUTCOMES_TOPIC)
        self._services.wake.notify(FEED_TOPIC)

    def committed(self, commits: Sequence[Committed]) -> None:
        """Pass on what ingest has committed."""
        self._follower.arrived(commits)

    async def find_downlink(self, gateway_no: int) -> Downlink:
        """Return where a gateway's lane stands; goes into the answer to its status."""
        async with self._services.store.read() as db:
            head = await lane.head(db, gateway_no)
        return Downlink(orders_epoch=head.epoch, orders_head=head.seq)

    def front(self, rest: Asgi) -> Asgi:
        """Return the application that gives order lanes to `downlink` and all else to `rest`."""

        async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  # ASGI
            is_ours = scope["type"] == "http" and OrderDownlink.wants(scope["path"])
            await (self.downlink if is_ours else rest)(scope, receive, send)

        return app

    async def catch_up(self) -> None:
        """Take every outcome that is there, once; `run` does it for ever."""
        await self._follower.catch_up()

    async def run(self) -> None:
        """Take outcomes until cancelled."""
        await self._follower.run()

    async def _take_outcomes(
        self,
        db: AsyncConnection,
        read: Sequence[Portion],
        *,
        is_careful: bool,  # noqa: ARG002  # nothing here depends on the content
    ) -> None:
        lines: list[FeedItem] = []
        for portion in read:
            for stored in portion.entries:
                # An outcome in doubt still says what the gateway did; that it is doubted stands with the entry.
                if stored.entry.kind != EntryKind.OUTCOME:
                    continue
                gateway_no = portion.source.no
                outcome = await take_outcome(db, gateway_no, stored.entry.body)
                if outcome is not None and self._on_outcome is not None:
                    lines += await self._on_outcome(db, gateway_no, outcome)
        await publish(db, lines, at=self._services.clock.now())
