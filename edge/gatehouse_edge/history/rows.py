"""What the index holds and what may be asked of it. Pure.

Times are microseconds since 1970 of the corrected clock (`_us`); `FOREVER_US` stands where something has not ended.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Final

from msgspec import Struct

from gatehouse_events.alarm import Alarm, Change, What
from gatehouse_events.codes import CODES

FOREVER: Final = 2**62
"""No end yet: as a time and as a sequence number."""
MAX_TERMS: Final = 6
"""Words of one search."""


class Term(Struct, frozen=True, kw_only=True):
    """One word of a search: found in an alarm's own words, or naming its device (room, resident, place)."""

    text: str
    """Already in the form of `search_text`."""
    devices: tuple[str, ...] = ()
    """The devices that this word names today."""


class Wanted(Struct, frozen=True, kw_only=True):
    """Which alarms are asked for; all that is said must hold."""

    from_us: int
    to_us: int
    """Alarms that were open at some time in [from, to)."""
    categories: tuple[str, ...] = ()
    priorities: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()
    has_evidence: bool = False


class Cursor(Struct, frozen=True):
    """Where a page of alarms ended: the next begins after it, newest first."""

    raised_us: int
    alarm_id: str

    def __str__(self) -> str:
        return f"{self.raised_us}.{self.alarm_id}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return the cursor that `str` made.

        Raises:
            ValueError: it is none.
        """
        head, dot, alarm_id = text.partition(".")
        if not dot or not head.isascii() or not head.removeprefix("-").isdecimal() or len(head) > 19:  # noqa: PLR2004  # digits of an int64
            raise ValueError("no cursor")
        return cls(int(head), alarm_id)


class PastAlarm(Struct, frozen=True, kw_only=True):
    """One alarm as the index knows it: its latest revision in short."""

    alarm_id: str
    device_id: str
    code: str
    kind: str
    priority: str
    state: str
    raised_us: int
    changed_us: int
    closed_us: int | None
    acked_by: str
    acked_us: int | None
    disposition: str
    times: int
    evidence: int
    """How many files prove it."""
    first_seq: int
    last_seq: int


class Revision(Struct, frozen=True, kw_only=True):
    """One thing that happened to one alarm."""

    seq: int
    alarm_id: str
    at_us: int
    what: str
    state: str
    actor: str
    role: str
    station: str
    wait_s: float
    """How long the alarm had wanted a person then, in seconds."""
    text: str


class Deed(Struct, frozen=True, kw_only=True):
    """Something else in the journal that a person may ask about: an order, an output, a login, a drill, a start."""

    seq: int
    at_us: int
    kind: str
    """Kind of the entry."""
    what: str
    """Stable token: the command, or what the entry says."""
    actor: str
    station: str
    subject: str
    """Device, output or alarm."""
    text: str


class Tally(Struct, frozen=True, kw_only=True):
    """How many alarms of one sort were raised in one stretch of time."""

    category: str
    priority: str
    bucket: int
    """Number of the stretch, from 0."""
    count: int


class Moment(Struct, frozen=True, kw_only=True):
    """What the screen knew at one moment."""

    at_us: int
    seq: int
    """The last entry of an alarm before it; 0: the journal reaches back less far."""
    alarms: tuple[Alarm, ...]
    """The alarms open then, each at its revision of then."""
    service_s: float
    """The moment on the gateway's service scale, by which the alarms' limits are to be read."""
    is_whole: bool
    """False: more alarms were open than are shown."""


def search_text(text: str) -> str:
    """Return a text as it is searched: compatibility forms, case and space do not matter."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if not c.isspace() and c.isprintable())


def words_of(alarm: Alarm) -> str:
    """Return everything of an alarm that a person may search for, as `search_text`."""
    code = CODES.get(alarm.code)
    labels = (code.label.zh, code.label.en) if code is not None else ()
    parts = (alarm.device_id, alarm.code, *labels, alarm.text, alarm.acked_by or "", alarm.close_reason)
    notes = [part for note in alarm.notes[-10:] for part in (note.author, note.text)]
    return search_text("\n".join((*parts, *notes)))[:2000]


def said_of(change: Change) -> str:
    """Return the words of one revision: what a person wrote or gave as reason, else what the alarm says of its cause."""
    alarm = change.alarm
    match change.what:
        case What.NOTED if alarm.notes:
            return alarm.notes[-1].text
        case What.SHELVED:
            return alarm.shelf_reason
        case What.CLOSED | What.RESET:
            return alarm.close_reason
        case _:
            return alarm.text


def microseconds(at: datetime | None) -> int | None:
    """Return a time of an alarm in microseconds since 1970."""
    return None if at is None else int(at.timestamp() * 1e6)
