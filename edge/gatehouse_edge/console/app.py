"""The console as one ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gatehouse_config.devices import ButtonDevice, Resident
from gatehouse_config.model import GatewayConfig
from gatehouse_edge.clock import Clock
from gatehouse_edge.console import (
    accounts_api,
    calibration_api,
    commands_api,
    desk_api,
    drills_api,
    evidence_api,
    history_api,
    pages,
    reading_api,
)
from gatehouse_edge.console.accounts import Accounts
from gatehouse_edge.console.attendance import Attendance
from gatehouse_edge.console.buildings import buildings
from gatehouse_edge.console.cameras import CameraDesk
from gatehouse_edge.console.cards import device_cards
from gatehouse_edge.console.drills import Drills
from gatehouse_edge.console.measures import measure
from gatehouse_edge.console.port import DeskPort
from gatehouse_edge.console.problems import ProblemError, on_http, on_invalid, on_problem
from gatehouse_edge.console.shell import Shell
from gatehouse_edge.console.state import ConsoleState, SharedReader
from gatehouse_edge.console.stream import Stream
from gatehouse_edge.evidence_desk import EvidenceDesk
from gatehouse_edge.history import History
from gatehouse_edge.uplink.link import Link, LinkView
from gatehouse_journal import Reader
from gatehouse_ui import STATIC as UI
from gatehouse_ui import Assets

STATIC: Final = Path(str(files("gatehouse_edge.console") / "static"))
PAGES: Final = {"/": "index.html"} | {
    f"/{name}": f"{name}.html" for name in ("replay", "devices", "drills", "cameras", "people")
}
"""Path of each page and the file that is it."""


def create_app(  # noqa: PLR0913  # the parts of a gateway, by name
    desk: DeskPort,
    reader: Reader,
    config: GatewayConfig,
    accounts: Accounts,
    *,
    history: History,
    clock: Clock,
    registry: CollectorRegistry | None = None,
    link: Callable[[], LinkView] | None = None,
    evidence: EvidenceDesk | None = None,
    cameras: CameraDesk | None = None,
) -> FastAPI:
    """Return the console; `app.state.console.stream.run()` must run beside it (`ConsoleServer` sees to that).

    Args:
        desk: the ledger.
        reader: the console's own journal reader; used from one thread at a time.
        config: for the names of things and the residents; `reconfigure` takes a new one over.
        accounts: users and sessions.
        history: the index over what happened.
        clock: the gateway's clock.
        registry: where the gateway keeps its metrics; the console adds its own.
        link: how the way to the fleet is; None: there is none.
        evidence: what is kept of alarms; None: nothing is.
        cameras: stills and calibrations; None: there are none.
    """
    shared = SharedReader(reader)
    ui, own = Assets(UI), Assets(STATIC)
    seen = link or Link(clock, is_configured=False).view
    stream = Stream(desk, shared.position, clock, residents_of(config), seen)
    registry = registry or CollectorRegistry()
    state = ConsoleState(
        desk=desk,
        reader=shared,
        accounts=accounts,
        history=history,
        drills=Drills(desk, clock, seen, shared.confirmed),
        stream=stream,
        attendance=Attendance(desk, clock, lambda: stream.screens),
        clock=clock,
        registry=registry,
        site_networks=tuple(ip_network(text) for text in config.console.site_networks),
        session_s=config.console.session_hours * 3600,
        has_tls=config.console.tls != "off",
        gateway_id=config.gateway.id,
        estate=config.site.estate,
        link=seen,
        cards=device_cards(config),
        buildings=buildings(config),
        build=f"{ui.build}{own.build}",
        evidence=evidence,
        cameras=cameras,
    )
    stream.build = state.build
    measure(registry, state)
    app = FastAPI(title="Gatehouse console", version="1", docs_url=None, redoc_url=None)
    app.state.console = state
    app.add_exception_handler(ProblemError, on_problem)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    for part in (
        accounts_api,
        reading_api,
        desk_api,
        commands_api,
        history_api,
        drills_api,
        evidence_api,
        calibration_api,
        pages,
    ):
        app.include_router(part.router)
    app.mount("/ui", ui, name="ui")
    app.mount("/static", own, name="static")
    for path, file in PAGES.items():
        app.add_api_route(path, _page(own, file), include_in_schema=False)
    app.add_middleware(Shell)
    return app


def _page(assets: Assets, file: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        return assets.answer(file, request.scope)

    return page


def reconfigure(app: FastAPI, config: GatewayConfig) -> None:
    """Take over what a reload may change: residents, site networks, names."""
    state: ConsoleState = app.state.console
    state.stream.residents = residents_of(config)
    state.site_networks = tuple(ip_network(text) for text in config.console.site_networks)
    state.estate = config.site.estate
    state.buildings = buildings(config)
    state.cards = device_cards(config)


def residents_of(config: GatewayConfig) -> Mapping[str, Resident]:
    """Return who lives with each help button."""
    return {device.id: device.resident for device in config.devices if isinstance(device, ButtonDevice)}
