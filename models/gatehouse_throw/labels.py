"""What a tracked path was, told from the truth of a rendered clip: the classifier's teacher. Needs no PyTorch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path as FilePath
from typing import Final

import numpy as np
import numpy.typing as npt

from gatehouse_edge.vision.classifier import MOVERS, Mover
from gatehouse_edge.vision.detector import PATCH_PX
from gatehouse_edge.vision.strip import NUMBER_NAMES, STEP_NAMES, STEPS, Part, Strip, strip_of
from gatehouse_edge.vision.tracks import Path, Point
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


def label(points: Sequence[Point], truth: Annotated) -> Mover | None:
    """Return what moved along a path's falling part: the throw if most of its points lie on one, else what covers most of them.

    None: neither a throw nor anything else with certainty, nothing to learn from (partly on a fall, on one that nobody could
    see, or on an image in glass).
    """
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


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Strips side by side, and what each was."""

    numbers: npt.NDArray[np.float32]
    """Shape (n, len(NUMBER_NAMES)); the metres are those of the clip's calibration, if it has one."""
    steps: npt.NDArray[np.float32]
    """Shape (n, STEPS, len(STEP_NAMES))."""
    patches: npt.NDArray[np.uint8]
    """Shape (n, STEPS, 4, PATCH_PX, PATCH_PX)."""
    kinds: npt.NDArray[np.int64]
    """Index into `MOVERS`."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.kinds)

    def save(self, path: FilePath) -> None:
        """Write a file that `load` reads."""
        kept = {field.name: getattr(self, field.name) for field in fields(self)}
        beside = path.with_suffix(".part")
        with beside.open("wb") as out:
            np.savez(out, **kept)
        beside.rename(path)  # an interrupted run leaves no half file


def load(path: FilePath) -> Lesson:
    """Return what `save` has written."""
    with np.load(path) as kept:
        return Lesson(**{field.name: kept[field.name] for field in fields(Lesson)})


def joined(lessons: Sequence[Lesson]) -> Lesson:
    """Return lessons one after another; at least one."""
    return Lesson(
        *(np.concatenate([getattr(one, field.name) for one in lessons]) for field in fields(Lesson))
    )


def lesson(strips: Sequence[tuple[Strip, Mover]]) -> Lesson:
    """Return strips with their movers as arrays."""
    shapes = {
        "numbers": (len(NUMBER_NAMES),), "steps": (STEPS, len(STEP_NAMES)), "patches": (STEPS, 4, PATCH_PX, PATCH_PX),
    }  # fmt: skip
    columns = {
        name: np.stack([getattr(strip, name) for strip, _ in strips])
        if strips
        else np.empty((0, *shape), np.uint8 if name == "patches" else np.float32)
        for name, shape in shapes.items()
    }
    kinds = np.array([MOVERS.index(mover) for _, mover in strips], np.int64)
    return Lesson(**columns, kinds=kinds)


def lessons_of(paths: Sequence[Path], truth: Annotated, *, height_px: int) -> Lesson:
    """Return the strips of the paths of one clip with what each was.

    Of a fall only those paths are taught that follow it about as long as the best one does: an event needs one good path, and what
    is taught of fragments is that any four points may be a throw. A falling part that several hypotheses share is one lesson.
    """
    parts: dict[Part, Strip] = {}
    for path in paths:
        strip = strip_of(path, height_px=height_px, calibration=truth.calibration, known=parts)
        if strip is not None:
            parts[strip.part] = strip
    strips = list(parts.values())
    longest: Counter[int] = Counter()
    on = [_followed(strip.points, truth) for strip in strips]
    for number, count in on:
        longest[number] = max(longest[number], count)
    taught: list[tuple[Strip, Mover]] = []
    for strip, (number, count) in zip(strips, on, strict=True):
        mover = label(strip.points, truth)
        is_fragment = mover is Mover.THROW and count < _FRAGMENT_SHARE * longest[number]
        if mover is not None and not is_fragment:
            taught.append((strip, mover))
    return lesson(taught)


def _followed(points: Sequence[Point], truth: Annotated) -> tuple[int, int]:
    """Return the number of the fall a path follows longest, and for how many points; (-1, 0) if none."""
    counts = [
        sum(
            p.frame in event.boxes and _covers(event.boxes[p.frame], p.x, p.y, _THROW_REACH_PX)
            for p in points
        )
        for event in truth.events
    ]
    best = int(np.argmax(counts)) if counts else -1
    return (best, counts[best]) if counts and counts[best] else (-1, 0)


def _covers(box: Box, x: float, y: float, rim: float) -> bool:
    return box[0] - rim <= x <= box[0] + box[2] + rim and box[1] - rim <= y <= box[1] + box[3] + rim
