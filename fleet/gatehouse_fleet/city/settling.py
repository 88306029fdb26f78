"""What became of events, written down together with the cursor: receipt, parking, and the receipt's way to the gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Table, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.ids import is_id
from gatehouse_events.orders import AlarmSeen, CityReceipt, Issuer
from gatehouse_fleet.city.exchange import printable
from gatehouse_fleet.orders import IssuedOrder, issue
from gatehouse_fleet.projection.readers import Mark
from gatehouse_fleet.store.schema.city import city_parked, city_receipt

RECEIPT_GOOD_FOR: Final = timedelta(days=90)
"""How long a gateway that is away may still be told that the city has its event."""
_NOTE_CHARS: Final = 2000


class ParkReason(StrEnum):
    """Why a person has to look at an event."""

    REFUSED = "refused"
    """The platform will not take it."""
    UNSAYABLE = "unsayable"
    """The dialect or the target's file has no word for it."""
    INVALID = "invalid"
    """It does not satisfy the event schema."""
    UNREADABLE = "unreadable"
    """This server does not understand the journal entry."""
    FAILS = "fails"
    """The platform fails on this one while others get through."""
    BY_HAND = "by_hand"
    """Somebody took it out of the way."""


class Subject(Struct, frozen=True, kw_only=True):
    """The event that something became of."""

    event_id: str
    alarm_id: str
    """Empty: the entry could not be read."""
    alarm_seq: int
    epoch: str
    mark: Mark
    is_verified: bool


class Delivered(Struct, frozen=True, kw_only=True):
    """The platform has it."""

    subject: Subject
    sent_at: datetime
    receipt_at: datetime
    receipt: bytes
    tries: int


class Parked(Struct, frozen=True, kw_only=True):
    """It stands aside; later events go on."""

    subject: Subject
    reason: ParkReason
    detail: str
    tries: int


class Settled(Struct, frozen=True, kw_only=True):
    """One gateway's entries up to a place, with what became of those that concern this target."""

    target: str
    title: str
    gateway_no: int
    through: Mapping[str, int]
    """Epoch to the last sequence number looked at in it."""
    delivered: Sequence[Delivered] = ()
    parked: Sequence[Parked] = ()


async def write(db: AsyncConnection, settled: Settled, *, now: datetime) -> list[IssuedOrder]:
    """Write down what became of events, in the caller's transaction; returns the orders whose streams are to be woken.

    What is written already stays as it was: a second receipt for one event changes nothing.
    """
    await _insert(db, city_parked, [_parked_row(settled, parked, now) for parked in settled.parked])
    await _insert(db, city_receipt, [_receipt_row(settled, delivered) for delivered in settled.delivered])
    return [
        await _tell_gateway(db, settled, one, through, now)
        for one, through in await _worth_telling(db, settled)
    ]


async def forget(db: AsyncConnection, *, before: datetime) -> int:
    """Delete receipts and resolved parkings older than `before`; returns how many."""
    old_receipts = await db.execute(delete(city_receipt).where(city_receipt.c.receipt_at < before))
    old_parked = await db.execute(delete(city_parked).where(city_parked.c.resolved_at < before))
    return old_receipts.rowcount + old_parked.rowcount


async def _worth_telling(db: AsyncConnection, settled: Settled) -> list[tuple[Delivered, int]]:
    """Return the receipts the gateway is told one by one, each with what it may take as received up to there.

    One that says "everything up to here" speaks for all before it; those behind a parked event speak for themselves.
    """
    known = [one for one in settled.delivered if is_id(one.subject.alarm_id)]
    worth: list[tuple[Delivered, int]] = []
    for epoch in dict.fromkeys(one.subject.epoch for one in known):
        own = [one for one in known if one.subject.epoch == epoch]
        through = settled.through.get(epoch, own[-1].subject.mark.seq)
        first_open = await _first_parked(db, settled, epoch)
        if first_open is not None:
            # The gateway may forget what is received: never past an event that still waits for a person here.
            through = min(through, first_open - 1)
        if through < 1:
            continue
        spoken_for = [one for one in own if one.subject.mark.seq <= through]
        worth += [(one, through) for one in (*spoken_for[-1:], *own[len(spoken_for) :])]
    return worth


async def _first_parked(db: AsyncConnection, settled: Settled, epoch: str) -> int | None:
    query = select(func.min(city_parked.c.seq)).where(
        city_parked.c.target == settled.target,
        city_parked.c.gateway_no == settled.gateway_no,
        city_parked.c.epoch == epoch,
        city_parked.c.resolved_at.is_(None),
    )
    first: int | None = (await db.execute(query)).scalar_one_or_none()
    return first


async def _tell_gateway(
    db: AsyncConnection, settled: Settled, delivered: Delivered, through: int, now: datetime
) -> IssuedOrder:
    subject = delivered.subject
    receipt = CityReceipt(
        alarm=AlarmSeen(alarm_id=subject.alarm_id, seq=subject.alarm_seq),
        target=settled.target,
        receipt=printable(delivered.receipt, _NOTE_CHARS),
        epoch=subject.epoch,
        through_seq=through,
    )
    issuer = Issuer(name=settled.target, role="city_platform", unit=settled.title)
    return await issue(
        db, settled.gateway_no, receipt, issuer=issuer, expires_at=now + RECEIPT_GOOD_FOR, now=now
    )


def _subject_row(settled: Settled, subject: Subject) -> dict[str, Any]:
    return {
        "target": settled.target,
        "gateway_no": settled.gateway_no,
        "event_id": subject.event_id,
        "alarm_id": subject.alarm_id,
        "alarm_seq": subject.alarm_seq,
        "epoch": subject.epoch,
        "seq": subject.mark.seq,
    }


def _receipt_row(settled: Settled, delivered: Delivered) -> dict[str, Any]:
    return {
        **_subject_row(settled, delivered.subject),
        "sent_at": delivered.sent_at,
        "receipt_at": delivered.receipt_at,
        "receipt": delivered.receipt,
        "receipt_hash": sha256(delivered.receipt).digest(),
        "tries": delivered.tries,
        "is_verified": delivered.subject.is_verified,
    }


def _parked_row(settled: Settled, parked: Parked, now: datetime) -> dict[str, Any]:
    return {
        **_subject_row(settled, parked.subject),
        "epoch_number": parked.subject.mark.number,
        "parked_at": now,
        "reason": parked.reason.value,
        "detail": parked.detail[:_NOTE_CHARS],
        "tries": parked.tries,
    }


async def _insert(db: AsyncConnection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        dialect = postgresql if db.dialect.name == "postgresql" else sqlite
        await db.execute(dialect.insert(table).on_conflict_do_nothing(), rows)
