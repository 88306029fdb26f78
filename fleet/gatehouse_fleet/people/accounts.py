"""Users: making, changing, and who may appoint whom. Every function works inside the caller's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import Row, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.people.passwords import AccountError
from gatehouse_fleet.people.roles import Caller, Role
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_fleet.store.schema.people import session, user

MAX_USERS: Final = 20_000

APPOINTS: Final[dict[Role, frozenset[Role]]] = {
    Role.CITY_OPERATOR: frozenset(Role),
    Role.DISTRICT_OPERATOR: frozenset({Role.PROPERTY_MANAGER, Role.GUARD, Role.TECHNICIAN}),
    Role.PROPERTY_MANAGER: frozenset(),
    Role.GUARD: frozenset(),
    Role.TECHNICIAN: frozenset(),
    Role.AUDITOR: frozenset(),
}
"""Whom each role may make and change, inside its own subtree: nobody makes anybody his own equal but the city."""


class User(Struct, frozen=True, kw_only=True):
    """One person."""

    id: int
    name: str
    full_name: str
    unit: str
    role: Role
    scope_id: int
    scope_path: str
    is_contractor: bool
    is_active: bool
    has_password: bool
    oidc_subject: str | None
    created_at: datetime
    last_login_at: datetime | None


class NewUser(Struct, frozen=True, kw_only=True):
    """What a user is made of."""

    name: str
    full_name: str
    unit: str
    role: Role
    scope_id: int
    is_contractor: bool = False
    oidc_subject: str | None = None


class UserChange(Struct, frozen=True, kw_only=True):
    """What changes; what is unset stays."""

    full_name: str | UnsetType = UNSET
    unit: str | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    scope_id: int | UnsetType = UNSET
    is_contractor: bool | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    oidc_subject: str | UnsetType | None = UNSET


def may_appoint(who: Caller, role: Role, scope_path: str, *, is_contractor: bool) -> bool:
    """Return whether `who` may make or change a user of that role there.

    A contractor appoints contractors only, else the flag would be shed by making a second account.
    """
    return role in APPOINTS[who.role] and who.reaches(scope_path) and (is_contractor or not who.is_contractor)


async def find(db: AsyncConnection, name: str) -> User | None:
    """Return a user by login."""
    row = (await db.execute(_query().where(user.c.name == name))).one_or_none()
    return None if row is None else user_of(row)


async def has_users(db: AsyncConnection) -> bool:
    """Return whether there is anybody; without, the server waits for the first user."""
    return (await db.execute(select(user.c.id).limit(1))).one_or_none() is not None


async def lock_users(db: AsyncConnection) -> None:
    """Let one transaction at a time decide on who the first user and the last city operator is."""
    if db.dialect.name == "postgresql":
        await db.execute(text("LOCK TABLE fleet_user IN SHARE ROW EXCLUSIVE MODE"))


async def make(db: AsyncConnection, new: NewUser, password_hash: str | None, *, at: datetime) -> User:
    """Make a user.

    Raises:
        AccountError: `name_taken`, `subject_taken`, `scope` or `too_many`.
    """
    await lock_users(db)
    if await find(db, new.name) is not None:
        raise AccountError("name_taken")
    await _check_subject(db, new.oidc_subject, new.name)
    await _check_scope(db, new.scope_id)
    if (await db.execute(select(func.count()).select_from(user))).scalar_one() >= MAX_USERS:
        raise AccountError("too_many")
    await db.execute(
        insert(user).values(
            name=new.name,
            full_name=new.full_name,
            unit=new.unit,
            role=new.role.value,
            scope_id=new.scope_id,
            password_hash=password_hash,
            oidc_subject=new.oidc_subject,
            is_contractor=new.is_contractor,
            is_active=True,
            created_at=at,
        )
    )
    made = await find(db, new.name)
    assert made is not None  # noqa: S101  # inserted above
    return made


async def change(db: AsyncConnection, old: User, new: UserChange) -> User:
    """Change a user; a changed role, scope, flag or a disabling ends all sessions.

    Raises:
        AccountError: `last_operator`, `subject_taken` or `scope`.
    """
    await lock_users(db)
    values: dict[str, Any] = {
        field: value.value if isinstance(value, Role) else value
        for field in new.__struct_fields__
        if (value := getattr(new, field)) is not UNSET
    }
    if not values:
        return old
    if "oidc_subject" in values:
        await _check_subject(db, values["oidc_subject"], old.name)
    if "scope_id" in values:
        await _check_scope(db, values["scope_id"])
    await db.execute(update(user).where(user.c.id == old.id).values(values))
    if await _city_operators(db) == 0:
        raise AccountError("last_operator")
    if values.keys() & {"role", "scope_id", "is_contractor", "is_active", "oidc_subject"}:
        await end_sessions(db, old.id)
    changed = await find(db, old.name)
    assert changed is not None  # noqa: S101  # users are never deleted
    return changed


async def set_password(db: AsyncConnection, user_id: int, password_hash: str) -> None:
    """Give a user another password and end all sessions."""
    await db.execute(update(user).where(user.c.id == user_id).values(password_hash=password_hash))
    await end_sessions(db, user_id)


async def password_hash_of(db: AsyncConnection, name: str) -> str | None:
    """Return the stored hash of an active user; None: unknown, disabled, or without a password."""
    query = select(user.c.password_hash).where(user.c.name == name, user.c.is_active)
    return (await db.execute(query)).scalar_one_or_none()


async def end_sessions(db: AsyncConnection, user_id: int) -> int:
    """End every session of a user."""
    return (await db.execute(delete(session).where(session.c.user_id == user_id))).rowcount


def query_users() -> Any:  # noqa: ANN401  # SQLAlchemy's Select of many columns
    """Return the SELECT whose rows `user_of` reads; add conditions, order and limit."""
    return _query()


def user_of(row: Row[Any]) -> User:
    """Return a row of `query_users` as a value."""
    return User(
        id=row.id,
        name=row.name,
        full_name=row.full_name,
        unit=row.unit,
        role=Role(row.role),
        scope_id=row.scope_id,
        scope_path=row.path,
        is_contractor=row.is_contractor,
        is_active=row.is_active,
        has_password=row.password_hash is not None,
        oidc_subject=row.oidc_subject,
        created_at=row.created_at,
        last_login_at=row.last_login_at,
    )


def _query() -> Any:  # noqa: ANN401  # SQLAlchemy's Select of many columns
    return select(user, org_node.c.path).join(org_node, org_node.c.id == user.c.scope_id)


async def _city_operators(db: AsyncConnection) -> int:
    query = (
        select(func.count())
        .select_from(user.join(org_node, org_node.c.id == user.c.scope_id))
        .where(user.c.role == Role.CITY_OPERATOR.value, user.c.is_active, org_node.c.parent_id.is_(None))
    )
    return int((await db.execute(query)).scalar_one())


async def _check_subject(db: AsyncConnection, subject: str | None, name: str) -> None:
    if subject is None:
        return
    query = select(user.c.name).where(user.c.oidc_subject == subject, user.c.name != name)
    if (await db.execute(query)).first() is not None:
        raise AccountError("subject_taken")


async def _check_scope(db: AsyncConnection, scope_id: int) -> None:
    if (await db.execute(select(org_node.c.id).where(org_node.c.id == scope_id))).one_or_none() is None:
        raise AccountError("scope")
