"""What is kept no longer: telemetry, alarm lanes, closed alarms and the feed, each after its own time.

Age counts from the moment the fleet received an entry, never from a gateway's clock. Nothing goes that a reader has not
read yet, and what is gone is remembered, so that a gateway which tells it again is not taken for another story.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import Lane, microseconds
from gatehouse_fleet.ingest.sealed import LANE_NUMBERS
from gatehouse_fleet.services import Services
from gatehouse_fleet.store.schema.alarms import alarm, alarm_revision, feed
from gatehouse_fleet.store.schema.journal import entry, epoch, lane_cursor, reader_cursor

EVERY_S: Final = 3600.0
FEED_KEPT: Final = timedelta(days=7)
"""A screen that was away for longer loads everything anew."""
_AT_ONCE: Final = 2000
"""Rows of one transaction: an alarm must never wait long for old entries to go."""
_log = logging.getLogger(__name__)


async def keep_to_retention(services: Services) -> None:
    """Remove what is too old, once an hour until cancelled."""
    while True:
        try:
            removed = await prune(services)
        except (SQLAlchemyError, OSError) as error:
            _log.warning("retention is put off: %s", type(error).__name__)
        else:
            _log.info("retention: %d entries removed", removed)
        await asyncio.sleep(EVERY_S)


async def prune(services: Services) -> int:
    """Remove everything that is too old now; return how many journal entries went.

    Raises:
        SQLAlchemyError: the database refuses.
    """
    now, kept = services.clock.now(), services.settings.retention
    removed = 0
    for lane, days in ((Lane.TELEMETRY, kept.telemetry_days), (Lane.ALARM, kept.alarm_days)):
        cutoff_us = microseconds(now - timedelta(days=days))
        number = LANE_NUMBERS[lane]
        async with services.store.read() as db:
            query = select(lane_cursor.c.gateway_no).where(lane_cursor.c.lane == number)
            gateways = (await db.execute(query)).scalars().all()
        for gateway_no in gateways:
            while True:
                async with services.store.begin() as db:
                    count = await _prune_lane(db, gateway_no, number, cutoff_us)
                removed += count
                if count < _AT_ONCE:
                    break
    async with services.store.begin() as db:
        await db.execute(delete(feed).where(feed.c.at < now - FEED_KEPT))
        old = alarm.c.changed_at < now - timedelta(days=kept.alarm_days)
        # An alarm with a case is kept for as long as its case is.
        await db.execute(delete(alarm).where(alarm.c.is_open.is_(False), alarm.c.case_id.is_(None), old))
    return removed


async def _prune_lane(db: AsyncConnection, gateway_no: int, lane: int, cutoff_us: int) -> int:
    mine = (entry.c.gateway_no == gateway_no) & (entry.c.lane == lane)
    query = (
        select(entry.c.epoch_number, entry.c.seq, entry.c.received_us)
        .where(mine)
        .order_by(entry.c.epoch_number, entry.c.seq)
        .limit(_AT_ONCE)
    )
    slowest = await _slowest_reader(db, gateway_no, lane)
    gone = [
        (number, seq)
        for number, seq, _ in itertools.takewhile(
            lambda row: row[2] < cutoff_us and (slowest is None or (row[0], row[1]) <= slowest),
            (await db.execute(query)).all(),
        )
    ]
    for number, last in _lasts(gone):
        run = (epoch.c.gateway_no == gateway_no) & (epoch.c.lane == lane) & (epoch.c.number == number)
        await db.execute(update(epoch).where(run).values(removed_through=last))
        await db.execute(delete(entry).where(mine, entry.c.epoch_number == number, entry.c.seq <= last))
        if lane == LANE_NUMBERS[Lane.ALARM]:
            told = (alarm_revision.c.gateway_no == gateway_no) & (alarm_revision.c.epoch_number == number)
            await db.execute(delete(alarm_revision).where(told, alarm_revision.c.entry_seq <= last))
    return len(gone)


async def _slowest_reader(db: AsyncConnection, gateway_no: int, lane: int) -> tuple[int, int] | None:
    """Return where the reader stands that is furthest behind; None: nobody reads this lane."""
    query = (
        select(reader_cursor.c.epoch_number, reader_cursor.c.seq)
        .where(reader_cursor.c.gateway_no == gateway_no, reader_cursor.c.lane == lane)
        .order_by(reader_cursor.c.epoch_number, reader_cursor.c.seq)
        .limit(1)
    )
    row = (await db.execute(query)).first()
    return None if row is None else (row[0], row[1])


def _lasts(gone: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the last number that goes of each run."""
    return sorted(dict(gone).items())
