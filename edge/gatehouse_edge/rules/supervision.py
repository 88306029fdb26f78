"""Silence is never normal: every device has a longest silence, and beyond it a fault with a name.

Three states, `UNKNOWN` from the start and after a restart, because a device that nobody listened to is neither
well nor lost (field notes, issue 33: esphome#18961 "unknown at boot"). A lost device is back only after several
signs of life in a row, so that a device which answers now and then does not blink.

What changes on every poll stands in `Pulse` and need not reach the disk; what a restart must know stands in `Watch`.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final

from msgspec import Struct

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import AnyObservation, Quality, Silence

_MARK_PART: Final = 8
"""A long silence is written down this often while it grows, so that a crash forgets at most an eighth of it."""
_MARK_FROM_S: Final = 600.0
"""Shorter silences are not marked: losing one costs less time than the writes cost flash."""
MAX_TEXT: Final = 120
"""Characters of `Condition.text`."""


class Status(StrEnum):
    """What we know of a device's life."""

    UNKNOWN = "unknown"
    HEARD = "heard"
    LOST = "lost"


class Watch(Struct, frozen=True, kw_only=True):
    """What a restart must know."""

    status: Status = Status.UNKNOWN
    since_s: float = 0.0
    """Service time of the last change of `status`."""
    reason: str = ""
    """Why it is lost: the last `SilenceReason` with its detail, empty if it simply said nothing."""
    marked_s: float = 0.0
    """Service time up to which a long silence has been written down."""


class Pulse(Struct, frozen=True, kw_only=True):
    """What changes all the time."""

    stepped_s: float
    """Service time of the latest step; time as the rules see it never runs back behind it."""
    quiet_from_s: float
    """From here the silence counts: the last sign of life, moved on by the time nobody listened."""
    heard_s: float | None = None
    """Service time of the last sign of life; None: never."""
    streak: int = 0
    """Signs of life since the device was lost."""
    reason: str = ""


class Supervision(Struct, frozen=True, kw_only=True):
    """How long a device may be silent, and how it is believed again."""

    max_silence_s: float = 10.0
    recover_count: int = 2
    """Signs of life, none later than `max_silence_s` after the one before, until a lost device counts as back."""


def begin(now: Now) -> tuple[Watch, Pulse]:
    """Return the state of a device nobody has listened to yet."""
    s = now.service_s
    return Watch(since_s=s, marked_s=s), Pulse(stepped_s=s, quiet_from_s=s)


def resume(watch: Watch, pulse: Pulse, now: Now) -> tuple[Watch, Pulse]:
    """Return the state after a restart: what was lost stays lost, the rest is unknown.

    The time between the last step and this one does not count as silence: the device may well have spoken, but
    nobody listened. The silence gathered before does count.
    """
    s = max(now.service_s, pulse.stepped_s)
    moved = Pulse(
        stepped_s=s,
        quiet_from_s=pulse.quiet_from_s + (s - pulse.stepped_s),
        heard_s=pulse.heard_s,
        reason=pulse.reason,
    )
    if watch.status is Status.LOST:
        return watch, moved
    return Watch(since_s=s, marked_s=s), moved


def time(pulse: Pulse, now: Now) -> float:
    """Return the service time of this step, which never runs back."""
    return max(pulse.stepped_s, now.service_s)


def age_s(pulse: Pulse, now: Now) -> float | None:
    """Return how old the last sign of life is, None if there never was one."""
    return None if pulse.heard_s is None else max(0.0, now.service_s - pulse.heard_s)


def is_life(observation: AnyObservation | None) -> bool:
    """Return whether this shows that the device itself lives: no silence, and no warmed-up old value.

    Source: thingsboard-gateway#2119, where stale values were sent again with a fresh time.
    """
    if observation is None or isinstance(observation, Silence):
        return False
    return getattr(observation, "quality", Quality.GOOD) is not Quality.STALE


def supervise(
    watch: Watch,
    pulse: Pulse,
    *,
    is_heard: bool,
    silence: Silence | None,
    now_s: float,
    settings: Supervision,
) -> tuple[Watch, Pulse]:
    """Return watch and pulse after one step. A `Silence` never resets a timer; it only names the reason."""
    if is_heard:
        return _heard(watch, pulse, now_s, settings)
    reason = describe(silence) if silence is not None else pulse.reason
    quiet_s = now_s - pulse.quiet_from_s
    streak = pulse.streak if quiet_s <= settings.max_silence_s else 0
    pulse = Pulse(
        stepped_s=now_s, quiet_from_s=pulse.quiet_from_s, heard_s=pulse.heard_s, streak=streak, reason=reason
    )
    if watch.status is Status.LOST:
        return watch, pulse
    if quiet_s > settings.max_silence_s:
        return Watch(status=Status.LOST, since_s=now_s, reason=reason, marked_s=now_s), pulse
    if (
        settings.max_silence_s > _MARK_FROM_S
        and now_s - watch.marked_s >= settings.max_silence_s / _MARK_PART
    ):
        return Watch(status=watch.status, since_s=watch.since_s, marked_s=now_s), pulse
    return watch, pulse


def _heard(watch: Watch, pulse: Pulse, now_s: float, settings: Supervision) -> tuple[Watch, Pulse]:
    in_time = now_s - pulse.quiet_from_s <= settings.max_silence_s
    streak = pulse.streak + 1 if in_time else 1
    if watch.status is Status.LOST and streak < settings.recover_count:
        return watch, Pulse(stepped_s=now_s, quiet_from_s=now_s, heard_s=now_s, streak=streak)
    if watch.status is not Status.HEARD:
        watch = Watch(status=Status.HEARD, since_s=now_s, marked_s=now_s)
    return watch, Pulse(stepped_s=now_s, quiet_from_s=now_s, heard_s=now_s)


def describe(silence: Silence) -> str:
    """Return the reason of a silence in words, printable, bounded."""
    return printable(f"{silence.reason.value}: {silence.detail}" if silence.detail else silence.reason.value)


def printable(text: str, limit: int = MAX_TEXT) -> str:
    """Return `text` without control characters and at most `limit` characters long."""
    return "".join(c if c.isprintable() else "?" for c in text)[:limit]


def finite(number: float | None) -> float | None:
    """Return the number, or None for "none", infinities and not-a-number, which no state on disk can hold."""
    return number if number is not None and math.isfinite(number) else None
