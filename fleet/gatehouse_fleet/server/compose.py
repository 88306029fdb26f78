"""What one worker is made of: the application with everything in front of it, and the parts that run beside it.

This is the one place that knows all areas; each adds its lines to `build`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from starlette.types import ASGIApp

from gatehouse_fleet.api.app import create_app
from gatehouse_fleet.api.desk import Desk
from gatehouse_fleet.api.session import session_gate
from gatehouse_fleet.cases import clockwork
from gatehouse_fleet.cases.intake import CaseSteps
from gatehouse_fleet.cases.office import Office
from gatehouse_fleet.cases.shelf import Shelf
from gatehouse_fleet.city.service import couriers
from gatehouse_fleet.ingest.app import front
from gatehouse_fleet.ingest.service import Ingest
from gatehouse_fleet.ingest.writer import Committed
from gatehouse_fleet.orders.service import Orders
from gatehouse_fleet.projection.retention import keep_to_retention
from gatehouse_fleet.projection.service import Projector
from gatehouse_fleet.server.gateway_gate import GatewayGate
from gatehouse_fleet.server.housekeeping import keep_house, take_samples
from gatehouse_fleet.server.keeper import Keeper
from gatehouse_fleet.services import Services
from gatehouse_fleet.store.relay import relay_wakes


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that runs beside the application until it is cancelled."""

    name: str
    run: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A worker, ready to run."""

    app: ASGIApp
    parts: tuple[Part, ...]
    keeper: Keeper
    close: Callable[[], None]
    """Ends what would stand open for ever; called when the server is to stop, before it stops listening."""


def build(services: Services, desk: Desk) -> Built:
    """Return the worker; nothing has started yet."""
    keeper = Keeper()
    gate = GatewayGate(desk)
    office = Office.of(services, Shelf())
    cases = CaseSteps(office.shelf, services.clock)
    projector = Projector(services, steps=(cases,))
    orders = Orders(services, gate.require, on_outcome=cases.on_outcome)

    def committed(commits: Sequence[Committed]) -> None:
        projector.committed(commits)
        orders.committed(commits)

    ingest = Ingest(
        services, identify=gate.identify, find_downlink=orders.find_downlink, on_committed=committed
    )
    api = create_app(services, session_gate(services), desk=desk)
    api.state.keeper = keeper
    api.state.office = office
    parts = [
        Part(name="ingest", run=ingest.run),
        Part(name="projection", run=projector.run),
        Part(name="retention", run=partial(keep_to_retention, services)),
        Part(name="outcomes of orders", run=orders.run),
        Part(name="housekeeping", run=partial(keep_house, services)),
        Part(name="clockwork of cases", run=partial(clockwork.run, office)),
        Part(name="coverage samples", run=partial(take_samples, services)),
    ]
    parts += [Part(name=f"city {one.target.id}", run=one.run) for one in couriers(services)]
    if not services.store.is_sqlite:
        parts.append(Part(name="wakes between workers", run=partial(relay_wakes, services)))
    return Built(
        app=front(ingest.app, orders.front(api)),
        parts=tuple(parts),
        keeper=keeper,
        close=orders.downlink.close,
    )
