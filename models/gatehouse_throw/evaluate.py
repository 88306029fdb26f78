"""Runs a detector chain over annotated clips and adds up what it found, by scene and by size."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gatehouse_edge.drivers.clip import Clip
from gatehouse_edge.vision.watch import Throw, Watch
from gatehouse_throw.annotations import Annotated, TrueEvent
from gatehouse_throw.metrics import SIZE_CLASSES, FoundEvent, Score, follows, score, upper_bound

MakeWatch = Callable[[int], Watch]
"""Makes a fresh chain for a picture of so many rows."""


@dataclass(slots=True)
class ClipReport:
    """One clip."""

    name: str
    score: Score
    found: list[FoundEvent]
    ms_per_frame: float
    repeats: int
    delays_s: list[float] = field(default_factory=list)
    """From the last frame of a fall to the moment its event was told."""


@dataclass(slots=True)
class Report:
    """All clips."""

    clips: list[ClipReport] = field(default_factory=list)
    total: Score = field(default_factory=Score)
    by_scene: dict[str, Score] = field(default_factory=dict)
    by_size: dict[str, list[int]] = field(default_factory=dict)
    """Size class -> [falls, found]."""

    def to_json(self) -> str:
        """Return the report as JSON."""
        told = {
            "total": _words(self.total),
            "by_scene": {name: _words(one) for name, one in sorted(self.by_scene.items())},
            "by_size": {name: {"falls": n, "found": hits} for name, (n, hits) in self.by_size.items()},
            "delay_s_max": max((d for clip in self.clips for d in clip.delays_s), default=None),
            "clips": [
                {
                    "clip": c.name,
                    "hits": c.score.hits,
                    "falls": c.score.true_events,
                    "false": c.score.false_alarms,
                    "ms": round(c.ms_per_frame, 2),
                }
                for c in self.clips
            ],
        }
        return json.dumps(told, ensure_ascii=False, indent=1)


def run_clip(annotated: Annotated, make: MakeWatch) -> ClipReport:
    """Return what the chain finds in one clip, beside the truth."""
    watch: Watch | None = None
    throws: list[tuple[float, Throw]] = []
    count, began_s, last_s = 0, time.thread_time(), 0.0
    first_s: float | None = None
    for frame in Clip(annotated.path).frames():
        watch = watch or make(frame.luma.shape[0])
        first_s = frame.at_s if first_s is None else first_s
        throws += [(frame.at_s, throw) for throw in watch.see(frame.luma, frame.at_s)]
        count, last_s = count + 1, frame.at_s
    if watch is None:
        return ClipReport(name=annotated.path.name, score=Score(), found=[], ms_per_frame=0.0, repeats=0)
    throws += [(last_s, throw) for throw in watch.end()]
    spent_s = time.thread_time() - began_s
    found = [
        FoundEvent(
            first_frame=t.first.frame, last_frame=t.last.frame, probability=t.probability, boxes=t.boxes()
        )
        for _, t in throws
    ]
    return ClipReport(
        name=annotated.path.name,
        score=score(annotated.events, found, seconds=last_s - (first_s or 0.0)),
        found=found,
        ms_per_frame=spent_s / max(1, count) * 1000,
        repeats=watch.stack.repeats,
        delays_s=[at_s - t.last.at_s for at_s, t in throws],
    )


def run(
    clips: Iterable[Annotated], make: MakeWatch, *, progress: Callable[[str], None] = lambda _: None
) -> Report:
    """Return the report of all clips."""
    report = Report(by_size={name: [0, 0] for _, _, name in SIZE_CLASSES})
    for annotated in clips:
        one = run_clip(annotated, make)
        report.clips.append(one)
        report.total.add(one.score)
        report.by_scene.setdefault(annotated.scene, Score()).add(one.score)
        for event in annotated.events:
            row = report.by_size[size_class(event)]
            row[0] += 1
            row[1] += any(follows(told, event) for told in one.found)
        progress(one.name)
    return report


def size_class(event: TrueEvent) -> str:
    """Return the name of the size class of a fall."""
    return next(name for low, high, name in SIZE_CLASSES if low <= event.size_px < high)


def clips_in(path: Path) -> list[Path]:
    """Return the clips a path names: itself, or those in a folder."""
    from gatehouse_throw.annotations import SUFFIXES

    return [path] if path.is_file() else sorted(p for p in path.iterdir() if p.suffix in SUFFIXES)


def _words(one: Score) -> dict[str, float | int | None]:
    told = {
        "falls": one.true_events,
        "found": one.hits,
        "recall": round(one.recall, 4),
        "precision": round(one.precision, 4),
        "false_alarms": one.false_alarms,
        "duplicates": one.duplicates,
        "camera_hours": round(one.seconds / 3600, 4),
        "false_per_day": round(one.false_per_day, 2),
        "false_per_day_95": round(upper_bound(one.false_alarms) / max(one.seconds, 1e-9) * 86_400, 2),
        "f_measure": round(one.f_measure, 4),
        "tro": round(one.overlap, 4),
    }
    # JSON knows no NaN: a figure of nothing is null.
    return {name: None if math.isnan(value) else value for name, value in told.items()}
