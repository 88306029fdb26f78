"""Logging in and out, the first user, and one's own password and sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.states import Label
from gatehouse_fleet.api.access import caller
from gatehouse_fleet.api.desk import desk_of
from gatehouse_fleet.api.fields import Answer, Body, Code, Done, Login, LongName, Name, NewPassword, Password
from gatehouse_fleet.api.problems import ProblemError
from gatehouse_fleet.api.session import (
    check_origin,
    clear_cookie,
    network_of,
    set_cookie,
    station_of,
    token_of,
)
from gatehouse_fleet.people import accounts, audit, sessions
from gatehouse_fleet.people.accounts import NewUser
from gatehouse_fleet.people.passwords import AccountError, check_password
from gatehouse_fleet.people.refusals import stranger
from gatehouse_fleet.people.roles import LABELS, Actor, Caller, Right, Role
from gatehouse_fleet.registry.org import ensure_city
from gatehouse_fleet.services import services_of

router: Final = APIRouter(tags=["people"])

_LABELS: Final[dict[str, tuple[int, Label]]] = {
    "code": (403, Label("一次性代码不正确", "that is not the one-time code")),
    "has_users": (409, Label("已有用户，请登录", "there are users already; log in")),
    "name_taken": (409, Label("该登录名已存在", "there is somebody of that login")),
    "subject_taken": (409, Label("该身份已绑定其他用户", "that identity is bound to another user")),
    "password": (
        409,
        Label(
            "密码至少10个字符，不得含登录名或过于单调",
            "a password has 10 characters or more, not the login, not all alike",
        ),
    ),
    "scope": (409, Label("没有这个辖区", "there is no such place")),
    "too_many": (409, Label("用户过多", "too many users")),
    "last_operator": (409, Label("不能停用最后一名市级值守", "the last operator of the whole city stays")),
}
_WRONG: Final = ProblemError(401, "wrong_login", Label("登录名或密码不正确", "wrong login or password"))


class SetupState(Answer):
    """Whether this server has been taken into use."""

    needs_first_user: bool


class SetupBody(Body):
    """The first user, with the one-time code that was printed on the server."""

    code: Password
    name: Login
    full_name: Name
    unit: LongName
    password: NewPassword
    city_code: Code
    city_name: LongName


class LoginBody(Body):
    """A person and a password."""

    name: Login
    password: Password


class PasswordChange(Body):
    """One's own password."""

    old: Password
    new: NewPassword


class Me(Answer):
    """Who is logged in, and what they may do."""

    name: str
    full_name: str
    unit: str
    role: Role
    role_label: str
    role_label_en: str
    rights: list[Right]
    scope_id: int
    is_contractor: bool


class SessionRow(Answer):
    """One of one's own sessions."""

    created_at: datetime
    expires_at: datetime
    station: str
    is_this: bool


class SessionList(Answer):
    """All of one's own sessions."""

    items: list[SessionRow]


def problem_of(error: AccountError) -> ProblemError:
    """Return how the API says it."""
    status, words = _LABELS[error.reason]
    return ProblemError(status, error.reason, words)


@router.get("/setup")
async def setup_state(request: Request) -> SetupState:
    """Say whether the first user is still to be made."""
    async with services_of(request).store.read() as db:
        return SetupState(needs_first_user=not await accounts.has_users(db))


@router.post("/setup", status_code=201)
async def setup(request: Request, body: SetupBody) -> Me:
    """Make the first user, a city operator, and the city."""
    services, desk, at = services_of(request), desk_of(request), station_of(request)
    check_origin(request)
    key = f"setup {network_of(at)}"
    slow_down(request, key)
    try:
        await _check_code(request, body, key)
        hashed = await desk.passwords.hash(body.name, body.password)
        now = services.clock.now()
        async with services.store.begin() as db:
            await _require_empty(db)
            city_id = await ensure_city(db, code=body.city_code, name=body.city_name, at=now)
            new = NewUser(
                name=body.name,
                full_name=body.full_name,
                unit=body.unit,
                role=Role.CITY_OPERATOR,
                scope_id=city_id,
            )
            user = await accounts.make(db, new, hashed, at=now)
            who = Actor(name=user.name, role=user.role.value, unit=user.unit, station=at)
            await audit.append(db, who, "user.first", user.name, at=now, node_id=city_id)
    except AccountError as error:
        raise problem_of(error) from None
    desk.first_code.drop()
    return _me(user)


async def _check_code(request: Request, body: SetupBody, key: str) -> None:
    services, desk = services_of(request), desk_of(request)
    async with services.store.begin() as db:
        await _require_empty(db)
    if desk.first_code.fits(body.code):
        return
    desk.throttle.fail(key, services.clock.elapsed_s())
    await desk.refusals.note(stranger(station_of(request)), "user.first", body.name, reason="code")
    raise AccountError("code")


async def _require_empty(db: AsyncConnection) -> None:
    await accounts.lock_users(db)
    if await accounts.has_users(db):
        raise AccountError("has_users")


@router.post("/login")
async def login(request: Request, response: Response, body: LoginBody) -> Me:
    """Start a session."""
    services, desk, at = services_of(request), desk_of(request), station_of(request)
    check_origin(request)
    # By address only: counting by name would let a stranger lock the desk out.
    by_peer = f"peer {network_of(at)}"
    slow_down(request, by_peer)
    async with services.store.read() as db:
        hashed = await accounts.password_hash_of(db, body.name)
    if not await desk.passwords.is_right(body.password, hashed):
        desk.throttle.fail(by_peer, services.clock.elapsed_s())
        await desk.refusals.note(stranger(at, claimed=body.name), "login", body.name, reason="password")
        raise _WRONG
    desk.throttle.succeed(by_peer)
    now = services.clock.now()
    async with services.store.begin() as db:
        user = await accounts.find(db, body.name)
        if user is None or not user.is_active:
            raise _WRONG
        token = await sessions.start(db, user.id, station=at, at=now)
        who = Actor(name=user.name, role=user.role.value, unit=user.unit, station=at)
        await audit.append(db, who, "login", user.name, at=now, node_id=user.scope_id)
    set_cookie(response, services, token)
    return _me(user)


@router.post("/logout")
async def logout(request: Request, response: Response, who: Annotated[Caller, Depends(caller)]) -> Done:
    """End the session."""
    services = services_of(request)
    async with services.store.begin() as db:
        await sessions.end(db, token_of(request))
        await audit.append(
            db, who.actor, "logout", who.actor.name, at=services.clock.now(), node_id=who.scope_id
        )
    clear_cookie(response, services)
    return Done()


@router.get("/me")
async def me(request: Request, who: Annotated[Caller, Depends(caller)]) -> Me:
    """Return who is logged in."""
    async with services_of(request).store.read() as db:
        user = await accounts.find(db, who.actor.name)
    assert user is not None  # noqa: S101  # the session was found with it
    return _me(user)


@router.put("/me/password")
async def change_password(
    request: Request,
    response: Response,
    body: PasswordChange,
    who: Annotated[Caller, Depends(caller)],
) -> Me:
    """Change one's own password; every other session ends and this one is begun anew."""
    services, desk, at = services_of(request), desk_of(request), station_of(request)
    key = f"password {who.user_id}"
    slow_down(request, key)
    async with services.store.read() as db:
        hashed = await accounts.password_hash_of(db, who.actor.name)
    if not await desk.passwords.is_right(body.old, hashed):
        desk.throttle.fail(key, services.clock.elapsed_s())
        await desk.refusals.note(who.actor, "password.change", who.actor.name, reason="password")
        raise _WRONG
    try:
        check_password(who.actor.name, body.new)
        fresh = await desk.passwords.hash(who.actor.name, body.new)
    except AccountError as error:
        raise problem_of(error) from None
    now = services.clock.now()
    async with services.store.begin() as db:
        await accounts.set_password(db, who.user_id, fresh)
        token = await sessions.start(db, who.user_id, station=at, at=now)
        user = await accounts.find(db, who.actor.name)
        await audit.append(db, who.actor, "password.change", who.actor.name, at=now, node_id=who.scope_id)
    assert user is not None  # noqa: S101  # users are never deleted
    set_cookie(response, services, token)
    return _me(user)


@router.get("/me/sessions")
async def my_sessions(request: Request, who: Annotated[Caller, Depends(caller)]) -> SessionList:
    """Return where one is logged in."""
    services = services_of(request)
    async with services.store.read() as db:
        found = await sessions.of_user(db, who.user_id, at=services.clock.now())
    this = sessions.token_hash(token_of(request))
    return SessionList(
        items=[
            SessionRow(
                created_at=row.created_at,
                expires_at=row.expires_at,
                station=row.station,
                is_this=row.token_hash == this,
            )
            for row in found
        ]
    )


@router.delete("/me/sessions")
async def end_my_sessions(
    request: Request, response: Response, who: Annotated[Caller, Depends(caller)]
) -> Done:
    """Log out everywhere, here too."""
    services = services_of(request)
    async with services.store.begin() as db:
        await accounts.end_sessions(db, who.user_id)
        await audit.append(
            db,
            who.actor,
            "session.end_all",
            who.actor.name,
            at=services.clock.now(),
            node_id=who.scope_id,
        )
    clear_cookie(response, services)
    return Done()


def slow_down(request: Request, *keys: str) -> None:
    """Refuse somebody who has guessed wrong too often.

    Raises:
        ProblemError: 429 `too_many_tries`, with the seconds to wait.
    """
    throttle, now_s = desk_of(request).throttle, services_of(request).clock.elapsed_s()
    wait_s = max(throttle.wait_s(key, now_s) for key in keys)
    if wait_s > 0:
        words = Label("尝试次数过多，请稍后再试", "too many tries; wait a while")
        raise ProblemError(429, "too_many_tries", words, retry_after_s=wait_s)


def _me(user: accounts.User) -> Me:
    as_caller = Caller(
        user_id=user.id,
        actor=Actor(name=user.name, role=user.role.value, unit=user.unit, station=""),
        role=user.role,
        scope_id=user.scope_id,
        scope_path=user.scope_path,
        is_contractor=user.is_contractor,
    )
    return Me(
        name=user.name,
        full_name=user.full_name,
        unit=user.unit,
        role=user.role,
        role_label=LABELS[user.role].zh,
        role_label_en=LABELS[user.role].en,
        rights=sorted(right for right in Right if as_caller.may(right)),
        scope_id=user.scope_id,
        is_contractor=user.is_contractor,
    )
