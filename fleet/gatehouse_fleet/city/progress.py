"""Where a target stands in each gateway's alarm lane: a cursor on (run, seq), never on a global id.

Ids of several workers become visible out of order; sequence numbers of one gateway do not, because whoever writes them
holds the lane's row. A run (`epoch.number`) is over when the next one has begun.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from sqlalchemy import ColumnElement, FromClause, and_, case, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import Lane
from gatehouse_fleet.city.errors import CityError
from gatehouse_fleet.ingest.sealed import LANE_NUMBERS
from gatehouse_fleet.projection.readers import Mark, StoredEntry, entries_after
from gatehouse_fleet.store.schema.journal import lane_cursor, reader_cursor

ALARM_LANE: Final = LANE_NUMBERS[Lane.ALARM]


class MovedError(CityError):
    """Somebody else has moved this cursor: two servers deliver to one target. Nothing was written."""


async def entry_at(db: AsyncConnection, gateway_no: int, mark: Mark) -> StoredEntry | None:
    """Return one entry; None: retention has taken it."""
    before = Mark(mark.number, mark.seq - 1)
    found = await entries_after(db, gateway_no, Lane.ALARM, before, limit=1)
    return found[0] if found and found[0].mark == mark else None


async def move(db: AsyncConnection, reader: str, gateway_no: int, *, seen: Mark, to: Mark) -> None:
    """Put the cursor from `seen` to `to`, in the caller's transaction.

    Raises:
        MovedError: it does not stand at `seen` any more.
    """
    if seen == Mark():
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
