"""Trapped passengers: stopped, shut, somebody inside, for longer than a stop takes.

Raised by the controller's own word, or inferred (`auto`), or inferred and confirmed by the car's alarm button
(`confirmed`). Goes only when the car stands at a landing with its door open (domain row 32), whatever else is said.
Rescue within 30 minutes of the report (Shandong city rules, domain §3.1; row 34). After 150 minutes the condition asks to
be closed, flagged: a sensor is stuck, or the list was forgotten; no person did it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.reading import Car
from gatehouse_edge.rules.condition import Condition
from gatehouse_edge.rules.lift_view import View, facts

CODES: Final = ("lift.trapped_off_level", "lift.trapped_level", "lift.trapped")
"""The most telling name first."""
FAULTS: Final = frozenset({"trapped", "trapped_level", "trapped_off_level"})
TIMER: Final = "trap inferred"
NAMED_TIMER: Final = "trap named"
TIMERS: Final = frozenset({TIMER, NAMED_TIMER})


class Mode(StrEnum):
    """Who says that somebody is trapped."""

    AUTO = "auto"
    CONFIRMED = "confirmed"


class Settings(Struct, frozen=True, kw_only=True):
    """When somebody counts as trapped."""

    mode: Mode = Mode.AUTO
    trapped_after_s: float = 60.0
    clear_s: float = 5.0
    """Level and open must last this long."""
    auto_close_s: float = 9000.0
    rescue_limit_s: float = 1800.0


class Situation(Struct, frozen=True, kw_only=True):
    """What speaks for a trap now."""

    named: str | None
    """The controller's confirmed word, one of `CODES`."""
    is_named: bool
    """The controller says so now, confirmed or not."""
    is_inferred: bool
    is_pressed: bool
    """The alarm button was pressed since the car stands shut with somebody in it."""
    is_mode_suppressing: bool


class Trap(Struct, frozen=True, kw_only=True):
    """A trap that stands."""

    code: str
    since_s: float
    is_shown: bool
    """False: inferred inside inspection or a fire mode. Once shown it is never suppressed again."""
    needs_zone: bool
    needs_door: bool
    """What the source reported when it was raised, and so must report for it to go."""
    free_since_s: float | None = None
    facts: dict[str, object] = {}


def is_suspected(view: View, presence: bool | None) -> bool:  # a point of three values
    """Return whether the car stands shut with somebody in it."""
    return view.car is Car.STOPPED and view.door_closed is True and presence is True


def step(
    trap: Trap | None,
    situation: Situation,
    view: View,
    presence: bool | None,
    now_s: float,
    settings: Settings,
) -> Trap | None:
    """Return the trap that stands after this step, None if nobody is trapped."""
    is_sure = situation.is_named or situation.is_pressed
    is_shown = is_sure or not situation.is_mode_suppressing
    if trap is None:
        code = _code(situation, view, settings)
        if code is None:
            return None
        return Trap(
            code=code,
            since_s=now_s,
            is_shown=is_shown,
            needs_zone=view.door_zone is not None,
            needs_door=view.door_closed is not None,
            facts=facts(view, presence),
        )
    if is_shown and not trap.is_shown:
        trap = structs.replace(trap, is_shown=True)
    if not _is_free(trap, situation, view):
        return trap if trap.free_since_s is None else structs.replace(trap, free_since_s=None)
    since_s = trap.free_since_s if trap.free_since_s is not None else now_s
    if now_s - since_s >= settings.clear_s:
        return None
    return structs.replace(trap, free_since_s=since_s)


def condition(trap: Trap, now_s: float, settings: Settings) -> Condition:
    """Return the trap as a condition, with the deadline of the rescue."""
    lift = trap.facts.get("lift")
    floor = lift.get("floor") if isinstance(lift, dict) else None
    return Condition(
        code=trap.code,
        text="" if floor is None else f"floor {floor}",
        is_suppressed=not trap.is_shown,
        deadline_s=settings.rescue_limit_s,
        auto_close=now_s - trap.since_s >= settings.auto_close_s,
        facts=trap.facts,
    )


def _code(situation: Situation, view: View, settings: Settings) -> str | None:
    if situation.named is not None:
        return situation.named
    if not situation.is_inferred or (settings.mode is Mode.CONFIRMED and not situation.is_pressed):
        return None
    if view.door_zone is None:
        return "lift.trapped"
    return "lift.trapped_level" if view.door_zone else "lift.trapped_off_level"


def _is_free(trap: Trap, situation: Situation, view: View) -> bool:
    if situation.is_named:
        return False
    return (view.door_zone is True or not trap.needs_zone) and (
        view.door_closed is False or not trap.needs_door
    )
