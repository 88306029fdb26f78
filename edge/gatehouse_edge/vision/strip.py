"""A path as its judge reads it: numbers of the whole, sixteen steps along it, and the small picture of each step. Pure."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gatehouse_edge.vision.detector import PATCH_PX
from gatehouse_edge.vision.facade import Calibration
from gatehouse_edge.vision.features import LEAST_POINTS, NAMES, features, rise_and_fall
from gatehouse_edge.vision.metres import METRE_NAMES, metres
from gatehouse_edge.vision.tracks import Looked, Path, Point

STEPS: Final = 16
"""Steps of a strip; a longer path is thinned evenly, a shorter one leaves the rest empty."""
_LEAST_HEIGHTS: Final = 0.02
"""What sinks by less of the picture's height is not worth a look: three in ten of all paths, and one in a hundred of the bits of falls."""
NUMBER_NAMES: Final = (*NAMES, *METRE_NAMES)
STEP_NAMES: Final = (
    "is_there",
    "since_s",
    "wait_s",
    "down_heights",
    "aside_heights",
    "down_speed_heights",
    "aside_speed_heights",
    "down_speed_sizes",
    "aside_speed_sizes",
    "misfit_down_sizes",
    "misfit_aside_sizes",
    "width_log",
    "height_log",
    "size_log",
    "score_logit",
    "contrast",
    "active_log",
    "others",
    "place_heights",
)
"""One number each for every step; all 0 where there is none."""


Part = tuple[float, float, float, float, float]
"""Which falling part a strip shows: hypotheses of what lies still after a fall differ in what follows it only."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Strip:
    """What a judge is shown of one path."""

    part: Part
    points: tuple[Point, ...]
    """The falling part."""
    rise: tuple[Point, ...]
    """What led smoothly up to it; no judge reads it."""
    looked: tuple[Looked, ...]
    """Every frame looked at from the first point of the rise to the last of the fall."""
    numbers: npt.NDArray[np.float32]
    """Numbers of the whole, shape (len(NUMBER_NAMES),)."""
    steps: npt.NDArray[np.float32]
    """Shape (STEPS, len(STEP_NAMES))."""
    patches: npt.NDArray[np.uint8]
    """Shape (STEPS, 4, PATCH_PX, PATCH_PX); black where the spots were not `pictured`."""


def strip_of(
    path: Path,
    *,
    height_px: int,
    calibration: Calibration | None = None,
    known: Container[Part] = (),
) -> Strip | None:
    """Return the strip of a path; None when its falling part has fewer than `LEAST_POINTS`, hardly falls, or is among the `known`."""
    rise, points = rise_and_fall(path)
    count = len(points)
    if count < LEAST_POINTS or points[-1].spot.y - points[0].spot.y < _LEAST_HEIGHTS * height_px:
        return None
    part = (points[0].frame, points[0].spot.x, points[-1].frame, points[-1].spot.x, float(count))
    if part in known:
        return None
    kept = np.unique(np.linspace(0, count - 1, min(count, STEPS)).round().astype(int))
    patches = np.zeros((STEPS, 4, PATCH_PX, PATCH_PX), np.uint8)
    for place, k in enumerate(kept):
        patches[place] = points[k].spot.patch
    return Strip(
        part=part,
        points=points,
        rise=rise,
        looked=tuple(one for one in path.looked if (*rise, *points)[0].frame <= one[0] <= points[-1].frame),
        numbers=np.concatenate([features(path, points, height_px=height_px), metres(points, calibration)]),
        steps=_steps(points, kept, height_px),
        patches=patches,
    )


def _steps(points: Sequence[Point], kept: npt.NDArray[np.int_], height_px: int) -> npt.NDArray[np.float32]:
    table = np.array(
        [
            (p.at_s, p.spot.x, p.spot.y, p.spot.width_px, p.spot.height_px, p.spot.score, p.spot.contrast, p.active_share, p.others)
            for p in points
        ]
    )  # fmt: skip
    t, x, y = table[:, 0] - table[0, 0], table[:, 1], table[:, 2]
    size = np.sqrt(np.maximum(1.0, table[:, 3] * table[:, 4]))
    typical = float(np.median(size))
    off_y, off_x = (np.polyval(np.polyfit(t, axis, 2), t) - axis for axis in (y, x))
    t, x, y, size, off_y, off_x = (column[kept] for column in (t, x, y, size, off_y, off_x))
    _, _, _, w, h, score, contrast, active, others = table[kept].T
    wait = np.diff(t, prepend=t[0])
    pace = np.maximum(wait, 1e-3)
    down, aside = np.diff(y, prepend=y[0]) / pace, np.diff(x, prepend=x[0]) / pace
    sure = np.clip(score, 0.02, 0.98)
    columns = (
        np.ones(len(kept)),
        t,
        wait * 5,
        (y - y[0]) / height_px * 2,
        (x - x[0]) / height_px * 2,
        np.clip(down / height_px, -3, 3),
        np.clip(aside / height_px, -3, 3),
        _log(down / typical) / 2,
        _log(aside / typical) / 2,
        np.clip(off_y / typical, -4, 4),
        np.clip(off_x / typical, -4, 4),
        np.log(np.maximum(w, 1) / typical),
        np.log(np.maximum(h, 1) / typical),
        np.log(size) / 2,
        np.log(sure / (1 - sure)) / 2,
        contrast / 64,
        np.log1p(200 * active) / 2,
        others / 12,
        y / height_px,
    )
    steps = np.zeros((STEPS, len(STEP_NAMES)), np.float32)
    steps[: len(kept)] = np.stack(columns, axis=1)
    return np.nan_to_num(steps)


def _log(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the logarithm of a size with the sign of the value."""
    logs: npt.NDArray[np.float64] = np.sign(values) * np.log1p(np.abs(values))
    return logs
