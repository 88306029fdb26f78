"""The buildings as the façade shows them: those of `site.buildings`, else what the places of devices tell. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from gatehouse_config.devices import LiftDevice, Location
from gatehouse_config.model import GatewayConfig

_NUMBER: Final = re.compile(r"-?\d{1,3}")
_ROOM: Final = re.compile(r"(\d{1,2})(\d{2})\D?")
"""1502: floor 15, second flat."""
_FEWEST_FLOORS: Final = 1
_MOST_ROOMS: Final = 20


class BuildingView(Struct, frozen=True, kw_only=True):
    """One building to be drawn."""

    id: str
    name: str
    floors: int
    basements: int
    units: tuple[str, ...]
    """Entrances from left to right; one nameless where nobody named any."""
    rooms_per_floor: int
    lifts: tuple[str, ...]
    """Entrances with a lift."""
    is_drawn_from_devices: bool
    """True: nobody told how high it is; it is drawn as high as its highest device."""


def buildings(config: GatewayConfig) -> list[BuildingView]:
    """Return the buildings in the order of the screen: the listed ones, then others with devices, by number and name."""
    places: dict[str, list[Location]] = {}
    lifts: dict[str, set[str]] = {}
    for device in config.devices:
        if device.location.building:
            places.setdefault(device.location.building, []).append(device.location)
            if isinstance(device, LiftDevice):
                lifts.setdefault(device.location.building, set()).add(device.location.unit)
    listed = {building.id: building for building in config.site.buildings}
    found = [
        BuildingView(
            id=building.id,
            name=building.name,
            floors=building.floors,
            basements=building.basements,
            units=building.units,
            rooms_per_floor=building.rooms_per_floor,
            lifts=tuple(unit for unit in building.units if unit in lifts.get(building.id, ())),
            is_drawn_from_devices=False,
        )
        for building in listed.values()
    ]
    others = sorted(places.keys() - listed.keys(), key=_by_number)
    return found + [_guessed(name, places[name], lifts.get(name, set())) for name in others]


def _guessed(name: str, places: list[Location], lifts: set[str]) -> BuildingView:
    floors = [floor for place in places for floor in _floors(place)]
    units = sorted({place.unit for place in places if place.unit}, key=_by_number) or [""]
    rooms = [int(found[2]) for place in places if (found := _ROOM.fullmatch(place.room))]
    return BuildingView(
        id=name,
        name="",
        floors=max([*floors, _FEWEST_FLOORS]),
        basements=max([0, *(-floor for floor in floors)]),
        units=tuple(units),
        rooms_per_floor=min(_MOST_ROOMS, max([2, *rooms])),
        lifts=tuple(unit for unit in units if unit in lifts),
        is_drawn_from_devices=True,
    )


def _floors(place: Location) -> Iterable[int]:
    if _NUMBER.fullmatch(place.floor):
        yield int(place.floor)
    if found := _ROOM.fullmatch(place.room):
        yield int(found[1])


def _by_number(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdecimal() else (10**9, text)
