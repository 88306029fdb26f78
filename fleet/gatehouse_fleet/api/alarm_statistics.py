"""Alarm load against ISA-18.2 and EEMUA 191, time to acknowledge, worst actors: figures and a table for spreadsheets."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from sqlalchemy import select

from gatehouse_events.codes import CODES
from gatehouse_events.states import Disposition, Kind, Label, Priority
from gatehouse_fleet.api.org import reachable
from gatehouse_fleet.cases import alarm_figures
from gatehouse_fleet.cases.alarm_figures import MAX_DAYS, AlarmFact, AlarmFigures
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.registry.spreadsheet import BOM, line
from gatehouse_fleet.services import services_of
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_fleet.web.access import entitled
from gatehouse_fleet.web.fields import Answer, Moment, Number
from gatehouse_fleet.web.problems import ProblemError

router: Final = APIRouter(tags=["alarms"])
Reader = Annotated[Caller, Depends(entitled(Right.READ_STATISTICS))]
MAX_ALARMS: Final = 100_000
"""Of one answer; a longer span is refused rather than answered in part."""
_TOO_MANY: Final = ProblemError(
    409, "too_many", Label("数据过多，请缩短时间范围", "too much for one answer: ask for a shorter span")
)
Start = Annotated[Moment, Query(description="first moment, with its zone")]
Days = Annotated[int, Query(ge=1, le=MAX_DAYS, description="length of the span")]
_FIRST: Final = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
_LAST: Final = datetime.fromisoformat("2200-01-01T00:00:00+00:00")


class ActorRow(Answer):
    """One source of many alarms."""

    gateway_id: str
    device_id: str
    code: str
    label: str
    label_en: str
    community: str
    times: int
    share: float


class AnsweredRow(Answer):
    """How alarms of one priority were acknowledged."""

    priority: Priority
    alarms: int
    acknowledged: int
    in_time: int
    limit_s: float | None
    mean_s: float | None
    median_s: float | None
    slowest_s: float | None


class PersonRow(Answer):
    """Who acknowledged."""

    name: str
    acknowledged: int
    mean_s: float
    most_in_period: int


class MeasureRow(Answer):
    """One figure against what is recommended."""

    name: str
    label: str
    label_en: str
    value: float | None
    good: float
    limit: float
    is_share: bool
    verdict: str
    """`good`, `high`, `over` or `none`."""


class AlarmStatistics(Answer):
    """Everything of one span."""

    start: datetime
    end: datetime
    period_s: float
    alarms: int
    occurrences: int
    false_alarms: int
    open: int
    periods: list[int]
    """Alarms raised in each ten minutes from the start until its end or now."""
    answered: list[AnsweredRow]
    actors: list[ActorRow]
    people: list[PersonRow]
    """Empty unless one may read personal data."""
    measures: list[MeasureRow]


class _Body(msgspec.Struct, frozen=True):
    """The parts of an alarm that the table has no column for."""

    repeats: int = 0
    acked_at: datetime | None = None
    acked_by: str | None = None
    disposition: Disposition | None = None


@router.get("/alarm-statistics")
async def alarm_statistics(
    request: Request, who: Reader, start: Start, days: Days = 7, node_id: Number | None = None
) -> AlarmStatistics:
    """Return how alarms came and were answered; drills do not count."""
    start = min(max(start, _FIRST), _LAST)
    found = await _figures(request, who, start, days, node_id)
    return AlarmStatistics(
        start=start,
        end=start + timedelta(days=days),
        period_s=alarm_figures.PERIOD.total_seconds(),
        alarms=found.alarms,
        occurrences=found.occurrences,
        false_alarms=found.false_alarms,
        open=found.open,
        periods=list(found.periods),
        answered=[AnsweredRow.model_validate(one, from_attributes=True) for one in found.answered],
        actors=[_actor(one) for one in found.actors],
        people=[
            PersonRow.model_validate(one, from_attributes=True)
            for one in found.people
            if who.may(Right.READ_PERSONAL)
        ],
        measures=[
            MeasureRow(
                name=one.name,
                label=one.label.zh,
                label_en=one.label.en,
                value=one.value,
                good=one.good,
                limit=one.limit,
                is_share=one.is_share,
                verdict=one.verdict,
            )
            for one in found.measures
        ],
    )


@router.get(
    "/alarm-statistics.csv",
    response_class=Response,
    responses={200: {"description": "The figures.", "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def alarm_statistics_csv(
    request: Request, who: Reader, start: Start, days: Days = 7, node_id: Number | None = None
) -> Response:
    """Return measures, answers and worst actors as one table."""
    start = min(max(start, _FIRST), _LAST)
    found = await _figures(request, who, start, days, node_id)
    lines = [line(("指标 measure", "数值 value", "建议 good", "上限 limit"))]
    lines += [
        line((f"{one.label.zh} {one.label.en}", _number(one.value), _number(one.good), _number(one.limit)))
        for one in found.measures
    ]
    lines.append(
        line(("优先级 priority", "报警 alarms", "确认 acknowledged", "限时内 in time", "平均秒 mean s"))
    )
    lines += [
        line((one.priority, str(one.alarms), str(one.acknowledged), str(one.in_time), _number(one.mean_s)))
        for one in found.answered
    ]
    lines.append(line(("小区 community", "网关 gateway", "设备 device", "报警 code", "次数 times")))
    lines += [
        line((one.community, one.gateway_id, one.device_id, one.code, str(one.times))) for one in found.actors
    ]
    return Response(
        BOM + "".join(lines),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="alarm-statistics.csv"'},
    )


async def _figures(
    request: Request, who: Caller, start: datetime, days: int, node_id: int | None
) -> AlarmFigures:
    services = services_of(request)
    end = start + timedelta(days=days)
    async with services.store.read() as db:
        path = who.scope_path if node_id is None else (await reachable(db, who, node_id)).path
        query = (
            select(
                gateway.c.id.label("gateway_id"),
                alarm.c.device_id,
                alarm.c.code,
                alarm.c.priority,
                alarm.c.raised_at,
                alarm.c.is_open,
                alarm.c.body,
                org_node.c.name,
            )
            .join(gateway, gateway.c.no == alarm.c.gateway_no)
            .join(org_node, org_node.c.id == alarm.c.node_id)
            .where(
                org_node.c.path.startswith(path, autoescape=True),
                alarm.c.raised_at >= start,
                alarm.c.raised_at < end,
                alarm.c.kind != Kind.TEST.value,
            )
            .order_by(alarm.c.raised_at, alarm.c.alarm_id)
            .limit(MAX_ALARMS + 1)
        )
        rows = (await db.execute(query)).all()
    if len(rows) > MAX_ALARMS:
        raise _TOO_MANY
    now = services.clock.now()
    return await asyncio.to_thread(
        lambda: alarm_figures.figures([_fact(row) for row in rows], start, end, now)
    )


def _fact(row: Any) -> AlarmFact:  # noqa: ANN401  # a row of the query above
    body = msgspec.json.decode(row.body, type=_Body)
    return AlarmFact(
        source=(row.gateway_id, row.device_id, row.code),
        community=row.name,
        priority=Priority(row.priority),
        raised_at=row.raised_at,
        is_open=row.is_open,
        repeats=body.repeats,
        acked_at=body.acked_at,
        acked_by=body.acked_by,
        disposition=body.disposition,
    )


def _actor(one: alarm_figures.Actor) -> ActorRow:
    code = CODES.get(one.code)
    return ActorRow(
        label=one.code if code is None else code.label.zh,
        label_en=one.code if code is None else code.label.en,
        **msgspec.structs.asdict(one),
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")
