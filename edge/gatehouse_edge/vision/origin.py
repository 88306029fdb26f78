"""From where it fell: a floor interval with its probability, the window column, where it landed, how fast it was. Pure.

The operator has drawn the façade and some floor lines on a still. A point of the picture thus has a height, in floors, if it lies
on the wall; what falls is some way in front of it and therefore seems higher; it was let go before it was first seen, drag is unknown,
and some things are thrown upwards. So a few thousand guesses are made, each weighs as much as it fits the path, and the interval holds most of the weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from gatehouse_edge.vision.tracks import Point

G_M_S2: Final = 9.81
COVERAGE: Final = 0.92
"""Probability the interval is made to hold."""
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
_MAX_FLOOR: Final = 120
_SHRINK: Final = 1.12
"""Floors look smaller the higher they are: beyond the last line each is taken to be a little smaller than the one before."""
_THROWN_UP_SHARE: Final = 0.3
_Pixel = tuple[float, float]
_Polygon = Annotated[tuple[_Pixel, ...], Meta(min_length=3, max_length=32)]


class CalibrationError(ValueError):
    """What was drawn cannot be a façade."""


class FloorLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lower edge of one floor, as drawn."""

    floor: Annotated[int, Meta(ge=-3, le=_MAX_FLOOR)]
    left: _Pixel
    right: _Pixel


class Calibration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator has drawn on a still of one camera."""

    width_px: Annotated[int, Meta(ge=64, le=8192)]
    height_px: Annotated[int, Meta(ge=64, le=8192)]
    facade: tuple[_Pixel, _Pixel, _Pixel, _Pixel]
    """Corners of the front: top left, top right, bottom right, bottom left."""
    floors: Annotated[tuple[FloorLine, ...], Meta(min_length=2, max_length=_MAX_FLOOR)]
    columns: Annotated[int, Meta(ge=1, le=200)] = 1
    """Window columns across the front."""
    floor_m: Annotated[float, Meta(ge=2.2, le=6.0)] = 2.9
    distance_m: Annotated[float, Meta(ge=2.0, le=500.0)] | None = None
    """From the camera to the wall; None: not measured."""
    detect: Annotated[tuple[_Polygon, ...], Meta(max_length=16)] = ()
    """Where a throw may be; empty: everywhere."""
    shield: Annotated[tuple[_Polygon, ...], Meta(max_length=16)] = ()
    """Where nothing may be seen or kept (windows of others below the limit)."""


class Origin(Struct, frozen=True, kw_only=True):
    """What is told of a throw's beginning and end."""

    floor_low: int
    floor_high: int
    probability: float
    """That the true floor is one of them."""
    column: int | None
    """Window column from the left, 1 the first; None: outside the front."""
    landing_px: _Pixel
    fall_s: float
    """From release to where it was last seen, estimated."""
    speed_m_s: float
    """When last seen, estimated."""


def checked(calibration: Calibration) -> Calibration:
    """Return `calibration` if it can be a façade.

    Raises:
        CalibrationError: lines cross or are out of order, or the quadrilateral is not convex; the text names which.
    """
    lines = sorted(calibration.floors, key=lambda line: line.floor)
    for line in lines:
        if line.left[0] >= line.right[0]:
            raise CalibrationError(f"floor line {line.floor}: its left end must be left of its right end")
    for lower, upper in pairwise(lines):
        if lower.floor == upper.floor:
            raise CalibrationError(f"floor {lower.floor} has two lines")
        for x in (min(lower.left[0], upper.left[0]), max(lower.right[0], upper.right[0])):
            if _height_at(upper, x) >= _height_at(lower, x):
                raise CalibrationError(
                    f"the line of floor {upper.floor} must lie above that of floor {lower.floor} over the whole front"
                )
    corners = np.array(calibration.facade)
    sides = np.roll(corners, -1, axis=0) - corners
    turns = sides[:, 0] * np.roll(sides[:, 1], -1) - sides[:, 1] * np.roll(sides[:, 0], -1)
    if not ((turns > 0).all() or (turns < 0).all()):
        raise CalibrationError(
            "the front's four corners must go around it: top left, top right, bottom right, bottom left"
        )
    return calibration


def decode(raw: bytes) -> Calibration:
    """Return a calibration as the console sends or keeps it.

    Raises:
        CalibrationError: not one, or impossible.
    """
    try:
        return checked(msgspec.json.decode(raw, type=Calibration))
    except (msgspec.DecodeError, ValueError) as error:
        raise CalibrationError(str(error)) from error


def floor_of(calibration: Calibration, x: float, y: float) -> float:
    """Return how high a point of the wall is, in floors (3.5: the middle of floor 3); goes on beyond the drawn lines."""
    lines = sorted(calibration.floors, key=lambda line: line.floor)
    ys = [_height_at(line, x) for line in lines]
    if y >= ys[0]:
        return lines[0].floor - _beyond(ys[0], ys[1], lines[1].floor - lines[0].floor, y)
    for lower, upper, y0, y1 in zip(lines, lines[1:], ys, ys[1:], strict=False):
        if y >= y1:
            return lower.floor + (upper.floor - lower.floor) * (y0 - y) / (y0 - y1)
    step = lines[-1].floor - lines[-2].floor
    return lines[-1].floor + step * (ys[-1] - y) / (ys[-2] - ys[-1]) * _SHRINK


def origin(points: Sequence[Point], calibration: Calibration, *, seed: int = 0) -> Origin:
    """Return where a fall came from, from the points of its path (at least 3)."""
    rng = np.random.default_rng(seed)
    t = np.array([p.at_s for p in points])
    t = t - t[0]
    heights = np.array([floor_of(calibration, p.spot.x, p.spot.y) for p in points])
    floor_m = np.clip(rng.normal(calibration.floor_m, 0.08, _GUESSES), 2.2, 6.0)
    if calibration.distance_m is not None:
        near = rng.uniform(0.15, 1.6, _GUESSES) / calibration.distance_m
    else:
        near = rng.uniform(0.005, 0.06, _GUESSES)
    base = min(line.floor for line in calibration.floors)
    # A thing that is `near` of the way in front of the wall is seen against a point of the wall that is higher by that share.
    real = base + (heights[None, :] - base) * (1 - near[:, None])
    terminal = np.exp(rng.uniform(*_TERMINAL_LOG, _GUESSES))
    down_m_s = np.clip(_speed(t, heights, calibration.floor_m, rng), 0.0, 0.98 * terminal)
    kept = np.unique(np.linspace(0, len(t) - 1, min(len(t), _POINTS_WEIGHED)).round().astype(int))
    fallen = _fallen(t[kept], down_m_s, terminal) / floor_m[:, None]
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
    low, high, probability = _interval(np.floor(released + sill).astype(int), weight)
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


def column_of(calibration: Calibration, x: float, y: float) -> int | None:
    """Return the window column of a point, 1 the leftmost; None outside the front."""
    (tlx, tly), (trx, try_), (brx, bry), (blx, bly) = calibration.facade
    span_y = ((bly - tly) + (bry - try_)) / 2
    down = (y - (tly + try_) / 2) / span_y if span_y else 0.0
    left, right = tlx + (blx - tlx) * down, trx + (brx - trx) * down
    share = (x - left) / (right - left) if right > left else -1.0
    return int(share * calibration.columns) + 1 if 0 <= share < 1 else None


def contains(polygons: Sequence[Sequence[_Pixel]], x: float, y: float) -> bool:
    """Return whether a point lies inside one of the polygons (even-odd rule)."""
    return any(_inside(polygon, x, y) for polygon in polygons)


def _inside(polygon: Sequence[_Pixel], x: float, y: float) -> bool:
    is_in = False
    for (x0, y0), (x1, y1) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
            is_in = not is_in
    return is_in


def _height_at(line: FloorLine, x: float) -> float:
    (x0, y0), (x1, y1) = line.left, line.right
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def _beyond(y0: float, y1: float, floors: int, y: float) -> float:
    """Floors below the lowest line; they look larger there."""
    return floors * (y - y0) / (y0 - y1) / _SHRINK


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


def _fallen(
    t: npt.NDArray[np.float64], speed: npt.NDArray[np.float64], terminal: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return how far each guess has fallen since its first point, metres, shape (guesses, len(t)): gravity against squared drag."""
    begun = np.arctanh(speed / terminal)[:, None]
    phase = begun + G_M_S2 * t[None, :] / terminal[:, None]
    # log cosh without overflow
    grown = (phase + np.log1p(np.exp(-2 * phase))) - (begun + np.log1p(np.exp(-2 * begun)))
    metres: npt.NDArray[np.float64] = terminal[:, None] ** 2 / G_M_S2 * grown
    return metres


def _interval(floors: npt.NDArray[np.int_], weight: npt.NDArray[np.float64]) -> tuple[int, int, float]:
    """Return the shortest run of floors that holds `COVERAGE` of the guesses' weight."""
    values, where = np.unique(floors, return_inverse=True)
    shares = np.bincount(where, weights=weight) / weight.sum()
    best = (int(values[0]), int(values[-1]), 1.0)
    for i in range(len(values)):
        total = 0.0
        for j in range(i, len(values)):
            total += float(shares[j])
            if total >= COVERAGE:
                if values[j] - values[i] < best[1] - best[0]:
                    best = (int(values[i]), int(values[j]), min(1.0, total))
                break
    return best
