"""What the parts of cases share in one process: store, clock, wake, policies; and how a transaction of theirs begins and ends."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from fastapi import Request

from gatehouse_fleet.cases.docket import Work
from gatehouse_fleet.cases.shelf import Shelf
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.orders import orders_topic
from gatehouse_fleet.projection.feed import FEED_TOPIC, publish
from gatehouse_fleet.services import Services, services_of
from gatehouse_fleet.store import Store, Wake


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Collaborators of desk and clockwork."""

    store: Store
    clock: Clock
    wake: Wake
    shelf: Shelf = field(default_factory=Shelf)

    @classmethod
    def of(cls, services: Services, shelf: Shelf) -> Office:
        """Return the office of a server process."""
        return cls(store=services.store, clock=services.clock, wake=services.wake, shelf=shelf)

    @contextlib.asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        """Open a transaction for changes to cases; its feed rows are written last, and readers are woken after the commit."""
        async with self.store.begin() as db:
            work = Work(db=db, now=self.clock.now(), shelf=self.shelf)
            yield work
            await work.settle()
            await publish(db, work.feed, at=work.now)
        if work.feed:
            self.wake.notify(FEED_TOPIC)
        for gateway_id in work.ordered:
            self.wake.notify(orders_topic(gateway_id))


def office_of(request: Request) -> Office:
    """Return the office of the application a request came to; made at the first one that needs it."""
    state = request.app.state
    if not hasattr(state, "office"):
        state.office = Office.of(services_of(request), Shelf())
    office = state.office
    assert isinstance(office, Office)  # noqa: S101  # set above or by the server
    return office
