"""What stands aside: listing, trying again, giving up. Nothing leaves this table unseen."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct
from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import EntryKind, Lane
from gatehouse_fleet.city import progress
from gatehouse_fleet.city.story import Story, Told
from gatehouse_fleet.projection.readers import Mark, entries_after, mark_of
from gatehouse_fleet.store.schema.city import city_parked, city_receipt

_RETRIES_AT_ONCE: Final = 20
_LOOK_AHEAD: Final = 100


class Resolution(StrEnum):
    """How a parked event left the list."""

    RECEIVED = "received"
    SUPERSEDED = "superseded"
    """The platform already has a later revision of that alarm; telling the older one would turn it back."""
    GIVEN_UP = "given_up"


class Wanted(Struct, frozen=True, kw_only=True):
    """A parked event that somebody wants tried again."""

    gateway_no: int
    event_id: str
    alarm_id: str
    alarm_seq: int
    mark: Mark
    wanted_by: str


async def wanted(db: AsyncConnection, target: str) -> list[Wanted]:
    """Return what is to be tried again, oldest first."""
    rows = await db.execute(
        select(city_parked)
        .where(
            city_parked.c.target == target,
            city_parked.c.retry_wanted.is_(True),
            city_parked.c.resolved_at.is_(None),
        )
        .order_by(city_parked.c.gateway_no, city_parked.c.epoch_number, city_parked.c.seq)
        .limit(_RETRIES_AT_ONCE)
    )
    return [
        Wanted(
            gateway_no=row.gateway_no,
            event_id=row.event_id,
            alarm_id=row.alarm_id,
            alarm_seq=row.alarm_seq,
            mark=Mark(row.epoch_number, row.seq),
            wanted_by=row.resolved_by or "",
        )
        for row in rows
    ]


async def told_again(db: AsyncConnection, one: Wanted) -> Told | None:
    """Return a parked event, made anew from the journal; None: retention has taken its entry."""
    stored = await progress.entry_at(db, one.gateway_no, one.mark)
    if stored is None or stored.entry.body is None:
        return None
    story = await Story.begin(db, one.gateway_no, one.mark)
    return story.next(stored)


async def is_overtaken(db: AsyncConnection, target: str, one: Wanted) -> bool:
    """Return whether the platform has a later revision of the same alarm."""
    newest = (
        await db.execute(
            select(func.max(city_receipt.c.alarm_seq)).where(
                city_receipt.c.target == target,
                city_receipt.c.gateway_no == one.gateway_no,
                city_receipt.c.alarm_id == one.alarm_id,
            )
        )
    ).scalar_one_or_none()
    return bool(one.alarm_id) and newest is not None and newest > one.alarm_seq


async def ask_again(db: AsyncConnection, target: str, event_id: str | None, *, by: str) -> int:
    """Mark one parked event, or all of a target, to be tried again; returns how many."""
    return await _mark(db, target, event_id, {"retry_wanted": True, "resolved_by": by})


async def give_up(db: AsyncConnection, target: str, event_id: str, *, by: str, now: datetime) -> int:
    """Take a parked event off the list for good; returns 1, or 0 when there is none."""
    values = {"resolved_at": now, "resolution": Resolution.GIVEN_UP.value, "resolved_by": by}
    return await _mark(db, target, event_id, values)


async def is_set_aside(db: AsyncConnection, target: str, gateway_no: int, event_id: str) -> bool:
    """Return whether an event is parked already, whatever became of it since."""
    query = select(city_parked.c.event_id).where(
        city_parked.c.target == target,
        city_parked.c.gateway_no == gateway_no,
        city_parked.c.event_id == event_id,
    )
    return (await db.execute(query)).first() is not None


async def set_first_aside(
    db: AsyncConnection, target: str, reader: str, gateway_no: int, *, by: str, now: datetime
) -> str | None:
    """Park what stands first in a gateway's line, so that what is behind it goes on; returns the event's id, None: nothing waits."""
    seen = await mark_of(db, reader, gateway_no, Lane.ALARM)
    for stored in await entries_after(db, gateway_no, Lane.ALARM, seen, limit=_LOOK_AHEAD):
        if stored.entry.kind != EntryKind.ALARM:
            continue
        story = await Story.begin(db, gateway_no, stored.mark)
        told = story.next(stored)
        if told is None:
            continue
        event = told.event
        await db.execute(
            insert(city_parked).values(
                target=target,
                gateway_no=gateway_no,
                event_id=told.event_id,
                alarm_id="" if event is None else event.data.alarm_id,
                alarm_seq=0 if event is None else event.data.seq,
                epoch=stored.entry.epoch,
                seq=stored.mark.seq,
                epoch_number=stored.mark.number,
                parked_at=now,
                reason="by_hand",
                detail=f"taken out of the way by {by}",
                tries=0,
            )
        )
        return told.event_id
    return None


async def resolve(
    db: AsyncConnection, target: str, one: Wanted, how: Resolution, *, by: str, now: datetime
) -> None:
    """Note how a parked event left the list."""
    await db.execute(
        update(city_parked)
        .where(*_one(target, one))
        .values(resolved_at=now, resolution=how.value, resolved_by=by, retry_wanted=False)
    )


async def still(db: AsyncConnection, target: str, one: Wanted, *, detail: str) -> None:
    """Note that another try has not helped."""
    await db.execute(
        update(city_parked)
        .where(*_one(target, one))
        .values(retry_wanted=False, detail=detail[:2000], tries=city_parked.c.tries + 1, resolved_by=None)
    )


async def _mark(db: AsyncConnection, target: str, event_id: str | None, values: dict[str, object]) -> int:
    query = update(city_parked).where(city_parked.c.target == target, city_parked.c.resolved_at.is_(None))
    if event_id is not None:
        query = query.where(city_parked.c.event_id == event_id)
    return (await db.execute(query.values(values))).rowcount


def _one(target: str, one: Wanted) -> tuple[ColumnElement[bool], ...]:
    return (
        city_parked.c.target == target,
        city_parked.c.gateway_no == one.gateway_no,
        city_parked.c.event_id == one.event_id,
    )
