"""What a drill or a self-test proved: body of a journal entry of kind `drill`. The fleet shows it as well."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from gatehouse_events.alarm import Actor


class DrillKind(StrEnum):
    """What was tried."""

    ALARM = "alarm"
    """A test alarm that travels the entire way 演练."""
    OUTPUT = "output"
    """One siren, lamp or voice 输出自检."""
    SCREEN = "screen"
    """A person looked at the colours of the screen 屏幕自检."""
    SOUND = "sound"
    """A person listened to the sounds of the desk 声音自检."""


class Proof(StrEnum):
    """One thing that should come back."""

    JOURNAL = "journal"
    """The alarm is on the disk."""
    SCREEN = "screen"
    """A page at the desk has painted it."""
    SOUND = "sound"
    """That page can be heard."""
    OUTPUT_ON = "output_on"
    """The relay was read back as on."""
    OUTPUT_OFF = "output_off"
    FLEET = "fleet"
    """The fleet server has stored it."""
    PERSON = "person"
    """Somebody acknowledged it, or said what was seen and heard."""


class Verdict(StrEnum):
    """How one check ended."""

    WAITING = "waiting"
    """Not decided yet; in a running drill only."""
    OK = "ok"
    FAILED = "failed"
    """It did not come back in time, or a person said no."""
    ABSENT = "absent"
    """There is nothing to prove: no such output, no fleet server."""
    CUT = "cut"
    """The drill ended before its time was up: neither came back nor failed."""


class Check(Struct, frozen=True, kw_only=True):
    """One thing and whether it came back."""

    proof: Proof
    verdict: Verdict
    subject: str = ""
    """The output."""
    after_s: float | None = None
    """Seconds from the beginning until it came back; None: it did not."""
    limit_s: float
    """Seconds it had."""
    detail: str = ""


class EndedBy(StrEnum):
    """Why a drill is over."""

    PERSON = "person"
    TIME = "time"
    REAL_ALARM = "real_alarm"
    DONE = "done"
    """Everything it was to prove is decided."""


class DrillOutcome(StrEnum):
    """What a drill comes to."""

    GOOD = "good"
    FAILED = "failed"
    CUT = "cut"
    """Nothing failed, and not everything was proven."""


class DrillReport(Struct, frozen=True, kw_only=True):
    """One drill, running or over."""

    drill_id: str
    """The id of its test alarm, else an own ULID."""
    kind: DrillKind
    actor: Actor
    started_at: datetime
    device_id: str = ""
    code: str = ""
    checks: tuple[Check, ...] = ()
    ended_at: datetime | None = None
    ended_by: EndedBy | None = None
    note: str = ""

    @property
    def outcome(self) -> DrillOutcome:
        """What it comes to; of a running one: so far."""
        verdicts = {check.verdict for check in self.checks}
        if Verdict.FAILED in verdicts:
            return DrillOutcome.FAILED
        return DrillOutcome.CUT if verdicts & {Verdict.CUT, Verdict.WAITING} else DrillOutcome.GOOD
