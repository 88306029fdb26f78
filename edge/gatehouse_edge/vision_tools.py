"""`gatehouse-edge vision replay`: a clip through the whole chain, as a gateway would have seen it."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from gatehouse_edge.vision.watch import Throw, Watch

MANIFEST: Final = "manifest.json"


class ModelFile(Struct, frozen=True, kw_only=True):
    """One file of a release."""

    file: str
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What a release of the models holds."""

    version: str
    detector: ModelFile
    classifier: ModelFile
    threshold: float = 0.5

    @property
    def sha256(self) -> str:
        """One hash for both files."""
        return hashlib.sha256(f"{self.detector.sha256}{self.classifier.sha256}".encode()).hexdigest()


def released() -> Path | None:
    """Return the folder of the models that came with this program; None: there are none."""
    inside = Path(__file__).parent / "vision" / "released"
    beside = Path(__file__).parents[2] / "models" / "throw"
    return next((folder for folder in (inside, beside) if (folder / MANIFEST).is_file()), None)


def load_manifest(folder: Path) -> Manifest:
    """Return the manifest of a release.

    Raises:
        ModelError: there is none, or it is not one.
    """
    from gatehouse_edge.vision.detector import ModelError

    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise ModelError(f"no {MANIFEST} in {folder}: name the folder of a release with --models") from error
    except msgspec.DecodeError as error:
        raise ModelError(f"{folder / MANIFEST} is not a manifest: {error}") from error


def watch_maker(folder: Path | None, *, is_classical: bool) -> Callable[[int], Watch]:
    """Return what makes a fresh chain for a picture of so many rows.

    Raises:
        ModelError: no usable models and `is_classical` was not asked for.
    """
    from gatehouse_edge.vision.detector import ClassicalDetector, Detector, ModelError, OnnxDetector
    from gatehouse_edge.vision.watch import Classifier, Watch

    if folder is None:
        raise ModelError("this installation has no throw models: name a folder with --models")
    manifest = load_manifest(folder)
    classifier = Classifier(folder / manifest.classifier.file, sha256=manifest.classifier.sha256)
    detector: Detector = ClassicalDetector()
    if not is_classical:
        detector = OnnxDetector(folder / manifest.detector.file, sha256=manifest.detector.sha256)
    return lambda height_px: Watch(detector, classifier, height_px=height_px, threshold=manifest.threshold)


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add `vision` with its verbs; the parsed arguments go to `run`."""
    parser = subparsers.add_parser("vision", help="throw detection: replay a clip")
    verbs = parser.add_subparsers(dest="verb", required=True)
    replay = verbs.add_parser(
        "replay", help="run clips through the whole chain; one JSON object for each event with --json"
    )
    replay.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="video files")
    replay.add_argument(
        "--models", type=Path, help="folder of a model release; without: the one that came with the program"
    )
    replay.add_argument(
        "--classical", action="store_true", help="three-frame difference instead of the detector network"
    )
    replay.add_argument("--json", action="store_true", help="print JSON lines")


def run(args: Namespace) -> int:
    """Replay; 0 done, 1 a clip or model could not be used."""
    from gatehouse_edge.drivers.clip import ClipError
    from gatehouse_edge.vision.detector import ModelError

    failed = False
    try:
        make = watch_maker(args.models or released(), is_classical=args.classical)
    except ModelError as error:
        print(f"gatehouse-edge: {error}", file=sys.stderr)
        return 1
    for clip in args.clips:
        try:
            _replay(clip, make, as_json=args.json)
        except ClipError as error:
            print(f"gatehouse-edge: {error}", file=sys.stderr)
            failed = True
    return 1 if failed else 0


def _replay(path: Path, make: Callable[[int], Watch], *, as_json: bool) -> None:
    from gatehouse_edge.drivers.clip import Clip

    clip, watch, count, began_s = Clip(path), None, 0, time.thread_time()
    first_s, timed = 0.0, True
    events = 0
    for frame in clip.frames():
        if watch is None:
            watch, first_s = make(frame.luma.shape[0]), frame.at_s
        count, timed = count + 1, timed and frame.is_timed
        for throw in watch.see(frame.luma, frame.at_s):
            _tell(path, throw, first_s, as_json=as_json)
            events += 1
    if watch is not None:
        for throw in watch.end():
            _tell(path, throw, first_s, as_json=as_json)
            events += 1
    last = {
        "clip": path.name,
        "frames": count,
        "repeats_dropped": watch.stack.repeats if watch else 0,
        "undecodable": clip.undecodable,
        "skipped_tiles": watch.stack.skipped_tiles if watch else 0,
        "has_time_stamps": timed,
        "events": events,
        "ms_per_frame": round((time.thread_time() - began_s) * 1000 / max(1, count), 2),
    }
    print(
        json.dumps(last, ensure_ascii=False)
        if as_json
        else f"{path.name}: {count} frames, {events} throw(s), {last['ms_per_frame']} ms a frame"
    )


def _tell(path: Path, throw: Throw, first_s: float, *, as_json: bool) -> None:
    if as_json:
        row = {
            "clip": path.name,
            "first_frame": throw.first.frame,
            "last_frame": throw.last.frame,
            "first_time_s": round(throw.first.at_s - first_s, 3),
            "last_time_s": round(throw.last.at_s - first_s, 3),
            "probability": round(throw.probability, 4),
            "boxes": {str(n): [round(v, 1) for v in box] for n, box in throw.boxes().items()},
        }
        print(json.dumps(row, ensure_ascii=False))
        return
    a, b = throw.first, throw.last
    print(
        f"{path.name}: throw, frames {a.frame}-{b.frame}, from ({a.spot.x:.0f}, {a.spot.y:.0f}) to ({b.spot.x:.0f}, {b.spot.y:.0f}), "
        f"probability {throw.probability:.2f}"
    )
