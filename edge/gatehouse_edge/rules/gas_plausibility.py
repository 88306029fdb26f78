"""May this gas reading be believed: unit, range and rate of change (domain rows 18 and 22).

The gate decides only whether a *value* may be used: to clear an alarm, or to raise one of our own. What the detector
itself calls an alarm is never held back by it.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct

from gatehouse_edge.reading import GasFlag, GasReading, Quality, Unit
from gatehouse_edge.rules.supervision import finite

_ZERO_DRIFT: Final = 0.05
"""A sensor may read this part of full scale below zero before that is called implausible."""
_SHORTEST_S: Final = 1.0
"""Two readings closer than this are compared as if this far apart: noise is not a rate of change."""

NOT_MEASURING: Final = frozenset(
    {
        GasFlag.WARMING_UP, GasFlag.OVER_RANGE, GasFlag.DATA_FAULT, GasFlag.SENSOR_FAULT, GasFlag.ACCESS_FAULT,
        GasFlag.CALIBRATION_DUE, GasFlag.TIMEOUT, GasFlag.COMM_FAULT,
    }
)  # fmt: skip
"""With one of these the number beside it is not a concentration (domain row 23)."""


class Sample(Struct, frozen=True, kw_only=True):
    """The last number a detector gave while it was measuring, believed or not."""

    value: float
    unit: Unit
    at_s: float


def is_measuring(reading: GasReading) -> bool:
    """Return whether the detector itself claims that its value is a concentration."""
    return (
        reading.quality is Quality.GOOD
        and finite(reading.value) is not None
        and not reading.flags & NOT_MEASURING
    )


def doubt(reading: GasReading, last: Sample | None, *, unit: Unit | None, max_rate_fs_per_s: float) -> str:
    """Return why a measuring reading may not be believed, empty if it may.

    `unit` is the one this detector is known by; `last` the reading before it.
    """
    value = reading.value
    if value is None:
        return ""
    if not math.isfinite(value):
        return "value is not a number"
    if unit is not None and reading.unit is not unit:
        return f"unit {reading.unit.value}, was {unit.value}"
    full = finite(reading.full_scale)
    if full is None or full <= 0 or not is_measuring(reading):
        return ""
    if value > full:
        return f"value beyond full scale {full:g}"
    if value < -_ZERO_DRIFT * full:
        return "value below zero"
    if last is not None and last.unit is reading.unit:
        apart_s = max(_SHORTEST_S, reading.at.service_s - last.at_s)
        if abs(value - last.value) / apart_s > max_rate_fs_per_s * full:
            return "value jumps faster than gas can"
    return ""
