"""Clips with annotations: the JSON format of hand-marked real clips, written for rendered ones too.

{"clip": name, "width": px, "height": px, "n_frames": n, "fps": n, "events": [{"kind": "fall", "object": words, "first_frame": n,
"last_frame": n, "first_frame_uncertainty": n, "boxes": {"13": {"bbox": [x, y, w, h], "hand": true}}}], "ignore": [],
"repeat_frames": [], "others": {"13": [["bird", [x, y, w, h]]]}, "mirrored": {"13": [[x, y, w, h]]}, "calibration": {…}}

Only rendered clips have `others` (what else moves where: from it the classifier learns what is no throw), `mirrored` (images of
falls in glass), `calibration` (as an operator would have drawn it), and in each event `floor`, `column` and, in its boxes, `clarity`.
`ignore` holds events in the same form that are there but that nobody could see: neither missing them nor telling them counts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from gatehouse_edge.vision.facade import Calibration
from gatehouse_throw.scenes.distractors import Box

SUFFIXES: Final = (".mp4", ".avi", ".mkv", ".mov")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueEvent:
    """One fall as somebody or the renderer has marked it."""

    first_frame: int
    last_frame: int
    uncertainty_frames: int
    boxes: dict[int, Box]
    floor: int | None = None
    """Where it was released; rendered clips only."""
    column: int | None = None
    """Window column there, 1 the leftmost; rendered clips only."""
    clarity: dict[int, float] = field(default_factory=dict)
    """How far it stands out of the noise in a frame (`scenes.scene.Truth`); rendered clips only."""

    @property
    def size_px(self) -> float:
        """Median of the longer side of its boxes."""
        sizes = sorted(max(w, h) for _, _, w, h in self.boxes.values())
        return sizes[len(sizes) // 2] if sizes else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """One clip with its truth; no annotation file: a negative."""

    path: Path
    events: tuple[TrueEvent, ...]
    scene: str
    """What kind of scene; of a real clip its role."""
    others: dict[int, list[tuple[str, Box]]] = field(default_factory=dict)
    """What else moves in a frame; rendered clips only."""
    ignored: tuple[TrueEvent, ...] = ()
    """Falls that nobody could see."""
    mirrored: dict[int, list[Box]] = field(default_factory=dict)
    """Images of falls in glass; rendered clips only."""
    calibration: Calibration | None = None


class AnnotationError(Exception):
    """A file is not an annotation; the text says which and why."""


def read(clip: Path) -> Annotated:
    """Return a clip with the annotation beside it (same name, .json), or as a negative without one.

    Raises:
        AnnotationError: the annotation cannot be read.
    """
    path = clip.with_suffix(".json")
    if not path.exists():
        return Annotated(path=clip, events=(), scene="negative")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        events, ignored = (tuple(_event(row) for row in told.get(name, ())) for name in ("events", "ignore"))
        others = {
            int(n): [(str(kind), _box(box)) for kind, box in them]
            for n, them in told.get("others", {}).items()
        }
        return Annotated(
            path=clip,
            events=events,
            scene=str(told.get("scene", "real" if events else "negative")),
            others=others,
            ignored=ignored,
            mirrored={int(n): [_box(box) for box in them] for n, them in told.get("mirrored", {}).items()},
            calibration=msgspec.convert(told["calibration"], Calibration)
            if told.get("calibration")
            else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # msgspec's error is a ValueError
        raise AnnotationError(f"{path.name} is not an annotation: {type(error).__name__} {error}") from error


def write(
    annotated: Annotated, *, size: tuple[int, int], fps: float, frames: int, repeats: list[int]
) -> None:
    """Write the annotation beside a clip."""
    told = {
        "clip": annotated.path.name,
        "width": size[0],
        "height": size[1],
        "n_frames": frames,
        "fps": fps,
        "scene": annotated.scene,
        "events": [_row(event) for event in annotated.events],
        "ignore": [_row(event) for event in annotated.ignored],
        "repeat_frames": repeats,
        "others": {
            str(n): [[kind, _short(box)] for kind, box in them] for n, them in annotated.others.items()
        },
        "mirrored": {str(n): [_short(box) for box in them] for n, them in annotated.mirrored.items()},
        "calibration": msgspec.to_builtins(annotated.calibration),
    }
    annotated.path.with_suffix(".json").write_text(json.dumps(told), encoding="utf-8")


def _row(event: TrueEvent) -> dict[str, object]:
    boxes = {
        str(n): {"bbox": _short(box), "hand": False}
        | ({"clarity": round(event.clarity[n], 1)} if n in event.clarity else {})
        for n, box in event.boxes.items()
    }
    return {
        "kind": "fall",
        "first_frame": event.first_frame,
        "last_frame": event.last_frame,
        "first_frame_uncertainty": event.uncertainty_frames,
        "floor": event.floor,
        "column": event.column,
        "boxes": boxes,
    }


def _short(box: Box) -> list[float]:
    return [round(float(value), 1) for value in box]


def _box(told: Sequence[object]) -> Box:
    x, y, w, h = (float(str(value)) for value in told)
    return x, y, w, h


def _event(row: dict[str, object]) -> TrueEvent:
    boxes = row["boxes"]
    if not isinstance(boxes, dict):
        raise TypeError("boxes must be an object")
    floor, column = row.get("floor"), row.get("column")
    return TrueEvent(
        first_frame=int(str(row["first_frame"])),
        last_frame=int(str(row["last_frame"])),
        uncertainty_frames=int(str(row.get("first_frame_uncertainty", 0))),
        boxes={int(n): _box(box["bbox"]) for n, box in boxes.items()},
        floor=None if floor is None else int(str(floor)),
        column=None if column is None else int(str(column)),
        clarity={int(n): float(box["clarity"]) for n, box in boxes.items() if "clarity" in box},
    )
