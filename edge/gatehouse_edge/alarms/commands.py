"""What a person, or the fleet on a person's behalf, may ask of the desk. Types only.

Every command names its actor and carries an id, so that sending it twice does it once. `seen_seq` is the revision
of the alarm that the person was looking at: if the alarm has become something else since, the command is refused
and the person looks again. None: the caller has no screen (tests, the fleet's unconditional orders).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from gatehouse_events.alarm import Actor
from gatehouse_events.states import Disposition, Label

LOCAL: Final = "local"
"""`Actor.station` of the site's own console."""
DESK_ROLES: Final = frozenset({"operator", "supervisor", "admin"})
"""Who may take an alarm: only such a person's screen tells it."""
MAX_TEXT: Final = 500
"""Longest reason or note, in characters."""


class Command(Struct, frozen=True, kw_only=True, tag=True):
    """What all commands carry."""

    actor: Actor
    command_id: str
    """1 to 64 printable characters, chosen by the caller, unique."""
    seen_seq: int | None = None


class Acknowledge(Command, frozen=True, kw_only=True):
    """I take this alarm. Per alarm; there is no acknowledging of everything."""

    alarm_id: str


class Shelve(Command, frozen=True, kw_only=True):
    """Hide this alarm until later. P1 never; limits in `SHELVE_LIMIT_S`."""

    alarm_id: str
    duration_s: float
    reason: str


class Unshelve(Command, frozen=True, kw_only=True):
    """Take it from the shelf now; it counts as taken (ACKED)."""

    alarm_id: str


class Reset(Command, frozen=True, kw_only=True):
    """End a latched alarm whose cause is gone; refused while the cause is there."""

    alarm_id: str


class CloseAlarm(Command, frozen=True, kw_only=True):
    """End an alarm with a finding. While its cause is still reported only some codes allow it (`life_cycle`)."""

    alarm_id: str
    disposition: Disposition
    reason: str


class AddNote(Command, frozen=True, kw_only=True):
    """Write something on the alarm."""

    alarm_id: str
    text: str


class SilenceSounder(Command, frozen=True, kw_only=True):
    """消音: sirens and buzzer quiet for `SILENCE_S`; any new alarm sounds again."""


class Inhibit(Command, frozen=True, kw_only=True):
    """屏蔽: what this device says is recorded, not annunciated, for `duration_s`."""

    device_id: str
    duration_s: float
    reason: str


class Uninhibit(Command, frozen=True, kw_only=True):
    """End an inhibition."""

    device_id: str


class SetAbsence(Command, frozen=True, kw_only=True):
    """The resident is away: no 48 h visit is due for `duration_s`; 0 ends the absence. Help calls are never affected."""

    device_id: str
    duration_s: float


class RescueStep(StrEnum):
    """What happened in a rescue (deal_status 02, 04, 00, 05)."""

    RESPONDED = "responded"
    ARRIVED = "arrived"
    CLOSED = "closed"
    FALSE = "false"


class RescueReport(Command, frozen=True, kw_only=True):
    """How far the rescue is."""

    alarm_id: str
    step: RescueStep
    reason: str = ""


class RequestValveOpen(Command, frozen=True, kw_only=True):
    """First of two people on site wants the gas valve open. Never remote."""

    output_id: str
    reason: str


class ConfirmValveOpen(Command, frozen=True, kw_only=True):
    """Second person on site, another one, within 120 s."""

    output_id: str


class StartTest(Command, frozen=True, kw_only=True):
    """演练: raise `code` on `device_id` with kind `test`. Never moves a valve, always ends by itself."""

    device_id: str
    code: str
    duration_s: float = 300.0


class EndTest(Command, frozen=True, kw_only=True):
    """End a drill."""

    alarm_id: str


class TestOutput(Command, frozen=True, kw_only=True):
    """自检: switch one siren, lamp or voice on for `duration_s`. Never off what an alarm wants on, never a valve."""

    __test__ = False
    output_id: str
    duration_s: float = 3.0


class Annunciated(Command, frozen=True, kw_only=True):
    """A console has painted this revision: the receipt that keeps the buzzer quiet."""

    alarm_id: str
    seq: int
    visible: bool
    audible: bool


class AttachEvidence(Command, frozen=True, kw_only=True):
    """Files of this alarm have come to lie on the disk, or what is to be known of them has changed. The gateway's own."""

    alarm_id: str
    evidence: tuple[dict[str, object], ...]
    """Items of the event schema's `evidence`; one whose hash the alarm names already takes its place."""


class DeskLeft(Command, frozen=True, kw_only=True):
    """No screen has been open at the desk for a while: what was told there counts as untold again."""


AnyCommand = (
    Acknowledge
    | Shelve
    | Unshelve
    | Reset
    | CloseAlarm
    | AddNote
    | SilenceSounder
    | Inhibit
    | Uninhibit
    | SetAbsence
    | RescueReport
    | RequestValveOpen
    | ConfirmValveOpen
    | StartTest
    | EndTest
    | TestOutput
    | Annunciated
    | AttachEvidence
    | DeskLeft
)


class Refused(Struct, frozen=True, kw_only=True):
    """Why a command was not done, in words for the person who gave it."""

    reason: str
    """Stable token, e.g. `stale`, `p1_never_shelved`."""
    text: Label


class CommandResult(Struct, frozen=True, kw_only=True):
    """What became of a command. `refused` None: done and on disk."""

    command_id: str
    refused: Refused | None = None
    alarm_id: str | None = None
    seq: int | None = None
    """Revision of the alarm afterwards."""
    was_first: bool = True
    """False: somebody had acknowledged it before; recorded, nothing changed."""
