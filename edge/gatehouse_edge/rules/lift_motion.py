"""What follows from a lift's points when its controller names no fault: the rules of an add-on sensor node.

The times come from the field (domain §3.3, rows 31): 30 s outside the door zone is too short, 45 s is not; a door
contact seen open while running needs 30 s on add-on sensors.
"""

from __future__ import annotations

from msgspec import Struct

from gatehouse_edge.reading import Car, Direction
from gatehouse_edge.rules.lift_view import View


class Limits(Struct, frozen=True, kw_only=True):
    """From when on the motion of a car is a fault."""

    off_zone_stop_s: float = 45.0
    door_motion_debounce_s: float = 30.0
    door_cycle_count: int = 5
    """Openings without a trip between them, within `door_cycle_window_s`."""
    door_cycle_window_s: float = 120.0
    rated_speed_mps: float | None = None
    overspeed_ratio: float = 1.15
    bottom_floor: str | None = None
    top_floor: str | None = None
    """Names of the end landings as the source reports them; None: overrun is not inferred."""


def derived(view: View, now_s: float, limits: Limits, confirm_s: float) -> dict[str, float]:
    """Return what the points amount to, as code -> seconds it must last before it is a fault."""
    found: dict[str, float] = {}
    if view.car is Car.STOPPED and view.door_zone is False:
        found["lift.stopped_outside_unlocking_zone"] = limits.off_zone_stop_s
    if view.car is Car.RUNNING and view.door_closed is False:
        # Two names on purpose: it set out with an open door, or the door opened under way (domain table b).
        opened_under_way = view.opened_s > view.running_s
        code = "lift.door_open_while_running" if opened_under_way else "lift.motion_door_open"
        found[code] = limits.door_motion_debounce_s
    found |= dict.fromkeys(_overruns(view, limits), confirm_s)
    if _is_too_fast(view.speed_mps, limits):
        found["lift.overspeed"] = confirm_s
    cycles = sum(now_s - at_s <= limits.door_cycle_window_s for at_s in view.cycles_s)
    if cycles >= limits.door_cycle_count:
        found["lift.repeated_door_cycle"] = confirm_s
    return found


def _is_too_fast(speed_mps: float | None, limits: Limits) -> bool:
    if speed_mps is None or limits.rated_speed_mps is None:
        return False
    return abs(speed_mps) > limits.rated_speed_mps * limits.overspeed_ratio


def _overruns(view: View, limits: Limits) -> list[str]:
    """An end landing was left, or passed, in the direction in which there is no further landing."""
    if view.door_zone is not False or view.landing is None:
        return []
    found = []
    if view.landing == limits.top_floor and view.heading is Direction.UP:
        found.append("lift.overrun_top")
    if view.landing == limits.bottom_floor and view.heading is Direction.DOWN:
        found.append("lift.overrun_bottom")
    return found
