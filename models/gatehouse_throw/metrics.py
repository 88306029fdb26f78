"""How good a detector is: events, frames, time. Pure.

F-measure and TRO follow the published script of FADE (arXiv 2408.05750: a pair with IoU of 0.3 or more is a hit, pooled over
frames; TRO is the overlap of the spans of first and last detection, mean over videos). Its list of detection times is made once
for all videos, so a video inherits the first detection of an earlier one; here each video starts afresh.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gatehouse_throw.annotations import TrueEvent
from gatehouse_throw.scenes.distractors import Box

IOU_HIT: Final = 0.3
SIZE_CLASSES: Final = (
    (0.0, 4.5, "2-4 px"),
    (4.5, 8.5, "5-8 px"),
    (8.5, 16.5, "9-16 px"),
    (16.5, 1e9, "17-40 px"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEvent:
    """One event a detector told."""

    first_frame: int
    last_frame: int
    probability: float
    boxes: dict[int, Box]


@dataclass(slots=True)
class Score:
    """Sums over clips; add them up with `+=` in `add`."""

    true_events: int = 0
    hits: int = 0
    false_alarms: int = 0
    duplicates: int = 0
    frame_hits: int = 0
    frame_false: int = 0
    frame_missed: int = 0
    overlap_sum: float = 0.0
    overlap_clips: int = 0
    seconds: float = 0.0

    @property
    def recall(self) -> float:
        """Share of falls found."""
        return self.hits / self.true_events if self.true_events else math.nan

    @property
    def precision(self) -> float:
        """Share of alarms that were falls; doubles of one fall count as false."""
        told = self.hits + self.false_alarms + self.duplicates
        return self.hits / told if told else math.nan

    @property
    def f_measure(self) -> float:
        """FADE's, pooled over frames."""
        told, there = self.frame_hits + self.frame_false, self.frame_hits + self.frame_missed
        if not told or not there or not self.frame_hits:
            return 0.0 if there else math.nan
        p, r = self.frame_hits / told, self.frame_hits / there
        return 2 * p * r / (p + r)

    @property
    def overlap(self) -> float:
        """TRO, mean over clips with a fall."""
        return self.overlap_sum / self.overlap_clips if self.overlap_clips else math.nan

    @property
    def false_per_day(self) -> float:
        """False alarms in 24 h of one camera."""
        return self.false_alarms / self.seconds * 86_400 if self.seconds else math.nan

    def add(self, other: Score) -> None:
        """Add another clip's sums."""
        for name in Score.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def upper_bound(count: int, *, confidence: float = 0.95) -> float:
    """Return the exact upper bound of a Poisson mean after seeing `count` (rule of three for 0)."""
    low, high = 0.0, 10.0 + 4 * count
    for _ in range(80):
        mean = (low + high) / 2
        tail = (
            sum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(count + 1))
            if mean
            else 1.0
        )
        low, high = (mean, high) if tail > 1 - confidence else (low, mean)
    return high


def iou(a: Box, b: Box) -> float:
    """Return intersection over union of two boxes."""
    x, y = max(a[0], b[0]), max(a[1], b[1])
    w, h = min(a[0] + a[2], b[0] + b[2]) - x, min(a[1] + a[3], b[1] + b[3]) - y
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / (a[2] * a[3] + b[2] * b[3] - w * h)


def score(
    true: tuple[TrueEvent, ...],
    found: list[FoundEvent],
    *,
    seconds: float,
    ignored: tuple[TrueEvent, ...] = (),
    mirrored: Mapping[int, Sequence[Box]] | None = None,
) -> Score:
    """Return one clip's sums. An event is hit by what overlaps it in time and follows its path.

    Args:
        true: the falls.
        found: what was told.
        seconds: how long the clip is.
        ignored: falls that nobody could see: what follows one is left out.
        mirrored: boxes of images in glass: what follows one is a double of its fall, not a fall.
    """
    found = [
        told for told in found
        if any(follows(told, e) for e in true) or not any(follows(told, e) for e in ignored)
    ]  # fmt: skip
    result = Score(true_events=len(true), seconds=seconds)
    taken: set[int] = set()
    for told in sorted(found, key=lambda one: -one.probability):
        matches = [n for n, event in enumerate(true) if follows(told, event)]
        fresh = [n for n in matches if n not in taken]
        if fresh:
            taken.add(fresh[0])
            result.hits += 1
        elif matches or is_mirrored(told, mirrored or {}):
            result.duplicates += 1
        else:
            result.false_alarms += 1
    _count_frames(result, true, found)
    if true:
        result.overlap_clips = 1
        result.overlap_sum = _overlap(true, found)
    return result


def follows(told: FoundEvent, event: TrueEvent) -> bool:
    """Return whether a told event is this fall: in a third of their common frames its centre is within reach of the true box."""
    common = [n for n in told.boxes if n in event.boxes]
    if not common:
        return False
    near = 0
    for n in common:
        (x, y, w, h), (tx, ty, tw, th) = told.boxes[n], event.boxes[n]
        reach = max(tw, th, 6.0)
        near += abs(x + w / 2 - tx - tw / 2) <= reach and abs(y + h / 2 - ty - th / 2) <= reach
    return near >= max(1, len(common) / 3)


def is_mirrored(told: FoundEvent, mirrored: Mapping[int, Sequence[Box]]) -> bool:
    """Return whether a told event lies on images in glass in a third of its frames."""
    on = sum(
        any(abs(x + w / 2 - mx - mw / 2) <= max(mw, mh, 6.0) and abs(y + h / 2 - my - mh / 2) <= max(mw, mh, 6.0)
            for mx, my, mw, mh in mirrored.get(n, ()))
        for n, (x, y, w, h) in told.boxes.items()
    )  # fmt: skip
    return on >= max(1, len(told.boxes) / 3)


def _count_frames(result: Score, true: tuple[TrueEvent, ...], found: list[FoundEvent]) -> None:
    frames = {n for event in true for n in event.boxes} | {n for told in found for n in told.boxes}
    for n in frames:
        there = [event.boxes[n] for event in true if n in event.boxes]
        told = [one.boxes[n] for one in found if n in one.boxes]
        open_there = list(there)
        hits = 0
        for box in told:
            best = max(open_there, key=lambda other: iou(box, other), default=None)
            if best is not None and iou(box, best) >= IOU_HIT:
                open_there.remove(best)
                hits += 1
        result.frame_hits += hits
        result.frame_false += len(told) - hits
        result.frame_missed += len(there) - hits


def _overlap(true: tuple[TrueEvent, ...], found: list[FoundEvent]) -> float:
    if not found:
        return 0.0
    gb, ge = min(e.first_frame for e in true), max(e.last_frame for e in true)
    pb, pe = min(f.first_frame for f in found), max(f.last_frame for f in found)
    return max(0, min(ge, pe) - max(gb, pb) + 1) / (max(ge, pe) - min(gb, pb) + 1)
