"""How the server is, as numbers for Prometheus: read from the database at each scrape, so every worker tells the same.

No label names a person, a place below a gateway, or anything a peer can invent: readers and webhooks are the server's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from sqlalchemy import and_, case, func, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from typing_extensions import override

from gatehouse_events.fleet_api import SILENT_AFTER_S
from gatehouse_fleet.cases import listing
from gatehouse_fleet.cases.lights import Light
from gatehouse_fleet.store.schema.alarms import alarm, feed_head
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.journal import entry, epoch, lane_cursor, reader_cursor
from gatehouse_fleet.store.schema.metadata import Moment
from gatehouse_fleet.store.schema.orders import order
from gatehouse_fleet.store.schema.webhooks import webhook

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SILENT_AFTER: Final = timedelta(seconds=SILENT_AFTER_S)
_ALARM_LANE: Final = 1


class ReaderLag(Struct, frozen=True, kw_only=True):
    """How far one reader of the journals is behind."""

    reader: str
    gateways: int
    """With something it has not read."""
    entries: int
    """Not read, in the runs that are being written; older runs count as one."""


class HookState(Struct, frozen=True, kw_only=True):
    """Where one webhook stands."""

    name: str
    lines: int
    is_parked: bool


class Readings(Struct, frozen=True, kw_only=True):
    """Everything that is told."""

    entries: int
    lags: tuple[ReaderLag, ...]
    gateways: dict[str, int]
    """`present`, `silent`, `stopped`, `never`."""
    doubtful_gateways: int
    open_alarms: dict[str, int]
    cases: dict[Light, int]
    orders: int
    """Given, not answered, not expired."""
    feed: int
    hooks: tuple[HookState, ...]


async def read(db: AsyncConnection, now: datetime) -> Readings:
    """Take every reading from one picture of the database."""
    feed = int((await db.execute(select(func.max(feed_head.c.position)))).scalar_one() or 0)
    return Readings(
        entries=await _entries(db),
        lags=await _lags(db),
        gateways=await _gateways(db, now),
        doubtful_gateways=int(
            (await db.execute(select(func.count()).where(gateway.c.integrity_fault.isnot(None)))).scalar_one()
        ),
        open_alarms={
            row.priority: row.n
            for row in await db.execute(
                select(alarm.c.priority, func.count().label("n"))
                .where(alarm.c.is_open)
                .group_by(alarm.c.priority)
            )
        },
        cases=await listing.counts(db, "/", now),
        orders=int(
            (
                await db.execute(
                    select(func.count()).where(order.c.result.is_(None), order.c.expires_at > now)
                )
            ).scalar_one()
        ),
        feed=feed,
        hooks=tuple(
            HookState(name=row.name, lines=max(0, feed - row.position), is_parked=row.parked_at is not None)
            for row in await db.execute(select(webhook).order_by(webhook.c.name))
        ),
    )


def text(readings: Readings) -> bytes:
    """Return the readings in Prometheus' text format. Pure."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(readings))
    return generate_latest(registry)


class _Told(Collector):
    def __init__(self, readings: Readings) -> None:
        self._readings: Final = readings

    @override
    def collect(self) -> Iterator[Metric]:
        told = self._readings
        yield CounterMetricFamily(
            "gatehouse_fleet_entries",
            "Journal entries stored in all lanes, holes that gateways declared included",
            value=told.entries,
        )
        yield _by(
            "gatehouse_fleet_reader_lag_entries",
            "Entries a reader has not read",
            "reader",
            ((lag.reader, lag.entries) for lag in told.lags),
        )
        yield _by(
            "gatehouse_fleet_reader_lag_gateways",
            "Gateways with entries a reader has not read",
            "reader",
            ((lag.reader, lag.gateways) for lag in told.lags),
        )
        yield _by("gatehouse_fleet_gateways", "Gateways by presence", "presence", told.gateways.items())
        yield GaugeMetricFamily(
            "gatehouse_fleet_gateways_doubtful",
            "Gateways whose journal cannot be believed",
            told.doubtful_gateways,
        )
        yield _by("gatehouse_fleet_alarms_open", "Open alarms", "priority", told.open_alarms.items())
        yield _by("gatehouse_fleet_cases_open", "Open cases", "light", told.cases.items())
        yield GaugeMetricFamily("gatehouse_fleet_orders_open", "Orders not answered yet", told.orders)
        yield CounterMetricFamily("gatehouse_fleet_feed_lines", "Lines of the feed", value=told.feed)
        yield _by(
            "gatehouse_fleet_webhook_lag_lines",
            "Lines of the feed a webhook has not looked at",
            "webhook",
            ((hook.name, hook.lines) for hook in told.hooks),
        )
        yield _by(
            "gatehouse_fleet_webhook_parked",
            "1: a webhook waits for a person",
            "webhook",
            ((hook.name, int(hook.is_parked)) for hook in told.hooks),
        )


def _by(name: str, help_text: str, label: str, values: Iterable[tuple[str, int]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for value, number in values:
        family.add_metric([str(value)], number)
    return family


async def _entries(db: AsyncConnection) -> int:
    """Sum what each run of each lane covers: one look into an index per run, where counting rows would read them all."""
    last = (
        select(func.max(entry.c.seq))
        .where(
            entry.c.gateway_no == epoch.c.gateway_no,
            entry.c.lane == epoch.c.lane,
            entry.c.epoch_number == epoch.c.number,
        )
        .scalar_subquery()
    )
    covered = func.coalesce(last, epoch.c.removed_through, 0) - epoch.c.first_seq + 1
    return int((await db.execute(select(func.coalesce(func.sum(covered), 0)))).scalar_one())


async def _lags(db: AsyncConnection) -> tuple[ReaderLag, ...]:
    is_behind = or_(
        reader_cursor.c.seq.is_(None),
        tuple_(lane_cursor.c.epoch_number, lane_cursor.c.last_seq)
        > tuple_(reader_cursor.c.epoch_number, reader_cursor.c.seq),
    )
    behind = case(
        (reader_cursor.c.seq.is_(None), lane_cursor.c.last_seq),
        (
            reader_cursor.c.epoch_number == lane_cursor.c.epoch_number,
            lane_cursor.c.last_seq - reader_cursor.c.seq,
        ),
        else_=lane_cursor.c.last_seq + 1,
    )
    readers = select(reader_cursor.c.reader).distinct().subquery()
    query = (
        select(
            readers.c.reader,
            func.count().filter(is_behind).label("gateways"),
            func.coalesce(func.sum(behind).filter(is_behind), 0).label("entries"),
        )
        .select_from(readers)
        .join(lane_cursor, lane_cursor.c.lane == _ALARM_LANE)
        .outerjoin(
            reader_cursor,
            and_(
                reader_cursor.c.reader == readers.c.reader,
                reader_cursor.c.gateway_no == lane_cursor.c.gateway_no,
                reader_cursor.c.lane == lane_cursor.c.lane,
            ),
        )
        .where(lane_cursor.c.epoch_number > 0)
        .group_by(readers.c.reader)
        .order_by(readers.c.reader)
    )
    return tuple(
        ReaderLag(reader=row.reader, gateways=row.gateways, entries=int(row.entries))
        for row in await db.execute(query)
    )


async def _gateways(db: AsyncConnection, now: datetime) -> dict[str, int]:
    """Count by presence: from the last contact, never from an open connection."""
    heard = literal(now - _SILENT_AFTER, Moment)
    presence = case(
        (gateway.c.last_contact_at.is_(None), "never"),
        (gateway.c.is_stopped, "stopped"),
        (gateway.c.last_contact_at < heard, "silent"),
        else_="present",
    )
    rows = await db.execute(
        select(presence.label("presence"), func.count().label("n"))
        .where(gateway.c.state == "deployed")
        .group_by(presence)
    )
    found = {row.presence: row.n for row in rows}
    return {name: found.get(name, 0) for name in ("present", "silent", "stopped", "never")}
