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

    from gatehouse_edge.vision.detector import Detector
    from gatehouse_edge.vision.origin import Calibration, Origin
    from gatehouse_edge.vision.watch import Classifier, Throw, Watch

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
    """Judges the paths that the detector's spots make."""
    fallback: ModelFile | None = None
    """Judges the paths of the classical proposals (three-frame difference); None: there is no fallback."""
    threshold: float = 0.5
    """Calibrated probability from which a path is an event."""
    for_alarms: bool = False
    """Whether its figures are good enough to raise alarms by themselves; False: only suggestions to a person."""

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


def watch_maker(
    folder: Path | None, *, is_classical: bool, threshold: float | None = None
) -> Callable[[int], Watch]:
    """Return what makes a fresh chain for a picture of so many rows. OpenCV is held to one thread.

    Args:
        folder: of a release; None: this installation has none.
        is_classical: three-frame difference instead of the detector network.
        threshold: probability from which a path is an event; None: the release's own.

    Raises:
        ModelError: no usable models.
    """
    import cv2

    from gatehouse_edge.vision.detector import ModelError
    from gatehouse_edge.vision.watch import Watch

    if folder is None:
        raise ModelError("this installation has no throw models: name a folder with --models")
    detector, classifier, limit = parts(folder, is_classical=is_classical)
    cv2.setNumThreads(1)
    return lambda height_px: Watch(
        detector, classifier, height_px=height_px, threshold=limit if threshold is None else threshold
    )


def parts(folder: Path, *, is_classical: bool) -> tuple[Detector, Classifier, float]:
    """Return the detector, the classifier and the threshold of a release.

    Raises:
        ModelError: no usable models.
    """
    from gatehouse_edge.vision.detector import ClassicalDetector, ModelError, OnnxDetector
    from gatehouse_edge.vision.watch import Classifier

    manifest = load_manifest(folder)
    detector: Detector
    if is_classical:
        if manifest.fallback is None:
            raise ModelError(f"the release {manifest.version} has no classifier for the classical path")
        detector, judge = ClassicalDetector(), manifest.fallback
    else:
        detector = OnnxDetector(folder / manifest.detector.file, sha256=manifest.detector.sha256)
        judge = manifest.classifier
    return detector, Classifier(folder / judge.file, sha256=judge.sha256), manifest.threshold


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add `vision` with its verbs; the parsed arguments go to `run`."""
    parser = subparsers.add_parser("vision", help="throw detection: replay a clip, measure its cost")
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
    replay.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help="probability from which a path is told; without: the release's own",
    )
    replay.add_argument(
        "--calibration",
        type=Path,
        help="what was drawn on a still of this camera (JSON): adds the floor interval",
    )
    replay.add_argument("--json", action="store_true", help="print JSON lines")
    bench = verbs.add_parser("bench", help="what a clip costs on this machine, beside OpenCV's MOG2")
    bench.add_argument("clip", type=Path, metavar="CLIP", help="a video file of the camera in question")
    bench.add_argument("--models", type=Path, help="folder of a model release; without: the own one")
    bench.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    """Replay or measure; 0 done, 1 a clip, the models or the calibration could not be used."""
    return _bench(args) if args.verb == "bench" else _replay_all(args)


def _bench(args: Namespace) -> int:
    from gatehouse_edge.drivers.clip import ClipError
    from gatehouse_edge.vision.detector import ModelError
    from gatehouse_edge.vision_cost import measure

    try:
        cost = measure(args.clip, watch_maker(args.models or released(), is_classical=False))
    except (ModelError, ClipError) as error:
        print(f"gatehouse-edge: {error}", file=sys.stderr)
        return 1
    if args.json:
        told = msgspec.to_builtins(cost) | {"of_mog2": cost.ratio, "streams_a_core": cost.streams}
        print(json.dumps({name: round(value, 3) for name, value in told.items()}))
    else:
        print(
            f"{args.clip.name}: {cost.frames} frames; decoding {cost.decode_ms:.1f} ms, whole chain {cost.chain_ms:.1f} ms, "
            f"MOG2 alone {cost.mog2_ms:.1f} ms a frame: {cost.ratio:.2f} of it, {cost.streams:.1f} cameras a core; "
            f"{cost.skipped_tiles} tiles skipped, {cost.peak_mib:.0f} MiB"
        )
    return 0


def _replay_all(args: Namespace) -> int:
    from gatehouse_edge.drivers.clip import ClipError
    from gatehouse_edge.vision.detector import ModelError
    from gatehouse_edge.vision.origin import CalibrationError, decode

    try:
        make = watch_maker(args.models or released(), is_classical=args.classical, threshold=args.threshold)
        calibration = decode(args.calibration.read_bytes()) if args.calibration else None
    except (ModelError, CalibrationError) as error:
        print(f"gatehouse-edge: {error}", file=sys.stderr)
        return 1
    failed = False
    for clip in args.clips:
        try:
            _replay(clip, make, calibration, as_json=args.json)
        except ClipError as error:
            print(f"gatehouse-edge: {error}", file=sys.stderr)
            failed = True
    return 1 if failed else 0


def _replay(
    path: Path, make: Callable[[int], Watch], calibration: Calibration | None, *, as_json: bool
) -> None:
    from gatehouse_edge.drivers.clip import Clip

    clip, watch, count, began_s = Clip(path), None, 0, time.thread_time()
    first_s, is_timed, events = 0.0, True, 0

    def tell(throws: list[Throw]) -> int:
        for throw in throws:
            print(_row(path, throw, first_s, calibration) if as_json else _line(path, throw, calibration))
        return len(throws)

    for frame in clip.frames():
        if watch is None:
            watch, first_s = make(frame.luma.shape[0]), frame.at_s
        count, is_timed = count + 1, is_timed and frame.is_timed
        events += tell(watch.see(frame.luma, frame.at_s))
    if watch is not None:
        events += tell(watch.end())
    spent_ms = (time.thread_time() - began_s) * 1000
    last = {
        "clip": path.name,
        "frames": count,
        "repeats_dropped": watch.stack.repeats if watch else 0,
        "undecodable": clip.undecodable,
        "skipped_tiles": watch.stack.skipped_tiles if watch else 0,
        "has_time_stamps": is_timed,
        "events": events,
        "ms_per_frame": round(spent_ms / max(1, count), 2),
    }
    if as_json:
        print(json.dumps(last, ensure_ascii=False))
    else:
        print(f"{path.name}: {count} frames, {events} throw(s), {last['ms_per_frame']} ms a frame")


def _row(path: Path, throw: Throw, first_s: float, calibration: Calibration | None) -> str:
    row: dict[str, object] = {
        "clip": path.name,
        "first_frame": throw.first.frame,
        "last_frame": throw.last.frame,
        "first_time_s": round(throw.first.at_s - first_s, 3),
        "last_time_s": round(throw.last.at_s - first_s, 3),
        "probability": round(throw.probability, 4),
    }
    if calibration is not None:
        row["origin"] = msgspec.to_builtins(origin_of(throw, calibration))
    row["boxes"] = {str(n): [round(v, 1) for v in box] for n, box in throw.boxes().items()}
    return json.dumps(row, ensure_ascii=False)


def _line(path: Path, throw: Throw, calibration: Calibration | None) -> str:
    a, b = throw.first, throw.last
    words = (
        f"{path.name}: throw, frames {a.frame}-{b.frame}, from ({a.spot.x:.0f}, {a.spot.y:.0f}) "
        f"to ({b.spot.x:.0f}, {b.spot.y:.0f}), probability {throw.probability:.2f}"
    )
    if calibration is None:
        return words
    told = origin_of(throw, calibration)
    return f"{words}; floor {told.floor_low}-{told.floor_high} ({told.probability:.0%})"


def origin_of(throw: Throw, calibration: Calibration) -> Origin:
    """Return where a throw came from."""
    from gatehouse_edge.vision.origin import origin

    return origin(throw.points, calibration)
