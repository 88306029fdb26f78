"""What a path says about what moved along it: numbers without pixels, frames or metres where that can be. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gatehouse_edge.vision.tracks import Path, Point

NAMES: Final = (
    "points",
    "duration_s",
    "hit_share",
    "down_heights",
    "down_sizes",
    "aside_per_down",
    "monotone_share",
    "score_mean",
    "score_max",
    "score_low",
    "end_speed_sizes_s",
    "start_speed_sizes_s",
    "speed_up",
    "end_speed_heights_s",
    "acceleration_sizes_s2",
    "acceleration_heights_s2",
    "misfit_y_sizes",
    "misfit_x_sizes",
    "aside_turns_share",
    "growth",
    "size_px",
    "size_heights",
    "aspect_mean",
    "aspect_change",
    "contrast",
    "contrast_change",
    "fall_share",
    "active_share",
    "rate_fps",
    "start_height",
    "end_height",
    "speed_steadiness",
    "speed_ratio",
    "curve_gain",
    "bend_sure",
    "rise_before",
    "share_after",
    "longest_gap_s",
    "score_change",
    *(f"down_{n}" for n in range(1, 6)),
    *(f"aside_{n}" for n in range(1, 6)),
    *(f"size_{n}" for n in range(4)),
)
"""One number each, in this order. `down_`, `aside_` and `size_` are the path's shape at equal times from its first to its last point."""
LEAST_POINTS: Final = 4
"""A parabola needs three, and one to contradict it."""
_LAGS: Final = (1, 2)
_MAY_PX: Final = 2.0
_MAY_SIZES: Final = 0.4
_MAY_SHARE: Final = 0.25
_MAY_SIZES_S2: Final = 60.0
_FIFTHS: Final = np.arange(1, 6) / 6
_QUARTERS: Final = np.arange(4) / 3


def falling_part(path: Path) -> tuple[Point, ...]:
    """Return the smooth part of a path that goes down: from its highest point to the lowest one after it."""
    return rise_and_fall(path)[1]


def rise_and_fall(path: Path) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """Return the falling part of a path, and before it what led smoothly up to it: a thing thrown out of a window rises first."""
    points = _smooth(path.points)
    y = np.array([p.spot.y for p in points])
    # Best pair start < end of y[end] - y[start]: a curtain's flutter before the fall is not part of the fall.
    lowest_so_far = np.minimum.accumulate(y)
    end = int(np.argmax(y - lowest_so_far))
    start = int(np.argmin(y[: end + 1]))
    return points[:start], points[start : end + 1]


def _smooth(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Return the longest run of points on which something with mass can have moved; one or two strays between them are left out.

    A tracker goes on with a leaf when the thing has vanished behind the tree, and it begins with a flake: what it strung together
    is not one thing. From two points the third is foretold with the same velocity; it may be off by what a centre is uncertain by, by a quarter
    of the way, and by gravity (that of a thing of 16 cm that is as large as it looks).
    """
    n = len(points)
    if n <= 4:  # noqa: PLR2004  # nothing could be left out
        return points
    t = np.array([p.at_s for p in points])
    at = np.array([(p.spot.x, p.spot.y) for p in points])
    size = np.sqrt(np.maximum([p.spot.width_px * p.spot.height_px for p in points], 1.0))
    fits: dict[tuple[int, int], list[bool]] = {}
    for back in _LAGS:
        for ahead in _LAGS:
            middle = np.arange(back, n - ahead)
            before_s, after_s = t[middle] - t[middle - back], t[middle + ahead] - t[middle]
            step = (at[middle] - at[middle - back]) * (after_s / np.maximum(before_s, 1e-3))[:, None]
            off = np.hypot(*(at[middle + ahead] - at[middle] - step).T)
            may = (
                _MAY_PX
                + _MAY_SIZES * size[middle]
                + _MAY_SHARE * np.hypot(*step.T)
                + _MAY_SIZES_S2 * size[middle] * after_s * (before_s + after_s) / 2
            )
            ok: npt.NDArray[np.bool_] = np.zeros(n, bool)
            ok[middle] = off <= may
            fits[back, ahead] = ok.tolist()
    # Longest chain that ends with the step from i - lag to i; where it came from.
    length = {lag: [2] * n for lag in _LAGS}
    came = {lag: [0] * n for lag in _LAGS}
    for i in range(1, n):
        for ahead in _LAGS:
            before = i - ahead
            for back in _LAGS:
                if (
                    before - back >= 0
                    and fits[back, ahead][before]
                    and length[back][before] + 1 > length[ahead][i]
                ):
                    length[ahead][i] = length[back][before] + 1
                    came[ahead][i] = back
    ends = [(lag, at_end) for lag in _LAGS for at_end in range(lag, n)]
    lag, last = max(ends, key=lambda end: (length[end[0]][end[1]], -end[0]))
    kept = [last]
    while lag:
        last, lag = last - lag, came[lag][last]
        kept.append(last)
    return tuple(points[k] for k in reversed(kept))


def features(path: Path, points: tuple[Point, ...], *, height_px: int) -> npt.NDArray[np.float32]:
    """Return the numbers of `NAMES` of a path and its falling part, shape (len(NAMES),); it must have `LEAST_POINTS`."""
    t = np.array([p.at_s for p in points])
    t = t - t[0]
    x, y = np.array([p.spot.x for p in points]), np.array([p.spot.y for p in points])
    w, h = np.array([p.spot.width_px for p in points]), np.array([p.spot.height_px for p in points])
    score = np.array([p.spot.score for p in points])
    size = np.sqrt(np.maximum(w * h, 1.0))
    typical = float(np.median(size))
    span = max(float(t[-1]), 1e-3)
    looked = sum(points[0].at_s <= at_s <= points[-1].at_s for _, at_s in path.looked)
    step_t, step_y, step_x = np.diff(t), np.diff(y), np.diff(x)
    speed = step_y / np.maximum(step_t, 1e-3)
    third = max(1, len(speed) // 3)
    start_speed, end_speed = float(np.median(speed[:third])), float(np.median(speed[-third:]))
    curve = np.polyfit(t, y, 2)
    aside = np.polyfit(t, x, 2)
    misfit_y = float(np.sqrt(np.mean((np.polyval(curve, t) - y) ** 2)))
    straight_y = float(np.sqrt(np.mean((np.polyval(np.polyfit(t, y, 1), t) - y) ** 2)))
    misfit_x = float(np.sqrt(np.mean((np.polyval(aside, t) - x) ** 2)))
    down = float(y[-1] - y[0])
    turns = float(np.mean(np.diff(np.sign(step_x)) != 0)) if len(step_x) > 1 else 0.0
    contrast = np.array([p.spot.contrast for p in points])
    aspect = np.log(np.maximum(w, 1) / np.maximum(h, 1))
    local = np.median(size[-third:]) / max(1.0, float(np.median(size[:third])))
    values = (
        np.log(len(points)),
        span,
        len(points) / max(1, looked),
        down / height_px,
        np.log1p(max(0.0, down / typical)),
        float(abs(x[-1] - x[0])) / max(down, 1.0),
        float(np.mean(step_y > 0)),
        float(score.mean()),
        float(score.max()),
        float(np.quantile(score, 0.2)),
        np.log1p(max(0.0, end_speed / max(1.0, float(np.median(size[-third:]))))),
        np.log1p(max(0.0, start_speed / max(1.0, float(np.median(size[:third]))))),
        np.clip((end_speed - start_speed) / (abs(end_speed) + abs(start_speed) + 1e-3), -1, 1),
        end_speed / height_px,
        np.clip(2 * curve[0] / typical / 50, -4, 4),
        np.clip(2 * curve[0] / height_px, -4, 4),
        np.log1p(misfit_y / typical),
        np.log1p(misfit_x / typical),
        turns,
        np.log(max(local, 1e-3)),
        np.log(typical),
        typical / height_px * 20,
        float(aspect.mean()),
        float(aspect.std()),
        float(abs(contrast).mean()) / 64,
        float(contrast.std()) / 64,
        down / max(1.0, float(np.abs(np.diff([p.spot.y for p in path.points])).sum())),
        np.log1p(200 * np.mean([p.active_share for p in points])),
        (looked - 1) / span / 25,
        float(y[0]) / height_px,
        float(y[-1]) / height_px,
        float(np.std(speed) / (abs(np.mean(speed)) + 1e-3)),
        np.clip(np.log(max(end_speed, 1.0) / max(start_speed, 1.0)), -3, 3),
        np.clip(np.log((straight_y + 0.2) / (misfit_y + 0.2)), -1, 4),
        np.clip(curve[0] * span**2 / (misfit_y + 0.3) * np.sqrt(len(t)) / 20, -4, 4),
        np.log1p(
            max(0.0, max(p.spot.y for p in path.points if p.at_s <= points[0].at_s) - y[0]) / max(1.0, down)
        ),
        sum(p.at_s > points[-1].at_s for p in path.points) / len(path.points),
        float(step_t.max()),
        float(score[-third:].mean() - score[:third].mean()),
        *(np.interp(_FIFTHS, t / span, (y - y[0]) / max(1.0, down)) - _FIFTHS),
        *np.clip(np.interp(_FIFTHS, t / span, x - x[0] - (x[-1] - x[0]) * t / span) / max(1.0, down), -2, 2),
        *np.interp(_QUARTERS, t / span, np.log(size / typical)),
    )
    return np.nan_to_num(np.clip(np.array(values, np.float32), -10, 10))
