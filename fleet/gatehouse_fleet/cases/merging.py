"""Which case a new alarm belongs to: the same incident, the same device and cause, or the same place and time. Pure.

Only cases somebody still works on take new alarms: one whose handling is already reported needs a case of its own, or
the new alarm would inherit a deadline that is met. Alarms of danger never join cases of upkeep, where a fault could hide them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from gatehouse_events.states import Kind


class CaseKind(StrEnum):
    """What a case is about."""

    DANGER = "danger"
    """An alarm 报警."""
    UPKEEP = "upkeep"
    """A fault or a tampered device 设备故障."""
    PREVENTIVE = "preventive"
    """Opened before anybody complains 未诉先办."""


def kind_of(kind: Kind) -> CaseKind:
    """Return the kind of case an alarm of `kind` belongs to."""
    return CaseKind.DANGER if kind is Kind.ALARM else CaseKind.UPKEEP


class Reason(StrEnum):
    """Why an alarm is in its case."""

    OPENED = "opened"
    """The case was opened for it."""
    INCIDENT = "incident"
    DEVICE = "device"
    """The same device and code."""
    PLACE = "place"
    """The same building and unit, near in time."""
    PERSON = "person"
    """A person merged two cases."""


class Seen(Struct, frozen=True, kw_only=True):
    """What decides of one alarm."""

    gateway_no: int
    device_id: str
    code: str
    raised_at: datetime
    incident_id: str | None = None
    building: str = ""
    unit: str = ""


class Candidate(Struct, frozen=True, kw_only=True):
    """One alarm of a case that is open at the same community and of the same kind."""

    case_id: int
    alarm: Seen


class Join(Struct, frozen=True, kw_only=True):
    """Where the alarm goes."""

    case_id: int
    reason: Reason


def choose(alarm: Seen, candidates: Sequence[Candidate], place_window: timedelta) -> Join | None:
    """Return the case `alarm` joins; None: it opens one. The strongest reason wins, then the oldest case."""
    found = {
        reason: [known.case_id for known in candidates if fits(alarm, known.alarm, place_window)]
        for reason, fits in _REASONS.items()
    }
    for reason, cases in found.items():
        if cases:
            return Join(case_id=min(cases), reason=reason)
    return None


def _one_incident(new: Seen, known: Seen, _: timedelta) -> bool:
    return (
        new.incident_id is not None
        and new.incident_id == known.incident_id
        and new.gateway_no == known.gateway_no
    )


def _one_cause(new: Seen, known: Seen, _: timedelta) -> bool:
    return (new.gateway_no, new.device_id, new.code) == (known.gateway_no, known.device_id, known.code)


def _one_place(new: Seen, known: Seen, window: timedelta) -> bool:
    return (
        new.building != ""
        and (new.building, new.unit) == (known.building, known.unit)
        and abs(new.raised_at - known.raised_at) <= window
    )


_REASONS = {Reason.INCIDENT: _one_incident, Reason.DEVICE: _one_cause, Reason.PLACE: _one_place}
