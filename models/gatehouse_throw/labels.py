"""What a tracked path was, told from the truth of a rendered clip: the classifier's teacher. Needs no PyTorch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gatehouse_edge.vision.features import NAMES, falling_part, features
from gatehouse_edge.vision.tracks import Path
from gatehouse_edge.vision.watch import MOVERS, Mover
from gatehouse_throw.annotations import Annotated
from gatehouse_throw.scenes.distractors import Box

KINDS: Final[dict[str, Mover]] = {
    "bird": Mover.BIRD,
    "flock": Mover.BIRD,
    "insect": Mover.INSECT,
    "leaf": Mover.LEAF,
    "tree": Mover.LEAF,
    "laundry": Mover.CLOTH,
    "curtain": Mover.CLOTH,
    "window": Mover.CLOTH,
    "person": Mover.VEHICLE,
    "roof_person": Mover.VEHICLE,
    "hand": Mover.VEHICLE,
    "vehicle": Mover.VEHICLE,
    "lift_outside": Mover.VEHICLE,
    "drone": Mover.FLYING_MACHINE,
    "helicopter": Mover.FLYING_MACHINE,
    "lamp": Mover.CLUTTER,
    "headlight": Mover.CLUTTER,
}
"""What a rendered distractor is called by the classifier."""
_THROW_REACH_PX: Final = 4.0
_OTHER_REACH_PX: Final = 2.0
_FRAGMENT_SHARE: Final = 0.6
_SURE_SHARE: Final = 0.6
_DOUBTFUL_SHARE: Final = 0.25


def label(path: Path, truth: Annotated) -> Mover | None:
    """Return what moved along a path: the throw if most of its points lie on one, else what covers most of them.

    None: neither a throw nor anything else with certainty, nothing to learn from (partly on a fall, on one that nobody could
    see, or on an image in glass).
    """
    points = falling_part(path)
    on_throw, on_doubtful = 0, 0
    others: Counter[Mover] = Counter()
    for point in points:
        x, y = point.x, point.y
        boxes = [event.boxes[point.frame] for event in truth.events if point.frame in event.boxes]
        if any(_covers(box, x, y, _THROW_REACH_PX) for box in boxes):
            on_throw += 1
            continue
        doubtful = [event.boxes[point.frame] for event in truth.ignored if point.frame in event.boxes]
        if any(_covers(box, x, y, _THROW_REACH_PX) for box in doubtful + truth.mirrored.get(point.frame, [])):
            on_doubtful += 1
            continue
        hits = [
            kind for kind, box in truth.others.get(point.frame, ()) if _covers(box, x, y, _OTHER_REACH_PX)
        ]
        small = [kind for kind in hits if kind != "tree"]
        if hits:
            others[KINDS[(small or hits)[0]]] += 1
    if on_throw >= _SURE_SHARE * len(points):
        return Mover.THROW
    if on_throw + on_doubtful >= _DOUBTFUL_SHARE * len(points):
        return None
    if others:
        return others.most_common(1)[0][0]
    return Mover.RAIN if truth.scene.endswith(("rain", "snow")) else Mover.CLUTTER


def rows_of(
    paths: Sequence[Path], truth: Annotated, *, height_px: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return (features, index into `MOVERS`) of the paths of one clip.

    Of a fall only those paths are taught that follow it about as long as the best one does: an event needs one good path, and what
    is taught of fragments is that any four points may be a throw.
    """
    kept = [(features(path, height_px=height_px), label(path, truth)) for path in paths]
    longest: Counter[int] = Counter()
    on = [_followed(path, truth) for path in paths]
    for number, count in on:
        longest[number] = max(longest[number], count)
    kept = [
        (row, None if mover is Mover.THROW and count < _FRAGMENT_SHARE * longest[number] else mover)
        for (row, mover), (number, count) in zip(kept, on, strict=True)
    ]
    known = [(row, mover) for row, mover in kept if row is not None and mover is not None]
    if not known:
        return np.empty((0, len(NAMES)), np.float32), np.empty(0, np.int64)
    return np.stack([row for row, _ in known]), np.array(
        [MOVERS.index(mover) for _, mover in known], np.int64
    )


def _followed(path: Path, truth: Annotated) -> tuple[int, int]:
    """Return the number of the fall a path follows longest, and for how many points; (-1, 0) if none."""
    counts = [
        sum(
            p.frame in event.boxes and _covers(event.boxes[p.frame], p.x, p.y, _THROW_REACH_PX)
            for p in falling_part(path)
        )
        for event in truth.events
    ]
    best = int(np.argmax(counts)) if counts else -1
    return (best, counts[best]) if counts and counts[best] else (-1, 0)


def _covers(box: Box, x: float, y: float, rim: float) -> bool:
    return box[0] - rim <= x <= box[0] + box[2] + rim and box[1] - rim <= y <= box[1] + box[3] + rim
