"""The people of a subtree: who they are, who may make and change them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from msgspec import UNSET
from pydantic import StrictBool
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.api.desk import desk_of
from gatehouse_fleet.api.people import problem_of
from gatehouse_fleet.people import accounts, audit
from gatehouse_fleet.people.accounts import APPOINTS, NewUser, User, UserChange, may_appoint
from gatehouse_fleet.people.passwords import AccountError
from gatehouse_fleet.people.roles import LABELS, RIGHTS, Caller, Right, Role
from gatehouse_fleet.registry import org
from gatehouse_fleet.services import services_of
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_fleet.store.schema.people import user
from gatehouse_fleet.web.access import entitled, require_reach, within
from gatehouse_fleet.web.fields import (
    Answer,
    Body,
    Done,
    Login,
    LoginPath,
    LongName,
    Name,
    NewPassword,
    RowNumber,
)
from gatehouse_fleet.web.pages import After, Limit, Page, key_of, mark
from gatehouse_fleet.web.problems import FORBIDDEN, NOT_FOUND

router: Final = APIRouter(tags=["people"])
Manager = Annotated[Caller, Depends(entitled(Right.MANAGE_PEOPLE))]


class UserRow(Answer):
    """One person."""

    name: str
    full_name: str
    unit: str
    role: Role
    scope_id: int
    is_contractor: bool
    is_active: bool
    has_password: bool
    oidc_subject: str | None
    created_at: datetime
    last_login_at: datetime | None


class NewUserBody(Body):
    """A new person; without a password they log in by the organisation's own login (OIDC)."""

    name: Login
    full_name: Name
    unit: LongName
    role: Role
    scope_id: RowNumber
    password: NewPassword | None = None
    is_contractor: StrictBool = False
    oidc_subject: LongName | None = None


class UserChangeBody(Body):
    """What changes; what is left out stays."""

    full_name: Name | None = None
    unit: LongName | None = None
    role: Role | None = None
    scope_id: RowNumber | None = None
    is_contractor: StrictBool | None = None
    is_active: StrictBool | None = None
    oidc_subject: LongName | None = None


class PasswordBody(Body):
    """A new password for somebody else."""

    password: NewPassword


class RoleRow(Answer):
    """What a role may do, and whom it may appoint."""

    role: Role
    label: str
    label_en: str
    rights: list[Right]
    appoints: list[Role]


class RoleList(Answer):
    """Every role."""

    items: list[RoleRow]


@router.get("/roles")
async def roles(_who: Manager) -> RoleList:
    """Return every role."""
    return RoleList(
        items=[
            RoleRow(
                role=role,
                label=LABELS[role].zh,
                label_en=LABELS[role].en,
                rights=sorted(RIGHTS[role]),
                appoints=sorted(APPOINTS[role]),
            )
            for role in Role
        ]
    )


@router.get("/users")
async def users(
    request: Request,
    who: Manager,
    limit: Limit = 100,
    after: After = None,
    role: Annotated[Role | None, Query()] = None,
) -> Page[UserRow]:
    """Return the people of one's subtree by login."""
    query = accounts.query_users().where(within(org_node.c.path, who)).order_by(user.c.name).limit(limit + 1)
    if role is not None:
        query = query.where(user.c.role == role.value)
    behind = key_of(after, tuple[str])
    if behind is not None:
        query = query.where(user.c.name > behind[0])
    async with services_of(request).store.read() as db:
        rows = [accounts.user_of(row) for row in (await db.execute(query)).all()]
    more = mark(rows[limit - 1].name) if len(rows) > limit else None
    return Page(items=[_row(one) for one in rows[:limit]], next=more)


@router.post("/users", status_code=201)
async def make_user(request: Request, body: NewUserBody, who: Manager) -> UserRow:
    """Make a user inside one's own subtree, of a role that one's own may appoint."""
    services, desk = services_of(request), desk_of(request)
    new = NewUser(
        name=body.name,
        full_name=body.full_name,
        unit=body.unit,
        role=body.role,
        scope_id=body.scope_id,
        is_contractor=body.is_contractor,
        oidc_subject=body.oidc_subject,
    )
    now = services.clock.now()
    try:
        hashed = None if body.password is None else await desk.passwords.hash(body.name, body.password)
        async with services.store.begin() as db:
            await _require_appointable(db, who, body.role, body.scope_id, is_contractor=body.is_contractor)
            made = await accounts.make(db, new, hashed, at=now)
            await audit.append(
                db,
                who.actor,
                "user.make",
                made.name,
                at=now,
                node_id=made.scope_id,
                detail={"role": made.role.value, "contractor": made.is_contractor},
            )
    except AccountError as error:
        raise problem_of(error) from None
    return _row(made)


@router.get("/users/{name}")
async def one_user(request: Request, name: LoginPath, who: Manager) -> UserRow:
    """Return one person."""
    async with services_of(request).store.read() as db:
        return _row(await _reachable(db, who, name))


@router.patch("/users/{name}")
async def change_user(request: Request, name: LoginPath, body: UserChangeBody, who: Manager) -> UserRow:
    """Change a person; another role, place or flag ends the person's sessions."""
    services = services_of(request)
    given = {field: value for field, value in body.model_dump().items() if value is not None}
    new = UserChange(**{field: given.get(field, UNSET) for field in UserChange.__struct_fields__})
    now = services.clock.now()
    try:
        async with services.store.begin() as db:
            old = await _changeable(db, who, name)
            await _require_appointable(
                db,
                who,
                body.role or old.role,
                body.scope_id or old.scope_id,
                is_contractor=given.get("is_contractor", old.is_contractor),
            )
            changed = await accounts.change(db, old, new)
            await audit.append(
                db,
                who.actor,
                "user.change",
                name,
                at=now,
                node_id=changed.scope_id,
                detail={"fields": " ".join(sorted(given)), "active": changed.is_active},
            )
    except AccountError as error:
        raise problem_of(error) from None
    return _row(changed)


@router.put("/users/{name}/password")
async def reset_password(request: Request, name: LoginPath, body: PasswordBody, who: Manager) -> Done:
    """Give somebody else a new password; ends all their sessions."""
    services, desk = services_of(request), desk_of(request)
    async with services.store.read() as db:
        await _changeable(db, who, name)
    try:
        hashed = await desk.passwords.hash(name, body.password)
    except AccountError as error:
        raise problem_of(error) from None
    async with services.store.begin() as db:
        old = await _changeable(db, who, name)
        await accounts.set_password(db, old.id, hashed)
        await audit.append(
            db, who.actor, "user.password", name, at=services.clock.now(), node_id=old.scope_id
        )
    return Done()


async def _reachable(db: AsyncConnection, who: Caller, name: str) -> User:
    found = await accounts.find(db, name)
    if found is None:
        raise NOT_FOUND
    require_reach(who, found.scope_path)
    return found


async def _changeable(db: AsyncConnection, who: Caller, name: str) -> User:
    """Return a person that `who` might have appointed; oneself is changed by somebody else."""
    found = await _reachable(db, who, name)
    may = may_appoint(who, found.role, found.scope_path, is_contractor=found.is_contractor)
    if found.id == who.user_id or not may:
        raise FORBIDDEN
    return found


async def _require_appointable(
    db: AsyncConnection, who: Caller, role: Role, scope_id: int, *, is_contractor: bool
) -> None:
    place = await org.get(db, scope_id)
    if place is None or not who.reaches(place.path):
        raise AccountError("scope")
    if not may_appoint(who, role, place.path, is_contractor=is_contractor):
        raise FORBIDDEN


def _row(one: User) -> UserRow:
    return UserRow(
        name=one.name,
        full_name=one.full_name,
        unit=one.unit,
        role=one.role,
        scope_id=one.scope_id,
        is_contractor=one.is_contractor,
        is_active=one.is_active,
        has_password=one.has_password,
        oidc_subject=one.oidc_subject,
        created_at=one.created_at,
        last_login_at=one.last_login_at,
    )
