"""What an `alarm` or `config` entry says, or why it cannot be read. Pure.

What cannot be read is never left out: it becomes an alarm of its own that says so, as urgent as what can still be made out.
"""

from __future__ import annotations

import re
from base64 import b32hexencode
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec import Struct

from gatehouse_events.alarm import GATEWAY, Alarm, Change, What, Word
from gatehouse_events.chain import Entry
from gatehouse_events.city import SiteCard
from gatehouse_events.codes import CODES
from gatehouse_events.states import AlarmState, Kind, Priority

OFFLINE_CODES: Final = frozenset(
    {
        "gas.offline",
        "lift.offline",
        "sos.supervision_lost",
        "throw.camera_lost",
        "gateway.io_offline",
        "gateway.beacon_lost",
    }
)
"""Alarms that say that a device cannot be reached."""
UNREADABLE_CODE: Final = "gateway.integrity"
ERASED_AFTER: Final = timedelta(days=1)
"""A body that is missing from an older entry was erased for retention; from a younger one it was taken away."""

_CATEGORIES: Final = frozenset(code.category for code in CODES.values())
_MAX_REVISION: Final = 2**63 - 1
_ID: Final = re.compile(r"[\x21-\x7e]{1,64}")
_ULID: Final = re.compile(r"[0-9A-Z]{26}")


class Unreadable(Struct, frozen=True, kw_only=True):
    """An entry that tells of an alarm nobody can read."""

    reason: str
    alarm_id: str | None = None
    revision: int = 1
    priority: Priority = Priority.P1


class _LooseAlarm(Struct, frozen=True):
    alarm_id: Any = None
    seq: Any = None
    priority: Any = None


class _LooseChange(Struct, frozen=True):
    alarm: _LooseAlarm = _LooseAlarm()


class _Config(Struct, frozen=True):
    """What matters here of a `config` entry."""

    card: SiteCard | None = None


def read_change(body: bytes) -> Change | Unreadable:
    """Return the revision an `alarm` entry tells."""
    try:
        change = msgspec.json.decode(body, type=Change)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        return _loosely(body, str(error))
    fault = _fault(change.alarm)
    return change if fault is None else _loosely(body, fault)


def read_card(body: bytes) -> SiteCard | None:
    """Return the site card a `config` entry brings; None: it brings none that can be read."""
    try:
        return msgspec.json.decode(body, type=_Config).card
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None


def category_of(code: str) -> str:
    """Return the category of a code; one this version does not know passes as the gateway's own."""
    category = code.partition(".")[0]
    return category if category in _CATEGORIES else GATEWAY


def derived_id(*parts: object) -> str:
    """Return an alarm id of the fleet's own making; no ULID begins with its first letter."""
    digest = sha256("/".join(str(part) for part in parts).encode()).digest()
    return "X" + b32hexencode(digest).decode()[:25]


def stand_in(entry: Entry, unreadable: Unreadable, *, gateway_id: str) -> Change:
    """Return the alarm that stands for one that cannot be read."""
    alarm_id = unreadable.alarm_id or derived_id(gateway_id, entry.epoch, entry.seq)
    alarm = Alarm(
        alarm_id=alarm_id,
        seq=unreadable.revision,
        device_id=GATEWAY,
        code=UNREADABLE_CODE,
        kind=Kind.FAULT,
        priority=unreadable.priority,
        state=AlarmState.UNACK,
        is_active=True,
        raised_at=entry.at,
        raised_s=0.0,
        changed_at=entry.at,
        changed_s=0.0,
        unack_since_s=0.0,
        text="报警记录无法读取，请到现场查看 / an alarm entry cannot be read: look at the gateway",
        facts={"unreadable": {"epoch": entry.epoch, "seq": entry.seq}},
    )
    return Change(alarm=alarm, what=What.RAISED, word=Word.RAISED)


def _loosely(body: bytes, reason: str) -> Unreadable:
    try:
        alarm = msgspec.json.decode(body, type=_LooseChange).alarm
    except (msgspec.DecodeError, RecursionError, ValueError):
        return Unreadable(reason=reason)
    is_named = isinstance(alarm.alarm_id, str) and _ULID.fullmatch(alarm.alarm_id) is not None
    is_counted = is_named and type(alarm.seq) is int and 1 <= alarm.seq <= _MAX_REVISION
    is_ranked = isinstance(alarm.priority, str) and alarm.priority in {
        priority.value for priority in Priority
    }
    return Unreadable(
        reason=reason,
        alarm_id=alarm.alarm_id if is_named else None,
        revision=alarm.seq if is_counted else 1,
        priority=Priority(alarm.priority) if is_ranked else Priority.P1,
    )


def is_short_name(text: str) -> bool:
    """Return whether a device or code fits the tables: 1 to 64 printable ASCII characters."""
    return _ID.fullmatch(text) is not None


def _fault(alarm: Alarm) -> str | None:
    """Return why an alarm does not fit the tables; None: it does."""
    if not _ULID.fullmatch(alarm.alarm_id):
        return "the alarm id is not one"
    if not is_short_name(alarm.device_id) or not is_short_name(alarm.code):
        return "device or code is not a short name"
    if alarm.raised_at.tzinfo is None or alarm.changed_at.tzinfo is None:
        return "a time has no zone"
    if not 1 <= alarm.seq <= _MAX_REVISION:
        return "the revision is not a number of one"
    return None
