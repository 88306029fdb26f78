"""Alarms as they stand, and what each of their revisions said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field, StringConstraints
from sqlalchemy import Select, and_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.alarm import Alarm
from gatehouse_events.chain import microseconds, moment
from gatehouse_events.codes import CODES
from gatehouse_events.states import AlarmState, Disposition, Kind, Priority
from gatehouse_fleet.api.org import reachable as reachable_node
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.projection.reading import Unreadable, read_change
from gatehouse_fleet.registry.spreadsheet import BOM, line, when
from gatehouse_fleet.services import Services, services_of
from gatehouse_fleet.store.schema.alarms import alarm, alarm_revision
from gatehouse_fleet.store.schema.gateways import device, gateway
from gatehouse_fleet.store.schema.journal import entry
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_fleet.web.access import entitled, require_reach, within
from gatehouse_fleet.web.fields import Answer, Moment, Number
from gatehouse_fleet.web.pages import Page, PageQuery, key_of, mark, moment_of
from gatehouse_fleet.web.problems import NOT_FOUND

router: Final = APIRouter(tags=["alarms"])
Reader = Annotated[Caller, Depends(entitled(Right.READ_ALARMS))]
AlarmId = Annotated[str, Path(pattern="^[0-9A-Z]{26}$", description="the alarm's id")]

AlarmIdText = Annotated[str, StringConstraints(pattern="^[0-9A-Z]{26}$")]
MAX_NAMED: Final = 200
_EXPORT_PAGE: Final = 500
MAX_EXPORT: Final = 50_000
"""Lines of one table; a spreadsheet program is no place for more."""
_MAX_REVISIONS: Final = 200
"""The latest ones; an alarm that chatters is counted, not told one by one."""


class AlarmRow(Answer):
    """One alarm as it stands."""

    alarm_id: str
    gateway_id: str
    node_id: int
    node_name: str
    device_id: str
    building: str | None
    unit: str | None
    floor: str | None
    room: str | None
    """Absent for a person's home, unless one may read personal data."""
    code: str
    label: str
    label_en: str
    category: str
    kind: Kind
    priority: Priority
    state: AlarmState
    is_open: bool
    revision: int
    raised_at: datetime
    changed_at: datetime
    committed_at: datetime
    """When the fleet had stored its first revision."""
    case_id: int | None
    is_verified: bool
    """False: the journal it comes from is in doubt; it is to be taken as seriously as any other."""


class RevisionRow(Answer):
    """One revision, as its journal entry told it."""

    revision: int
    epoch_number: int
    entry_seq: int
    at: datetime
    committed_at: datetime
    is_verified: bool
    what: str | None
    """None: the entry cannot be read or has been erased."""
    state: AlarmState | None
    priority: Priority | None
    actor: str | None
    """Absent unless one may read personal data."""
    actor_role: str | None


class NoteRow(Answer):
    """What a person wrote on an alarm."""

    at: datetime
    author: str
    text: str


class AlarmDetail(AlarmRow):
    """One alarm with everything known of it."""

    is_active: bool
    text: str
    value: float | None
    unit_of_value: str | None
    threshold: float | None
    repeats: int
    returned_at: datetime | None
    acked_at: datetime | None
    acked_by: str | None
    """Absent unless one may read personal data."""
    closed_at: datetime | None
    disposition: Disposition | None
    close_reason: str
    is_overdue: bool
    incident_id: str | None
    notes: list[NoteRow]
    """Empty unless one may read personal data."""
    revisions: list[RevisionRow]
    """Oldest first; at most the latest two hundred."""


class AlarmQuery(PageQuery):
    """Conditions as query parameters; all given must hold."""

    which: Literal["open", "all"] = "open"
    state: AlarmState | None = None
    priority: Priority | None = None
    category: Literal["gas", "lift", "sos", "throw", "gateway"] | None = None
    kind: Kind | None = None
    verified: bool | None = None
    below: Number | None = None
    """Place whose subtree is meant."""
    gateway_id: Annotated[str, Query(pattern="^[a-z0-9][a-z0-9-]{2,62}$")] | None = None
    code: Annotated[str, Query(pattern="^[a-z0-9_.]{1,64}$")] | None = None
    since: Moment | None = None
    """Raised then or later."""
    until: Moment | None = None
    """Raised before."""
    alarm_id: Annotated[tuple[AlarmIdText, ...], Field(max_length=MAX_NAMED)] = ()
    """These only; a screen that has heard of them asks for their words."""


@router.get("/alarms")
async def list_alarms(request: Request, who: Reader, asked: Annotated[AlarmQuery, Query()]) -> Page[AlarmRow]:
    """Return alarms of one's subtree: the open ones most urgent first, or all of them newest first."""
    return await _page(services_of(request), who, asked)


@router.get(
    "/alarms/export.csv",
    response_class=StreamingResponse,
    responses={
        200: {"description": "One alarm a line.", "content": {"text/csv": {"schema": {"type": "string"}}}}
    },
)
async def export_alarms(
    request: Request, who: Reader, asked: Annotated[AlarmQuery, Query()]
) -> StreamingResponse:
    """Return the list as a table for spreadsheets, at most 50 000 lines; rooms of homes only for who may read them."""
    services = services_of(request)
    first = await _page(services, who, asked.model_copy(update={"limit": _EXPORT_PAGE, "after": None}))
    return StreamingResponse(
        _csv(services, who, asked, first),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="alarms.csv"', "Cache-Control": "no-store"},
    )


@router.get("/alarms/{alarm_id}")
async def one_alarm(request: Request, alarm_id: AlarmId, who: Reader) -> AlarmDetail:
    """Return one alarm with its revisions."""
    async with services_of(request).store.read() as db:
        row = (await db.execute(_query().where(alarm.c.alarm_id == alarm_id))).first()
        if row is None:
            raise NOT_FOUND
        require_reach(who, row.node_path)
        revisions = await _revisions(db, alarm_id, may_name=who.may(Right.READ_PERSONAL))
    body = msgspec.json.decode(row.body, type=Alarm)
    may_name = who.may(Right.READ_PERSONAL)
    return AlarmDetail(
        **_row(row, who),
        is_active=body.is_active,
        text=body.text,
        value=body.value,
        unit_of_value=body.unit,
        threshold=body.threshold,
        repeats=body.repeats,
        returned_at=body.returned_at,
        acked_at=body.acked_at,
        acked_by=body.acked_by if may_name else None,
        closed_at=body.closed_at,
        disposition=body.disposition,
        close_reason=body.close_reason,
        is_overdue=body.is_overdue,
        incident_id=body.incident_id,
        notes=[NoteRow(at=note.at, author=note.author, text=note.text) for note in body.notes if may_name],
        revisions=revisions,
    )


async def _page(services: Services, who: Caller, asked: AlarmQuery) -> Page[AlarmRow]:
    limit = asked.limit
    async with services.store.read() as db:
        query = _conditions(_query().where(within(org_node.c.path, who)), asked)
        if asked.below is not None:
            below = await reachable_node(db, who, asked.below)
            query = query.where(org_node.c.path.startswith(below.path, autoescape=True))
        rows = (await db.execute(_ordered(query, asked).limit(limit + 1))).all()
    more = _mark(asked, rows[limit - 1]) if len(rows) > limit else None
    return Page(items=[AlarmRow(**_row(row, who)) for row in rows[:limit]], next=more)


_COLUMNS: Final = (
    "报警编号", "小区", "网关", "设备", "楼栋", "单元", "楼层", "房间", "报警", "类别", "优先级", "状态",
    "发生时间", "最后变化", "入库时间", "案件", "可信",
)  # fmt: skip


async def _csv(
    services: Services, who: Caller, asked: AlarmQuery, page: Page[AlarmRow]
) -> AsyncIterator[str]:
    yield BOM + line(_COLUMNS)
    written = 0
    while True:
        yield "".join(line(_cells(one)) for one in page.items)
        written += len(page.items)
        if page.next is None or written >= MAX_EXPORT:
            return
        following = asked.model_copy(update={"limit": _EXPORT_PAGE, "after": page.next})
        page = await _page(services, who, following)


def _cells(one: AlarmRow) -> tuple[str, ...]:
    return (
        one.alarm_id,
        one.node_name,
        one.gateway_id,
        one.device_id,
        *(text or "" for text in (one.building, one.unit, one.floor, one.room)),
        one.label,
        one.kind,
        one.priority,
        one.state,
        *(when(at) for at in (one.raised_at, one.changed_at, one.committed_at)),
        "" if one.case_id is None else str(one.case_id),
        "1" if one.is_verified else "0",
    )


def _query() -> Select[Any]:
    return (
        select(
            alarm,
            gateway.c.id.label("gateway_id"),
            org_node.c.path.label("node_path"),
            org_node.c.name.label("node_name"),
            device.c.building,
            device.c.unit,
            device.c.floor,
            device.c.room,
            device.c.is_personal,
        )
        .join(gateway, gateway.c.no == alarm.c.gateway_no)
        .join(org_node, org_node.c.id == alarm.c.node_id)
        .outerjoin(device, and_(device.c.gateway_no == alarm.c.gateway_no, device.c.id == alarm.c.device_id))
    )


def _conditions(query: Select[Any], asked: AlarmQuery) -> Select[Any]:
    if asked.which == "open":
        query = query.where(alarm.c.is_open.is_(True))
    for column, wanted in (
        (alarm.c.state, asked.state),
        (alarm.c.priority, asked.priority),
        (alarm.c.category, asked.category),
        (alarm.c.kind, asked.kind),
        (alarm.c.is_verified, asked.verified),
        (gateway.c.id, asked.gateway_id),
        (alarm.c.code, asked.code),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if asked.since is not None:
        query = query.where(alarm.c.raised_at >= asked.since)
    if asked.until is not None:
        query = query.where(alarm.c.raised_at < asked.until)
    if asked.alarm_id:
        query = query.where(alarm.c.alarm_id.in_(asked.alarm_id))
    return query


def _ordered(query: Select[Any], asked: AlarmQuery) -> Select[Any]:
    """Urgent ones must never stand on a later page than others."""
    if asked.which == "open":
        key = key_of(asked.after, tuple[str, int, str])
        if key is not None:
            order = tuple_(alarm.c.priority, alarm.c.raised_at, alarm.c.alarm_id)
            query = query.where(order > (key[0], moment_of(key[1]), key[2]))
        return query.order_by(alarm.c.priority, alarm.c.raised_at, alarm.c.alarm_id)
    newest = key_of(asked.after, tuple[int, str])
    if newest is not None:
        query = query.where(tuple_(alarm.c.raised_at, alarm.c.alarm_id) < (moment_of(newest[0]), newest[1]))
    return query.order_by(alarm.c.raised_at.desc(), alarm.c.alarm_id.desc())


def _mark(asked: AlarmQuery, row: Any) -> str:  # noqa: ANN401  # a row of `_query`
    raised_us = microseconds(row.raised_at)
    return (
        mark(row.priority, raised_us, row.alarm_id)
        if asked.which == "open"
        else mark(raised_us, row.alarm_id)
    )


def _row(row: Any, who: Caller) -> dict[str, Any]:  # noqa: ANN401  # a row of `_query`
    code = CODES.get(row.code)
    is_hidden = row.is_personal and not who.may(Right.READ_PERSONAL)
    return {
        "alarm_id": row.alarm_id,
        "gateway_id": row.gateway_id,
        "node_id": row.node_id,
        "node_name": row.node_name,
        "device_id": row.device_id,
        "building": row.building,
        "unit": row.unit,
        "floor": row.floor,
        "room": None if is_hidden else row.room,
        "code": row.code,
        "label": row.code if code is None else code.label.zh,
        "label_en": row.code if code is None else code.label.en,
        "category": row.category,
        "kind": row.kind,
        "priority": row.priority,
        "state": row.state,
        "is_open": row.is_open,
        "revision": row.seq,
        "raised_at": row.raised_at,
        "changed_at": row.changed_at,
        "committed_at": row.committed_at,
        "case_id": row.case_id,
        "is_verified": row.is_verified,
    }


async def _revisions(db: AsyncConnection, alarm_id: str, *, may_name: bool) -> list[RevisionRow]:
    query = (
        select(entry)
        .join(
            alarm_revision,
            and_(
                entry.c.gateway_no == alarm_revision.c.gateway_no,
                entry.c.lane == 1,
                entry.c.epoch_number == alarm_revision.c.epoch_number,
                entry.c.seq == alarm_revision.c.entry_seq,
            ),
        )
        .where(alarm_revision.c.alarm_id == alarm_id)
        .order_by(entry.c.epoch_number.desc(), entry.c.seq.desc())
        .limit(_MAX_REVISIONS)
    )
    rows = (await db.execute(query)).all()
    return [_revision(row, number, may_name=may_name) for number, row in enumerate(reversed(rows), 1)]


def _revision(row: Any, number: int, *, may_name: bool) -> RevisionRow:  # noqa: ANN401  # a row of `entry`
    found = None if row.body is None else read_change(row.body)
    change = None if isinstance(found, Unreadable) else found
    return RevisionRow(
        revision=number if change is None else change.alarm.seq,
        epoch_number=row.epoch_number,
        entry_seq=row.seq,
        at=moment(row.at_us),
        committed_at=moment(row.received_us),
        is_verified=row.doubt is None and change is not None,
        what=None if change is None else change.what.value,
        state=None if change is None else change.alarm.state,
        priority=None if change is None else change.alarm.priority,
        actor=change.actor.name if change is not None and may_name else None,
        actor_role=None if change is None else change.actor.role,
    )
