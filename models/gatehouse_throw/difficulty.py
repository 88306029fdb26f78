"""Are the rendered scenes hard enough? What background subtraction alone makes of them, threshold by threshold.

On real footage raw proposals reach a recall of 0.8 to 1.0 with a precision of 0.001 to 0.002: foliage gives a hundred candidates a frame.
A set on which they do well is too easy and proves nothing, so `is_hard` is a gate of the released test set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from gatehouse_edge.drivers.clip import Clip
from gatehouse_edge.vision.stack import FrameStack, Luma
from gatehouse_throw.annotations import Annotated
from gatehouse_throw.scenes.distractors import Box

THRESHOLDS: Final = (6, 10, 16, 26)
RECALL: Final = 0.8
PRECISION: Final = 0.05
_LARGEST_PX: Final = 60
_REACH_PX: Final = 6.0


@dataclass(slots=True)
class Operating:
    """Sums at one threshold of the difference."""

    threshold: int
    boxes: int = 0
    found: int = 0
    proposals: int = 0
    right: int = 0
    frames: int = 0

    @property
    def recall(self) -> float:
        """Share of true boxes with a proposal on them."""
        return self.found / self.boxes if self.boxes else 0.0

    @property
    def precision(self) -> float:
        """Share of proposals that lie on a falling thing."""
        return self.right / self.proposals if self.proposals else 1.0


def curve(clips: Iterable[Annotated]) -> list[Operating]:
    """Return what three-frame difference proposes over clips, repeats dropped as the gateway drops them."""
    points = [Operating(threshold) for threshold in THRESHOLDS]
    for annotated in clips:
        stack, last = FrameStack(), [np.empty((0, 0), np.uint8)] * 2
        for frame in Clip(annotated.path).frames():
            repeats = stack.repeats
            look = stack.add(frame.luma, frame.at_s)
            if stack.repeats > repeats:
                continue
            if look is not None:
                true = [
                    event.boxes[frame.number] for event in annotated.events if frame.number in event.boxes
                ]
                fresh = cv2.min(cv2.absdiff(frame.luma, last[1]), cv2.absdiff(frame.luma, last[0]))
                for point in points:
                    _count(point, np.asarray(fresh, np.uint8), true)
            last = [last[1], frame.luma]
    return points


def is_hard(points: Sequence[Operating]) -> bool:
    """Return whether no threshold gives both a recall of `RECALL` and a precision of `PRECISION`."""
    return not any(point.recall >= RECALL and point.precision >= PRECISION for point in points)


def _count(point: Operating, fresh: Luma, true: Sequence[Box]) -> None:
    _, moved = cv2.threshold(fresh, point.threshold, 255, cv2.THRESH_BINARY)
    _, _, stats, centres = cv2.connectedComponentsWithStats(moved, connectivity=8)
    small = (stats[1:, 2:4].max(axis=1, initial=0) <= _LARGEST_PX) & (stats[1:, 4] >= 2)
    places = centres[1:][small]
    point.frames += 1
    point.boxes += len(true)
    point.proposals += len(places)
    on_any = np.zeros(len(places), bool)
    for x, y, w, h in true:
        reach = max(w, h, _REACH_PX)
        on = (abs(places[:, 0] - x - w / 2) <= reach) & (abs(places[:, 1] - y - h / 2) <= reach)
        point.found += bool(on.any())
        on_any |= on
    point.right += int(on_any.sum())
