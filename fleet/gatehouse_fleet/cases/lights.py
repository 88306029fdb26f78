"""Lights 亮灯督办: green until three quarters of the time are used, yellow until all of it is, red after. Pure.

No text gives the thresholds; 75 % is our own choice [O], data of each city's policy. A light is computed from two marks and
the time, never kept; along one deadline it never goes back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from gatehouse_events.states import Label


class Light(StrEnum):
    """How near the end of the time is."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


LABELS: Final[dict[Light, Label]] = {
    Light.GREEN: Label("绿灯", "green"),
    Light.YELLOW: Label("黄灯", "yellow"),
    Light.RED: Label("红灯·超时", "red, overdue"),
}
_ORDER: Final = tuple(Light)


class Marks(Struct, frozen=True, kw_only=True):
    """When the light changes."""

    yellow_at: datetime
    """From here on it is yellow."""
    due_at: datetime
    """After this it is red; at this very moment the time is used up but kept."""

    def __post_init__(self) -> None:
        if self.yellow_at > self.due_at:
            raise ValueError(f"yellow at {self.yellow_at} lies after the deadline {self.due_at}")


def light(marks: Marks, now: datetime) -> Light:
    """Return the light at `now`."""
    if now > marks.due_at:
        return Light.RED
    return Light.YELLOW if now >= marks.yellow_at else Light.GREEN


def worst(lights: Iterable[Light]) -> Light | None:
    """Return the worst of several lights; None of none."""
    return max(lights, key=_ORDER.index, default=None)
