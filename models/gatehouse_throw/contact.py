"""Pictures for people: contact sheets of scenes with the path of each fall, and what the chain found in one clip."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from gatehouse_edge.drivers.clip import Clip
from gatehouse_edge.vision.verdicts import Throw
from gatehouse_edge.vision.watch import Watch
from gatehouse_throw.annotations import Annotated
from gatehouse_throw.clips import MakeWatch
from gatehouse_throw.scenes import Scene, spec_of

CELL: Final = (320, 180)
COLUMNS: Final = 4
_STEP: Final = 8
"""Grey levels are told in steps of so many: a person sees no difference, and the file is a quarter."""
_RED, _GREEN, _WHITE = (60, 60, 235), (80, 220, 80), (245, 245, 245)


def sheet(seeds: Iterable[int], path: Path) -> None:
    """Write a PNG with one cell for each seed."""
    cells = [_cell(seed) for seed in seeds]
    blank = np.zeros((CELL[1], CELL[0], 3), np.uint8)
    cells += [blank] * (-len(cells) % COLUMNS)
    rows = [np.concatenate(cells[n : n + COLUMNS], axis=1) for n in range(0, len(cells), COLUMNS)]
    if not cv2.imwrite(
        str(path), np.concatenate(rows, axis=0) // _STEP * _STEP, [cv2.IMWRITE_PNG_COMPRESSION, 9]
    ):
        raise OSError(f"{path} cannot be written")


def trail(annotated: Annotated, make: MakeWatch, path: Path) -> int:
    """Write one frame of a clip as a picture, the true boxes in red, found paths in green; return how many were found."""
    watch: Watch | None = None
    picture: npt.NDArray[np.uint8] | None = None
    throws: list[Throw] = []
    middle = annotated.events[0].first_frame + 5 if annotated.events else 10
    for frame in Clip(annotated.path).frames():
        watch = watch or make(frame.luma.shape[0])
        throws += watch.see(frame.luma, frame.at_s)
        if picture is None or frame.number == middle:
            picture = frame.luma
    throws += watch.end() if watch else []
    assert picture is not None  # noqa: S101  # a clip has frames
    shown = np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), np.uint8)
    for event in annotated.events:
        for x, y, w, h in event.boxes.values():
            corner, other = (round(x) - 3, round(y) - 3), (round(x + w) + 3, round(y + h) + 3)
            cv2.rectangle(shown, corner, other, _RED, 1)
    for throw in throws:
        points = np.array([(p.x, p.y) for p in throw.points])
        cv2.polylines(shown, [points.round().astype(np.int32)], False, _GREEN, 1, cv2.LINE_AA)
        for x, y in points:
            cv2.circle(shown, (round(x), round(y)), 2, _GREEN, -1)
        words, at = f"{throw.probability:.2f}", (round(points[0][0]) + 8, round(points[0][1]))
        cv2.putText(shown, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _GREEN, 1, cv2.LINE_AA)
    if not cv2.imwrite(str(path), shown, [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        raise OSError(f"{path} cannot be written")
    return len(throws)


def _cell(seed: int) -> npt.NDArray[np.uint8]:
    spec = spec_of(seed, seconds=4.0)
    shown, trail = None, []
    for _, luma, truth in Scene(spec).frames():
        trail += [(x + w / 2, y + h / 2) for x, y, w, h in truth.throws.values()]
        if shown is None or (
            truth.throws and len(trail) < 12
        ):  # early in the fall: the rest of the trail lies below
            shown = luma, dict(truth.throws)
    assert shown is not None  # noqa: S101  # a scene has frames
    picture = cv2.cvtColor(shown[0], cv2.COLOR_GRAY2BGR)
    for x, y in trail:
        cv2.circle(picture, (round(x), round(y)), max(1, picture.shape[0] // 240), _RED, -1)
    for x, y, w, h in shown[1].values():
        cv2.rectangle(picture, (int(x) - 4, int(y) - 4), (int(x + w) + 4, int(y + h) + 4), _GREEN, 1)
    cell = cv2.resize(picture, CELL, interpolation=cv2.INTER_AREA)
    night = " IR" if spec.is_night else ""
    words = (
        f"{seed} {spec.setting.value} {spec.width_px}x{spec.height_px} {spec.fps:g}fps {spec.weather}{night}"
    )
    cv2.rectangle(cell, (0, 0), (CELL[0], 15), (0, 0, 0), -1)
    cv2.putText(cell, words, (4, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.36, _WHITE, 1, cv2.LINE_AA)
    return np.asarray(cell, np.uint8)
