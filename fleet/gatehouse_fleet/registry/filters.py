"""Saved filters: a person's own questions to the registry, kept as data and validated again when they are used."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.registry.gateways import GatewayFilter
from gatehouse_fleet.store.schema.gateways import saved_filter

MAX_PER_USER = 50


class FilterError(FleetError):
    """There are too many of them."""


class SavedFilter(Struct, frozen=True, kw_only=True):
    """One saved question."""

    name: str
    filter: GatewayFilter


async def of_user(db: AsyncConnection, user_id: int) -> Sequence[SavedFilter]:
    """Return a person's filters by name."""
    query = (
        select(saved_filter.c.name, saved_filter.c.filter)
        .where(saved_filter.c.user_id == user_id)
        .order_by(saved_filter.c.name)
    )
    return [
        SavedFilter(name=row.name, filter=msgspec.json.decode(row.filter, type=GatewayFilter))
        for row in (await db.execute(query)).all()
    ]


async def save(db: AsyncConnection, user_id: int, saved: SavedFilter) -> None:
    """Keep a filter; one of the same name is replaced.

    Raises:
        FilterError: there are fifty already.
    """
    text = msgspec.json.encode(saved.filter).decode()
    mine = saved_filter.c.user_id == user_id
    done = await db.execute(
        update(saved_filter).where(mine, saved_filter.c.name == saved.name).values(filter=text)
    )
    if done.rowcount:
        return
    count = (await db.execute(select(func.count()).select_from(saved_filter).where(mine))).scalar_one()
    if count >= MAX_PER_USER:
        raise FilterError(f"a person has at most {MAX_PER_USER} filters")
    await db.execute(insert(saved_filter).values(user_id=user_id, name=saved.name, filter=text))


async def forget(db: AsyncConnection, user_id: int, name: str) -> bool:
    """Delete a filter; False: there was none."""
    mine = (saved_filter.c.user_id == user_id) & (saved_filter.c.name == name)
    return (await db.execute(delete(saved_filter).where(mine))).rowcount > 0
