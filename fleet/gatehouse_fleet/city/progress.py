"""Where a target stands in each gateway's alarm lane: a cursor on (run, seq), never on a global id.

Ids of several workers become visible out of order; sequence numbers of one gateway do not, because whoever writes them
holds the lane's row. A run (`epoch.number`) is over when the next one has begun.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from sqlalchemy import (
    ColumnElement,
    FromClause,
    RowMapping,
    Select,
    and_,
    case,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import Entry, EntryKind, Lane, moment
from gatehouse_fleet.city.errors import CityError
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.journal import entry, epoch, lane_cursor, reader_cursor

ALARM_LANE: Final = 1
_MAX_KIND: Final = 2000


class MovedError(CityError):
    """Somebody else has moved this cursor: two servers deliver to one target. Nothing was written."""


class Place(Struct, frozen=True, order=True):
    """A position in one gateway's lane."""

    number: int
    """Run of arrival; 0 before the first."""
    seq: int


START: Final = Place(0, 0)


class Line(Struct, frozen=True, kw_only=True):
    """One entry with its place."""

    place: Place
    entry: Entry
    is_verified: bool
    received_us: int


async def behind(db: AsyncConnection, reader: str, limit: int) -> list[int]:
    """Return the numbers of gateways that have entries behind this reader's cursor."""
    query = (
        select(lane_cursor.c.gateway_no)
        .select_from(_joined(reader))
        .where(
            lane_cursor.c.lane == ALARM_LANE,
            lane_cursor.c.epoch_number > 0,
            or_(
                reader_cursor.c.gateway_no.is_(None),
                reader_cursor.c.epoch_number < lane_cursor.c.epoch_number,
                and_(
                    reader_cursor.c.epoch_number == lane_cursor.c.epoch_number,
                    reader_cursor.c.seq < lane_cursor.c.last_seq,
                ),
            ),
        )
        .order_by(lane_cursor.c.moved_us)
        .limit(limit)
    )
    return list((await db.execute(query)).scalars())


async def place_of(db: AsyncConnection, reader: str, gateway_no: int) -> Place:
    """Return where the reader stands at one gateway."""
    row = (await db.execute(select(reader_cursor).where(*_cursor(reader, gateway_no)))).one_or_none()
    return START if row is None else Place(row.epoch_number, row.seq)


async def lines(db: AsyncConnection, gateway_no: int, after: Place, limit: int) -> list[Line]:
    """Return the entries that follow `after`, oldest first."""
    query = (
        _entries(gateway_no)
        .where(tuple_(entry.c.epoch_number, entry.c.seq) > tuple_(after.number, after.seq))
        .order_by(entry.c.epoch_number, entry.c.seq)
        .limit(limit)
    )
    return [_line(row) for row in (await db.execute(query)).mappings()]


async def line_at(db: AsyncConnection, gateway_no: int, place: Place) -> Line | None:
    """Return one entry; None: retention has taken it."""
    query = _entries(gateway_no).where(entry.c.epoch_number == place.number, entry.c.seq == place.seq)
    row = (await db.execute(query)).mappings().one_or_none()
    return None if row is None else _line(row)


async def of_kind(
    db: AsyncConnection, gateway_no: int, kind: EntryKind, *, through: Place | None = None
) -> list[Line]:
    """Return the newest entries of one kind (at most 2000), newest first; `through`: none behind that place."""
    query = _entries(gateway_no).where(entry.c.kind == kind.value)
    if through is not None:
        query = query.where(tuple_(entry.c.epoch_number, entry.c.seq) <= tuple_(through.number, through.seq))
    query = query.order_by(entry.c.epoch_number.desc(), entry.c.seq.desc()).limit(_MAX_KIND)
    return [_line(row) for row in (await db.execute(query)).mappings()]


async def move(db: AsyncConnection, reader: str, gateway_no: int, *, seen: Place, to: Place) -> None:
    """Put the cursor from `seen` to `to`, in the caller's transaction.

    Raises:
        MovedError: it does not stand at `seen` any more.
    """
    if seen == START:
        try:
            async with db.begin_nested():
                await db.execute(
                    insert(reader_cursor).values(
                        reader=reader,
                        gateway_no=gateway_no,
                        lane=ALARM_LANE,
                        epoch_number=to.number,
                        seq=to.seq,
                    )
                )
        except IntegrityError as error:
            raise MovedError(
                f"the cursor of {reader} at gateway {gateway_no} was set by another server"
            ) from error
        return
    done = await db.execute(
        update(reader_cursor)
        .where(
            *_cursor(reader, gateway_no),
            reader_cursor.c.epoch_number == seen.number,
            reader_cursor.c.seq == seen.seq,
        )
        .values(epoch_number=to.number, seq=to.seq)
    )
    if done.rowcount != 1:
        raise MovedError(f"the cursor of {reader} at gateway {gateway_no} was moved by another server")


async def start_now(db: AsyncConnection, reader: str) -> None:
    """Put the cursor of every gateway at its newest entry: only what comes is told."""
    heads = select(
        literal(reader),
        lane_cursor.c.gateway_no,
        lane_cursor.c.lane,
        lane_cursor.c.epoch_number,
        lane_cursor.c.last_seq,
    ).where(lane_cursor.c.lane == ALARM_LANE)
    await db.execute(
        insert(reader_cursor).from_select(["reader", "gateway_no", "lane", "epoch_number", "seq"], heads)
    )


class Backlog(Struct, frozen=True, kw_only=True):
    """How far a target is behind."""

    gateways: int
    entries: int
    """Journal entries, of which alarms are a part; of a gateway several runs behind, those of its newest run."""


async def backlog(db: AsyncConnection, reader: str) -> Backlog:
    """Return what waits for a reader, all gateways together; one pass over the cursors, none over the entries."""
    waiting = case(
        (
            reader_cursor.c.epoch_number == lane_cursor.c.epoch_number,
            lane_cursor.c.last_seq - reader_cursor.c.seq,
        ),
        else_=lane_cursor.c.last_seq,
    )
    query = (
        select(func.count().filter(waiting > 0), func.coalesce(func.sum(waiting), 0))
        .select_from(_joined(reader))
        .where(lane_cursor.c.lane == ALARM_LANE, lane_cursor.c.epoch_number > 0)
    )
    gateways, entries = (await db.execute(query)).one()
    return Backlog(gateways=int(gateways), entries=int(entries))


async def gateway_ids(db: AsyncConnection, numbers: set[int]) -> dict[int, str]:
    """Return the names of gateways by number."""
    rows = await db.execute(select(gateway.c.no, gateway.c.id).where(gateway.c.no.in_(numbers)))
    return {row.no: row.id for row in rows}


def _joined(reader: str) -> FromClause:
    return lane_cursor.outerjoin(
        reader_cursor,
        and_(
            reader_cursor.c.reader == reader,
            reader_cursor.c.gateway_no == lane_cursor.c.gateway_no,
            reader_cursor.c.lane == ALARM_LANE,
        ),
    )


def _cursor(reader: str, gateway_no: int) -> tuple[ColumnElement[bool], ...]:
    return (
        reader_cursor.c.reader == reader,
        reader_cursor.c.gateway_no == gateway_no,
        reader_cursor.c.lane == ALARM_LANE,
    )


def _entries(gateway_no: int) -> Select[Any]:
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
        .where(entry.c.gateway_no == gateway_no, entry.c.lane == ALARM_LANE)
    )


def _line(row: RowMapping) -> Line:
    found = Entry(
        epoch=row["epoch"].hex(),
        lane=Lane.ALARM,
        seq=row["seq"],
        at=moment(row["at_us"]),
        boot=row["boot"],
        mono_ns=row["mono_ns"],
        kind=row["kind"],
        body_hash=row["body_hash"],
        prev_hash=row["prev_hash"],
        body=row["body"],
    )
    return Line(
        place=Place(row["epoch_number"], row["seq"]),
        entry=found,
        is_verified=row["doubt"] is None,
        received_us=row["received_us"],
    )
