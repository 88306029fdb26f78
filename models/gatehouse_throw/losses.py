"""Where falls are lost: how many of their frames lie in a tile, are spotted, how many falls become a path, how many are told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from gatehouse_edge.drivers.clip import Clip
from gatehouse_edge.vision.classifier import Classifier
from gatehouse_edge.vision.detector import Detector, Spot
from gatehouse_edge.vision.features import falling_part
from gatehouse_edge.vision.stack import CORE_PX, TILE_PX, Look
from gatehouse_edge.vision.tracks import Path, Point
from gatehouse_edge.vision.verdicts import Throw
from gatehouse_edge.vision.watch import Watch
from gatehouse_throw.annotations import Annotated, TrueEvent
from gatehouse_throw.clips import CLEAR
from gatehouse_throw.evaluate import size_class

Place = tuple[float, float]
"""x, y in the picture, pixels."""
_RIM_PX: Final = (TILE_PX - CORE_PX) // 2
_REACH_PX: Final = 4.0


@dataclass(slots=True)
class Losses:
    """Sums of one kind of fall."""

    falls: int = 0
    frames: int = 0
    in_tile: int = 0
    spotted: int = 0
    followed: int = 0
    """Falls that a path follows over half of their clear frames or half a second."""
    told: int = 0
    spots: int = 0
    looks: int = 0

    def row(self) -> str:
        """Return shares in the order of the columns."""
        frames, falls = max(1, self.frames), max(1, self.falls)
        shares = (
            self.in_tile / frames, self.spotted / frames, self.followed / falls, self.told / falls,
        )  # fmt: skip
        return " | ".join([str(self.falls), *(f"{share:.2f}" for share in shares)])


@dataclass(slots=True)
class Recorder:
    """A detector that remembers what it was shown and what it said."""

    inner: Detector
    looks: dict[int, list[Place]] = field(default_factory=dict)
    spots: dict[int, list[Place]] = field(default_factory=dict)

    def find(self, look: Look) -> list[Spot]:
        """Pass on and remember."""
        found = self.inner.find(look)
        dx, dy = look.shift
        self.looks[look.number] = [(x + dx, y + dy) for x, y in look.corners.tolist()]
        self.spots[look.number] = [(spot.x + dx, spot.y + dy) for spot in found]
        return found


def losses(
    clips: Iterable[Annotated], detector: Detector, classifier: Classifier | None, *, threshold: float
) -> dict[str, Losses]:
    """Return the sums by kind of scene (`scene: …`), by size (`size: …`) and altogether (`all`)."""
    table: dict[str, Losses] = {}
    for clip in clips:
        if not clip.events:
            continue
        recorder = Recorder(detector)
        throws, paths = _watched(clip, recorder, classifier, threshold)
        for event in clip.events:
            for name in ("all", f"scene: {clip.scene}", f"size: {size_class(event)}"):
                _count(table.setdefault(name, Losses()), event, recorder, throws, paths)
    return table


def table(sums: dict[str, Losses]) -> str:
    """Return a Markdown table."""
    lines = [
        "| falls | count | frames in a tile | frames spotted | followed by a path | told |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [f"| {name} | {one.row()} |" for name, one in sorted(sums.items())])


def _watched(
    clip: Annotated, recorder: Recorder, classifier: Classifier | None, threshold: float
) -> tuple[list[Throw], list[Path]]:
    watch: Watch | None = None
    throws: list[Throw] = []
    for frame in Clip(clip.path).frames():
        if watch is None:
            watch = Watch(
                recorder,
                classifier,
                height_px=frame.luma.shape[0],
                threshold=threshold,
                calibration=clip.calibration,
            )
            watch.keep_paths = []
        throws += watch.see(frame.luma, frame.at_s)
    if watch is None or watch.keep_paths is None:
        return [], []
    throws += watch.end()
    return throws, watch.keep_paths


def _count(
    sums: Losses, event: TrueEvent, recorder: Recorder, throws: list[Throw], paths: list[Path]
) -> None:
    sums.falls += 1
    clear = [
        n
        for n in event.boxes
        if (not event.clarity or event.clarity.get(n, 0.0) >= CLEAR) and n in recorder.looks
    ]
    for n in clear:
        x, y, w, h = event.boxes[n]
        cx, cy, reach = x + w / 2, y + h / 2, max(_REACH_PX, w / 2, h / 2)
        sums.frames += 1
        sums.in_tile += any(
            _RIM_PX - 4 <= cx - left <= TILE_PX - _RIM_PX + 4 and _RIM_PX - 4 <= cy - top <= TILE_PX - _RIM_PX + 4
            for left, top in recorder.looks[n]
        )  # fmt: skip
        sums.spotted += any(abs(u - cx) <= reach and abs(v - cy) <= reach for u, v in recorder.spots[n])
    wanted = min(0.5 * len(clear), 8)
    sums.followed += any(_on(event, falling_part(path)) >= wanted for path in paths)
    sums.told += any(
        _on(event, throw.points) >= 0.5 * len(throw.points)  # most of what is told is the fall
        for throw in throws
    )


def _on(event: TrueEvent, points: Iterable[Point]) -> int:
    hits = 0
    for point in points:
        box = event.boxes.get(point.frame)
        if box is not None:
            x, y, w, h = box
            reach = max(_REACH_PX, w / 2, h / 2)
            hits += abs(point.x - x - w / 2) <= reach and abs(point.y - y - h / 2) <= reach
    return hits
