"""交班单, the hand-over sheet: everything the next shift must know, as plain data for one template. Pure.

The sheet says what it knows and when it knew it: it is made at one instant, of the desk as committed and of the journal as far
as it has been read, and says so where something is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final

from msgspec import Struct

from gatehouse_edge.history import Deed, PastAlarm, Revision
from gatehouse_events.states import AlarmState, Kind, Priority

SHIFT_HOURS: Final = 8
"""Shifts begin at 0, 8 and 16 o'clock unless the person chooses other times."""
MAX_SPAN: Final = timedelta(days=7)
MAX_ROWS: Final = 300
"""Alarms, and other events, of one shift on paper; a busier one is looked back at on the screen."""
TOLD: Final = ("outcome", "output", "drill", "start", "stop", "epoch", "config")
"""Kinds of entries that belong on paper: no logins, no receipts."""
_ODD: Final = ("silent", "fault", "inhibited", "unknown")
"""States of a device that the next shift must know of, worst first. One in alarm stands among the alarms."""


class Shift(Struct, frozen=True, kw_only=True):
    """The time a sheet speaks of, in the gateway's own zone."""

    since: datetime
    until: datetime

    @property
    def hours(self) -> float:
        """How long it is."""
        return (self.until - self.since).total_seconds() / 3600


class Person(Struct, frozen=True, kw_only=True):
    """What one person acknowledged."""

    name: str
    count: int
    median_s: float
    longest_s: float


class Sheet(Struct, frozen=True, kw_only=True):
    """Everything on the paper. Rows are those of the console's API."""

    shift: Shift
    made_at: datetime
    made_by: str
    is_past: bool
    """The shift had ended when the sheet was made: open alarms are those of its end."""
    behind: int | None
    """Entries of the journal that are not read yet; None: it cannot be read, so the sheet holds only what stands now."""
    open: list[dict[str, Any]]
    shelved: list[dict[str, Any]]
    suppressed: list[dict[str, Any]]
    devices: list[dict[str, Any]]
    """Those that are not as they should be when the sheet is made."""
    device_count: int
    valves: list[dict[str, Any]]
    """Those that are shut."""
    alarms: list[dict[str, Any]]
    """What was raised during the shift, oldest first; drills last."""
    raised: dict[str, int]
    """Number per priority, drills aside; faults are P4."""
    is_cut: bool
    """More was raised, or done, than the paper holds."""
    people: list[Person]
    deeds: list[Deed]
    beat: dict[str, Any]

    @property
    def unattended(self) -> int:
        """How many of the open alarms nobody has taken."""
        return sum(row["state"] in {AlarmState.UNACK.value, AlarmState.RTN.value} for row in self.open)


def shift_at(now: datetime, *, back: int = 0) -> Shift:
    """Return the shift that runs at `now` (aware, in the zone of the guards), or one `back` shifts earlier."""
    start = now.replace(hour=now.hour - now.hour % SHIFT_HOURS, minute=0, second=0, microsecond=0)
    since = start - timedelta(hours=SHIFT_HOURS * back)
    return Shift(since=since, until=since + timedelta(hours=SHIFT_HOURS))


def split(
    alarms: Iterable[Mapping[str, Any]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return rows of alarms as shown, shelved and suppressed; inhibitions stand with the devices, not here."""
    shown, shelved, suppressed = list[dict[str, Any]](), list[dict[str, Any]](), list[dict[str, Any]]()
    for row in alarms:
        if row["kind"] == Kind.INHIBITED.value:
            continue
        if row["state"] == AlarmState.SHELVED.value:
            shelved.append(dict(row))
        elif row["state"] == AlarmState.SUPPRESSED.value:
            suppressed.append(dict(row))
        else:
            shown.append(dict(row))
    return shown, shelved, suppressed


def odd_devices(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the devices that are not as they should be, the worst first."""
    odd = [dict(row) | {"state": "silent" if row["silence"] else row["state"]} for row in rows]
    odd = [row for row in odd if row["state"] in _ODD]
    return sorted(odd, key=lambda row: (_ODD.index(row["state"]), row["id"]))


def raised_during(
    found: Sequence[PastAlarm], rows: Sequence[dict[str, Any]], shift: Shift
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return the rows of alarms that began during the shift, oldest first with drills last, and how many of each priority."""
    begun = [
        row
        for alarm, row in zip(found, rows, strict=True)
        if shift.since <= moment(alarm.raised_us) < shift.until and alarm.kind != Kind.INHIBITED.value
    ]
    begun.reverse()
    real = [row for row in begun if row["kind"] != Kind.TEST.value]
    drills = [row for row in begun if row["kind"] == Kind.TEST.value]
    counts = {one.value: sum(row["priority"] == one.value for row in real) for one in Priority}
    return real + drills, counts


def people_of(acknowledged: Iterable[Revision]) -> list[Person]:
    """Return who acknowledged how many alarms and how long those had waited, the busiest first."""
    waits: dict[str, list[float]] = {}
    for one in acknowledged:
        waits.setdefault(one.actor, []).append(one.wait_s)
    people = [
        Person(name=name, count=len(each), median_s=median(each), longest_s=max(each))
        for name, each in waits.items()
    ]
    return sorted(people, key=lambda person: (-person.count, person.name))


def told_deeds(deeds: Iterable[Deed]) -> list[Deed]:
    """Return the deeds that belong on paper, oldest first: orders, outputs, drills, starts; no logins, no receipts."""
    return sorted((deed for deed in deeds if deed.kind in TOLD), key=lambda deed: deed.seq)


def moment(at_us: int) -> datetime:
    """Return a time of the index."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
