"""From spots in single frames to paths: several hypotheses at once, in capture time, through gaps. Pure.

A spot may begin a path anywhere. A path foretells where its thing is next (a parabola through its last points), takes
the spot that fits best, forks for the second best, and ends when nothing fits for `GAP_S`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gatehouse_edge.vision.detector import Spot

Floats = npt.NDArray[np.float64]

GAP_S: Final = 0.36
"""From the last spot to the next: rails, foliage or the codec hide a thing for 0.3 s, and then a frame has to come."""
GAP_FRAMES: Final = 2.5
"""At low frame rates a gap is at least so many frames."""
MAX_PATHS: Final = 64
"""Hypotheses alive; beyond, the worst go."""
MIN_POINTS: Final = 4
_MAX_POINTS: Final = 400
_LINE_POINTS: Final = 5
_CURVE_POINTS: Final = 11
_FEWEST_TO_BEND: Final = 5
_ENOUGH_TO_BEND: Final = 7
_BENDS_S: Final = 0.4
_LINE_S: Final = 0.25
_CURVE_S: Final = 0.7
"""Longer ago the velocity, and the acceleration, were others."""
_POINTS_OF_A_DIRECTION: Final = 2
_WORTH_A_TILE_POINTS: Final = 3
"""A path of so many points may ask for tiles where it expects its thing."""
MOST_WANTED: Final = 8
"""Places asked for at once: a third of a frame's tiles."""
_ONE_PLACE_PX: Final = 12.0
"""Half of what a tile's middle leaves around a thing of 24 px."""
_ESTABLISHED_POINTS: Final = 4
"""A spot taken by a path of so many points begins no path of its own."""
_DOUBTFUL_COST: Final = 0.5
_MISS: Final = 0.4
"""What a frame without a fitting spot takes from a path's merit."""
_LONGEST_GAP_S: Final = 0.8
_FASTEST_HEIGHTS_S: Final = 2.2
"""Picture heights a second of the fastest fall measured (1.8) and some more."""


Looked = tuple[int, float]
"""Number and capture time of a frame that was looked at; repeats are not."""


@dataclass(frozen=True, slots=True)
class Point:
    """One spot of a path, when it was seen, and how busy the picture was."""

    at_s: float
    frame: int
    spot: Spot
    others: int
    """Other spots in that frame."""
    active_share: float
    shift: tuple[float, float] = (0.0, 0.0)
    """How far the camera had swayed: `spot` is where the thing would have been in the still."""

    @property
    def x(self) -> float:
        """Its centre in the picture as it was, pixels."""
        return self.spot.x + self.shift[0]

    @property
    def y(self) -> float:
        """Likewise downwards."""
        return self.spot.y + self.shift[1]


_REST_S: Final = 0.5
_REST_HEIGHTS: Final = 0.01
"""What sinks by less of the picture in half a second lies; a plastic bag sinks by five times as much."""
_FALLEN_HEIGHTS: Final = 0.15
_FALLEN_POINTS: Final = 8
"""It must have fallen through so much of the picture before, and been seen so often; less is a swaying twig, whose whole path is judged."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Path:
    """A finished path."""

    points: tuple[Point, ...]
    looked: tuple[Looked, ...]
    """Every frame looked at from its first to its last point."""
    merit: float


@dataclass(slots=True, eq=False)
class _Growing:
    points: list[Point]
    merit: float
    looked: list[Looked] = field(default_factory=list)
    foretold: tuple[float, int, tuple[float, float, float]] | None = None
    """What was asked last: when, from how many points, and the answer; tiles and spots of a frame ask the same."""
    is_echo: bool = False
    """It has left out a spot which another hypothesis took, and has found none since: unless it has fallen it ends without a word."""

    def so_far(self) -> Path:
        """Return it as if it had ended."""
        last_s = self.points[-1].at_s
        return Path(
            points=tuple(self.points),
            looked=tuple(one for one in self.looked if one[1] <= last_s),
            merit=self.merit,
        )

    def end(self) -> tuple[float, float, float]:
        """Return when and where it was seen last."""
        last = self.points[-1]
        return last.at_s, last.spot.x, last.spot.y

    def has_fallen(self, height_px: int) -> bool:
        """Return whether it has come down through enough of the picture to be told of, whatever follows."""
        y = [p.spot.y for p in self.points]
        return len(y) >= _FALLEN_POINTS and y[-1] - min(y) > _FALLEN_HEIGHTS * height_px

    def worth(self) -> float:
        """Return its merit over the root of its length: what has wandered through a tree for long takes no place from a short and sure one."""
        return self.merit / math.sqrt(len(self.points) + 1)

    def rests(self, at_s: float, height_px: int) -> bool:
        """Return whether it has fallen and now lies: what has landed may stay in sight for hours, and is told at once."""
        points = self.points
        if len(points) < _FALLEN_POINTS or at_s - points[0].at_s < _REST_S:
            return False
        resting = [p.spot.y for p in points if at_s - p.at_s < _REST_S]
        before = [p.spot.y for p in points[: len(points) - len(resting)]]
        if len(resting) < MIN_POINTS or len(before) < _FALLEN_POINTS:
            return False
        lowest = max(before)
        return (
            max(resting) - lowest < _REST_HEIGHTS * height_px
            and lowest - min(before) > _FALLEN_HEIGHTS * height_px
        )

    def foretell(self, at_s: float) -> tuple[float, float, float]:
        """Return (x, y, speed in pixels a second) at `at_s`."""
        if self.foretold is None or self.foretold[:2] != (at_s, len(self.points)):
            self.foretold = at_s, len(self.points), self._foretell(at_s)
        return self.foretold[2]

    def _foretell(self, at_s: float) -> tuple[float, float, float]:
        """Return (x, y, speed in pixels a second) at `at_s`: a straight line aside, a parabola downwards, through the last points, of which each may be off."""
        points = self.points
        if len(points) == 1:
            return points[0].spot.x, points[0].spot.y, 0.0
        near = _last(points, _LINE_POINTS, _LINE_S, 3)
        middle_s, x, aside, _ = _curve([(p.at_s, p.spot.x) for p in near], bends=False)
        x += aside * (at_s - middle_s)
        bent = _last(points, _CURVE_POINTS, _CURVE_S, _FEWEST_TO_BEND)
        bends = len(bent) >= _ENOUGH_TO_BEND or (
            len(bent) >= _FEWEST_TO_BEND and bent[-1].at_s - bent[0].at_s > _BENDS_S
        )
        middle_s, y, down, gain = _curve([(p.at_s, p.spot.y) for p in (bent if bends else near)], bends=bends)
        ahead = at_s - middle_s
        return x, y + (down + gain * ahead) * ahead, math.hypot(aside, down + 2 * gain * ahead)


def _last(points: list[Point], most: int, span_s: float, fewest: int) -> list[Point]:
    """Return the last points: at most so many, of so long, but not fewer than that if there are."""
    count = min(len(points), most)
    while count > fewest and points[-1].at_s - points[-count].at_s > span_s:
        count -= 1
    return points[-count:]


def _curve(places: list[tuple[float, float]], *, bends: bool) -> tuple[float, float, float, float]:
    """Return (middle of the times, value there, slope, half the curvature) of the least-squares parabola, or line, through at least two places in time.

    Plain sums about the middle: a dozen numbers are no work for an array.
    """
    n = len(places)
    middle_s = sum(t for t, _ in places) / n
    s2 = s3 = s4 = v0 = v1 = v2 = 0.0
    for t, value in places:
        off = t - middle_s
        square = off * off
        s2 += square
        s3 += square * off
        s4 += square * square
        v0 += value
        v1 += off * value
        v2 += square * value
    half = (v2 - s2 * v0 / n - s3 * v1 / s2) / (s4 - s2 * s2 / n - s3 * s3 / s2) if bends else 0.0
    return middle_s, (v0 - half * s2) / n, (v1 - half * s3) / s2, half


def _costs(paths: list[_Growing], points: list[Point], at_s: float, height_px: int) -> Floats:
    """Return, for each path and spot, 0 (just as foretold) to 1 (at the edge of what is possible); more: not this one."""
    told = np.array([path.foretell(at_s) for path in paths])
    ends = np.array(
        [
            (p.points[-1].at_s, p.points[-1].spot.width_px * p.points[-1].spot.height_px, len(p.points))
            for p in paths
        ]
    )
    spots = np.array([(p.spot.x, p.spot.y, p.spot.width_px, p.spot.height_px) for p in points])
    wait_s = at_s - ends[:, :1]
    dx, dy = spots[None, :, 0] - told[:, 0:1], spots[None, :, 1] - told[:, 1:2]
    down, up = 4.0 + _FASTEST_HEIGHTS_S * height_px * wait_s, 4.0 + 0.1 * height_px * wait_s
    first = np.hypot(dx / (5.0 + 0.45 * height_px * wait_s), dy / np.where(dy > 0, down, up))
    size = np.maximum(spots[:, 2:].max(axis=1), 3.0)[None, :]
    reach = 3.0 + 0.6 * size + 0.45 * told[:, 2:3] * wait_s + 0.05 * height_px * wait_s
    area = np.maximum(1.0, spots[:, 2] * spots[:, 3])[None, :]
    change = np.abs(np.log(area / np.maximum(1.0, ends[:, 1:2])))
    later = np.hypot(dx, dy) / reach + 0.12 * np.maximum(0.0, change - 0.7)
    # One point foretells only a region.
    costs: Floats = np.where(ends[:, 2:3] < _POINTS_OF_A_DIRECTION, first, later)
    return costs


class Tracker:
    """One camera's paths. `add` every frame looked at, with or without spots; `end` at the end of a stream."""

    def __init__(self, height_px: int) -> None:
        self._height_px: Final = height_px
        self._paths: list[_Growing] = []
        self._gap_s = GAP_S
        self._last_s: float | None = None

    def add(
        self,
        at_s: float,
        frame: int,
        spots: list[Spot],
        *,
        active_share: float,
        shift: tuple[float, float] = (0.0, 0.0),
    ) -> list[Path]:
        """Take the spots of one frame and return the paths that have ended."""
        if self._last_s is not None:
            # Half of the old value, half of what the newest interval asks for: one late frame changes little.
            asked_s = 0.5 * self._gap_s + 0.5 * GAP_FRAMES * max(0.0, at_s - self._last_s)
            self._gap_s = min(_LONGEST_GAP_S, max(GAP_S, asked_s))
        self._last_s = at_s
        finished = self._left_behind(at_s)
        points = [Point(at_s, frame, spot, len(spots) - 1, active_share, shift) for spot in spots]
        forks, used = self._extend(points, (frame, at_s))
        landed = [p for p in self._paths if p.rests(at_s, self._height_px)]
        finished += landed
        self._paths = [p for p in self._paths if p not in landed]
        for index, point in enumerate(points):
            if index not in used or used[index] < _ESTABLISHED_POINTS:
                forks.append(_Growing([point], _merit(point.spot, 0.0), [(frame, at_s)]))
        self._paths = _thinned([*self._paths, *forks])
        return _told(finished, self._height_px)

    def wait(self, at_s: float) -> list[Path]:
        """Let time pass without a frame to look at (a repeat, a scene that stands still) and return the paths that have ended."""
        return _told(self._left_behind(at_s), self._height_px)

    def _left_behind(self, at_s: float) -> list[_Growing]:
        left = [p for p in self._paths if at_s - p.points[-1].at_s > self._gap_s]
        self._paths = [p for p in self._paths if at_s - p.points[-1].at_s <= self._gap_s]
        return left

    def wanted(self, at_s: float) -> npt.NDArray[np.float64]:
        """Return where the paths that are worth it expect their things at `at_s`, shape (n, 2); one place for those that expect it side by side."""
        worth = sorted(
            (p for p in self._paths if len(p.points) >= _WORTH_A_TILE_POINTS),
            key=_Growing.worth,
            reverse=True,
        )
        places: list[tuple[float, float]] = []
        for path in worth:
            x, y, _ = path.foretell(at_s)
            if all(abs(x - u) > _ONE_PLACE_PX or abs(y - v) > _ONE_PLACE_PX for u, v in places):
                places.append((x, y))
            if len(places) >= MOST_WANTED:
                break
        return np.array(places, float).reshape(-1, 2)

    def branch_of(self, path: Path, parting: Point) -> Path | None:
        """Return the longest growing path that was one with an ended one up to `parting` and has been seen later; None if there is none.

        Branches part once and for all: what they share is how they begin.
        """
        place = next((n for n, point in enumerate(path.points) if point is parting), None)
        if place is None:
            return None
        others = (
            one
            for one in self._paths
            if len(one.points) > place
            and one.points[place] is parting
            and one.points[-1].at_s > path.points[-1].at_s
        )
        longest = max(others, key=lambda one: len(one.points), default=None)
        return None if longest is None else longest.so_far()

    def growing(self, near: Point, reach_px: float) -> list[Path]:
        """Return the growing paths that have come, to within `reach_px` aside, where something that was last seen at `near` may have fallen to."""
        return [
            one.so_far()
            for one in self._paths
            if abs(one.points[-1].spot.x - near.spot.x) < reach_px
            and one.points[-1].spot.y > near.spot.y
            and one.points[-1].at_s > near.at_s
        ]

    def end(self) -> list[Path]:
        """Return what is still growing; the stream has ended."""
        finished, self._paths = self._paths, []
        return _told(finished, self._height_px)

    def _extend(self, points: list[Point], now: Looked) -> tuple[list[_Growing], dict[int, int]]:
        forks: list[_Growing] = []
        used: dict[int, int] = {}
        if not self._paths:
            return forks, used
        costs = (
            _costs(self._paths, points, now[1], self._height_px)
            if points
            else np.empty((len(self._paths), 0))
        )
        for path, row in zip(self._paths, costs, strict=True):
            order = np.argsort(row)[:2]
            fits = [(float(row[i]), int(i)) for i in order if row[i] < 1.0]
            path.looked.append(now)
            if len(fits) == 2 and len(path.points) >= 2:  # noqa: PLR2004  # a second best, and a direction to judge it by
                cost, index = fits[1]
                fork = _Growing(
                    [*path.points, points[index]],
                    path.merit + _merit(points[index].spot, cost),
                    list(path.looked),
                )
                forks.append(fork)
            if fits and len(path.points) < _MAX_POINTS:
                cost, index = fits[0]
                if cost > _DOUBTFUL_COST and len(path.points) >= _ESTABLISHED_POINTS:
                    # What fits badly may be something else: the path goes on without it as well.
                    forks.append(
                        _Growing(
                            list(path.points),
                            path.merit - _MISS,
                            list(path.looked),
                            is_echo=True,
                        )
                    )
                path.points.append(points[index])
                path.is_echo = False
                path.merit += _merit(points[index].spot, cost)
                used[index] = max(used.get(index, 0), len(path.points))
            else:
                path.merit -= _MISS
        return forks, used


def _merit(spot: Spot, cost: float) -> float:
    p = min(0.98, max(0.03, spot.score))
    return math.log(p / (1 - p)) + 2.2 - 2.0 * cost


def _thinned(paths: list[_Growing]) -> list[_Growing]:
    """Return the best paths, one for each last spot.

    Of hypotheses with the same beginning the best one takes the spot and the others go. A path of another beginning leaves the spot to the better one and
    goes on without it: a fall that crosses a bird, or lands beside a twig, is not forgotten for it.
    """
    best: dict[tuple[float, float, float], _Growing] = {}
    for path in sorted(paths, key=_Growing.worth, reverse=True):
        if len(best) >= MAX_PATHS:
            break
        holder = best.setdefault(path.end(), path)
        if holder is path:
            continue
        if holder.points[0] is not path.points[0] and len(path.points) > _ESTABLISHED_POINTS:
            path.merit *= (len(path.points) - 1) / len(path.points)
            path.points.pop()
            holder = best.setdefault(path.end(), path)
        # What an echo stands in for is not told by anybody else once the path itself is gone.
        holder.is_echo = holder.is_echo and path.is_echo
    return list(best.values())


def _told(paths: list[_Growing], height_px: int) -> list[Path]:
    """Return the finished paths that are long enough, and no echo of another, unless it has fallen: what the other went on with may be a bird."""
    return [
        path.so_far()
        for path in paths
        if len(path.points) >= MIN_POINTS and (not path.is_echo or path.has_fallen(height_px))
    ]
