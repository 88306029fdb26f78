"""How cases and alarms were handled: on time or not, how long, per district; and the alarm load of each desk (domain row 44).

Load figures follow ISA-18.2 as quoted by secondary sources (domain notes §6): at most 6 alarms an hour are good for one operator and
12 the limit; ten in ten minutes are a flood; an alarm that stands longer than 24 h is stale; priorities about 80/15/5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.states import Disposition, Kind, Priority
from gatehouse_fleet.cases.policy import Stage
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.cases import case, deadline
from gatehouse_fleet.store.schema.org import org_node

GOOD_PER_HOUR: Final = 6.0
LIMIT_PER_HOUR: Final = 12.0
FLOOD_ALARMS: Final = 10
FLOOD_WINDOW: Final = timedelta(minutes=10)
STALE_AFTER: Final = timedelta(hours=24)
MAX_ROWS: Final = 200_000
"""Alarms or deadlines of one answer; a longer span is refused rather than answered in part."""


class StageFigures(Struct, frozen=True, kw_only=True):
    """How one kind of deadline was kept."""

    stage: Stage
    kept: int
    missed: int
    """Met too late, or still running and overdue."""
    mean_s: float | None
    """Mean time from its start until it was met; None: none was."""

    @property
    def on_time(self) -> float | None:
        """Part that was kept, 0 to 1; None: there were none."""
        ended = self.kept + self.missed
        return self.kept / ended if ended else None


class DistrictFigures(Struct, frozen=True, kw_only=True):
    """One district, or one community when that is as far as the caller reaches."""

    node_id: int
    name: str
    opened: int
    closed: int
    false_alarms: int
    preventive: int
    stages: tuple[StageFigures, ...]


class DeskLoad(Struct, frozen=True, kw_only=True):
    """What one desk had to look at."""

    node_id: int
    name: str
    alarms: int
    per_hour: float
    worst_10_min: int
    flood_share: float
    """Part of the time in flood: in ten minutes that saw ten alarms."""
    stale: int
    by_priority: dict[str, int]

    @property
    def verdict(self) -> str:
        """`good`, `high` or `overload` against the hourly figures."""
        if self.per_hour <= GOOD_PER_HOUR:
            return "good"
        return "high" if self.per_hour <= LIMIT_PER_HOUR else "overload"


def load_of(raised: Sequence[datetime], start: datetime, end: datetime) -> tuple[float, int, float]:
    """Return alarms per hour, most in ten minutes, and the part of the time in flood. Pure; `raised` in any order."""
    times = sorted(at for at in raised if start <= at < end)
    hours = max((end - start) / timedelta(hours=1), 1e-9)
    worst, first, flooded, covered_to = 0, 0, timedelta(), start
    for last, at in enumerate(times):
        while at - times[first] >= FLOOD_WINDOW:
            first += 1
        worst = max(worst, last - first + 1)
        if last - first + 1 >= FLOOD_ALARMS:
            begins = max(times[first], covered_to)
            flooded += max(at - begins, timedelta())
            covered_to = max(covered_to, at)
    return len(times) / hours, worst, flooded / (end - start) if end > start else 0.0


async def districts(
    db: AsyncConnection, scope_path: str, start: datetime, end: datetime, now: datetime
) -> list[DistrictFigures]:
    """Return the figures of each district within reach for cases opened in [start, end)."""
    opened = (
        await db.execute(
            select(
                case.c.id, case.c.is_open, case.c.kind, case.c.outcome, case.c.merged_into, org_node.c.path
            )
            .join(org_node, org_node.c.id == case.c.node_id)
            .where(
                org_node.c.path.startswith(scope_path, autoescape=True),
                case.c.opened_at >= start,
                case.c.opened_at < end,
            )
            .limit(MAX_ROWS)
        )
    ).all()
    limits = (
        await db.execute(
            select(deadline, org_node.c.path)
            .join(case, case.c.id == deadline.c.case_id)
            .join(org_node, org_node.c.id == case.c.node_id)
            .where(
                org_node.c.path.startswith(scope_path, autoescape=True),
                case.c.opened_at >= start,
                case.c.opened_at < end,
                deadline.c.voided_at.is_(None),
            )
            .limit(MAX_ROWS)
        )
    ).all()
    names = await _groups(db, scope_path)
    return [
        DistrictFigures(
            node_id=node_id,
            name=name,
            opened=sum(1 for row in mine if row.merged_into is None),
            closed=sum(1 for row in mine if not row.is_open and row.merged_into is None),
            false_alarms=sum(1 for row in mine if row.outcome == Disposition.FALSE_ALARM),
            preventive=sum(1 for row in mine if row.kind == "preventive"),
            stages=_stages([row for row in limits if row.path.startswith(path)], now),
        )
        for path, (node_id, name) in names.items()
        if (mine := [row for row in opened if row.path.startswith(path)])
    ]


async def desks(
    db: AsyncConnection, scope_path: str, start: datetime, end: datetime, now: datetime
) -> list[DeskLoad]:
    """Return the alarm load of each community's desk, worst first; drills do not count."""
    rows = (
        await db.execute(
            select(
                alarm.c.node_id,
                alarm.c.priority,
                alarm.c.raised_at,
                alarm.c.is_open,
                org_node.c.name,
            )
            .join(org_node, org_node.c.id == alarm.c.node_id)
            .where(
                org_node.c.path.startswith(scope_path, autoescape=True),
                alarm.c.raised_at >= start,
                alarm.c.raised_at < end,
                alarm.c.kind != Kind.TEST.value,
            )
            .order_by(alarm.c.raised_at)
            .limit(MAX_ROWS)
        )
    ).all()
    by_desk: dict[int, list[Any]] = {}
    for row in rows:
        by_desk.setdefault(row.node_id, []).append(row)
    found = [_desk(node_id, mine, start, end, now) for node_id, mine in by_desk.items()]
    return sorted(found, key=lambda one: (-one.per_hour, one.node_id))


def _desk(node_id: int, mine: Sequence[Row[Any]], start: datetime, end: datetime, now: datetime) -> DeskLoad:
    per_hour, worst, flood_share = load_of([row.raised_at for row in mine], start, end)
    counted = Counter(row.priority for row in mine)
    return DeskLoad(
        node_id=node_id,
        name=mine[0].name,
        alarms=len(mine),
        per_hour=per_hour,
        worst_10_min=worst,
        flood_share=flood_share,
        stale=sum(1 for row in mine if row.is_open and now - row.raised_at > STALE_AFTER),
        by_priority={priority.value: counted[priority.value] for priority in Priority},
    )


async def _groups(db: AsyncConnection, scope_path: str) -> dict[str, tuple[int, str]]:
    """Return the districts within reach by path; who reaches less than a district gets the communities."""
    query = (
        select(org_node.c.id, org_node.c.name, org_node.c.path)
        .where(org_node.c.path.startswith(scope_path, autoescape=True))
        .order_by(org_node.c.path)
    )
    for kind in ("district", "community"):
        found = (await db.execute(query.where(org_node.c.kind == kind))).all()
        if found:
            return {row.path: (row.id, row.name) for row in found}
    return {}


def _stages(rows: Iterable[Row[Any]], now: datetime) -> tuple[StageFigures, ...]:
    found: dict[str, list[Row[Any]]] = {}
    for row in rows:
        found.setdefault(row.stage, []).append(row)
    return tuple(_stage(stage, found[stage.value], now) for stage in Stage if stage.value in found)


def _stage(stage: Stage, rows: Sequence[Row[Any]], now: datetime) -> StageFigures:
    took = [(row.met_at - row.started_at).total_seconds() for row in rows if row.met_at is not None]
    return StageFigures(
        stage=stage,
        kept=sum(1 for row in rows if row.met_at is not None and row.met_at <= row.due_at),
        missed=sum(1 for row in rows if (row.met_at or now) > row.due_at),
        mean_s=sum(took) / len(took) if took else None,
    )
