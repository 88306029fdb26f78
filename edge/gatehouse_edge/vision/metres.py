"""A path in metres: where an operator has drawn the floors, gravity itself tells a fall from a bird. Pure.

A thing near the wall that falls gains 9.81 m/s every second until the air holds it; a leaf never gets beyond 2 m/s, a bird does as it likes,
an insect at the lens would be as quick as a bullet. None of that can be said in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gatehouse_edge.vision.facade import Calibration, column_of, floor_of
from gatehouse_edge.vision.origin import G_M_S2, fallen_m
from gatehouse_edge.vision.tracks import Point

Floats = npt.NDArray[np.float64]

METRE_NAMES: Final = (
    "is_known",
    "acceleration_g",
    "start_speed",
    "end_speed",
    "aside_speed",
    "misfit_m",
    "terminal_log",
    "first_speed",
    "gravity_gain",
    "size_log_m",
    "start_height",
    "front_share",
)
"""One number each; all 0 where nothing has been drawn."""
_MOST_POINTS: Final = 10
_PROBE_PX: Final = 4.0
_SPEEDS_M_S: Final = (0.0, 0.7, 1.4, 2.2, 3.0, 4.0, 5.0, 6.2, 7.6, 9.2, 11.0, 13.0, 16.0, 19.0, 23.0)
_TERMINALS_M_S: Final = (2.5, 3.5, 5.0, 7.0, 10.0, 14.0, 20.0, 30.0, 50.0)
"""From a plastic bag to a flower pot."""
_NEARER: Final = (1.0, 0.88)
"""What falls before the wall seems larger and quicker than it is there."""
_TRIED: Final = np.array(
    [(v, vt) for v in _SPEEDS_M_S for vt in _TERMINALS_M_S if v < 0.98 * vt]  # never quite the terminal speed
)


def metres(points: Sequence[Point], calibration: Calibration | None) -> npt.NDArray[np.float32]:
    """Return the numbers of `METRE_NAMES` of a path, which must have three points; zeros without a calibration."""
    told = np.zeros(len(METRE_NAMES), np.float32)
    if calibration is None:
        return told
    kept = np.unique(np.linspace(0, len(points) - 1, min(len(points), _MOST_POINTS)).round().astype(int))
    some = [points[k] for k in kept]
    t = np.array([p.at_s for p in some])
    t = t - t[0]
    base = min(line.floor for line in calibration.floors)
    height_m = calibration.floor_m * np.array(
        [floor_of(calibration, p.spot.x, p.spot.y) - base for p in some]
    )
    span = max(float(t[-1]), 1e-3)
    curve = np.polyfit(t, height_m, 2)
    speeds = -np.diff(height_m) / np.maximum(np.diff(t), 1e-3)
    third = max(1, len(speeds) // 3)
    misfit_m, speed, terminal = _fitted(t, height_m)
    straight_m = float(np.sqrt(np.mean((np.polyval(np.polyfit(t, height_m, 1), t) - height_m) ** 2)))
    middle = some[len(some) // 2].spot
    above, below = (floor_of(calibration, middle.x, middle.y + away) for away in (-_PROBE_PX, _PROBE_PX))
    metre_px = max(1e-4, abs(above - below) * calibration.floor_m / (2 * _PROBE_PX))
    size_m = metre_px * float(
        np.median([np.sqrt(max(1.0, p.spot.width_px * p.spot.height_px)) for p in some])
    )
    inside = [column_of(calibration, p.spot.x, p.spot.y) is not None for p in some]
    told[:] = (
        1.0,
        np.clip(-2 * curve[0] / G_M_S2, -4, 4),
        np.clip(float(np.median(speeds[:third])) / 10, -5, 5),
        np.clip(float(np.median(speeds[-third:])) / 10, -5, 5),
        np.clip(abs(some[-1].spot.x - some[0].spot.x) * metre_px / span / 10, 0, 5),
        np.log1p(misfit_m / 0.1),
        np.log(terminal) / 2,
        speed / 10,
        np.clip(np.log((straight_m + 0.05) / (misfit_m + 0.05)), -2, 4),
        np.log(size_m) / 2,
        np.clip(height_m[0] / 30, -2, 5),
        float(np.mean(inside)),
    )
    return np.nan_to_num(told)


def _fitted(t: Floats, height_m: Floats) -> tuple[float, float, float]:
    """Return (misfit, speed at the first point, terminal speed) of the fall that fits a path best, metres and seconds."""
    fallen = fallen_m(t, _TRIED[:, 0], _TRIED[:, 1])
    every = np.concatenate([fallen / near for near in _NEARER])
    gaps = height_m[None, :] + every
    misfits = gaps.std(axis=1)
    best = int(misfits.argmin())
    speed, terminal = _TRIED[best % len(_TRIED)]
    return float(misfits[best]), float(speed), float(terminal)
