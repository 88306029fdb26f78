"""Logging in and out, the first user, and the others."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response

from gatehouse_edge.console.accounts import AccountError, Session, User
from gatehouse_edge.console.problems import ProblemError
from gatehouse_edge.console.requests import Login, NewUser, Setup, UserChange
from gatehouse_edge.console.roles import RIGHTS, Right
from gatehouse_edge.console.session import (
    Caller,
    caller,
    check_origin,
    clear_cookie,
    entitled,
    peer,
    set_cookie,
    station,
)
from gatehouse_edge.console.state import ConsoleState, console_of
from gatehouse_events.states import Label

router: Final = APIRouter(prefix="/api/v1", tags=["accounts"])

_LABELS: Final[dict[str, tuple[int, Label]]] = {
    "code": (403, Label("一次性代码不正确", "that is not the one-time code")),
    "has_users": (409, Label("已有用户，请登录", "there are users already; log in")),
    "name": (422, Label("姓名须为1至40个可显示字符", "a name has 1 to 40 printable characters")),
    "name_taken": (409, Label("该姓名已存在", "there is somebody of that name")),
    "password": (
        422,
        Label(
            "密码至少10个字符，不得含姓名或过于单调",
            "a password has 10 characters or more, not the name, not all alike",
        ),
    ),
    "too_many": (409, Label("用户过多", "too many users")),
    "unknown_user": (404, Label("没有此用户", "no such user")),
    "last_admin": (409, Label("不能停用最后一名管理员", "the last administrator stays")),
}
WRONG: Final = ProblemError(401, "wrong_login", Label("姓名或密码不正确", "wrong name or password"))


@router.get("/setup")
async def setup_state(request: Request) -> dict[str, Any]:
    """Say whether the first user is still to be made, and whose gateway this is."""
    state = console_of(request)
    return {"needs_first_user": not state.accounts.has_users, "estate": state.estate}


@router.post("/setup", status_code=201)
async def setup(request: Request, body: Setup) -> dict[str, Any]:
    """Make the first user, with the one-time code that was printed on the gateway."""
    state = console_of(request)
    check_origin(request)
    key = f"setup {peer(request)}"
    _slow_down(state, key, "setup")
    now = state.clock.now()
    try:
        async with state.hashing:
            user = await asyncio.to_thread(
                state.accounts.make_first, body.code, body.name, body.password, at=now.wall
            )
    except AccountError as error:
        if error.reason == "code":
            state.throttle.fail(key, now.service_s)
            state.throttle.fail("setup", now.service_s)
        raise _problem(error) from None
    await state.audit(
        "user_made", who=user.name, station=_station(request), detail=f"{user.name} {user.role} first"
    )
    return _row(user)


@router.post("/login")
async def login(request: Request, response: Response, body: Login) -> dict[str, Any]:
    """Start a session."""
    check_origin(request)
    token, session = await log_in(request, body.name, body.password)
    state = console_of(request)
    set_cookie(response, state, token, state.session_s)
    return _row(session.user)


async def log_in(request: Request, name: str, password: str) -> tuple[str, Session]:
    """Return a new session and its token; slows down who guesses, and writes both down.

    Raises:
        ProblemError: 401 wrong name or password, 429 too many tries.
    """
    state = console_of(request)
    by_peer, by_name = f"peer {peer(request)}", f"name {name}"
    _slow_down(state, by_peer, by_name)
    async with state.hashing:
        now_s = state.clock.now().service_s
        found = await asyncio.to_thread(
            state.accounts.log_in, name, password, now_s=now_s, lasts_s=state.session_s
        )
    if found is None:
        state.throttle.fail(by_peer, now_s)
        state.throttle.fail(by_name, now_s)
        await state.audit("login_failed", who=name, station=_station(request))
        raise WRONG
    token, session = found
    state.throttle.succeed(by_peer)
    state.throttle.succeed(by_name)
    await state.audit("login", who=session.user.name, station=_station(request))
    return token, session


@router.post("/logout")
async def logout(
    request: Request, response: Response, who: Annotated[Caller, Depends(caller)]
) -> dict[str, Any]:
    """End the session."""
    await log_out(request, who)
    clear_cookie(response, console_of(request))
    return {}


async def log_out(request: Request, who: Caller) -> None:
    """End a session and write it down."""
    state = console_of(request)
    await asyncio.to_thread(state.accounts.log_out, who.token)
    await state.audit("logout", who=who.actor.name, station=who.actor.station)


@router.get("/users")
async def users(
    request: Request,
    who: Annotated[Caller, Depends(entitled(Right.MANAGE_USERS))],  # noqa: ARG001  # the right is the point
) -> dict[str, Any]:
    """Return everybody."""
    return {"users": [_row(user) for user in console_of(request).accounts.users()]}


@router.get("/roles")
async def roles(
    request: Request,  # noqa: ARG001  # the same for every gateway
    who: Annotated[Caller, Depends(entitled(Right.MANAGE_USERS))],  # noqa: ARG001  # the right is the point
) -> dict[str, Any]:
    """Return which roles have each right; fixed by the program."""
    return {"rights": {right.value: sorted(allowed) for right, allowed in RIGHTS.items()}}


@router.post("/users", status_code=201)
async def make_user(
    request: Request, body: NewUser, who: Annotated[Caller, Depends(entitled(Right.MANAGE_USERS))]
) -> dict[str, Any]:
    """Make a user."""
    state = console_of(request)
    try:
        async with state.hashing:
            user = await asyncio.to_thread(
                state.accounts.make, body.name, body.password, body.role, at=state.clock.now().wall
            )
    except AccountError as error:
        raise _problem(error) from None
    await state.audit(
        "user_made", who=who.actor.name, station=who.actor.station, detail=f"{user.name} {user.role}"
    )
    return _row(user)


@router.patch("/users/{name:path}")  # a name may hold a slash
async def change_user(
    request: Request,
    name: str,
    body: UserChange,
    who: Annotated[Caller, Depends(entitled(Right.MANAGE_USERS))],
) -> dict[str, Any]:
    """Change role or password of a user, or shut the person out; ends the sessions of that user."""
    state = console_of(request)
    try:
        async with state.hashing:
            user = await asyncio.to_thread(
                state.accounts.change,
                name,
                role=body.role,
                is_disabled=body.is_disabled,
                password=body.password,
            )
    except AccountError as error:
        raise _problem(error) from None
    what = f"{user.name} {user.role}{' disabled' if user.is_disabled else ''}{' password' if body.password else ''}"
    await state.audit("user_changed", who=who.actor.name, station=who.actor.station, detail=what)
    return _row(user)


def _slow_down(state: ConsoleState, *keys: str) -> None:
    now_s = state.clock.now().service_s
    wait_s = max(state.throttle.wait_s(key, now_s) for key in keys)
    if wait_s > 0:
        text = Label("尝试次数过多，请稍后再试", "too many tries; wait a while")
        raise ProblemError(429, "too_many_tries", text, retry_after_s=wait_s)


def _station(request: Request) -> str:
    return station(request, console_of(request).site_networks)


def _problem(error: AccountError) -> ProblemError:
    status, text = _LABELS[error.reason]
    return ProblemError(status, error.reason, text)


def _row(user: User) -> dict[str, Any]:
    return {"name": user.name, "role": user.role.value, "is_disabled": user.is_disabled}
