"""What the journal tells of one alarm, of one detector and of the last day. Pure work on a reader; run it in a thread."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from gatehouse_edge.samples import Sample
from gatehouse_events.alarm import Change, What
from gatehouse_events.chain import Entry, EntryKind, Lane
from gatehouse_events.states import Kind
from gatehouse_journal import Reader

_CHUNK: Final = 1000
_DEEPEST: Final = 20_000
"""How far back one question looks, in entries: half a second on a small gateway."""
_DAY: Final = timedelta(days=1)
_QUIET: Final = frozenset({What.CHANGED, What.GROUPED, What.ESCALATED})
"""Revisions that are no step of anybody's work."""
MAX_MARKS: Final = 500


class Step(Struct, frozen=True, kw_only=True):
    """One line of an alarm's log."""

    at: datetime
    what: What
    who: str
    """Empty: the gateway itself."""
    text: str


class Mark(Struct, frozen=True, kw_only=True):
    """One alarm of the last day."""

    at: datetime
    alarm_id: str
    code: str
    priority: str


class Day(Struct, frozen=True, kw_only=True):
    """The last 24 hours in figures."""

    since: datetime
    raised: int
    mean_ack_s: float | None
    """None: nobody had anything to acknowledge."""
    overdue: int
    is_whole: bool
    """False: there was more than one question may read."""
    marks: tuple[Mark, ...]


def log_of(reader: Reader, alarm_id: str) -> list[Step]:
    """Return what happened to one alarm, oldest first; empty if it is older than one question may look back."""
    wanted = alarm_id.encode("ascii")
    found: list[Step] = []
    for entry in _backwards(reader, Lane.ALARM):
        if entry.kind != EntryKind.ALARM or entry.body is None or wanted not in entry.body:
            continue
        change = msgspec.json.decode(entry.body, type=Change)
        if change.alarm.alarm_id != alarm_id:
            continue
        if change.what not in _QUIET:
            found.append(_step(change))
        if change.what is What.RAISED:
            break
    return found[::-1]


def _step(change: Change) -> Step:
    alarm = change.alarm
    match change.what:
        case What.NOTED:
            text = alarm.notes[-1].text if alarm.notes else ""
        case What.SHELVED:
            text = alarm.shelf_reason
        case What.CLOSED:
            text = alarm.close_reason
        case _:
            text = ""
    who = "" if change.actor.role == "system" else change.actor.name
    return Step(at=alarm.changed_at, what=change.what, who=who, text=text)


def trend_of(reader: Reader, device_id: str, since: datetime) -> list[tuple[datetime, float]]:
    """Return what a detector measured since then, oldest first: a value a minute and each that differs."""
    wanted = f'"{device_id}"'.encode()
    found = []
    for entry in _backwards(reader, Lane.TELEMETRY):
        if entry.at < since:
            break
        if entry.kind != EntryKind.READING or entry.body is None or wanted not in entry.body:
            continue
        sample = msgspec.json.decode(entry.body, type=Sample)
        value = sample.values.get("value")
        if sample.device_id == device_id and isinstance(value, int | float):
            found.append((sample.at, float(value)))
    return found[::-1]


def day(reader: Reader, now: datetime) -> Day:
    """Return the figures of the 24 hours before `now`. Drills and faults of devices are no alarms."""
    since = now - _DAY
    marks: list[Mark] = []
    acks: list[float] = []
    late: set[str] = set()
    is_whole = False
    for entry in _backwards(reader, Lane.ALARM):
        if entry.at < since or entry.seq == 1:
            is_whole = True
            break
        if entry.kind != EntryKind.ALARM or entry.body is None:
            continue
        change = msgspec.json.decode(entry.body, type=Change)
        alarm = change.alarm
        if alarm.kind is not Kind.ALARM:
            continue
        if change.what is What.RAISED:
            marks.append(
                Mark(at=alarm.raised_at, alarm_id=alarm.alarm_id, code=alarm.code, priority=alarm.priority)
            )
        elif change.what is What.ACKNOWLEDGED:
            acks.append(alarm.changed_s - alarm.unack_since_s)
        elif change.what is What.OVERDUE:
            late.add(alarm.alarm_id)
    return Day(
        since=since,
        raised=len(marks),
        mean_ack_s=sum(acks) / len(acks) if acks else None,
        overdue=len(late),
        is_whole=is_whole,
        marks=tuple(marks[:MAX_MARKS][::-1]),
    )


def _backwards(reader: Reader, lane: Lane) -> Iterator[Entry]:
    head = reader.head(lane).seq
    last = head
    while last > max(0, head - _DEEPEST):
        first = max(0, last - _CHUNK)
        yield from reversed(reader.read(lane, first, last - first))
        last = first


def rows(points: list[tuple[datetime, float]]) -> list[list[Any]]:
    """Return points as a page reads them: [instant, value]."""
    return [[at.isoformat(), value] for at, value in points]
