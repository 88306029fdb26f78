"""The way of each revision: gateway's journal -> this server's commit -> the receipt of every platform, with its times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import EntryKind, Lane
from gatehouse_fleet.city.exchange import printable
from gatehouse_fleet.projection.readers import Mark, StoredEntry, entries_after, newest_of_kind
from gatehouse_fleet.projection.reading import Unreadable, read_change
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.city import city_parked, city_receipt, city_target
from gatehouse_fleet.store.schema.journal import epoch, reader_cursor

_LOOK_BACK: Final = 2000
"""Alarm entries of one gateway looked through for the revisions of an alarm."""


class Leg(StrEnum):
    """How far an entry has come towards one platform."""

    RECEIVED = "received"
    PARKED = "parked"
    WAITING = "waiting"
    NOT_TOLD = "not_told"
    """Outside what this platform is told, or its dialect has no word for such a change."""


class TargetTrace(Struct, frozen=True, kw_only=True):
    """One platform's part of the trace."""

    target: str
    title: str
    leg: Leg
    event_id: str | None = None
    sent_at: datetime | None = None
    receipt_at: datetime | None = None
    receipt: str | None = None
    receipt_sha256: str | None = None
    tries: int | None = None
    parked_at: datetime | None = None
    parked_reason: str | None = None
    parked_detail: str | None = None
    resolution: str | None = None


class EntryTrace(Struct, frozen=True, kw_only=True):
    """One journal entry and what became of it."""

    gateway: str
    epoch: str
    seq: int
    kind: str
    alarm_id: str | None
    revision: int | None
    what: str | None
    written_at: datetime
    """As the gateway's clock stood."""
    committed_at: datetime
    """On this server."""
    body_hash: str
    """SHA-256 of the entry's body, hex: what the gateway's chain was built over."""
    prev_hash: str
    """Hash of the entry before it."""
    is_verified: bool
    """Hash, chain and signature agreed when it was stored."""
    doubt: str | None
    targets: tuple[TargetTrace, ...]


async def of_entry(
    db: AsyncConnection, gateway_no: int, gateway_id: str, epoch_hex: str, seq: int
) -> EntryTrace | None:
    """Return the trace of one alarm-lane entry (of its first story, should there be two); None: there is none."""
    runs = await db.execute(
        select(epoch.c.number)
        .where(epoch.c.gateway_no == gateway_no, epoch.c.lane == 1, epoch.c.epoch == bytes.fromhex(epoch_hex))
        .order_by(epoch.c.number)
    )
    for number in runs.scalars():
        found = await entries_after(db, gateway_no, Lane.ALARM, Mark(number, seq - 1), limit=1)
        if found and found[0].mark == Mark(number, seq):
            return (await _traced(db, gateway_no, gateway_id, found))[0]
    return None


async def of_alarm(db: AsyncConnection, gateway_no: int, gateway_id: str, alarm_id: str) -> list[EntryTrace]:
    """Return the trace of every revision of an alarm among the gateway's last 2000 alarm entries, oldest first."""
    entries = await newest_of_kind(
        db, gateway_no, Lane.ALARM, EntryKind.ALARM, through=None, limit=_LOOK_BACK
    )
    wanted = f'"{alarm_id}"'.encode()
    own = [stored for stored in reversed(entries) if wanted in (stored.entry.body or b"")]
    traced = await _traced(db, gateway_no, gateway_id, own)
    return [one for one in traced if one.alarm_id == alarm_id]


async def gateway_of_alarm(db: AsyncConnection, alarm_id: str) -> int | None:
    """Return the number of the gateway that raised an alarm."""
    query = select(alarm.c.gateway_no).where(alarm.c.alarm_id == alarm_id)
    return (await db.execute(query)).scalar_one_or_none()


async def _traced(
    db: AsyncConnection, gateway_no: int, gateway_id: str, entries: Sequence[StoredEntry]
) -> list[EntryTrace]:
    targets = (
        await db.execute(select(city_target.c.id, city_target.c.title).order_by(city_target.c.id))
    ).all()
    cursors = {
        row.reader: Mark(row.epoch_number, row.seq)
        for row in await db.execute(
            select(reader_cursor).where(reader_cursor.c.gateway_no == gateway_no, reader_cursor.c.lane == 1)
        )
    }
    traced = []
    for stored in entries:
        change = read_change(stored.entry.body or b"") if stored.entry.kind == EntryKind.ALARM else None
        alarm_of = None if change is None or isinstance(change, Unreadable) else change.alarm
        legs = []
        for target in targets:
            cursor = cursors.get(f"city:{target.id}", Mark())
            legs.append(await _leg(db, target.id, target.title, gateway_no, stored, cursor))
        traced.append(
            EntryTrace(
                gateway=gateway_id,
                epoch=stored.entry.epoch,
                seq=stored.mark.seq,
                kind=stored.entry.kind,
                alarm_id=None if alarm_of is None else alarm_of.alarm_id,
                revision=None if alarm_of is None else alarm_of.seq,
                what=None if change is None or isinstance(change, Unreadable) else change.what.value,
                written_at=stored.entry.at,
                committed_at=stored.committed_at,
                body_hash=stored.entry.body_hash.hex(),
                prev_hash=stored.entry.prev_hash.hex(),
                is_verified=stored.doubt is None,
                doubt=None if stored.doubt is None else stored.doubt.value,
                targets=tuple(legs),
            )
        )
    return traced


async def _leg(
    db: AsyncConnection, target: str, title: str, gateway_no: int, stored: StoredEntry, cursor: Mark
) -> TargetTrace:
    place = (gateway_no, stored.entry.epoch, stored.mark.seq)
    keys = (city_receipt.c.gateway_no, city_receipt.c.epoch, city_receipt.c.seq)
    received = (
        await db.execute(
            select(city_receipt).where(
                city_receipt.c.target == target,
                *(key == value for key, value in zip(keys, place, strict=True)),
            )
        )
    ).first()
    if received is not None:
        return TargetTrace(
            target=target,
            title=title,
            leg=Leg.RECEIVED,
            event_id=received.event_id,
            sent_at=received.sent_at,
            receipt_at=received.receipt_at,
            receipt=printable(received.receipt),
            receipt_sha256=received.receipt_hash.hex(),
            tries=received.tries,
        )
    keys = (city_parked.c.gateway_no, city_parked.c.epoch, city_parked.c.seq)
    parked = (
        await db.execute(
            select(city_parked).where(
                city_parked.c.target == target,
                *(key == value for key, value in zip(keys, place, strict=True)),
            )
        )
    ).first()
    if parked is not None:
        return TargetTrace(
            target=target,
            title=title,
            leg=Leg.PARKED,
            event_id=parked.event_id,
            tries=parked.tries,
            parked_at=parked.parked_at,
            parked_reason=parked.reason,
            parked_detail=parked.detail,
            resolution=parked.resolution,
        )
    return TargetTrace(target=target, title=title, leg=Leg.NOT_TOLD if cursor >= stored.mark else Leg.WAITING)
