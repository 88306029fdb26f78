"""Who has to be told of an alarm that nobody has taken: what the desk writes and every notifier reads."""

from __future__ import annotations

from msgspec import Struct

from gatehouse_events.states import Label, Priority


class Escalation(Struct, frozen=True, kw_only=True):
    """One step that is due: body of a journal entry of kind `escalation`; the notifier reads these."""

    alarm_id: str
    alarm_seq: int
    device_id: str
    code: str
    priority: Priority
    label: Label
    text: str
    step: int
    """0 for the first step of the ladder."""
    after_s: float
    notify: tuple[str, ...]
    late_s: float
    """How much after its time it was taken; large after an outage."""
    is_test: bool
