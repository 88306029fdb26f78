"""Which judged paths are events: the threshold, the shield map, hypotheses of one fall, images in glass. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gatehouse_edge.vision.branches import LATELY_S, SHARED
from gatehouse_edge.vision.doubts import doubts
from gatehouse_edge.vision.features import falling_part
from gatehouse_edge.vision.shield import Shield, lowered
from gatehouse_edge.vision.tracks import Looked, Path, Point

THRESHOLD: Final = 0.5
"""Calibrated probability from which a path is an event."""
_REJECTED: Final = 0.2
"""A path with a lower probability makes the place where it began less trusted."""
_SETTLE_S: Final = 0.25
"""An event waits this long for a better hypothesis of the same fall."""
_REMEMBERED_S: Final = 5.0
"""So long after its end a told throw keeps its other hypotheses silent: they may end later than it did."""
_GOES_ON_S: Final = 0.8
_GOES_ON_PX: Final = 40.0
"""A path that begins so soon and so near below where another ended is the rest of it."""
_JOINS_S: Final = 0.3
_JOINS_PX: Final = 20.0
"""A path that begins in mid-air so near to one that has been falling for so long follows the same thing."""
_TOWARDS_CHORD: Final = 0.375
"""Each neighbour counts three tenths of what the point itself does; tried from one tenth to as much, on the boxes of 300 validation scenes (decision 54)."""
_AGREEING: Final = 2
"""Points on either side whose sizes are asked."""
_MIRROR_ASIDE_PX: Final = 60.0
_MIRROR_DRIFT_PX: Final = 12.0
"""A mirror image keeps its distance and its height to within so much, for so large a share"""
_MIRROR_SHARE: Final = 0.6
"""of their common frames: the path of an image may begin or end on the fall itself."""
_MIRROR_COMMON: Final = 0.5
"""So much of the shorter one must have been seen together."""
_IMAGE_S: Final = 1.5
"""So long after its end a throw waits at most for what may be the fall it is an image of: within two seconds of a landing it is to be told."""
_SCRAP_SHARE: Final = 0.5
"""Less of a fall than that does not stand for all of it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Throw:
    """One event."""

    probability: float
    """Calibrated; lowered where rejected paths keep beginning."""
    likely: tuple[float, ...]
    """Probability of each of `classifier.MOVERS`, as the classifier says."""
    points: tuple[Point, ...]
    """The falling part of the path."""
    rise: tuple[Point, ...] = ()
    """What led smoothly up to it: a thing thrown upwards rises first."""
    looked: tuple[Looked, ...] = ()
    """Every frame looked at between its first and last point; the others are repeats of the one before."""

    @property
    def first(self) -> Point:
        """Where it was first seen."""
        return self.rise[0] if self.rise else self.points[0]

    @property
    def last(self) -> Point:
        """Where it was last seen."""
        return self.points[-1]

    def boxes(self) -> dict[int, tuple[float, float, float, float]]:
        """Return x, y, width, height for every frame from first to last; between points along the path.

        A point's own place and size are what one frame has shown, off by a pixel or two: its neighbours have a say in both. A
        repeat shows what the frame before it has shown.
        """
        points = (*self.rise, *self.points)
        times_s = {**dict(self.looked), **{p.frame: p.at_s for p in points}}
        frames = sorted(n for n in times_s if self.first.frame <= n <= self.last.frame)
        x, y, wide, high = np.array([(p.x, p.y, p.spot.width_px, p.spot.height_px) for p in points]).T
        at_s, seen_s = [times_s[n] for n in frames], [p.at_s for p in points]
        told = (_steadied(x, seen_s), _steadied(y, seen_s), _agreed(wide), _agreed(high))
        columns = [np.interp(at_s, seen_s, column) for column in told]
        boxes = {
            n: (float(x - w / 2), float(y - h / 2), float(w), float(h))
            for n, x, y, w, h in zip(frames, *columns, strict=True)
        }
        shown = boxes[frames[0]]
        return {n: (shown := boxes.get(n, shown)) for n in range(frames[0], frames[-1] + 1)}


def _steadied(places: npt.NDArray[np.float64], at_s: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return each place but the first and last drawn towards the chord between its two neighbours."""
    before, here, after = np.asarray(at_s[:-2]), np.asarray(at_s[1:-1]), np.asarray(at_s[2:])
    chord = places[:-2] + (places[2:] - places[:-2]) * (here - before) / (after - before)
    steadied = places.copy()
    steadied[1:-1] += _TOWARDS_CHORD * (chord - places[1:-1])
    return steadied


def _agreed(sizes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the median of each size and its two neighbours on either side."""
    padded = np.pad(sizes, _AGREEING, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _AGREEING + 1)
    return np.asarray(np.median(windows, axis=1))


class Judged(NamedTuple):
    """A path that a classifier has looked at."""

    points: tuple[Point, ...]
    """Its falling part."""
    likely: npt.NDArray[np.float32]
    """Probability of each of `classifier.MOVERS`."""
    rise: tuple[Point, ...] = ()
    """What led up to it."""
    looked: tuple[Looked, ...] = ()
    """Frames looked at meanwhile."""


class Verdicts:
    """Which judged paths are events: the threshold, the shield map, doubles. `hear` what has been judged; ask what is `settled` now."""

    def __init__(self, threshold: float, *, height_px: int) -> None:
        self._threshold: Final = threshold
        self._height_px = height_px
        self._shield = Shield()
        self._waiting: list[tuple[float, Throw]] = []
        self._told: list[Throw] = []

    def forget_places(self, height_px: int) -> None:
        """The picture has another size: what is known of its places is void."""
        self._height_px = height_px
        self._shield = Shield()

    def hear(self, judged: list[Judged], now_s: float) -> None:
        """Take paths with the probabilities of `classifier.MOVERS` that the classifier gives them."""
        for points, likely, rise, looked in judged:
            x, y, at_s = points[0].spot.x, points[0].spot.y, points[-1].at_s
            probability = self._shield.lowered(float(likely[0]), x, y, at_s)
            probability = lowered(probability, doubts(points, rise, height_px=self._height_px))
            if probability >= self._threshold:
                throw = Throw(
                    probability=probability,
                    likely=tuple(map(float, likely)),
                    points=points,
                    rise=rise,
                    looked=looked,
                )
                self._waiting.append((now_s, throw))
            elif likely[0] < _REJECTED:
                self._shield.reject(x, y, at_s, began_s=points[0].at_s)

    def settled(
        self, now_s: float, growing: Callable[[Point, float], list[Path]] = lambda *_: []
    ) -> list[Throw]:
        """Return what has waited long enough; a later hypothesis of what was told is not told again.

        Args:
            now_s: inf: nothing more will come.
            growing: asked with a point and a reach aside, pixels, for the paths that have since come down near it (`Tracker.growing`). Beside one of
                them a throw may be but the image in glass: it waits for the fall itself, 1.5 s at most.
        """
        if now_s != float("inf"):
            self._told = [throw for throw in self._told if now_s - throw.last.at_s < _REMEMBERED_S]
        self._waiting = [
            (since_s, throw)
            for since_s, throw in self._waiting
            if not any(_has_been_told(throw, told) for told in self._told)
        ]
        due = [
            throw for since_s, throw in self._waiting if now_s - since_s >= _SETTLE_S or now_s == float("inf")
        ]
        if not due:
            return []
        everybody = [throw for _, throw in self._waiting]
        winners = unique(everybody)
        settled = [
            throw
            for throw in winners
            if any(throw is d for d in due)
            and (now_s - throw.last.at_s > _IMAGE_S or not _is_beside(throw, growing))
        ]
        beaten = [t for t in everybody if not any(t is w for w in winners)]
        self._waiting = [(s, t) for s, t in self._waiting if not any(t is x for x in (*settled, *beaten))]
        self._told += settled
        return settled


def unique(throws: list[Throw]) -> list[Throw]:
    """Return throws without their doubles: hypotheses of one fall, and its mirror image in glass."""
    kept: list[Throw] = []
    for throw in sorted(throws, key=lambda one: -(one.probability * len(one.points) ** 0.5)):
        if not any(_is_same(throw, other) for other in kept):
            kept.append(throw)
    return kept


def _has_been_told(throw: Throw, told: Throw) -> bool:
    """Return whether `throw` says nothing new beside `told`. A scrap that keeps its distance for a moment may be the mirror image of a fall: then the fall itself is still to be told."""
    is_scrap = told.last.frame - told.first.frame < _SCRAP_SHARE * (throw.last.frame - throw.first.frame)
    return _is_same(throw, told, with_mirrored=not is_scrap)


def _is_same(a: Throw, b: Throw, *, with_mirrored: bool = True) -> bool:
    shared = {(p.frame, p.spot.x, p.spot.y) for p in a.points} & {
        (p.frame, p.spot.x, p.spot.y) for p in b.points
    }
    if len(shared) >= SHARED * min(len(a.points), len(b.points)) or a.first is b.first:
        return True  # what begins with the very same spot is one thing, wherever it was lost
    earlier, later = sorted((a, b), key=lambda one: one.first.at_s)
    if _joins(earlier, later):
        return True
    start, end = max(a.first.frame, b.first.frame), min(a.last.frame, b.last.frame)
    shorter = min(a.last.frame - a.first.frame, b.last.frame - b.first.frame)
    if end - start < _MIRROR_COMMON * shorter or shorter == 0:
        return _goes_on(earlier, later)
    if not with_mirrored:
        return False
    ours, theirs = a.boxes(), b.boxes()
    aside = np.array([ours[n][0] - theirs[n][0] for n in range(start, end + 1)])
    above = np.array([ours[n][1] - theirs[n][1] for n in range(start, end + 1)])
    return _keeps_distance(aside, above)


def _is_beside(throw: Throw, growing: Callable[[Point, float], list[Path]]) -> bool:
    return any(_may_mirror(throw, path) for path in growing(throw.last, 2 * _MIRROR_ASIDE_PX))


def _may_mirror(throw: Throw, path: Path) -> bool:
    """Return whether a throw is to a path that has been followed for longer, and still falls, what an image in glass is to its fall."""
    seen = {p.frame: p.spot for p in throw.points}
    both = [(p.spot, seen[p.frame]) for p in path.points if p.frame in seen]
    if len(path.points) <= len(seen) or len(both) < _MIRROR_COMMON * len(seen):
        return False
    aside = np.array([a.x - b.x for a, b in both])
    above = np.array([a.y - b.y for a, b in both])
    if any(a is b for a, b in both) or not _keeps_distance(aside, above):
        return False
    return falling_part(path)[-1].at_s >= path.points[-1].at_s - LATELY_S


def _keeps_distance(aside: npt.NDArray[np.float64], above: npt.NDArray[np.float64]) -> bool:
    """Return whether two things stay side by side, in most frames: paths have strays. Two things thrown together drift apart."""
    is_beside = (
        (np.abs(above) < _MIRROR_DRIFT_PX)
        & (np.abs(aside) < _MIRROR_ASIDE_PX)
        & (np.abs(aside - np.median(aside)) < _MIRROR_DRIFT_PX / 2)
    )
    return float(is_beside.mean()) > _MIRROR_SHARE


def _joins(first: Throw, second: Throw) -> bool:
    """Return whether the second begins beside the first on its way down: two paths of one thing, of which one has strayed."""
    start = second.first
    before = [point for point in first.points if point.at_s <= start.at_s]
    if not before or start.at_s > first.last.at_s or start.at_s - first.first.at_s < _JOINS_S:
        return False
    beside = before[-1].spot
    return max(abs(start.spot.x - beside.x), abs(start.spot.y - beside.y)) < _JOINS_PX


def _goes_on(first: Throw, second: Throw) -> bool:
    """Return whether the second begins where the first would have gone on, or was just then: one fall seen in two parts."""
    start = second.first
    before = [point for point in first.points if point.at_s <= start.at_s]
    if not before or start.at_s - first.last.at_s >= _GOES_ON_S or second.last.at_s <= first.last.at_s:
        return False
    end = before[-1]
    return abs(start.spot.x - end.spot.x) < _GOES_ON_PX and start.spot.y > end.spot.y - 4.0
