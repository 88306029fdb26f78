"""What a person may hide, for how long, and who says no (domain row 45).

Shelving hides one alarm; inhibition 屏蔽 hides what one device says while somebody works on it. Both need a reason, a
person and an end. An inhibition of a device that can raise P1 lasts 15 min at most and stands in the list as an alarm of
kind `inhibited`, so that nobody forgets it.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from gatehouse_edge.alarms.commands import Refused
from gatehouse_events.alarm import Alarm
from gatehouse_events.states import SHELVE_LIMIT_S, AlarmState, Kind, Label, Priority, Shelving

INHIBIT_LIMIT_S: Final = SHELVE_LIMIT_S[Shelving.ORDINARY]
INHIBIT_SAFETY_LIMIT_S: Final = SHELVE_LIMIT_S[Shelving.SAFETY]
INHIBITED_CODE: Final = "gateway.device_inhibited"
SAFETY_KINDS: Final = frozenset({"gas", "lift", "button", "camera", "beacon", "bus", "io", "gateway"})
"""Kinds of devices behind which life safety stands: they raise P1 or P2, or their loss hides who does."""


class Inhibition(Struct, frozen=True, kw_only=True):
    """One device whose alarms are recorded and not annunciated. Kept under `shelf/<device>`."""

    device_id: str
    until_s: float
    actor: str
    reason: str


def shelving_refusal(alarm: Alarm, duration_s: float, reason: str) -> Refused | None:
    """Return why this alarm may not be shelved so."""
    if alarm.priority is Priority.P1 or alarm.shelving is Shelving.NEVER:
        return Refused(reason="never_shelved", text=Label("紧急报警不可搁置", "a P1 alarm is never shelved"))
    if alarm.kind in {Kind.TEST, Kind.INHIBITED}:
        return Refused(
            reason="never_shelved",
            text=Label("演练和屏蔽不可搁置", "drills and inhibitions are ended, not shelved"),
        )
    if alarm.state not in {AlarmState.UNACK, AlarmState.ACKED}:
        return Refused(
            reason="wrong_state",
            text=Label("只有未确认或处理中的报警可以搁置", "only an active alarm can be shelved"),
        )
    return term_refusal(duration_s, reason, SHELVE_LIMIT_S[alarm.shelving])


def inhibition_limit_s(kind: str) -> float:
    """Return how long a device of this kind may be inhibited at once."""
    return INHIBIT_SAFETY_LIMIT_S if kind in SAFETY_KINDS else INHIBIT_LIMIT_S


def term_refusal(duration_s: float, reason: str, limit_s: float) -> Refused | None:
    """Return why a term of hiding is refused: no reason, no end, or too long."""
    if not reason.strip():
        return Refused(reason="reason_missing", text=Label("请填写原因", "a reason is needed"))
    if not 0 < duration_s <= limit_s:
        minutes = f"{limit_s / 60:g}"
        return Refused(
            reason="term",
            text=Label(
                f"时长须在0到{minutes}分钟之间", f"the term must be more than 0 and at most {minutes} min"
            ),
        )
    return None
