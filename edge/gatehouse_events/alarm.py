"""One alarm: everything the desk, the journal, the console and the city need to know of it.

Times ending in `_s` are on the gateway's service scale (`Now.service_s`), which survives restarts and wrong wall
clocks; `datetime`s are the wall clock as it stood and are only written down.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from gatehouse_events.clock import ClockQuality
from gatehouse_events.codes import CODES
from gatehouse_events.states import AlarmState, Disposition, Kind, Priority, Shelving

MAX_NOTES: Final = 50
"""Notes one alarm may carry; the journal keeps every one of them, the alarm only the latest."""
MAX_EVIDENCE: Final = 16
GATEWAY: Final = "gateway"
"""Device id of everything the gateway says of itself."""


class Actor(Struct, frozen=True, kw_only=True):
    """Who does something: a person at a station, the fleet, or the gateway itself."""

    name: str
    role: str
    station: str


SYSTEM: Final = Actor(name="gateway", role="system", station="local")
"""Who acts when no person does."""


class What(StrEnum):
    """What happened to an alarm: the reason for one revision."""

    RAISED = "raised"
    CHANGED = "changed"
    """Value, text or evidence became known or worse."""
    REPEATED = "repeated"
    """A new occurrence, or the cause came back."""
    RETURNED = "returned"
    """The cause went away; the alarm stays open."""
    ACKNOWLEDGED = "acknowledged"
    OVERDUE = "overdue"
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    SHELF_EXPIRED = "shelf_expired"
    SUPPRESSED = "suppressed"
    EXPOSED = "exposed"
    """No longer hidden by design or inhibition."""
    ESCALATED = "escalated"
    """A step of the ladder was taken."""
    RESCUE = "rescue"
    DEADLINE_MISSED = "deadline_missed"
    NOTED = "noted"
    GROUPED = "grouped"
    """Joined an incident."""
    CLEARED = "cleared"
    """Closed by itself: the cause is gone and a person had taken it."""
    RESET = "reset"
    CLOSED = "closed"


class Word(StrEnum):
    """`state` of the event schema (domain notes (c)): what a city platform is told."""

    RAISED = "raised"
    UPDATED = "updated"
    ACKNOWLEDGED = "acknowledged"
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    CLEARED = "cleared"
    FALSE_ALARM = "false_alarm"
    TEST = "test"


class DealStatus(StrEnum):
    """How far a rescue is: `deal_status` of the lift platforms (domain table row 35)."""

    DONE = "00"
    RAISED = "01"
    RESPONDED = "02"
    ARRIVED = "04"
    FALSE_ALARM = "05"


class Rescue(Struct, frozen=True, kw_only=True):
    """The chain of a rescue with its times."""

    deal_status: DealStatus = DealStatus.RAISED
    responded_at: datetime | None = None
    arrived_at: datetime | None = None
    ended_at: datetime | None = None
    is_late: bool = False
    """Nobody arrived before the deadline."""


class Note(Struct, frozen=True, kw_only=True):
    """What a person wrote on an alarm."""

    at: datetime
    author: str
    text: str


class Hidden(StrEnum):
    """Why a SUPPRESSED alarm is hidden."""

    DESIGN = "design"
    """A rule says so (lift in inspection)."""
    INHIBIT = "inhibit"
    """A person has inhibited the device for a time."""


class Alarm(Struct, frozen=True, kw_only=True):
    """One alarm, at one revision."""

    alarm_id: str
    """ULID, constant over its life."""
    seq: int
    """Revision: 1 when raised, strictly +1 with each change."""
    device_id: str
    code: str
    kind: Kind
    priority: Priority
    state: AlarmState
    is_active: bool
    """The cause is there now (level). A latched alarm stays open without it."""
    raised_at: datetime
    raised_s: float
    changed_at: datetime
    changed_s: float
    unack_since_s: float
    """Since when it has wanted a person; escalation and the limit to acknowledge count from here."""
    returned_at: datetime | None = None
    """When the cause last went away; None while it is there."""
    closed_at: datetime | None = None
    closed_s: float | None = None
    acked_by: str | None = None
    acked_at: datetime | None = None
    shelved_by: str | None = None
    shelved_until_s: float | None = None
    shelf_reason: str = ""
    hidden: Hidden | None = None
    disposition: Disposition | None = None
    close_reason: str = ""
    repeats: int = 0
    """How often it happened again, joined into this card; shown as `times`."""
    joins: str | None = None
    """The alarm before it of the same device and code, closed less than 8 h ago: its count goes on in `repeats`."""
    occurrence: int = 0
    """Highest occurrence number of the condition seen so far."""
    edges_s: tuple[float, ...] = ()
    """When the cause last came or occurred again, newest last; at most `CHATTER_COUNT`."""
    is_chattering: bool = False
    """Comes and goes too often: `is_active` is held and repeats are counted, not told one by one."""
    is_held: bool = False
    """Chattering, and the cause is away at this moment. Not kept over a restart."""
    material_seq: int = 1
    """Latest revision that changed what a person has to do; a command that saw an older one is stale."""
    first_out: bool = False
    """首警: the first of its incident."""
    incident_id: str | None = None
    ack_due_s: float | None = None
    is_overdue: bool = False
    """Nobody acknowledged within the limit of its priority."""
    deadline_s: float | None = None
    """When somebody must have acted (a rescuer arrived); None: no such duty."""
    heard_s: float | None = None
    """When a console had painted and sounded it since it last began to want a person; None: not yet."""
    is_mute: bool = False
    """A console has painted it since then and said that it cannot be heard: the siren does not wait for the time limit."""
    escalation_step: int = 0
    """Steps of the ladder already taken."""
    rescue: Rescue | None = None
    value: float | None = None
    unit: str | None = None
    threshold: float | None = None
    text: str = ""
    facts: dict[str, object] = {}
    evidence: tuple[dict[str, object], ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def times(self) -> int:
        """How often it happened in all (14 次)."""
        return self.repeats + 1

    @property
    def is_open(self) -> bool:
        """It has not ended."""
        return self.state is not AlarmState.CLOSED

    @property
    def is_latched(self) -> bool:
        """It must be reset by a person; tests never are."""
        return self.kind is Kind.ALARM and CODES[self.code].latched

    @property
    def shelving(self) -> Shelving:
        """How long it may be shelved."""
        return CODES[self.code].shelving

    @property
    def cleared_at(self) -> datetime | None:
        """`cleared_at` of the event schema: when the cause went; closed while it stood: when it was closed."""
        return self.returned_at or self.closed_at

    @property
    def category(self) -> str:
        """`gas`, `lift`, `sos`, `throw` or `gateway`."""
        return CODES[self.code].category


class Change(Struct, frozen=True, kw_only=True):
    """One revision of one alarm and why. Body of a journal entry of kind `alarm`."""

    alarm: Alarm
    what: What
    word: Word
    actor: Actor = SYSTEM
    command_id: str | None = None
    clock: ClockQuality | None = None
    """How far the wall clock could be believed when this was written; set by the desk."""
