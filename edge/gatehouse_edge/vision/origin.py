"""From where it fell: a floor interval with its probability, the window column, where it landed, how fast it was. Pure.

The operator has drawn the façade and some floor lines on a still. A point of the picture thus has a height, in floors, if it lies
on the wall; what falls is some way in front of it and therefore seems higher; it was let go before it was first seen, drag is unknown,
and some things are thrown upwards. So a few thousand guesses are made, each weighs as much as it fits the path, and the interval holds most of the weight.
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
_OFF_SHARE: Final = 0.05
"""So often the floor is the one above what the guesses say, and so often the one below: a fall seen a spot too late, a line drawn by hand. On rendered
validation scenes intervals held 0.910 of the floors and promised 0.987; with this they hold 0.943 and promise 0.95."""
_GUESSES: Final = 3000
_POINTS_WEIGHED: Final = 12
"""Neighbouring points err alike: more of them would only feign certainty."""
_TERMINAL_LOG: Final = (math.log(3.0), math.log(60.0))
"""Terminal speeds, m/s: a bag to a flower pot."""
_EARLY_S: Final = 0.35
_SPEED_ERROR_M_S: Final = 1.0
_LEAST_MISFIT: Final = 0.06**2
"""Floors, squared: what lines drawn by hand and spots a pixel off amount to."""
_DEEPEST_M: Final = 60.0
_SILL: Final = (-0.3, 0.05)
"""Floors. What is let go leaves from above a sill or a rail, and the first points of a path lie a little high: measured on rendered validation scenes."""
_THROWN_UP_SHARE: Final = 0.3


def floors_at(calibration: Calibration, x: float, y: float, *, seed: int = 0) -> tuple[int, int]:
    """Return the floors a thing may be let go from that is first seen here at rest: how sure one point of the wall is."""
    near = _nearness(calibration, np.random.default_rng(seed))
    base = min(line.floor for line in calibration.floors)
    real = base + (floor_of(calibration, x, y) - base) * (1 - near)
    low, high, _ = _interval(np.floor(real + sum(_SILL) / 2).astype(int), np.ones(_GUESSES), lowest=base)
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
    terminal = np.exp(rng.uniform(*_TERMINAL_LOG, _GUESSES))
    down_m_s = np.clip(_speed(t, heights, calibration.floor_m, rng), 0.0, 0.98 * terminal)
    kept = np.unique(np.linspace(0, len(t) - 1, min(len(t), _POINTS_WEIGHED)).round().astype(int))
    fallen = fallen_m(t[kept], down_m_s, terminal) / floor_m[:, None]
    at_first = (real[:, kept] + fallen).mean(1)
    misfit = ((real[:, kept] + fallen - at_first[:, None]) ** 2).mean(1)
    noise = max(_LEAST_MISFIT, float(misfit.min()))
    weight = np.exp(-0.5 * len(kept) * (misfit - misfit.min()) / noise)
    # A release at rest is taken for granted, but for those that are thrown upwards.
    up_m = np.where(rng.random(_GUESSES) < _THROWN_UP_SHARE, rng.uniform(0.0, 0.35, _GUESSES), 0.0)
    before_m = -(terminal**2) / (2 * G_M_S2) * np.log(1 - (down_m_s / terminal) ** 2)
    released = at_first + (np.minimum(before_m, _DEEPEST_M) - up_m) / floor_m
    # The sill or the rail it left is at any height of its floor: what counts is which floor that is.
    sill = rng.uniform(*_SILL, _GUESSES)
    low, high, probability = _interval(np.floor(released + sill).astype(int), weight, lowest=base)
    last = points[-1]
    best = int(weight.argmax())
    before_s = terminal[best] / G_M_S2 * math.atanh(down_m_s[best] / terminal[best])
    total_s = float(t[-1] + before_s)
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


def _speed(
    t: npt.NDArray[np.float64], heights: npt.NDArray[np.float64], floor_m: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Return guesses of the downward speed at the first point, m/s: around what the first third of a second says, and widely."""
    early = t <= _EARLY_S
    early[: min(4, len(t))] = True
    some_t, some = t[early], heights[early]
    if float(np.ptp(some_t)) <= 0:
        return np.abs(rng.normal(0, 4.0, _GUESSES))
    # Gravity's curve is known: without it the slope is that of the first instant.
    slope = np.polyfit(some_t, some + G_M_S2 / floor_m / 2 * some_t**2, 1)[0]
    around = np.abs(-slope * floor_m + rng.normal(0, _SPEED_ERROR_M_S, _GUESSES))
    return np.where(rng.random(_GUESSES) < 0.8, around, rng.uniform(0, 25.0, _GUESSES))  # noqa: PLR2004


def fallen_m(
    t: npt.NDArray[np.float64], speed: npt.NDArray[np.float64], terminal: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return how far each guess has fallen since its first point, metres, shape (guesses, len(t)): gravity against squared drag."""
    begun = np.arctanh(speed / terminal)[:, None]
    phase = begun + G_M_S2 * t[None, :] / terminal[:, None]
    # log cosh without overflow
    grown = (phase + np.log1p(np.exp(-2 * phase))) - (begun + np.log1p(np.exp(-2 * begun)))
    metres: npt.NDArray[np.float64] = terminal[:, None] ** 2 / G_M_S2 * grown
    return metres


def _interval(
    floors: npt.NDArray[np.int_], weight: npt.NDArray[np.float64], *, lowest: int
) -> tuple[int, int, float]:
    """Return the shortest run of floors that holds `COVERAGE` of the guesses' weight, of several the likeliest, and what it holds.

    Nothing is shifted to a floor below `lowest`, the lowest that is drawn: there is none that anybody knows of.
    """
    first = int(floors.min())
    values = np.arange(first - 1 if first > lowest else first, int(floors.max()) + 2)
    shares = np.bincount(floors - values[0], weights=weight, minlength=len(values)) / weight.sum()
    off = _OFF_SHARE * shares
    shares -= 2 * off
    shares[1:] += off[:-1]
    shares[:-1] += off[1:]
    shares[0] += off[0]
    sums = np.concatenate([[0.0], np.cumsum(shares)])
    for width in range(1, len(values)):
        held = sums[width:] - sums[:-width]
        best = int(held.argmax())
        if held[best] >= COVERAGE:
            return int(values[best]), int(values[best + width - 1]), min(1.0, float(held[best]))
    return int(values[0]), int(values[-1]), 1.0
