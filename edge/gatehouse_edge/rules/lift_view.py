"""What is known of a lift now: the points its sources reported, merged, with what follows from their order."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.reading import Car, Direction, LiftReading, ServiceMode
from gatehouse_edge.rules.supervision import finite, printable

_MODE_FAULTS: Final = {
    "mode_auto": ServiceMode.NORMAL,
    "mode_out_of_service": ServiceMode.OUT_OF_SERVICE,
    "mode_inspection": ServiceMode.INSPECTION,
    "mode_fire_recall": ServiceMode.FIRE_RECALL,
    "mode_firefighter": ServiceMode.FIREFIGHTER,
    "mode_emergency_power": ServiceMode.EMERGENCY_POWER,
    "mode_earthquake": ServiceMode.EARTHQUAKE,
}
"""Dialects that report a service mode as a "fault" (GB/T 24476 codes 40 and 42 to 47)."""
_MAX_FLOOR: Final = 8
_MAX_CYCLES: Final = 16


class View(Struct, frozen=True, kw_only=True):
    """The merged points of one lift. None: never reported since the start."""

    car: Car | None = None
    direction: Direction = Direction.NONE
    door_zone: bool | None = None
    door_closed: bool | None = None
    passenger: bool | None = None
    floor: str | None = None
    speed_mps: float | None = None
    mode: ServiceMode = ServiceMode.UNKNOWN
    running_s: float = 0.0
    """Service time at which it began to run."""
    opened_s: float = 0.0
    """Service time at which the door was last seen opening."""
    landing: str | None = None
    """The floor at which it was last seen inside a door zone."""
    heading: Direction = Direction.NONE
    """The last direction that was not "none"."""
    cycles_s: tuple[float, ...] = ()
    """Service times of the door openings since the car last ran."""


def merge(view: View, reading: LiftReading, now_s: float) -> View:
    """Return the view after one reading; a point it does not report keeps its value, a service mode does not."""
    car = reading.car or view.car
    door_closed = view.door_closed if reading.door_closed is None else reading.door_closed
    door_zone = view.door_zone if reading.door_zone is None else reading.door_zone
    floor = view.floor if reading.floor is None else printable(reading.floor, _MAX_FLOOR)
    starts = car is Car.RUNNING and view.car is not Car.RUNNING
    opens = door_closed is False and view.door_closed is True
    cycles = () if car is Car.RUNNING else view.cycles_s
    return structs.replace(
        view,
        car=car,
        direction=reading.direction,
        door_zone=door_zone,
        door_closed=door_closed,
        passenger=view.passenger if reading.passenger is None else reading.passenger,
        floor=floor,
        speed_mps=finite(reading.speed_mps),
        mode=mode(reading),
        running_s=now_s if starts else view.running_s,
        opened_s=now_s if opens else view.opened_s,
        landing=floor if door_zone else view.landing,
        heading=view.heading if reading.direction is Direction.NONE else reading.direction,
        cycles_s=(*cycles, now_s)[-_MAX_CYCLES:] if opens else cycles,
    )


def mode(reading: LiftReading) -> ServiceMode:
    """Return the service mode, from its own point or from a "fault" that means one."""
    if reading.service_mode is not ServiceMode.UNKNOWN:
        return reading.service_mode
    modes = [_MODE_FAULTS[fault] for fault in sorted(reading.faults) if fault in _MODE_FAULTS]
    return modes[0] if modes else ServiceMode.UNKNOWN


def is_mode(fault: str) -> bool:
    """Return whether a canonical fault name only tells the service mode."""
    return fault in _MODE_FAULTS


def facts(view: View, presence: bool | None) -> dict[str, object]:  # a point of three values
    """Return the `lift` object of the event schema; `passenger` is what is believed, not the raw sensor."""
    lift: dict[str, object] = {
        "service_mode": view.mode.value,
        "direction": view.direction.value,
        "door_zone": view.door_zone,
        "door_closed": view.door_closed,
        "passenger": presence,
        "speed_mps": view.speed_mps,
    }
    if view.car is not None:
        lift["car"] = view.car.value
    if view.floor is not None:
        lift["floor"] = view.floor
    return {"lift": lift}
