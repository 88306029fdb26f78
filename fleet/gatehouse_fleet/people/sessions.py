"""Sessions in the database: the browser has an opaque token, the table its SHA-256. Any worker can serve any session."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.people.roles import Actor, Caller, Role
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_fleet.store.schema.people import session, user

LASTS: Final = timedelta(hours=12)
"""A shift."""
MAX_PER_USER: Final = 10
"""More than anybody has screens; the oldest gives way."""


class Found(Struct, frozen=True, kw_only=True):
    """A live session."""

    caller: Caller
    expires_at: datetime


async def start(db: AsyncConnection, user_id: int, *, station: str, at: datetime) -> str:
    """Begin a session and return its token; ended and surplus sessions go."""
    await db.execute(delete(session).where(session.c.expires_at <= at))
    mine = select(session.c.token_hash).where(session.c.user_id == user_id)
    surplus = (
        await db.execute(mine.order_by(session.c.created_at.desc()).offset(MAX_PER_USER - 1))
    ).scalars()
    await db.execute(delete(session).where(session.c.token_hash.in_(list(surplus))))
    token = secrets.token_urlsafe(32)
    await db.execute(
        insert(session).values(
            token_hash=token_hash(token),
            user_id=user_id,
            created_at=at,
            expires_at=at + LASTS,
            last_seen_at=at,
            station=station[:64],
        )
    )
    await db.execute(update(user).where(user.c.id == user_id).values(last_login_at=at))
    return token


async def find(db: AsyncConnection, token: str, *, station: str, at: datetime) -> Found | None:
    """Return the session of a token; None: there is none, it has ended, or its user is shut out."""
    query = (
        select(session.c.expires_at, user, org_node.c.path)
        .select_from(session.join(user, user.c.id == session.c.user_id))
        .join(org_node, org_node.c.id == user.c.scope_id)
        .where(session.c.token_hash == token_hash(token), session.c.expires_at > at, user.c.is_active)
    )
    row = (await db.execute(query)).one_or_none()
    if row is None:
        return None
    caller = Caller(
        user_id=row.id,
        actor=Actor(name=row.name, role=row.role, unit=row.unit, station=station),
        role=Role(row.role),
        scope_id=row.scope_id,
        scope_path=row.path,
        is_contractor=row.is_contractor,
    )
    return Found(caller=caller, expires_at=row.expires_at)


async def of_user(db: AsyncConnection, user_id: int, *, at: datetime) -> Sequence[Row[Any, Any, Any, Any]]:
    """Return the live sessions of a user, newest first: token_hash, created_at, expires_at, station."""
    query = (
        select(session.c.token_hash, session.c.created_at, session.c.expires_at, session.c.station)
        .where(session.c.user_id == user_id, session.c.expires_at > at)
        .order_by(session.c.created_at.desc(), session.c.token_hash)
    )
    return (await db.execute(query)).all()


async def end(db: AsyncConnection, token: str) -> None:
    """End one session."""
    await db.execute(delete(session).where(session.c.token_hash == token_hash(token)))


def token_hash(token: str) -> bytes:
    """Return what the table has of a token."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
