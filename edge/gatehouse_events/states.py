"""The one table of alarm states, kinds and priorities for gateway, fleet and screens.

States follow ISA-18.2 / IEC 62682 as reprinted in OPC UA Part 9; `LATCHED` is the "latched acknowledged"
state that EN 54-2 practice asks of life-safety alarms (reset is a second, deliberate act).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct


class AlarmState(StrEnum):
    """Where one alarm is in its life."""

    UNACK = "unack"
    """Active, nobody took it 未确认."""
    ACKED = "acked"
    """Active, somebody took it 处理中."""
    RTN = "rtn"
    """The cause went away before anybody took it 已恢复·待确认."""
    LATCHED = "latched"
    """Taken, cause gone, waits for a deliberate reset 待复位."""
    SHELVED = "shelved"
    """Hidden by a person, for a stated time and reason 已搁置."""
    SUPPRESSED = "suppressed"
    """Hidden by design logic, e.g. a lift in inspection mode 联动屏蔽."""
    CLOSED = "closed"
    """Ended 已关闭; kept in the journal, gone from the list."""


class Kind(StrEnum):
    """What an alarm is about. Kinds never share an alarm: acknowledging a fault leaves the alarm behind it."""

    ALARM = "alarm"
    FAULT = "fault"
    TAMPER = "tamper"
    INHIBITED = "inhibited"
    TEST = "test"


class Priority(StrEnum):
    """P1 紧急, P2 重要, P3 一般, P4 故障."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"


class Disposition(StrEnum):
    """How a person closed an alarm."""

    HANDLED = "handled"
    FALSE_ALARM = "false_alarm"
    TEST = "test"
    AUTO = "auto"
    """Closed by a rule (e.g. trapped passenger auto-close at 150 min), never by a person."""


SEVERITY: Final[dict[Priority, str]] = {
    Priority.P1: "critical",
    Priority.P2: "high",
    Priority.P3: "medium",
    Priority.P4: "low",
}
"""Severity word of the CloudEvents envelope for each priority."""

ACK_LIMIT_S: Final[dict[Priority, float | None]] = {
    Priority.P1: 60.0,
    Priority.P2: 180.0,
    Priority.P3: 900.0,
    Priority.P4: None,
}
"""Seconds a person has to acknowledge; over it the alarm is overdue and escalates (console brief §1)."""


class Shelving(StrEnum):
    """How long an alarm may be shelved."""

    NEVER = "never"
    SAFETY = "safety"
    ORDINARY = "ordinary"


SHELVE_LIMIT_S: Final[dict[Shelving, float]] = {
    Shelving.NEVER: 0.0,
    Shelving.SAFETY: 15 * 60.0,
    Shelving.ORDINARY: 8 * 3600.0,
}

OPEN_STATES: Final = frozenset(AlarmState) - {AlarmState.CLOSED}
UNATTENDED_STATES: Final = frozenset({AlarmState.UNACK, AlarmState.RTN})
"""States that still want a person: they sound, blink and escalate."""


class Label(Struct, frozen=True):
    """A word in both languages of the product."""

    zh: str
    en: str


STATE_LABELS: Final[dict[AlarmState, Label]] = {
    AlarmState.UNACK: Label("未确认", "unacknowledged"),
    AlarmState.ACKED: Label("处理中", "acknowledged"),
    AlarmState.RTN: Label("已恢复·待确认", "returned, unacknowledged"),
    AlarmState.LATCHED: Label("待复位", "awaiting reset"),
    AlarmState.SHELVED: Label("已搁置", "shelved"),
    AlarmState.SUPPRESSED: Label("联动屏蔽", "suppressed by design"),
    AlarmState.CLOSED: Label("已关闭", "closed"),
}
