"""Reading cases: lists with their light, overdue first, and one case with everything that explains it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import ColumnElement, Row, Select, and_, func, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import microseconds, moment
from gatehouse_fleet.cases.docket import number_of
from gatehouse_fleet.cases.lights import Light, Marks, light
from gatehouse_fleet.cases.merging import CaseKind
from gatehouse_fleet.cases.record import Case, case_of
from gatehouse_fleet.cases.steps import CaseStep
from gatehouse_fleet.store.schema.cases import case, case_alarm, deadline, photo, timeline
from gatehouse_fleet.store.schema.metadata import Moment
from gatehouse_fleet.store.schema.org import org_node

NEVER: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Sorts cases without a running deadline behind all others."""
MAX_ROWS: Final = 1000
"""Alarms or deadlines shown of one case."""
MAX_LINES: Final = 500
"""Of the time line, newest kept; older ones come page by page."""


class Wanted(Struct, frozen=True, kw_only=True):
    """Which cases."""

    scope_path: str
    """The caller's subtree, or a smaller one."""
    light: Light | None = None
    step: CaseStep | None = None
    kind: CaseKind | None = None
    priority: str | None = None
    code: str | None = None
    is_open: bool | None = None
    user_id: int | None = None
    """Dispatched to this person."""


class Place(Struct, frozen=True, kw_only=True):
    """Sort key of one row: the next page begins behind it."""

    due_us: int
    case_id: int


class Listed(Struct, frozen=True, kw_only=True):
    """One line of a list."""

    case: Case
    community: str
    light: Light | None
    """None: nothing runs."""
    due_at: datetime | None
    """The next deadline."""

    @property
    def number(self) -> str:
        """What people call it by."""
        return number_of(self.case.opened_at, self.case.id)

    @property
    def place(self) -> Place:
        """Where the next page begins."""
        return Place(due_us=microseconds(self.due_at or NEVER), case_id=self.case.id)


class Opened(Struct, frozen=True, kw_only=True):
    """One case with everything about it."""

    listed: Listed
    alarms: list[Row[Any]]
    """The newest, at most `MAX_ROWS`."""
    alarm_count: int
    deadlines: list[Row[Any]]
    lines: list[Row[Any]]
    photos: list[Row[Any]]


async def find(
    db: AsyncConnection, wanted: Wanted, now: datetime, *, after: Place | None = None, limit: int = 100
) -> list[Listed]:
    """Return cases, those whose next deadline is earliest first: the overdue stand on top."""
    due = func.coalesce(_NEXT.c.due_at, literal(NEVER, Moment))
    query = _listing().where(*_conditions(wanted, now)).order_by(due, case.c.id).limit(limit)
    if after is not None:
        start = (literal(moment(after.due_us), Moment), literal(after.case_id))
        query = query.where(tuple_(due, case.c.id) > tuple_(*start))
    return [_listed(row, now) for row in await db.execute(query)]


async def open_one(db: AsyncConnection, case_id: int, now: datetime) -> Opened | None:
    """Return one case; None: there is no such case."""
    row = (await db.execute(_listing().where(case.c.id == case_id))).one_or_none()
    if row is None:
        return None
    lines = (
        select(timeline).where(timeline.c.case_id == case_id).order_by(timeline.c.n.desc()).limit(MAX_LINES)
    )
    alarms = select(func.count()).where(case_alarm.c.case_id == case_id)
    return Opened(
        listed=_listed(row, now),
        alarms=await _all(
            db, select(case_alarm).where(case_alarm.c.case_id == case_id), case_alarm.c.raised_at.desc()
        ),
        alarm_count=(await db.execute(alarms)).scalar_one(),
        deadlines=await _all(db, select(deadline).where(deadline.c.case_id == case_id), deadline.c.id),
        lines=list(reversed((await db.execute(lines)).all())),
        photos=await _all(db, select(photo).where(photo.c.case_id == case_id), photo.c.added_at),
    )


async def path_of(db: AsyncConnection, case_id: int) -> str | None:
    """Return where a case is; None: there is no such case."""
    query = select(org_node.c.path).join(case, case.c.node_id == org_node.c.id).where(case.c.id == case_id)
    return (await db.execute(query)).scalar_one_or_none()


async def counts(db: AsyncConnection, scope_path: str, now: datetime) -> dict[Light, int]:
    """Return how many open cases stand at each light; what runs no deadline counts as green."""
    found = await lights_of(db, scope_path, now)
    return {one: sum(mine[one] for mine in found.values()) for one in Light}


async def lights_of(db: AsyncConnection, scope_path: str, now: datetime) -> dict[int, dict[Light, int]]:
    """Return how many open cases of each community stand at each light; a community without is left out."""
    within = org_node.c.path.startswith(scope_path, autoescape=True)
    base = _listing().where(within, case.c.is_open).subquery()
    red = base.c.next_due < literal(now, Moment)
    yellow = and_(~red, base.c.next_yellow <= literal(now, Moment))
    query = select(
        base.c.node_id,
        func.count().label("all"),
        func.count().filter(red).label("red"),
        func.count().filter(yellow).label("yellow"),
    ).group_by(base.c.node_id)
    return {
        row.node_id: {
            Light.GREEN: row.all - row.red - row.yellow,
            Light.YELLOW: row.yellow,
            Light.RED: row.red,
        }
        for row in await db.execute(query)
    }


_NEXT: Final = (
    select(
        deadline.c.case_id,
        func.min(deadline.c.due_at).label("due_at"),
        func.min(deadline.c.yellow_at).label("yellow_at"),
    )
    .where(deadline.c.met_at.is_(None), deadline.c.voided_at.is_(None))
    .group_by(deadline.c.case_id)
    .subquery("next_deadline")
)


def _listing() -> Select[Any]:
    return (
        select(
            case,
            org_node.c.path,
            org_node.c.name.label("community"),
            _NEXT.c.due_at.label("next_due"),
            _NEXT.c.yellow_at.label("next_yellow"),
        )
        .join(org_node, org_node.c.id == case.c.node_id)
        .outerjoin(_NEXT, _NEXT.c.case_id == case.c.id)
    )


def _conditions(wanted: Wanted, now: datetime) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [org_node.c.path.startswith(wanted.scope_path, autoescape=True)]
    for column, value in (
        (case.c.step, wanted.step),
        (case.c.kind, wanted.kind),
        (case.c.priority, wanted.priority),
        (case.c.code, wanted.code),
        (case.c.is_open, wanted.is_open),
        (case.c.user_id, wanted.user_id),
    ):
        if value is not None:
            found.append(column == value)
    at = literal(now, Moment)
    match wanted.light:
        case Light.RED:
            found.append(_NEXT.c.due_at < at)
        case Light.YELLOW:
            found.append(and_(_NEXT.c.due_at >= at, _NEXT.c.yellow_at <= at))
        case Light.GREEN:
            found.append(or_(_NEXT.c.yellow_at > at, _NEXT.c.yellow_at.is_(None)))
        case None:
            pass
    return found


def _listed(row: Row[Any], now: datetime) -> Listed:
    shown: Light | None = None
    if row.next_due is not None:
        # The marks of two deadlines: yellow as soon as one is, red as soon as one is.
        shown = light(Marks(yellow_at=min(row.next_yellow, row.next_due), due_at=row.next_due), now)
    return Listed(case=case_of(row, row.path), community=row.community, light=shown, due_at=row.next_due)


async def _all(db: AsyncConnection, query: Select[Any], order: ColumnElement[Any]) -> list[Row[Any]]:
    return list((await db.execute(query.order_by(order).limit(MAX_ROWS))).all())
