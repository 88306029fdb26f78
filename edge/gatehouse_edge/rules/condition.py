"""What a rule says: the complete list of things that are wrong with one device right now."""

from __future__ import annotations

from msgspec import Struct


class Condition(Struct, frozen=True, kw_only=True):
    """One thing that is true of one device now. A rule returns all of them on every step (level, not edge)."""

    code: str
    """A name of `gatehouse_events.codes.CODES`."""
    occurrence: int = 0
    """Counts momentary causes (a press counter): a new number on an open alarm is a repeat."""
    value: float | None = None
    unit: str | None = None
    threshold: float | None = None
    text: str = ""
    """Further detail for people, printable, at most 120 characters; floor of a lift, last data of a silence."""
    is_suppressed: bool = False
    """True: hidden by design logic (lift in inspection); logged, listed apart, never sounded."""
    auto_close: bool = False
    """True: held beyond its limit; the alarm is to be closed with disposition `auto`, flagged, and not reopened."""
    deadline_s: float | None = None
    """Seconds from raising until somebody must have acted (rescue: 1800)."""
    evidence: tuple[dict[str, object], ...] = ()
    facts: dict[str, object] = {}
    """Category facts for the event (`lift`, `throw` objects of the event schema)."""
