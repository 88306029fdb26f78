"""Reading the gateways' journals at the fleet: entries after a cursor, lane by lane, in the order of their arrival.

A reader has a name and one cursor for each gateway and lane: `(epoch.number, seq)`. Entries are only ever added behind what is
there, so a cursor never has to look back. `Follower` does its work and moves its cursors in one transaction; a reader
that talks to somebody else in between (city delivery) uses `mark_of`, `entries_after` and `move` by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Select, Subquery, and_, bindparam, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import Entry, EntryKind, Lane, moment
from gatehouse_events.replication import Doubt
from gatehouse_fleet.ingest.sealed import LANE_NUMBERS
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.journal import entry, epoch, lane_cursor, reader_cursor
from gatehouse_fleet.store.schema.org import org_node

JOURNAL_TOPIC: Final = "journal"
"""Wake topic: something was committed to an alarm lane in this process."""


class Mark(Struct, frozen=True, order=True):
    """Where a reader stands in one lane of one gateway."""

    number: int = 0
    """`epoch.number`."""
    seq: int = 0


class Source(Struct, frozen=True, kw_only=True):
    """The gateway whose journal is read."""

    no: int
    id: str
    node_id: int
    node_path: str


class StoredEntry(Struct, frozen=True, kw_only=True):
    """An entry as the fleet has it."""

    mark: Mark
    entry: Entry
    doubt: Doubt | None
    """None: verified."""
    committed_at: datetime


class Portion(Struct, frozen=True, kw_only=True):
    """What is read of one gateway in one transaction."""

    source: Source
    entries: Sequence[StoredEntry]


class Claim(Struct, frozen=True, kw_only=True):
    """A gateway whose lane is ours until the transaction ends."""

    source: Source
    mark: Mark
    head: Mark
    """The last entry that is stored."""


async def source_of(db: AsyncConnection, gateway_no: int) -> Source | None:
    """Return who a gateway is; None: it is not registered any more."""
    query = (
        select(gateway.c.no, gateway.c.id, gateway.c.node_id, org_node.c.path)
        .join(org_node, org_node.c.id == gateway.c.node_id)
        .where(gateway.c.no == gateway_no)
    )
    row = (await db.execute(query)).first()
    return None if row is None else Source(no=row.no, id=row.id, node_id=row.node_id, node_path=row.path)


async def entries_after(
    db: AsyncConnection, gateway_no: int, lane: Lane, mark: Mark, *, limit: int
) -> list[StoredEntry]:
    """Return at most `limit` entries behind `mark`, oldest first."""
    query = (
        _entries(gateway_no, lane)
        .where(tuple_(entry.c.epoch_number, entry.c.seq) > (mark.number, mark.seq))
        .order_by(entry.c.epoch_number, entry.c.seq)
        .limit(limit)
    )
    return [_stored(row, lane) for row in (await db.execute(query)).all()]


async def claim_all(
    db: AsyncConnection, reader: str, gateway_nos: Sequence[int], lane: Lane, *, behind: str | None = None
) -> list[Claim]:
    """Claim the lanes of several gateways at once, in the order of their communities.

    Left out: gateways that are another worker's now, that are not registered, or whose lane `reader` has never read. With
    `behind`, `reader` goes only as far as that other reader has come.
    """
    head = _head(behind)
    query = (
        select(
            reader_cursor.c.gateway_no,
            reader_cursor.c.epoch_number,
            reader_cursor.c.seq,
            head.c.head_number,
            head.c.head_seq,
            gateway.c.id,
            gateway.c.node_id,
            org_node.c.path,
        )
        .join(
            head, and_(head.c.gateway_no == reader_cursor.c.gateway_no, head.c.lane == reader_cursor.c.lane)
        )
        .join(gateway, gateway.c.no == reader_cursor.c.gateway_no)
        .join(org_node, org_node.c.id == gateway.c.node_id)
        .where(
            reader_cursor.c.reader == reader,
            reader_cursor.c.gateway_no.in_(gateway_nos),
            reader_cursor.c.lane == LANE_NUMBERS[lane],
        )
        .order_by(gateway.c.node_id, gateway.c.no)
        .with_for_update(of=reader_cursor, skip_locked=True)
    )
    return [
        Claim(
            source=Source(no=row.gateway_no, id=row.id, node_id=row.node_id, node_path=row.path),
            mark=Mark(row.epoch_number, row.seq),
            head=Mark(row.head_number, row.head_seq),
        )
        for row in (await db.execute(query)).all()
    ]


async def portions(
    db: AsyncConnection, reader: str, claims: Sequence[Claim], lane: Lane, *, share: int
) -> list[Portion]:
    """Return what stands behind the marks of several gateways, `share` numbers of each, in the order of `claims`.

    A gateway whose next entry is in another run, or behind a wider hole, has no portion although it has more: read it by
    itself with `entries_after`.
    """
    heads = {claimed.source.no: claimed.head for claimed in claims if claimed.mark < claimed.head}
    if not heads:
        return []
    query = (
        select(entry, epoch.c.epoch)
        .join(
            epoch,
            and_(
                epoch.c.gateway_no == entry.c.gateway_no,
                epoch.c.lane == entry.c.lane,
                epoch.c.number == entry.c.epoch_number,
            ),
        )
        .join(
            reader_cursor,
            and_(reader_cursor.c.gateway_no == entry.c.gateway_no, reader_cursor.c.lane == entry.c.lane),
        )
        .where(
            reader_cursor.c.reader == reader,
            entry.c.gateway_no.in_(heads),
            entry.c.lane == LANE_NUMBERS[lane],
            entry.c.epoch_number == reader_cursor.c.epoch_number,
            entry.c.seq > reader_cursor.c.seq,
            entry.c.seq <= reader_cursor.c.seq + share,
        )
        .order_by(entry.c.gateway_no, entry.c.epoch_number, entry.c.seq)
    )
    found: dict[int, list[StoredEntry]] = {}
    for row in (await db.execute(query)).all():
        read = _stored(row, lane)
        if read.mark <= heads[row.gateway_no]:
            found.setdefault(row.gateway_no, []).append(read)
    return [
        Portion(source=claimed.source, entries=found[claimed.source.no])
        for claimed in claims
        if claimed.source.no in found
    ]


async def newest_of_kind(
    db: AsyncConnection, gateway_no: int, lane: Lane, kind: EntryKind, *, through: Mark | None, limit: int
) -> list[StoredEntry]:
    """Return the newest entries of one kind, newest first; with `through` none behind that place.

    Looks through the lane backwards: for what is read once and then remembered.
    """
    query = _entries(gateway_no, lane).where(entry.c.kind == kind.value)
    if through is not None:
        query = query.where(tuple_(entry.c.epoch_number, entry.c.seq) <= (through.number, through.seq))
    query = query.order_by(entry.c.epoch_number.desc(), entry.c.seq.desc()).limit(limit)
    return [_stored(row, lane) for row in (await db.execute(query)).all()]


async def mark_of(db: AsyncConnection, reader: str, gateway_no: int, lane: Lane) -> Mark:
    """Return where `reader` stands."""
    row = (await db.execute(_cursor(reader, gateway_no, lane))).first()
    return Mark() if row is None else Mark(row.epoch_number, row.seq)


async def claim(db: AsyncConnection, reader: str, gateway_no: int, lane: Lane) -> Mark | None:
    """Return where `reader` stands and keep its other workers off this lane until the transaction ends.

    None: another worker is at it.
    """
    query = _cursor(reader, gateway_no, lane)
    row = (await db.execute(query.with_for_update(skip_locked=True))).first()
    if row is not None:
        return Mark(row.epoch_number, row.seq)
    if (await db.execute(query)).first() is not None:
        return None
    values = {
        "reader": reader, "gateway_no": gateway_no, "lane": LANE_NUMBERS[lane], "epoch_number": 0, "seq": 0,
    }  # fmt: skip
    await db.execute(insert(reader_cursor).values(values))
    return Mark()


async def move(db: AsyncConnection, reader: str, gateway_no: int, lane: Lane, mark: Mark) -> None:
    """Remember that `reader` (which has claimed the lane) is done with everything up to `mark`."""
    await db.execute(
        update(reader_cursor)
        .where(
            reader_cursor.c.reader == reader,
            reader_cursor.c.gateway_no == gateway_no,
            reader_cursor.c.lane == LANE_NUMBERS[lane],
        )
        .values(epoch_number=mark.number, seq=mark.seq)
    )


async def move_all(db: AsyncConnection, reader: str, lane: Lane, read: Sequence[Portion]) -> None:
    """Remember that `reader` (which has claimed the lanes) is done with these portions."""
    mine = (reader_cursor.c.reader == reader) & (reader_cursor.c.lane == LANE_NUMBERS[lane])
    await db.execute(
        update(reader_cursor)
        .where(mine, reader_cursor.c.gateway_no == bindparam("gateway"))
        .values(epoch_number=bindparam("new_number"), seq=bindparam("new_seq")),
        [
            {
                "gateway": portion.source.no,
                "new_number": portion.entries[-1].mark.number,
                "new_seq": portion.entries[-1].mark.seq,
            }
            for portion in read
        ],
    )


async def lagging(
    db: AsyncConnection, reader: str, lane: Lane, *, behind: str | None = None
) -> Sequence[int]:
    """Return the gateways in whose lane something stands behind the reader's cursor; see `claim_all` for `behind`."""
    head = _head(behind)
    query = (
        select(lane_cursor.c.gateway_no)
        .join(head, and_(head.c.gateway_no == lane_cursor.c.gateway_no, head.c.lane == lane_cursor.c.lane))
        .outerjoin(
            reader_cursor,
            and_(
                reader_cursor.c.reader == reader,
                reader_cursor.c.gateway_no == lane_cursor.c.gateway_no,
                reader_cursor.c.lane == lane_cursor.c.lane,
            ),
        )
        .where(
            lane_cursor.c.lane == LANE_NUMBERS[lane],
            head.c.head_number > 0,
            or_(
                reader_cursor.c.seq.is_(None),
                tuple_(head.c.head_number, head.c.head_seq)
                > tuple_(reader_cursor.c.epoch_number, reader_cursor.c.seq),
            ),
        )
        .order_by(lane_cursor.c.moved_us.desc())
    )
    return (await db.execute(query)).scalars().all()


def _head(behind: str | None) -> Subquery:
    """Return how far each lane may be read."""
    if behind is None:
        return select(
            lane_cursor.c.gateway_no,
            lane_cursor.c.lane,
            lane_cursor.c.epoch_number.label("head_number"),
            lane_cursor.c.last_seq.label("head_seq"),
        ).subquery("head")
    return (
        select(
            reader_cursor.c.gateway_no,
            reader_cursor.c.lane,
            reader_cursor.c.epoch_number.label("head_number"),
            reader_cursor.c.seq.label("head_seq"),
        )
        .where(reader_cursor.c.reader == behind)
        .subquery("head")
    )


def _entries(gateway_no: int, lane: Lane) -> Select[Any]:
    return (
        select(entry, epoch.c.epoch)
        .join(
            epoch,
            and_(
                epoch.c.gateway_no == entry.c.gateway_no,
                epoch.c.lane == entry.c.lane,
                epoch.c.number == entry.c.epoch_number,
            ),
        )
        .where(entry.c.gateway_no == gateway_no, entry.c.lane == LANE_NUMBERS[lane])
    )


def _cursor(reader: str, gateway_no: int, lane: Lane) -> Select[Any]:
    return select(reader_cursor.c.epoch_number, reader_cursor.c.seq).where(
        reader_cursor.c.reader == reader,
        reader_cursor.c.gateway_no == gateway_no,
        reader_cursor.c.lane == LANE_NUMBERS[lane],
    )


def _stored(row: Any, lane: Lane) -> StoredEntry:  # noqa: ANN401  # a row of the query above
    return StoredEntry(
        mark=Mark(row.epoch_number, row.seq),
        entry=Entry(
            epoch=bytes(row.epoch).hex(),
            lane=lane,
            seq=row.seq,
            at=moment(row.at_us),
            boot=row.boot,
            mono_ns=row.mono_ns,
            kind=row.kind,
            body_hash=row.body_hash,
            prev_hash=row.prev_hash,
            body=row.body,
        ),
        doubt=None if row.doubt is None else Doubt(row.doubt),
        committed_at=moment(row.received_us),
    )
