"""What a transaction holds of cases: the case at one revision, its alarms and its deadlines, as values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Row

from gatehouse_events.states import Disposition, Priority
from gatehouse_fleet.cases.merging import CaseKind, Seen
from gatehouse_fleet.cases.steps import WORKED_ON, CaseStep


class Case(Struct, frozen=True, kw_only=True):
    """One case, at one revision."""

    id: int
    node_id: int
    node_path: str
    kind: CaseKind
    code: str
    priority: Priority
    step: CaseStep
    revision: int
    is_open: bool
    opened_at: datetime
    step_at: datetime
    chain: bytes
    closed_at: datetime | None = None
    merged_into: int | None = None
    unit: str = ""
    user_id: int | None = None
    handlers: tuple[str, ...] = ()
    photos: int = 0
    rounds: int = 1
    outcome: Disposition | None = None
    is_injury: bool = False
    score: int | None = None
    gateway_no: int | None = None
    device_id: str | None = None
    cause_code: str | None = None

    @property
    def takes_alarms(self) -> bool:
        """Somebody still works on it, so a new alarm may join."""
        return self.is_open and self.step in WORKED_ON


class Link(Struct, frozen=True, kw_only=True):
    """One alarm in its case: a row of `case_alarm`."""

    alarm_id: str
    case_id: int
    gateway_no: int
    device_id: str
    code: str
    kind: str
    priority: str
    seq: int
    """Latest revision taken in."""
    raised_at: datetime
    joined_at: datetime
    reason: str
    is_open: bool
    repeats: int
    incident_id: str | None = None
    building: str = ""
    unit: str = ""
    acked_at: datetime | None = None
    closed_at: datetime | None = None
    disposition: str | None = None
    deal_status: str | None = None
    responded_at: datetime | None = None
    arrived_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def seen(self) -> Seen:
        """What decides which case an alarm like this one joins."""
        return Seen(
            gateway_no=self.gateway_no,
            device_id=self.device_id,
            code=self.code,
            raised_at=self.raised_at,
            incident_id=self.incident_id,
            building=self.building,
            unit=self.unit,
        )


class Duty(Struct, kw_only=True):
    """One running deadline: a row of `case_deadline`. Change it through `Book.change` only."""

    id: int | None = None
    """None: not written yet."""
    case_id: int
    stage: str
    alarm_id: str | None
    code: str
    started_at: datetime
    yellow_at: datetime
    due_at: datetime
    policy: str
    explanation: str
    is_provisional: bool
    told: str
    rungs: int
    look_at: datetime | None
    met_at: datetime | None = None
    voided_at: datetime | None = None
    void_reason: str | None = None

    @property
    def is_running(self) -> bool:
        """Neither met nor given up."""
        return self.met_at is None and self.voided_at is None


def case_of(row: Row[Any], node_path: str) -> Case:
    """Return a row of the table as a value."""
    values = {name: value for name, value in row._asdict().items() if name in Case.__struct_fields__}
    values["handlers"] = tuple(msgspec.json.decode(row.handlers, type=list[str]))
    values["kind"], values["priority"] = CaseKind(row.kind), Priority(row.priority)
    values["step"] = CaseStep(row.step)
    values["outcome"] = None if row.outcome is None else Disposition(row.outcome)
    return Case(**(values | {"node_path": node_path}))


def columns_of(value: Case) -> dict[str, Any]:
    """Return a case as a row of the table."""
    values = {name: getattr(value, name) for name in Case.__struct_fields__ if name != "node_path"}
    values["handlers"] = msgspec.json.encode(value.handlers).decode()
    return values
