"""Falls before a façade, drawn or imagined: what falls, from where and when, and its outline in the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from gatehouse_throw.scenes.bodies import Body, random_body
from gatehouse_throw.scenes.facade import Facade, Picture
from gatehouse_throw.scenes.view import Floats, View

_TRIES: Final = 40
"""For each fall that is wanted; most starts are out of the picture, or the thing too small in it."""
_NEAREST_M: Final = 0.5
_SEEN_S: Final = 0.45
_SEEN_HEIGHTS: Final = 0.12
_SIZES_PX: Final = (1.7, 42.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """One thing that falls."""

    body: Body
    from_s: float
    floor: int
    column: int
    """Window column, 0 from the left of the façade as seen."""

    def outlines(self, view: View, t_s: float, exposure_s: float) -> Floats | None:
        """Return its outline, shape (k, n, 2), pixels, at moments of an exposure that begins at `t_s`; None where it does not fall then."""
        age = t_s - self.from_s
        if not 0 <= age <= self.body.lasts_s:
            return None
        ends = view.project(
            np.stack([self.body.at(age), self.body.at(min(age + exposure_s, self.body.lasts_s))])
        )
        if ends[0, 2] < _NEAREST_M:
            return None
        size = view.focal_px * self.body.size_m / ends[0, 2]
        move = float(np.hypot(*(ends[1, :2] - ends[0, :2])))
        steps = int(np.clip(math.ceil(move / 0.7), 1, 14))
        outline = self.body.shape(age) * max(size, 1.0)
        return np.array(
            [
                outline + ends[0, :2] + (ends[1, :2] - ends[0, :2]) * k / max(1, steps - 1)
                for k in range(steps)
            ]
        )


def random_falls(
    rng: np.random.Generator, *, view: View, facade: Facade, still: Picture, seconds: float, count: int
) -> list[Fall]:
    """Return up to `count` falls that can be seen before `still` within its `seconds`: 1.7 to 42 px, through an eighth of the picture."""
    height, width = still.shape
    found: list[Fall] = []
    for _ in range(count * _TRIES):
        if len(found) == count:
            break
        floor = int(rng.integers(2, facade.floors + 1))
        column = int(rng.integers(0, facade.columns))
        x, z, w, h = facade.window_m(floor, column)
        start = [
            x + w * rng.uniform(0.1, 0.9),
            facade.distance_m - rng.uniform(0.15, 0.9),
            z + h * rng.uniform(0.0, 0.9),
        ]
        place = view.project(start)[0]
        u, v = int(np.clip(place[0], 0, width - 1)), int(np.clip(place[1], 0, height - 1))
        body = random_body(rng, start, background=float(still[v, u]))
        path = view.project(body.path_m)
        inside = (
            (path[:, 0] > 0)
            & (path[:, 0] < width)
            & (path[:, 1] > 0)
            & (path[:, 1] < height)
            & (path[:, 2] > _NEAREST_M)
        )
        sizes = view.focal_px * body.size_m / np.maximum(path[:, 2], _NEAREST_M)
        seen_s = float(inside.sum()) * 0.02
        moved = float(np.ptp(path[inside, 1])) if inside.any() else 0.0
        typical = float(np.median(sizes[inside])) if inside.any() else 0.0
        if seen_s < _SEEN_S or moved < _SEEN_HEIGHTS * height or not _SIZES_PX[0] <= typical <= _SIZES_PX[1]:
            continue
        latest = max(0.3, seconds - min(seen_s, 2.5) - 0.3)
        found.append(Fall(body=body, from_s=float(rng.uniform(0.25, latest)), floor=floor, column=column))
    return found
