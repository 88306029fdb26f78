"""One camera watched: frames in, throws out. The whole chain but for input and output. Pure given its models."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path as FilePath
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gatehouse_edge.vision.detector import PATCH_PX, Detector, Spot, open_model, pictured
from gatehouse_edge.vision.facade import Calibration, fitted
from gatehouse_edge.vision.features import falling_part
from gatehouse_edge.vision.release import ModelError
from gatehouse_edge.vision.shield import Shield
from gatehouse_edge.vision.stack import FrameStack, Luma
from gatehouse_edge.vision.strip import NUMBER_NAMES, STEP_NAMES, STEPS, Part, Strip, strip_of
from gatehouse_edge.vision.tracks import Looked, Path, Point, Tracker


class Mover(StrEnum):
    """What the classifier tells apart; the first is what we look for."""

    THROW = "throw"
    BIRD = "bird"
    INSECT = "insect"
    LEAF = "leaf"
    CLOTH = "cloth"
    RAIN = "rain"
    VEHICLE = "vehicle"
    FLYING_MACHINE = "flying_machine"
    CLUTTER = "clutter"


MOVERS: Final = tuple(Mover)
_AT_ONCE: Final = 16
"""Strips in one run of the classifier: what lies between its layers is kept for each."""
THRESHOLD: Final = 0.5
"""Calibrated probability from which a path is an event."""
_REJECTED: Final = 0.2
"""A path with a lower probability makes the place where it began less trusted."""
_SETTLE_S: Final = 0.25
"""An event waits this long for a better hypothesis of the same fall."""
_REMEMBERED_S: Final = 5.0
"""So long after its end a told throw keeps its other hypotheses silent: they may end later than it did."""
_PATIENCE_S: Final = 3.0
"""An ended branch waits at most so long for one that goes on falling."""
_LATELY_S: Final = 0.2
"""What has come down to a new depth within this time goes on falling."""
_REMEMBERED_PARTS: Final = 256
"""Falling parts that are not judged a second time."""
_SAME_SHARE: Final = 0.4
"""Two hypotheses that share so much of the shorter one's points are one fall."""
_GOES_ON_S: Final = 0.8
_GOES_ON_PX: Final = 40.0
"""A path that begins so soon and so near below where another ended is the rest of it."""
_AGREEING: Final = 2
"""Points on either side whose sizes are asked."""
_MIRROR_ASIDE_PX: Final = 60.0
_MIRROR_DRIFT_PX: Final = 12.0
"""A mirror image keeps its distance and its height to within so much, for so large a share"""
_MIRROR_SHARE: Final = 0.6
"""of their common frames: the path of an image may begin or end on the fall itself."""
_SCRAP_SHARE: Final = 0.5
"""Less of a fall than that does not stand for all of it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Throw:
    """One event."""

    probability: float
    """Calibrated; lowered where rejected paths keep beginning."""
    likely: tuple[float, ...]
    """Probability of each of `MOVERS`, as the classifier says."""
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
        """Return x, y, width, height for every frame from first to last; between points along the path, of the size that its neighbours agree on.

        A repeat shows what the frame before it has shown.
        """
        points = (*self.rise, *self.points)
        times_s = {**dict(self.looked), **{p.frame: p.at_s for p in points}}
        frames = sorted(n for n in times_s if self.first.frame <= n <= self.last.frame)
        x, y, wide, high = np.array([(p.x, p.y, p.spot.width_px, p.spot.height_px) for p in points]).T
        at_s, seen_s = [times_s[n] for n in frames], [p.at_s for p in points]
        columns = [np.interp(at_s, seen_s, column) for column in (x, y, _agreed(wide), _agreed(high))]
        boxes = {
            n: (float(x - w / 2), float(y - h / 2), float(w), float(h))
            for n, x, y, w, h in zip(frames, *columns, strict=True)
        }
        shown = boxes[frames[0]]
        return {n: (shown := boxes.get(n, shown)) for n in range(frames[0], frames[-1] + 1)}


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
    """Probability of each of `MOVERS`."""
    rise: tuple[Point, ...] = ()
    """What led up to it."""
    looked: tuple[Looked, ...] = ()
    """Frames looked at meanwhile."""


_WANTED: Final = {
    "numbers": [len(NUMBER_NAMES)],
    "steps": [STEPS, len(STEP_NAMES)],
    "patches": [STEPS, 4, PATCH_PX, PATCH_PX],
}
"""Inputs of a classifier, and their shapes for one path."""


class Classifier:
    """The learned judge of paths: ONNX, strips in, probabilities of `MOVERS` out."""

    def __init__(self, path: FilePath, *, sha256: str | None = None) -> None:
        """Open the model.

        Raises:
            ModelError: missing, another hash, or of another shape.
        """
        self._session: Final = open_model(path, sha256=sha256)
        inputs = {one.name: list(one.shape[1:]) for one in self._session.get_inputs()}
        outputs = [list(one.shape[1:]) for one in self._session.get_outputs()]
        if inputs != _WANTED or outputs != [[len(MOVERS)]]:
            raise ModelError(
                f"{path.name} is not a path classifier: wants {_WANTED} in, {len(MOVERS)} probabilities out"
            )

    def judge(self, strips: Sequence[Strip]) -> npt.NDArray[np.float32]:
        """Return probabilities, shape (n, len(MOVERS)), of strips, at least one."""
        told = []
        for first in range(0, len(strips), _AT_ONCE):
            some = strips[first : first + _AT_ONCE]
            shown = {name: np.stack([getattr(strip, name) for strip in some]) for name in _WANTED}
            told.append(self._session.run(None, shown)[0])
        return np.concatenate(told)


class _Branch(NamedTuple):
    """A path that has ended and has not been judged yet."""

    since_s: float
    path: Path
    strip: Strip
    other: Path | None = None
    """What it waits for, as it was when it last fell."""


class Watch:
    """One camera. `see` every decoded frame in order; `end` when the stream ends."""

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier | None,
        *,
        height_px: int,
        threshold: float = THRESHOLD,
        calibration: Calibration | None = None,
    ) -> None:
        self.stack: Final = FrameStack()
        self.paths_seen = 0
        self._detector: Final = detector
        self._classifier: Final = classifier
        self._height_px = height_px
        self._calibration: Calibration | None = calibration
        self._drawn: Calibration | None = None
        self._drawn_for: tuple[int, ...] = ()
        self._tracker = Tracker(height_px)
        self._verdicts: Final = Verdicts(threshold)
        self._branches: list[_Branch] = []
        self._judged_parts: Final[deque[Part]] = deque(maxlen=_REMEMBERED_PARTS)
        self.keep_paths: list[Path] | None = None
        """Set to a list to collect every finished path (training, diagnosis)."""
        self.keep_spots: list[tuple[int, list[Spot]]] | None = None
        """Set to a list to collect every frame's spots."""
        self.keep_judged: list[tuple[float, list[Judged]]] | None = None
        """Set to a list to collect what the classifier has said and when: another threshold can then be tried without the pictures."""

    def draw(self, calibration: Calibration | None) -> None:
        """Take what an operator has drawn on this view, from the next frame on; None: the judge does without metres."""
        if calibration is not self._calibration:
            self._calibration, self._drawn_for = calibration, ()

    def see(self, luma: Luma, capture_s: float) -> list[Throw]:
        """Take one frame and return the throws that are settled by now.

        Another picture size in mid-stream ends every path: nothing can be followed across it.
        """
        if luma.shape[0] != self._height_px:
            self._judge(self._tracker.end(), capture_s)
            self._height_px = luma.shape[0]
            self._tracker = Tracker(self._height_px)
            self._verdicts.forget_places()
        if luma.shape != self._drawn_for:
            self._drawn_for = luma.shape
            self._drawn = (
                None if self._calibration is None else fitted(self._calibration, luma.shape[1], luma.shape[0])
            )
        look = self.stack.add(luma, capture_s, wanted=self._tracker.wanted(capture_s))
        if look is None:
            # After a landing a scene may stand still for minutes: the fall is over all the same, and is told now.
            self._judge(self._tracker.wait(capture_s), capture_s)
            return self._verdicts.settled(capture_s)
        spots = pictured(self._detector.find(look), look)
        if self.keep_spots is not None:
            self.keep_spots.append((look.number, spots))
        ended = self._tracker.add(
            capture_s, look.number, spots, active_share=look.active_share, shift=look.shift
        )
        self._judge(ended, capture_s)
        return self._verdicts.settled(capture_s)

    def end(self) -> list[Throw]:
        """Return what remains; the stream has ended."""
        self._judge(self._tracker.end(), float("inf"))
        return self._verdicts.settled(float("inf"))

    def _judge(self, paths: list[Path], now_s: float) -> None:
        self.paths_seen += len(paths)
        if self.keep_paths is not None:
            self.keep_paths += paths
        if self._classifier is None:
            return
        self._branches += [
            _Branch(now_s, path, strip) for path in paths if (strip := self._fresh_strip(path)) is not None
        ]
        strips = self._ripe(now_s)
        if not strips:
            return
        judged = [
            Judged(strip.points, one, strip.rise, strip.looked)
            for strip, one in zip(strips, self._classifier.judge(strips), strict=True)
        ]
        if self.keep_judged is not None:
            self.keep_judged.append((now_s, judged))
        self._verdicts.hear(judged, now_s)

    def _fresh_strip(self, path: Path) -> Strip | None:
        """Return the strip of a path; None when there is nothing to judge, or it has been judged."""
        strip = strip_of(path, height_px=self._height_px, calibration=self._drawn, known=self._judged_parts)
        if strip is not None:
            self._judged_parts.append(strip.part)
        return strip

    def _ripe(self, now_s: float) -> list[Strip]:
        """Return strips of the branches that need wait no longer.

        Where paths part, one may end on a stray while the other follows the fall to the ground: the whole of it is to be told, once. So an ended branch
        waits as long as another goes on falling, which is then looked at as far as it has come.
        """
        is_falling: dict[int, bool] = {}
        ripe: list[_Branch] = []
        waiting: list[_Branch] = []
        for branch in self._branches:
            points = branch.strip.points
            other = self._tracker.branch_of(branch.path, points[int(_SAME_SHARE * len(points))])
            if other is None:
                ripe.append(branch)
                continue
            end = _end(other)
            if end not in is_falling:
                is_falling[end] = falling_part(other)[-1].at_s >= now_s - _LATELY_S
            if is_falling[end]:
                waiting.append(branch._replace(other=other))
            else:
                ripe.append(branch)
        lost = {_end(one.other) for one in waiting if now_s - one.since_s >= _PATIENCE_S}
        self._branches = [one for one in waiting if _end(one.other) not in lost]
        strips: list[Strip] = []
        for branch in (*ripe, *(one for one in waiting if _end(one.other) in lost)):
            strips.append(branch.strip)
            if branch.other is not None and (strip := self._fresh_strip(branch.other)) is not None:
                strips.append(strip)
        return strips


def _end(path: Path | None) -> int:
    """Return what tells growing paths apart: no two of them end alike."""
    return 0 if path is None else id(path.points[-1])


class Verdicts:
    """Which judged paths are events: the threshold, the shield map, doubles. `hear` what has been judged; ask what is `settled` now."""

    def __init__(self, threshold: float) -> None:
        self._threshold: Final = threshold
        self._shield = Shield()
        self._waiting: list[tuple[float, Throw]] = []
        self._told: list[Throw] = []

    def forget_places(self) -> None:
        """The picture has another size: what is known of its places is void."""
        self._shield = Shield()

    def hear(self, judged: list[Judged], now_s: float) -> None:
        """Take paths with the probabilities of `MOVERS` that the classifier gives them."""
        for points, likely, rise, looked in judged:
            x, y, at_s = points[0].spot.x, points[0].spot.y, points[-1].at_s
            probability = self._shield.lowered(float(likely[0]), x, y, at_s)
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

    def settled(self, now_s: float) -> list[Throw]:
        """Return what has waited long enough; a later hypothesis of what was told is not told again."""
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
        settled = [throw for throw in winners if any(throw is d for d in due)]
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
    if len(shared) >= _SAME_SHARE * min(len(a.points), len(b.points)):
        return True
    start, end = max(a.first.frame, b.first.frame), min(a.last.frame, b.last.frame)
    shorter = min(a.last.frame - a.first.frame, b.last.frame - b.first.frame)
    if end - start < 0.5 * shorter or shorter == 0:
        return _goes_on(*sorted((a, b), key=lambda one: one.first.at_s))
    if not with_mirrored:
        return False
    ours, theirs = a.boxes(), b.boxes()
    aside = np.array([ours[n][0] - theirs[n][0] for n in range(start, end + 1)])
    above = np.array([ours[n][1] - theirs[n][1] for n in range(start, end + 1)])
    # A mirror image keeps its distance and its height; two things thrown together drift apart. In most frames: paths have strays.
    is_beside = (
        (np.abs(above) < _MIRROR_DRIFT_PX)
        & (np.abs(aside) < _MIRROR_ASIDE_PX)
        & (np.abs(aside - np.median(aside)) < _MIRROR_DRIFT_PX / 2)
    )
    return float(is_beside.mean()) > _MIRROR_SHARE


def _goes_on(first: Throw, second: Throw) -> bool:
    """Return whether the second begins where the first would have gone on, or was just then: one fall seen in two parts."""
    start = second.first
    before = [point for point in first.points if point.at_s <= start.at_s]
    if not before or start.at_s - first.last.at_s >= _GOES_ON_S or second.last.at_s <= first.last.at_s:
        return False
    end = before[-1]
    return abs(start.spot.x - end.spot.x) < _GOES_ON_PX and start.spot.y > end.spot.y - 4.0
