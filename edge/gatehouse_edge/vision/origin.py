"""From where it fell: a floor interval with its probability, the window column, where it landed, how fast it was. Pure.

The operator has drawn the façade and some floor lines on a still. A point of the picture thus has a height, in floors, if it lies
on the wall; what falls is some way in front of it and therefore seems higher; it was let go before it was first seen, and some
things are thrown upwards. None of that is known, so a few hundred guesses are made and the interval holds most of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from gatehouse_edge.vision.facade import Calibration, Origin, column_of, floor_of

if TYPE_CHECKING:
    from gatehouse_edge.vision.tracks import Point

G_M_S2: Final = 9.81
COVERAGE: Final = 0.92
"""Probability the interval is made to hold."""
_GUESSES: Final = 400
_THROWN_UP_SHARE: Final = 0.3
_FEWEST_TO_FIT: Final = 3
_SILL: Final = 0.08
"""A thing that lies on a line by so little below it was on the floor above."""


def floors_at(calibration: Calibration, x: float, y: float, *, seed: int = 0) -> tuple[int, int]:
    """Return the floors a thing may be let go from that is first seen here at rest: how sure one point of the wall is."""
    near = _nearness(calibration, np.random.default_rng(seed))
    base = min(line.floor for line in calibration.floors)
    real = base + (floor_of(calibration, x, y) - base) * (1 - near)
    low, high, _ = _interval(np.floor(real + _SILL).astype(int))
    return low, high


def _nearness(calibration: Calibration, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Guess how far in front of the wall a thing falls, as a share of the way to the camera."""
    if calibration.distance_m is not None:
        return rng.uniform(0.15, 1.6, _GUESSES) / calibration.distance_m
    return rng.uniform(0.005, 0.06, _GUESSES)


def origin(points: Sequence[Point], calibration: Calibration, *, seed: int = 0) -> Origin:
    """Return where a fall came from, from the points of its path (at least 3)."""
    rng = np.random.default_rng(seed)
    t = np.array([p.at_s for p in points])
    t = t - t[0]
    heights = np.array([floor_of(calibration, p.spot.x, p.spot.y) for p in points])
    floor_m = np.clip(rng.normal(calibration.floor_m, 0.08, _GUESSES), 2.2, 6.0)
    near = _nearness(calibration, rng)
    base = min(line.floor for line in calibration.floors)
    # A thing that is `near` of the way in front of the wall is seen against a point of the wall that is higher by that share.
    real = base + (heights[None, :] - base) * (1 - near[:, None])
    early = _early(t)
    speed, at_first = _start(t[early], real[:, early])
    noise = rng.normal(0, _speed_error(t[early], heights[early]), _GUESSES)
    down_m_s = np.maximum(0.0, (speed + noise) * floor_m)
    up_m = np.where(rng.random(_GUESSES) < _THROWN_UP_SHARE, rng.uniform(0.0, 0.35, _GUESSES), 0.0)
    dropped_m = np.minimum(down_m_s**2 / (2 * G_M_S2), 40.0) - up_m
    released = at_first + dropped_m / floor_m
    # The sill or the rail it left is at any height of its floor: what counts is which floor that is.
    low, high, probability = _interval(np.floor(released + _SILL).astype(int))
    last = points[-1]
    total_s = float(t[-1] + np.median(down_m_s) / G_M_S2)
    late = slice(-min(4, len(t)), None)
    end_speed = (
        abs(float(np.polyfit(t[late], heights[late], 1)[0]))
        * calibration.floor_m
        * (1 - float(np.median(near)))
    )
    return Origin(
        floor_low=low,
        floor_high=high,
        probability=probability,
        column=column_of(calibration, points[0].spot.x, points[0].spot.y),
        landing_px=(round(last.spot.x, 1), round(last.spot.y, 1)),
        fall_s=round(total_s, 2),
        speed_m_s=round(min(end_speed, 60.0), 1),
    )


def _early(t: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """The first points: a third of a second, at least four."""
    chosen = t <= 0.35  # noqa: PLR2004  # a third of a second: gravity has not yet changed the speed by more than a floor a second
    chosen[: min(4, len(t))] = True
    return chosen


def _start(
    t: npt.NDArray[np.float64], heights: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (downward speed in floors a second at the first point, height there) for each guess: gravity's curve is known."""
    gravity = (
        G_M_S2 / 2.9 / 2
    )  # floors/s² halved; the error of the floor height is far below that of the speed
    straight = heights + gravity * t[None, :] ** 2
    if float(np.ptp(t)) <= 0:
        return np.zeros(len(heights)), heights[:, 0]
    centre = t - t.mean()
    slope = (straight * centre[None, :]).sum(1) / (centre**2).sum()
    return -slope, straight.mean(1) - slope * t.mean()


def _speed_error(t: npt.NDArray[np.float64], heights: npt.NDArray[np.float64]) -> float:
    if len(t) < _FEWEST_TO_FIT:
        return 2.0
    fit = np.polyfit(t, heights, min(2, len(t) - 2))
    spread = float(np.std(heights - np.polyval(fit, t))) + 0.05
    return min(4.0, spread / max(1e-3, math.sqrt(float(((t - t.mean()) ** 2).sum()))))


def _interval(floors: npt.NDArray[np.int_]) -> tuple[int, int, float]:
    """Return the shortest run of floors that holds `COVERAGE` of the guesses."""
    values, counts = np.unique(floors, return_counts=True)
    best = (int(values[0]), int(values[-1]), 1.0)
    for i in range(len(values)):
        total = 0
        for j in range(i, len(values)):
            total += int(counts[j])
            if total >= COVERAGE * len(floors):
                if values[j] - values[i] < best[1] - best[0]:
                    best = (int(values[i]), int(values[j]), total / len(floors))
                break
    return best
