"""Rendered clips on disk with their truth, and the paths a tracker finds in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from gatehouse_edge.drivers.clip import Clip
from gatehouse_edge.vision.facade import Calibration
from gatehouse_edge.vision.stack import FrameStack
from gatehouse_edge.vision.tracks import Path as Track
from gatehouse_edge.vision.watch import Watch
from gatehouse_throw.annotations import Annotated, TrueEvent, write
from gatehouse_throw.labels import Lesson, lessons_of
from gatehouse_throw.scenes import Scene, SceneSpec
from gatehouse_throw.scenes.codec import Shot, encode, shots
from gatehouse_throw.scenes.falls import Fall
from gatehouse_throw.visible import clarity

MakeWatch = Callable[[int], Watch]
"""Makes a fresh chain for a picture of so many rows."""
CLEAR: Final = 4.0
"""What an eye finds in one decoded frame if it knows where to look."""
CLEAR_FRAMES: Final = 5
CLEAR_S: Final = 0.3


def render(spec: SceneSpec, path: Path) -> Annotated:
    """Write the clip of a scene with its annotation beside it; return the annotation."""
    scene = Scene(spec)
    told = encode(spec, shots(scene), path)
    return annotated_of(
        path,
        spec,
        told,
        scene.throws,
        scene=f"{spec.setting.value}{' night' if spec.is_night else ''} {spec.weather}",
        calibration=scene.calibration(),
    )


def annotated_of(
    path: Path,
    spec: SceneSpec,
    told: list[Shot],
    throws: Sequence[Fall],
    *,
    scene: str,
    calibration: Calibration | None = None,
) -> Annotated:
    """Write the annotation of the encoded shots of these falls beside the clip; return it."""
    seen = _seen(path, told)
    falls = [
        fall for number, throw in enumerate(throws) if (fall := _fall(throw, number, told, seen)) is not None
    ]
    annotated = Annotated(
        path=path,
        events=tuple(fall for fall in falls if is_clear(fall, told)),
        ignored=tuple(fall for fall in falls if not is_clear(fall, told)),
        scene=scene,
        others={n: shot.truth.others for n, shot in enumerate(told) if shot.truth.others},
        mirrored={n: shot.truth.mirrored for n, shot in enumerate(told) if shot.truth.mirrored},
        calibration=calibration,
    )
    write(
        annotated,
        size=(spec.width_px, spec.height_px),
        fps=spec.fps,
        frames=len(told),
        repeats=[n for n, shot in enumerate(told) if shot.is_repeat],
    )
    return annotated


def _seen(path: Path, told: list[Shot]) -> list[dict[int, float]]:
    """Return the clarity of every fall in every frame of the clip as decoded; empty for repeats and the first two."""
    stack, found = FrameStack(), []
    for shot, frame in zip(told, Clip(path).frames(), strict=True):
        look = stack.add(frame.luma, frame.at_s)
        found.append(clarity(stack, look.shift, shot.truth) if look is not None else {})
    return found


def _fall(fall: Fall, number: int, told: list[Shot], seen: list[dict[int, float]]) -> TrueEvent | None:
    boxes = {n: shot.truth.throws[number] for n, shot in enumerate(told) if number in shot.truth.throws}
    if not boxes:
        return None
    return TrueEvent(
        first_frame=min(boxes),
        last_frame=max(boxes),
        uncertainty_frames=0,
        boxes=boxes,
        floor=fall.floor,
        column=fall.column + 1,
        clarity={n: seen[n][number] for n in boxes if number in seen[n]},
    )


def is_clear(fall: TrueEvent, told: list[Shot]) -> bool:
    """Return whether a person who steps through the frames could see this fall: long enough, in enough frames."""
    frames = [n for n, seen in fall.clarity.items() if seen >= CLEAR and not told[n].is_repeat]
    return len(frames) >= CLEAR_FRAMES and told[max(frames)].pts_s - told[min(frames)].pts_s >= CLEAR_S


def tracks_in(clip: Path, make: MakeWatch) -> tuple[list[Track], int]:
    """Return every path the tracker finds in a clip, and the height of its pictures."""
    watch: Watch | None = None
    height_px = 0
    for frame in Clip(clip).frames():
        if watch is None:
            height_px = frame.luma.shape[0]
            watch = make(height_px)
            watch.keep_paths = []
        watch.see(frame.luma, frame.at_s)
    if watch is None or watch.keep_paths is None:
        return [], height_px
    watch.end()
    return watch.keep_paths, height_px


def lessons_in(annotated: Annotated, make: MakeWatch) -> Lesson:
    """Return the strips of every path found in an annotated clip, with what each was."""
    tracks, height_px = tracks_in(annotated.path, make)
    return lessons_of(tracks, annotated, height_px=height_px)
