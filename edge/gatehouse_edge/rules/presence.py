"""Is somebody in the car: people cannot appear or vanish while the door is shut.

A radar's presence flickers for up to about 10 s (domain notes §3.3). So a change counts only when it has lasted
`settle_s`, and only if it *began* while the door was open or within `after_close_s` of its closing (row 30). What was
true then stays true until the door opens again. This alone removes the false "trapped" of an empty, parked car.
"""

from __future__ import annotations

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True):
    """How much a presence sensor flickers and lags."""

    settle_s: float = 10.0
    after_close_s: float = 5.0


class Presence(Struct, frozen=True, kw_only=True):
    """What is believed, and what the sensor says besides."""

    believed: bool | None = None
    """None: not known yet (start, restart, no sensor)."""
    raw: bool | None = None
    raw_since_s: float = 0.0
    may_change: bool = True
    """Whether the present `raw` began when the door was open or had just closed."""
    is_shut: bool = False
    shut_s: float = 0.0


def observe(
    presence: Presence, *, raw: bool | None, door_closed: bool | None, now_s: float, settings: Settings
) -> Presence:
    """Return the presence after one reading; None: the source does not report that point."""
    if door_closed is None:
        # Without a door contact nothing can be ruled out; the sensor is taken at its settled word.
        is_shut, shut_s = False, presence.shut_s
    else:
        is_shut = door_closed
        shut_s = now_s if is_shut and not presence.is_shut else presence.shut_s
    since_s, may_change = presence.raw_since_s, presence.may_change
    if not is_shut:
        may_change = True
    if raw is not None and raw is not presence.raw:
        since_s = now_s
        may_change = not is_shut or now_s - shut_s <= settings.after_close_s or presence.believed is None
    if raw is None:
        raw = presence.raw
    return settle(
        Presence(
            believed=presence.believed,
            raw=raw,
            raw_since_s=since_s,
            may_change=may_change,
            is_shut=is_shut,
            shut_s=shut_s,
        ),
        now_s=now_s,
        settings=settings,
    )


def settle(presence: Presence, *, now_s: float, settings: Settings) -> Presence:
    """Return the presence after some time: a change that may count and has lasted is believed."""
    is_settled = now_s - presence.raw_since_s >= settings.settle_s
    if presence.raw is None or presence.raw is presence.believed or not presence.may_change or not is_settled:
        return presence
    return Presence(
        believed=presence.raw,
        raw=presence.raw,
        raw_since_s=presence.raw_since_s,
        may_change=presence.may_change,
        is_shut=presence.is_shut,
        shut_s=presence.shut_s,
    )
