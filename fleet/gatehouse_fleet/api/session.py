"""Who is asking: the session cookie, the guard against forged requests, the station."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request
from starlette.responses import Response
from starlette.types import Scope

from gatehouse_events.states import Label
from gatehouse_fleet.api.problems import ProblemError
from gatehouse_fleet.people import sessions
from gatehouse_fleet.people.roles import Caller
from gatehouse_fleet.services import Services, services_of
from gatehouse_fleet.settings import ServerSettings

COOKIE: Final = "__Host-gatehouse-fleet"
PLAIN_COOKIE: Final = "gatehouse-fleet"
"""Over plain HTTP, possible on loopback only: `__Host-` needs TLS. A gateway's console on the same machine has another name."""
CSRF_HEADER: Final = "X-Gatehouse"
"""Any value. A foreign page cannot set it without asking first, and nobody answers such a question here."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

LOGIN_NEEDED: Final = ProblemError(401, "login", Label("请登录", "please log in"))
FORGED: Final = ProblemError(
    403, "forged", Label("请求来源不可信", "this request does not come from the console's page")
)


def station(scope: Scope, server: ServerSettings) -> str:
    """Return the address a request comes from; a proxy's word is believed only from the one configured address."""
    client = scope.get("client")
    address = str(client[0]) if client is not None else ""
    if server.tls == "proxy" and address == server.proxy_address:
        given = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        # The last element is the one our own proxy has written; those before it came from outside.
        last = given[-1].rsplit(b",", 1)[-1].strip().decode("latin-1") if given else ""
        address = last or address
    return address[:64]


def station_of(request: Request) -> str:
    """Return the address behind a request."""
    return station(request.scope, services_of(request).settings.server)


def network_of(address: str) -> str:
    """Return what throttles count by: an IPv4 address, or the /64 that one subscriber has of IPv6."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return address if found.version == 4 else str(ip_network((found, 64), strict=False))  # noqa: PLR2004  # IPv4


def check_origin(request: Request) -> None:
    """Refuse a changing request that another site's page could have sent.

    Raises:
        ProblemError: 403 `forged`.
    """
    if request.method in _SAFE:
        return
    if CSRF_HEADER not in request.headers:
        raise FORGED
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise FORGED
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise FORGED


def session_gate(services: Services) -> Callable[[Request], Awaitable[Caller]]:
    """Return what `create_app` takes to find the person behind a request."""

    async def authenticate(request: Request) -> Caller:
        check_origin(request)
        token = token_of(request)
        if not token:
            raise LOGIN_NEEDED
        async with services.store.read() as db:
            found = await sessions.find(db, token, station=station_of(request), at=services.clock.now())
        if found is None:
            raise LOGIN_NEEDED
        return found.caller

    return authenticate


def token_of(request: Request) -> str:
    """Return the session token the browser sent, empty without."""
    return request.cookies.get(cookie_name(services_of(request)), "")


def cookie_name(services: Services) -> str:
    """Return the name of the session cookie."""
    return PLAIN_COOKIE if services.settings.server.tls == "off" else COOKIE


def set_cookie(response: Response, services: Services, token: str) -> None:
    """Give the browser its session; scripts cannot read it, other sites cannot use it."""
    response.set_cookie(
        cookie_name(services),
        token,
        max_age=int(sessions.LASTS.total_seconds()),
        path="/",
        secure=services.settings.server.tls != "off",
        httponly=True,
        samesite="strict",
    )


def clear_cookie(response: Response, services: Services) -> None:
    """Take the session from the browser."""
    response.delete_cookie(
        cookie_name(services),
        path="/",
        secure=services.settings.server.tls != "off",
        httponly=True,
        samesite="strict",
    )
