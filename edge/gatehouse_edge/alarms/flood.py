"""How loaded the desk is: flood banner, stale alarms, and the figures of domain row 44.

Limits as quoted from ISA-18.2 in domain notes §6 (grade S): flood at 10 alarms in 10 min; stale after 24 h; at most
6 alarms an hour per operator are good, 12 the limit. A flood never hides anything: it puts up a banner, and P1 stays
on top because the list is ordered by priority first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.clock import Now
from gatehouse_edge.rules.condition import Condition
from gatehouse_events.alarm import Alarm
from gatehouse_events.states import UNATTENDED_STATES, AlarmState, Kind, Priority

FLOOD_COUNT: Final = 10
FLOOD_WINDOW_S: Final = 600.0
FLOOD_OVER_COUNT: Final = 5
"""A flood ends below this many in the window, so that the banner does not blink."""
STALE_S: Final = 86400.0
_HOUR_S: Final = 3600.0
_HOURS: Final = 24
FLOOD_CODE: Final = "gateway.alarm_flood"


class Hour(Struct, frozen=True, kw_only=True):
    """What was raised in one hour of the service scale."""

    hour: int
    """`service_s // 3600`."""
    raised: dict[Priority, int] = {}
    flood_s: float = 0.0


class Load(Struct, frozen=True, kw_only=True):
    """State of the load; kept over restarts under the key `flood`."""

    raised_s: tuple[float, ...] = ()
    """The latest `FLOOD_COUNT` times an alarm was raised."""
    flood_since_s: float | None = None
    hours: tuple[Hour, ...] = ()
    """At most 24, oldest first."""


class Figures(Struct, frozen=True, kw_only=True):
    """Row 44 as numbers for the console and the metrics."""

    raised_last_hour: int
    raised_per_hour: float
    """Mean over the hours known."""
    is_flood: bool
    flood_share: float
    """Part of the known time spent in flood; good is below 0.01."""
    open: int
    unattended: int
    chattering: int
    stale: int
    shares: dict[Priority, float]
    """Of the alarms raised in 24 h; about 80/15/5 from low to high is good."""


def counts(alarm: Alarm) -> bool:
    """Return whether this alarm loads a person: not hidden, no drill, not the banner itself."""
    return alarm.hidden is None and alarm.kind not in {Kind.TEST, Kind.INHIBITED} and alarm.code != FLOOD_CODE


def raised(load: Load, alarm: Alarm, now: Now) -> Load:
    """Return the load after one more alarm."""
    hours = _current(load.hours, now)
    hour = hours[-1]
    counted = {**hour.raised, alarm.priority: hour.raised.get(alarm.priority, 0) + 1}
    return _judge(
        structs.replace(
            load,
            raised_s=(*load.raised_s, now.service_s)[-FLOOD_COUNT:],
            hours=(*hours[:-1], structs.replace(hour, raised=counted)),
        ),
        now,
    )


def tick(load: Load, now: Now) -> Load:
    """Return the load a while later; the same object if nothing changed."""
    return _judge(load, now)


def condition(load: Load) -> Condition | None:
    """Return the banner while there is a flood."""
    if load.flood_since_s is None:
        return None
    return Condition(code=FLOOD_CODE, text=f"{FLOOD_COUNT}+ / {FLOOD_WINDOW_S / 60:.0f} min")


def figures(load: Load, alarms: Iterable[Alarm], now: Now) -> Figures:
    """Return the load in figures."""
    shown = list(alarms)
    hours = _current(load.hours, now)
    totals = {p: sum(hour.raised.get(p, 0) for hour in hours) for p in Priority}
    whole = sum(totals.values())
    known_s = max(1.0, now.service_s - hours[0].hour * _HOUR_S)
    flood_s = sum(hour.flood_s for hour in hours)
    if load.flood_since_s is not None:
        flood_s += now.service_s - load.flood_since_s
    return Figures(
        raised_last_hour=sum(hours[-1].raised.values()),
        raised_per_hour=whole / max(1.0, known_s / _HOUR_S),
        is_flood=load.flood_since_s is not None,
        flood_share=min(1.0, flood_s / known_s),
        open=len(shown),
        unattended=sum(a.state in UNATTENDED_STATES for a in shown),
        chattering=sum(a.is_chattering for a in shown),
        stale=sum(is_stale(a, now) for a in shown),
        shares={p: (count / whole if whole else 0.0) for p, count in totals.items()},
    )


def is_stale(alarm: Alarm, now: Now) -> bool:
    """Return whether this alarm has stood so long that it no longer says anything."""
    return alarm.is_open and now.service_s - alarm.raised_s > STALE_S


_STATE_ORDER: Final = {
    AlarmState.UNACK: 0,
    AlarmState.RTN: 1,
    AlarmState.ACKED: 2,
    AlarmState.LATCHED: 3,
    AlarmState.SHELVED: 4,
    AlarmState.SUPPRESSED: 5,
    AlarmState.CLOSED: 6,
}
_HIDDEN: Final = frozenset({AlarmState.SHELVED, AlarmState.SUPPRESSED})


def order(alarm: Alarm) -> tuple[bool, Priority, int, float, str]:
    """Return the sorting key of the list: what is shown before what is hidden, P1 on top, unattended first, newest first."""
    return (
        alarm.state in _HIDDEN,
        alarm.priority,
        _STATE_ORDER[alarm.state],
        -alarm.unack_since_s,
        alarm.alarm_id,
    )


def _judge(load: Load, now: Now) -> Load:
    recent = sum(now.service_s - s <= FLOOD_WINDOW_S for s in load.raised_s)
    if load.flood_since_s is None:
        return structs.replace(load, flood_since_s=now.service_s) if recent >= FLOOD_COUNT else load
    if recent >= FLOOD_OVER_COUNT:
        return load
    hours = _current(load.hours, now)
    lasted_s = now.service_s - load.flood_since_s
    hour = structs.replace(hours[-1], flood_s=hours[-1].flood_s + lasted_s)
    return structs.replace(load, flood_since_s=None, hours=(*hours[:-1], hour))


def _current(hours: tuple[Hour, ...], now: Now) -> tuple[Hour, ...]:
    this = int(now.service_s // _HOUR_S)
    if hours and hours[-1].hour >= this:
        return hours
    kept = tuple(hour for hour in hours if hour.hour > this - _HOURS)
    return (*kept, Hour(hour=this))
