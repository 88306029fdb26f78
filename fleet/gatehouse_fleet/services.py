"""What the parts of one server process share. Made in `serve`, read by the routers through `services_of`."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from gatehouse_fleet.clock import Clock
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store, Wake


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Collaborators of every part."""

    settings: FleetSettings
    store: Store
    clock: Clock
    wake: Wake


def services_of(request: Request) -> Services:
    """Return the services of the application a request came to."""
    services = request.app.state.services
    assert isinstance(services, Services)  # noqa: S101  # set by create_app
    return services
