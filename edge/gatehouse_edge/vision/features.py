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
)
"""One number each, in this order."""


def falling_part(path: Path) -> tuple[Point, ...]:
    """Return the part of a path that goes down: from its highest point to the lowest one after it."""
    y = np.array([p.spot.y for p in path.points])
    # Best pair start < end of y[end] - y[start]: a curtain's flutter before the fall is not part of the fall.
    lowest_so_far = np.minimum.accumulate(y)
    end = int(np.argmax(y - lowest_so_far))
    start = int(np.argmin(y[: end + 1]))
    return path.points[start : end + 1]


def features(path: Path, *, height_px: int) -> npt.NDArray[np.float32] | None:
    """Return the numbers of `NAMES`, shape (len(NAMES),); None when the falling part has fewer than four points."""
    points = falling_part(path)
    if len(points) < 4:  # noqa: PLR2004  # a parabola needs three, and one to contradict it
        return None
    t = np.array([p.at_s for p in points])
    t = t - t[0]
    x, y = np.array([p.spot.x for p in points]), np.array([p.spot.y for p in points])
    w, h = np.array([p.spot.width_px for p in points]), np.array([p.spot.height_px for p in points])
    score = np.array([p.spot.score for p in points])
    size = np.sqrt(np.maximum(w * h, 1.0))
    typical = float(np.median(size))
    span = max(float(t[-1]), 1e-3)
    looked = sum(points[0].at_s <= at_s <= points[-1].at_s for at_s in path.frames_s)
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
    )
    return np.nan_to_num(np.clip(np.array(values, np.float32), -10, 10))
