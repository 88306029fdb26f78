"""The console as one ASGI application."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from ipaddress import ip_network
from typing import Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from gatehouse_config.devices import ButtonDevice, Resident
from gatehouse_config.model import GatewayConfig
from gatehouse_edge.clock import Clock
from gatehouse_edge.console import accounts_api, commands_api, reading_api
from gatehouse_edge.console.accounts import Accounts
from gatehouse_edge.console.attendance import Attendance
from gatehouse_edge.console.measures import measure
from gatehouse_edge.console.port import DeskPort
from gatehouse_edge.console.problems import ProblemError, on_http, on_invalid, on_problem
from gatehouse_edge.console.shell import Shell
from gatehouse_edge.console.state import ConsoleState, SharedReader
from gatehouse_edge.console.stream import Stream
from gatehouse_edge.uplink.link import Link, LinkView
from gatehouse_journal import Reader

STATIC: Final = str(files("gatehouse_edge.console") / "static")
UI: Final = str(files("gatehouse_ui") / "static")


def create_app(
    desk: DeskPort,
    reader: Reader,
    config: GatewayConfig,
    accounts: Accounts,
    *,
    clock: Clock,
    registry: CollectorRegistry | None = None,
    link: Callable[[], LinkView] | None = None,
) -> FastAPI:
    """Return the console; `app.state.console.stream.run()` must run beside it (`ConsoleServer` sees to that).

    Args:
        desk: the ledger.
        reader: the console's own journal reader; used from one thread at a time.
        config: for the names of things and the residents; `reconfigure` takes a new one over.
        accounts: users and sessions.
        clock: the gateway's clock.
        registry: where the gateway keeps its metrics; the console adds its own.
        link: how the way to the fleet is; None: there is none.
    """
    shared = SharedReader(reader)
    seen = link or Link(clock, is_configured=False).view
    stream = Stream(desk, shared.position, clock, residents_of(config), seen)
    registry = registry or CollectorRegistry()
    state = ConsoleState(
        desk=desk,
        reader=shared,
        accounts=accounts,
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
    )
    measure(registry, state)
    app = FastAPI(title="Gatehouse console", version="1", docs_url=None, redoc_url=None)
    app.state.console = state
    app.add_exception_handler(ProblemError, on_problem)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    for part in (accounts_api, reading_api, commands_api):
        app.include_router(part.router)
    app.mount("/ui", StaticFiles(directory=UI), name="ui")
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(f"{STATIC}/index.html", headers={"Cache-Control": "no-cache"})

    app.add_middleware(Shell)
    return app


def reconfigure(app: FastAPI, config: GatewayConfig) -> None:
    """Take over what a reload may change: residents, site networks, names."""
    state: ConsoleState = app.state.console
    state.stream.residents = residents_of(config)
    state.site_networks = tuple(ip_network(text) for text in config.console.site_networks)
    state.estate = config.site.estate


def residents_of(config: GatewayConfig) -> Mapping[str, Resident]:
    """Return who lives with each help button."""
    return {device.id: device.resident for device in config.devices if isinstance(device, ButtonDevice)}
