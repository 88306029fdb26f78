"""The organisation's own login (OpenID Connect), where it is configured."""

from __future__ import annotations

import secrets
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse
from sqlalchemy import select

from gatehouse_events.states import Label
from gatehouse_fleet.api.desk import desk_of
from gatehouse_fleet.api.fields import Answer
from gatehouse_fleet.api.people import slow_down
from gatehouse_fleet.api.problems import NOT_FOUND, ProblemError
from gatehouse_fleet.api.session import network_of, set_cookie, station_of
from gatehouse_fleet.people import audit, oidc, sessions
from gatehouse_fleet.people.oidc import OidcError, Provider
from gatehouse_fleet.people.refusals import stranger
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.services import services_of
from gatehouse_fleet.store.schema.people import user

router: Final = APIRouter(tags=["people"])
COOKIE: Final = "__Host-gatehouse-oidc"
"""Ties the answer to the browser that asked (login CSRF). Lax, because the provider's page leads back here."""
CALLBACK: Final = "/api/v1/oidc/callback"
_LABELS: Final[dict[str, tuple[int, Label]]] = {
    "provider": (503, Label("统一身份认证暂不可用", "the organisation's login is away")),
    "attempt": (
        403,
        Label("登录已过期，请重新开始", "this login was not begun here or too long ago; begin again"),
    ),
    "token": (403, Label("身份凭证无效", "the provider's word cannot be believed")),
    "unknown": (403, Label("该身份未绑定用户", "nobody here is bound to this identity")),
}


class OidcState(Answer):
    """Whether there is such a login."""

    is_on: bool
    label: str | None


@router.get("/oidc")
async def oidc_state(request: Request) -> OidcState:
    """Say whether to show the button."""
    settings = services_of(request).settings.oidc
    return OidcState(is_on=settings is not None, label=None if settings is None else settings.label)


@router.get("/oidc/login", status_code=303, response_class=RedirectResponse)
async def begin(request: Request) -> RedirectResponse:
    """Send the browser to the provider."""
    services = services_of(request)
    settings = services.settings.oidc
    if settings is None:
        raise NOT_FOUND
    slow_down(request, f"oidc {network_of(station_of(request))}")
    try:
        async with services.store.begin() as db:
            begun = await Provider(settings).begin(
                db, redirect_uri=f"{settings.own_url.rstrip('/')}{CALLBACK}", at=services.clock.now()
            )
    except OidcError as error:
        raise _problem(error) from error
    response = RedirectResponse(begun.url, 303)
    response.set_cookie(
        COOKIE,
        begun.state,
        max_age=int(oidc.ATTEMPT_LIFE.total_seconds()),
        path="/",
        secure=True,
        httponly=True,
        samesite="lax",
    )
    return response


@router.get("/oidc/callback", status_code=303, response_class=RedirectResponse)
async def callback(
    request: Request,
    code: Annotated[str, Query(min_length=1, max_length=2048)],
    state: Annotated[str, Query(min_length=1, max_length=128)],
) -> RedirectResponse:
    """Take the provider's answer and start a session for the user whose subject it names."""
    services, desk, at = services_of(request), desk_of(request), station_of(request)
    settings = services.settings.oidc
    if settings is None:
        raise NOT_FOUND
    key = f"oidc {network_of(at)}"
    slow_down(request, key)
    now = services.clock.now()
    try:
        if not secrets.compare_digest(request.cookies.get(COOKIE, "").encode(), state.encode()):
            raise OidcError("attempt", "the answer came to another browser than the one that asked")  # noqa: TRY301  # one place turns them into answers
        async with services.store.begin() as db:
            attempt = await oidc.take(db, state, at=now)
        subject = await Provider(settings).subject(attempt, code, at=now)
        token = await _start(request, subject)
    except OidcError as error:
        if error.reason != "provider":
            desk.throttle.fail(key, services.clock.elapsed_s())
        await desk.refusals.note(stranger(at), "login.oidc", "oidc", reason=error.reason)
        raise _problem(error) from error
    response = RedirectResponse("/", 303)
    set_cookie(response, services, token)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


async def _start(request: Request, subject: str) -> str:
    services, at = services_of(request), station_of(request)
    now = services.clock.now()
    async with services.store.begin() as db:
        query = select(user).where(user.c.oidc_subject == subject, user.c.is_active)
        row = (await db.execute(query)).one_or_none()
        if row is None:
            raise OidcError("unknown", "nobody here is bound to this identity")
        token = await sessions.start(db, row.id, station=at, at=now)
        who = Actor(name=row.name, role=row.role, unit=row.unit, station=at)
        await audit.append(db, who, "login.oidc", row.name, at=now, node_id=row.scope_id)
    return token


def _problem(error: OidcError) -> ProblemError:
    status, words = _LABELS[error.reason]
    return ProblemError(status, f"oidc_{error.reason}", words)
