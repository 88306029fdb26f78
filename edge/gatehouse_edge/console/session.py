"""Who is asking: the session cookie, the guard against forged requests, the station."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request
from msgspec import Struct
from starlette.responses import Response

from gatehouse_edge.alarms.commands import LOCAL
from gatehouse_edge.console.accounts import Session
from gatehouse_edge.console.problems import ProblemError
from gatehouse_edge.console.roles import Right, Role, may
from gatehouse_edge.console.state import ConsoleState, console_of
from gatehouse_events.alarm import Actor
from gatehouse_events.states import Label

COOKIE: Final = "__Host-gatehouse"
PLAIN_COOKIE: Final = "gatehouse"
"""Over plain HTTP, which the configuration allows on loopback only: `__Host-` needs TLS."""
CSRF_HEADER: Final = "X-Gatehouse"
"""Any value. A foreign page cannot set it without asking first, and nobody answers such a question here."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

LOGIN_NEEDED: Final = ProblemError(401, "login", Label("请登录", "please log in"))
FORGED: Final = ProblemError(
    403, "forged", Label("请求来源不可信", "this request does not come from the console's page")
)


class Caller(Struct, frozen=True, kw_only=True):
    """One authenticated request."""

    session: Session
    token: str
    actor: Actor

    @property
    def role(self) -> Role:
        """What the person is."""
        return self.session.user.role

    @property
    def is_clear(self) -> bool:
        """The person may see residents' data."""
        return may(self.role, Right.READ_RESIDENTS)


def peer(request: Request) -> str:
    """Return the address a request comes from. No proxy header is believed."""
    return request.client.host if request.client is not None else ""


def station(request: Request, networks: tuple[IPv4Network | IPv6Network, ...]) -> str:
    """Return `local` for a browser that stands on site (loopback, or a network named in gateway.yaml), else its address."""
    text = peer(request)
    try:
        address = ip_address(text)
    except ValueError:
        return f"remote {text}"[:64]
    on_site = address.is_loopback or any(address in network for network in networks)
    return LOCAL if on_site else f"remote {text}"[:64]


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


def caller(request: Request) -> Caller:
    """Return who is asking.

    Raises:
        ProblemError: 401 without a live session, 403 for a forged request.
    """
    check_origin(request)
    return holder(request)


def holder(request: Request) -> Caller:
    """Return whose session a request carries; for a form, whose own token has been checked.

    Raises:
        ProblemError: 401 without a live session.
    """
    state = console_of(request)
    token = request.cookies.get(cookie_name(state), "")
    session = state.accounts.session(token, now_s=state.clock.now().service_s)
    if session is None:
        raise LOGIN_NEEDED
    actor = Actor(
        name=session.user.name, role=session.user.role.value, station=station(request, state.site_networks)
    )
    return Caller(session=session, token=token, actor=actor)


def entitled(right: Right) -> Callable[..., Caller]:
    """Return the dependency that lets only roles with this right pass."""

    def check(who: Annotated[Caller, Depends(caller)]) -> Caller:
        if not may(who.role, right):
            raise ProblemError(403, "role", Label("权限不足", "your role may not do this"))
        return who

    return check


def cookie_name(state: ConsoleState) -> str:
    """Return the name of the session cookie."""
    return COOKIE if state.has_tls else PLAIN_COOKIE


def set_cookie(response: Response, state: ConsoleState, token: str, lasts_s: float) -> None:
    """Give the browser its session; scripts cannot read it, other sites cannot use it."""
    response.set_cookie(
        cookie_name(state),
        token,
        max_age=int(lasts_s),
        path="/",
        secure=state.has_tls,
        httponly=True,
        samesite="strict",
    )


def clear_cookie(response: Response, state: ConsoleState) -> None:
    """Take the session from the browser."""
    response.delete_cookie(
        cookie_name(state), path="/", secure=state.has_tls, httponly=True, samesite="strict"
    )
