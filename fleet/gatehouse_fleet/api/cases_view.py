"""What cases look like over HTTP."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row

from gatehouse_events.states import Disposition, Kind, Priority
from gatehouse_fleet.api.fields import Answer
from gatehouse_fleet.cases import inbox, limits
from gatehouse_fleet.cases.deadline import Basis
from gatehouse_fleet.cases.docket import Happened
from gatehouse_fleet.cases.lights import Light, light
from gatehouse_fleet.cases.listing import Listed, Opened
from gatehouse_fleet.cases.merging import CaseKind, Reason
from gatehouse_fleet.cases.policy import Stage
from gatehouse_fleet.cases.statistics import DeskLoad, DistrictFigures
from gatehouse_fleet.cases.steps import LABELS, CaseStep

_WORDS: Final = frozenset({"text", "note", "reason"})
"""Details that people typed: a contractor does not read what may name residents (domain row 49)."""
_HIDDEN: Final = "（已隐去）"


class CaseSummary(Answer):
    """One line of a list."""

    id: int
    number: str
    community: str
    kind: CaseKind
    code: str
    priority: Priority
    step: CaseStep
    step_zh: str
    light: Light | None
    due_at: datetime | None
    opened_at: datetime
    revision: int
    is_open: bool
    unit: str
    user_id: int | None
    outcome: Disposition | None
    merged_into: int | None
    is_injury: bool
    rounds: int
    score: int | None


class CaseAlarm(Answer):
    """One alarm of a case."""

    alarm_id: str
    device_id: str
    code: str
    kind: Kind
    priority: Priority
    raised_at: datetime
    joined_because: Reason
    is_open: bool
    times: int
    acked_at: datetime | None
    closed_at: datetime | None
    disposition: Disposition | None
    deal_status: str | None
    responded_at: datetime | None
    arrived_at: datetime | None
    ended_at: datetime | None


class CountedDayView(Answer):
    """One day that was looked at when a deadline was counted."""

    day: date
    kind: str
    name: str
    counted_s: int


class CaseDeadline(Answer):
    """One deadline and how it came about."""

    stage: Stage
    alarm_id: str | None
    code: str
    started_at: datetime
    yellow_at: datetime
    due_at: datetime
    light: Light
    """Now; of one that has ended: when it ended."""
    met_at: datetime | None
    voided_at: datetime | None
    void_reason: str | None
    row: str
    is_default: bool
    """No row names this event: the one for everything was taken."""
    basis: Basis
    amount: float
    provenance: str
    policy: str
    policy_sha256: str
    is_provisional: bool
    assumed_years: list[int]
    days: list[CountedDayView]


class CaseLine(Answer):
    """One line of the time line."""

    n: int
    at: datetime
    what: Happened
    actor: str
    role: str
    unit: str
    detail: dict[str, str | int | float | bool | None]
    hash: str


class CasePhoto(Answer):
    """One feedback photo."""

    sha256: str
    media_type: str
    size_bytes: int
    added_at: datetime
    actor: str
    round: int


class CaseDetail(Answer):
    """One case with everything."""

    case: CaseSummary
    alarms: list[CaseAlarm]
    deadlines: list[CaseDeadline]
    timeline: list[CaseLine]
    photos: list[CasePhoto]


class LightCounts(Answer):
    """Open cases at each light."""

    green: int
    yellow: int
    red: int


class StageView(Answer):
    """How one kind of deadline was kept."""

    stage: Stage
    kept: int
    missed: int
    on_time: float | None
    mean_s: float | None


class DistrictView(Answer):
    """One district."""

    node_id: int
    name: str
    opened: int
    closed: int
    false_alarms: int
    preventive: int
    stages: list[StageView]


class AlarmLoad(Answer):
    """What one desk had to look at."""

    node_id: int
    name: str
    alarms: int
    per_hour: float
    worst_10_min: int
    flood_share: float
    stale: int
    by_priority: dict[Priority, int]
    verdict: str


class InboxMessage(Answer):
    """Something I was told."""

    id: int
    at: datetime
    case_id: int
    light: Light
    stage: Stage
    text: str
    text_en: str
    is_read: bool


def summary_of(one: Listed) -> CaseSummary:
    """Return a line of a list."""
    found = one.case
    return CaseSummary(
        id=found.id,
        number=one.number,
        community=one.community,
        kind=found.kind,
        code=found.code,
        priority=found.priority,
        step=found.step,
        step_zh=LABELS[found.step].zh,
        light=one.light,
        due_at=one.due_at,
        opened_at=found.opened_at,
        revision=found.revision,
        is_open=found.is_open,
        unit=found.unit,
        user_id=found.user_id,
        outcome=found.outcome,
        merged_into=found.merged_into,
        is_injury=found.is_injury,
        rounds=found.rounds,
        score=found.score,
    )


def detail_of(one: Opened, now: datetime, *, hides_words: bool) -> CaseDetail:
    """Return a whole case; for contractors without what people typed."""
    return CaseDetail(
        case=summary_of(one.listed),
        alarms=[_alarm(row) for row in one.alarms],
        deadlines=[_deadline(row, now) for row in one.deadlines],
        timeline=[_line(row, hides_words=hides_words) for row in one.lines],
        photos=[CasePhoto.model_validate(_columns(row, CasePhoto)) for row in one.photos],
    )


def district_of(one: DistrictFigures) -> DistrictView:
    """Return the figures of a district."""
    stages = [
        StageView(stage=row.stage, kept=row.kept, missed=row.missed, on_time=row.on_time, mean_s=row.mean_s)
        for row in one.stages
    ]
    return DistrictView(
        node_id=one.node_id,
        name=one.name,
        opened=one.opened,
        closed=one.closed,
        false_alarms=one.false_alarms,
        preventive=one.preventive,
        stages=stages,
    )


def load_of(one: DeskLoad) -> AlarmLoad:
    """Return the load of a desk."""
    return AlarmLoad(
        node_id=one.node_id,
        name=one.name,
        alarms=one.alarms,
        per_hour=one.per_hour,
        worst_10_min=one.worst_10_min,
        flood_share=one.flood_share,
        stale=one.stale,
        by_priority={Priority(name): count for name, count in one.by_priority.items()},
        verdict=one.verdict,
    )


def message_of(one: inbox.Message) -> InboxMessage:
    """Return a message."""
    return InboxMessage(
        id=one.id,
        at=one.at,
        case_id=one.case_id,
        light=one.light,
        stage=one.stage,
        text=one.text.zh,
        text_en=one.text.en,
        is_read=one.is_read,
    )


def _columns(row: Row[Any], view: type[Answer]) -> dict[str, Any]:
    return {name: value for name, value in row._asdict().items() if name in view.model_fields}


def _alarm(row: Row[Any]) -> CaseAlarm:
    return CaseAlarm.model_validate(
        _columns(row, CaseAlarm) | {"joined_because": row.reason, "times": row.repeats + 1}
    )


def _deadline(row: Row[Any], now: datetime) -> CaseDeadline:
    told = limits.explanation_of(row)
    return CaseDeadline(
        stage=row.stage,
        alarm_id=row.alarm_id,
        code=row.code,
        started_at=row.started_at,
        yellow_at=row.yellow_at,
        due_at=row.due_at,
        light=light(limits.marks_of(row), row.met_at or row.voided_at or now),
        met_at=row.met_at,
        voided_at=row.voided_at,
        void_reason=row.void_reason,
        row=told.row,
        is_default=told.is_default,
        basis=told.basis,
        amount=told.amount,
        provenance=told.provenance,
        policy=told.policy,
        policy_sha256=row.policy,
        is_provisional=row.is_provisional,
        assumed_years=list(told.assumed_years),
        days=[
            CountedDayView(day=day.day, kind=day.kind, name=day.name, counted_s=day.counted_s)
            for day in told.days
        ],
    )


def _line(row: Row[Any], *, hides_words: bool) -> CaseLine:
    detail: dict[str, Any] = msgspec.json.decode(row.detail)
    if hides_words:
        detail = {name: _HIDDEN if name in _WORDS else value for name, value in detail.items()}
    return CaseLine(
        n=row.n,
        at=row.at,
        what=Happened(row.what),
        actor=_HIDDEN if hides_words else row.actor,
        role=row.role,
        unit=row.unit,
        detail=detail,
        hash=row.hash.hex(),
    )
