"""Rendered clips on disk with their truth, and the paths a tracker finds in them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gatehouse_edge.drivers.clip import Clip
from gatehouse_edge.vision.detector import Detector
from gatehouse_edge.vision.features import NAMES
from gatehouse_edge.vision.tracks import Path as Track
from gatehouse_edge.vision.watch import Watch
from gatehouse_throw.annotations import Annotated, TrueEvent, write
from gatehouse_throw.labels import rows_of
from gatehouse_throw.scenes import Scene, spec_of
from gatehouse_throw.scenes.codec import encode, shots


def render(seed: int, path: Path, *, seconds: float | None = None) -> Annotated:
    """Write the clip of a scene with its annotation beside it; return the annotation. `seconds`: shorter than drawn."""
    spec = spec_of(seed, seconds=seconds)
    scene = Scene(spec)
    told = encode(spec, shots(scene), path)
    events = []
    for number, throw in enumerate(scene.throws):
        boxes = {n: shot.truth.throws[number] for n, shot in enumerate(told) if number in shot.truth.throws}
        if boxes:
            first, last = min(boxes), max(boxes)
            events.append(
                TrueEvent(
                    first_frame=first, last_frame=last, uncertainty_frames=0, boxes=boxes, floor=throw.floor
                )
            )
    annotated = Annotated(
        path=path,
        events=tuple(events),
        scene=f"{spec.setting.value}{' night' if spec.is_night else ''} {spec.weather}",
        others={n: shot.truth.others for n, shot in enumerate(told) if shot.truth.others},
    )
    write(
        annotated,
        size=(spec.width_px, spec.height_px),
        fps=spec.fps,
        frames=len(told),
        repeats=[n for n, shot in enumerate(told) if shot.is_repeat],
    )
    return annotated


def tracks_in(clip: Path, detector: Detector) -> tuple[list[Track], int]:
    """Return every path the tracker finds in a clip, and the height of its pictures."""
    watch: Watch | None = None
    height_px = 0
    for frame in Clip(clip).frames():
        if watch is None:
            height_px = frame.luma.shape[0]
            watch = Watch(detector, None, height_px=height_px)
            watch.keep_paths = []
        watch.see(frame.luma, frame.at_s)
    if watch is None or watch.keep_paths is None:
        return [], height_px
    watch.end()
    return watch.keep_paths, height_px


def rows_in(
    clips: Iterable[Annotated], detector: Detector
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return (features, index into `MOVERS`) of every path found in annotated clips."""
    rows, kinds = [np.empty((0, len(NAMES)), np.float32)], [np.empty(0, np.int64)]
    for annotated in clips:
        tracks, height_px = tracks_in(annotated.path, detector)
        found = rows_of(tracks, annotated, height_px=height_px)
        rows.append(found[0])
        kinds.append(found[1])
    return np.concatenate(rows), np.concatenate(kinds)
