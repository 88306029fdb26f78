"""`gatehouse-edge vision replay`: a clip through the whole chain, as a gateway would have seen it."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gatehouse_edge.vision.release import MANIFEST, Manifest, ModelError, load_manifest, released, watch_maker

__all__ = ["MANIFEST", "Manifest", "add_parser", "load_manifest", "released", "run", "watch_maker"]

from gatehouse_edge import calibration_tools

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from gatehouse_edge.vision.facade import Calibration, Origin
    from gatehouse_edge.vision.verdicts import Throw
    from gatehouse_edge.vision.watch import Watch


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add `vision` with its verbs; the parsed arguments go to `run`."""
    parser = subparsers.add_parser(
        "vision", help="throw detection: replay a clip, calibrate a camera, measure the cost"
    )
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
    calibration_tools.add_parser(verbs)


def run(args: Namespace) -> int:
    """Do what `args` ask; 0 done, 1 a clip, the models or the calibration could not be used, 2 misuse."""
    if args.verb == "calibrate":
        return calibration_tools.run(args)
    return _bench(args) if args.verb == "bench" else _replay_all(args)


def _bench(args: Namespace) -> int:
    from gatehouse_edge.vision_cost import CostError, cost_of

    try:
        cost = cost_of(args.clip, args.models)
    except CostError as error:
        print(f"gatehouse-edge: {error}", file=sys.stderr)
        return 1
    if args.json:
        told = msgspec.to_builtins(cost) | {"of_mog2": cost.ratio, "streams_a_core": cost.streams}
        print(json.dumps({name: round(value, 3) for name, value in told.items()}))
    else:
        print(
            f"{args.clip.name}: {cost.frames} frames; decoding {cost.decode_ms:.1f} ms, whole chain {cost.chain_ms:.1f} ms, "
            f"MOG2 alone {cost.mog2_ms:.1f} ms a frame: {cost.ratio:.2f} of it, {cost.streams:.1f} cameras a core; "
            f"{cost.skipped_tiles} tiles skipped, {cost.resident_mib:.0f} MiB (at most {cost.peak_mib:.0f})"
        )
    return 0


def _replay_all(args: Namespace) -> int:
    from gatehouse_edge.drivers.clip import ClipError
    from gatehouse_edge.vision.facade import CalibrationError, decode

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
            watch.draw(calibration)
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
