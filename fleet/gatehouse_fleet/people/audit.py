"""The audit log: who did what to what from where, each entry chained to the one before it by its hash.

The hash of an entry is SHA-256 over the canonical JSON array `[seq, at_us, actor, role, unit, station, action, subject, node_id,
detail, outcome, prev_hash in hex]`. Rewriting one entry breaks the chain; whoever keeps an exported head elsewhere also notices a chain that
was rewritten as a whole. Retention cuts the front off and keeps the last hash of what was cut as the anchor (CSL Art. 21(3): six months at least).

`append` is called inside the transaction that does the thing, as its last statement but the feed's: what is done and its record
commit together, and on PostgreSQL it waits for other transactions that append.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Row, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import ZERO_HASH, canonical, microseconds
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.store.schema.people import audit, audit_anchor

MIN_RETENTION: Final = timedelta(days=200)
"""Six months (CSL Art. 21(3)) and some days against arguments about the length of a month."""
MAX_DETAIL: Final = 4096
_PG_LOCK: Final = 0x6761746575640001
"""pg_advisory_xact_lock: an arbitrary number of our own; one transaction appends at a time."""
_BATCH: Final = 500


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One line of the log."""

    seq: int
    at: datetime
    actor: Actor
    action: str
    subject: str
    node_id: int | None
    detail: str
    """Canonical JSON."""
    is_done: bool
    """False: refused."""
    prev_hash: bytes
    hash: bytes


class Verdict(Struct, frozen=True, kw_only=True):
    """What `verify` found."""

    entries: int
    head_seq: int
    head_hash: bytes
    broken_at: int | None
    """First sequence number that does not fit; None: the chain is whole."""


async def append(
    db: AsyncConnection,
    actor: Actor,
    action: str,
    subject: str,
    *,
    at: datetime,
    node_id: int | None = None,
    detail: Struct | dict[str, str | int | bool | None] | None = None,
    is_done: bool = True,
) -> int:
    """Add one entry in the caller's transaction and return its sequence number.

    Args:
        db: the writing transaction.
        actor: who.
        action: `area.verb`, e.g. `gateway.revoke`.
        subject: what it was done to: an id, never a person's data.
        at: this instant.
        node_id: where in the tree, so that auditors of a subtree can read it.
        detail: more, without secrets and without names of residents; at most 4 KiB as JSON.
        is_done: False for something that was refused.
    """
    if db.dialect.name == "postgresql":
        await db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PG_LOCK})
    seq, prev = await _head(db)
    said = canonical(detail if detail is not None else {}).decode()
    if len(said) > MAX_DETAIL:
        said = canonical({"cut": len(said)}).decode()
    row: dict[str, Any] = {
        "seq": seq + 1,
        "at": at,
        "actor": _printable(actor.name, 64),
        "role": actor.role[:32],
        "unit": _printable(actor.unit, 128),
        "station": _printable(actor.station, 64),
        "action": action,
        "subject": _printable(subject, 256),
        "node_id": node_id,
        "detail": said,
        "outcome": int(is_done),
        "prev_hash": prev,
    }
    row["hash"] = _hash(row)
    await db.execute(insert(audit).values(row))
    return seq + 1


async def verify(db: AsyncConnection) -> Verdict:
    """Follow the whole chain from the anchor."""
    seq, prev = await _anchor(db)
    count = 0
    async for row in _rows(db, seq):
        if row.seq != seq + 1 or row.prev_hash != prev or row.hash != _hash(row._asdict()):
            return Verdict(entries=count, head_seq=seq, head_hash=prev, broken_at=seq + 1)
        seq, prev, count = row.seq, row.hash, count + 1
    return Verdict(entries=count, head_seq=seq, head_hash=prev, broken_at=None)


async def export(db: AsyncConnection, *, after: int = 0) -> AsyncIterator[bytes]:
    """Yield the entries behind `after` as lines of JSON, hashes in hex."""
    async for row in _rows(db, after):
        yield canonical(_line(row)) + b"\n"


async def prune(db: AsyncConnection, *, before: datetime, now: datetime) -> int:
    """Cut off what is older than `before`, never younger than 200 days; return how many entries went."""
    before = min(before, now - MIN_RETENTION)
    # Entries are cut from the front without gaps: a clock that jumped must not tear a hole into the chain.
    keep = select(func.min(audit.c.seq)).where(audit.c.at >= before)
    first_kept = (await db.execute(keep)).scalar_one_or_none()
    last = (await db.execute(select(func.max(audit.c.seq)))).scalar_one_or_none()
    if last is None:
        return 0
    cut = last if first_kept is None else first_kept - 1
    row = (await db.execute(select(audit.c.hash).where(audit.c.seq == cut))).one_or_none()
    if row is None:
        return 0
    moved = await db.execute(update(audit_anchor).values(seq=cut, hash=row.hash))
    if moved.rowcount == 0:
        await db.execute(insert(audit_anchor).values(one=1, seq=cut, hash=row.hash))
    return (await db.execute(delete(audit).where(audit.c.seq <= cut))).rowcount


def entry_of(row: Row[Any]) -> AuditEntry:
    """Return a row of the table as a value."""
    actor = Actor(name=row.actor, role=row.role, unit=row.unit, station=row.station)
    return AuditEntry(
        seq=row.seq,
        at=row.at,
        actor=actor,
        action=row.action,
        subject=row.subject,
        node_id=row.node_id,
        detail=row.detail,
        is_done=bool(row.outcome),
        prev_hash=row.prev_hash,
        hash=row.hash,
    )


async def _head(db: AsyncConnection) -> tuple[int, bytes]:
    query = select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
    row = (await db.execute(query)).one_or_none()
    return await _anchor(db) if row is None else (row.seq, row.hash)


async def _anchor(db: AsyncConnection) -> tuple[int, bytes]:
    row = (await db.execute(select(audit_anchor.c.seq, audit_anchor.c.hash))).one_or_none()
    return (0, ZERO_HASH) if row is None else (row.seq, row.hash)


async def _rows(db: AsyncConnection, after: int) -> AsyncIterator[Row[Any]]:
    while True:
        query = select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(_BATCH)
        rows = (await db.execute(query)).all()
        for row in rows:
            yield row
        if len(rows) < _BATCH:
            return
        after = rows[-1].seq


def _hash(row: dict[str, Any]) -> bytes:
    return sha256(canonical(_fields(row))).digest()


def _fields(row: dict[str, Any]) -> list[str | int | None]:
    names = ("actor", "role", "unit", "station", "action", "subject", "node_id", "detail", "outcome")
    return [row["seq"], microseconds(row["at"]), *(row[name] for name in names), row["prev_hash"].hex()]


def _line(row: Row[Any]) -> dict[str, Any]:
    values = row._asdict()
    return values | {
        "at": row.at.isoformat(),
        "prev_hash": row.prev_hash.hex(),
        "hash": row.hash.hex(),
    }


def _printable(words: str, length: int) -> str:
    return "".join(c if c.isprintable() else " " for c in words)[:length]
