"""Rendered clips on disk with their truth, and the paths a tracker finds in them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gatehouse_edge.drivers.clip import Clip
from gatehouse_edge.vision.detector import Detector, OnnxDetector
from gatehouse_edge.vision.features import NAMES
from gatehouse_edge.vision.watch import Watch
from gatehouse_throw.annotations import TrueEvent, write
from gatehouse_throw.judge import rows_of
from gatehouse_throw.scenes import Scene, spec_of
from gatehouse_throw.scenes.codec import Shot, encode, shots


def render(seed: int, path: Path) -> list[Shot]:
    """Write the clip of a scene with its annotation beside it; return what it shows, frame by frame."""
    spec = spec_of(seed)
    scene = Scene(spec)
    told = encode(spec, shots(scene), path)
    events = []
    for number, throw in enumerate(scene.throws):
        boxes = {n: shot.truth.throws[number] for n, shot in enumerate(told) if number in shot.truth.throws}
        if boxes:
            events.append(
                TrueEvent(
                    first_frame=min(boxes),
                    last_frame=max(boxes),
                    uncertainty_frames=0,
                    boxes=boxes,
                    floor=throw.floor,
                )
            )
    name = f"{spec.setting.value}{' night' if spec.is_night else ''} {spec.weather}"
    repeats = [n for n, shot in enumerate(told) if shot.is_repeat]
    write(
        path,
        size=(spec.width_px, spec.height_px),
        fps=spec.fps,
        frames=len(told),
        events=events,
        repeats=repeats,
        scene=name,
    )
    return told


def rows_of_scenes(
    seeds: Iterable[int], detector_file: Path
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return (features, kinds) of every path found in the scenes of `seeds`."""
    detector: Detector = OnnxDetector(detector_file)
    rows, kinds = [np.empty((0, len(NAMES)), np.float32)], [np.empty(0, np.int64)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mkv"
        for seed in seeds:
            told = render(seed, path)
            watch: Watch | None = None
            for frame in Clip(path).frames():
                if watch is None:
                    watch = Watch(detector, None, height_px=frame.luma.shape[0])
                    watch.keep_paths = []
                watch.see(frame.luma, frame.at_s)
            if watch is None or watch.keep_paths is None:
                continue
            watch.end()
            found = rows_of(
                watch.keep_paths, [shot.truth for shot in told], height_px=spec_of(seed).height_px
            )
            rows.append(found[0])
            kinds.append(found[1])
    return np.concatenate(rows), np.concatenate(kinds)
