"""`python -m gatehouse_throw`: from nothing to a release of the throw models, and the figures beside it.

| step | what it leaves |
|---|---|
| `sheet` | a contact sheet of scenes, to be looked at |
| `tiles` | training tiles of rendered, encoded and decoded clips |
| `train` | a checkpoint; an interrupted training goes on |
| `ablation` | other designs of the detector, trained alike |
| `render` | annotated clips of a split |
| `plant` | annotated clips of real footage with rendered falls in it |
| `onnx` | a checkpoint as an ONNX file |
| `strips` | what the tracker's paths in annotated clips look like, and what each was |
| `judge` | the path classifier, from strips |
| `release` | ONNX files and their manifest |
| `evaluate` | figures of a release (or of the classical path) on annotated clips |
| `compare` | the same, beside three-frame difference and MOG2, in one table |
| `losses` | where falls are lost: tiles, spots, paths, events |
| `negatives` | false alarms over hours of scenes without a throw, in a ledger that is gone on with |
| `chain` | all of it, from nothing to a release |
| `draw` | a picture of what is found in one clip |
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import numpy as np

Thing = TypeVar("Thing")
_TILES_A_FILE: Final = 2500
JUDGED_DENSE: Final = 2980
JUDGED: Final = 1070
"""Scenes from which `chain` teaches a classifier; what the release has learned from is in its card."""
_CALIBRATED_TILES: Final = 384
_LEAST_TOLD: Final = 0.1
"""A release begins with this threshold and is given the chosen one."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gatehouse_throw", description="scenes, training and figures of throw detection"
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    sheet = verbs.add_parser("sheet", help="write a contact sheet of scenes")
    sheet.add_argument("out", type=Path)
    sheet.add_argument("--first", type=int, default=0, help="first seed")
    sheet.add_argument("--count", type=int, default=16)
    tiles = verbs.add_parser("tiles", help="render training tiles")
    tiles.add_argument("out", type=Path)
    tiles.add_argument("--first", type=int, default=0)
    tiles.add_argument("--count", type=int, default=400)
    tiles.add_argument(
        "--rival", type=Path, help="an earlier detector.onnx: tiles in which it errs are kept as well"
    )
    ablation = verbs.add_parser("ablation", help="train several designs alike and compare them")
    ablation.add_argument("tiles", type=Path)
    ablation.add_argument("held_out", type=Path, help="tiles of other scenes")
    ablation.add_argument("out", type=Path)
    ablation.add_argument("--steps", type=int, default=2500)
    training = verbs.add_parser("train", help="train the detector on tiles; goes on where it was interrupted")
    training.add_argument("tiles", type=Path)
    training.add_argument("out", type=Path)
    training.add_argument("--steps", type=int, default=12_000)
    training.add_argument("--batch", type=int, help="tiles a step; a GPU is worth 512 and more")
    render = verbs.add_parser("render", help="render annotated clips of a split")
    render.add_argument("out", type=Path)
    render.add_argument("--split", choices=["train", "dense", "validation", "test"], default="test")
    render.add_argument("--first", type=int, default=0, help="number within the split")
    render.add_argument("--count", type=int, default=60, help="how many numbers of the split are looked at")
    render.add_argument("--widest", type=int, help="leave out scenes with wider pictures, px")
    plant = verbs.add_parser("plant", help="plant rendered falls into footage of real cameras")
    plant.add_argument("out", type=Path)
    plant.add_argument("footage", nargs="+", type=Path, help="clips or folders")
    plant.add_argument("--first", type=int, default=0, help="first seed")
    plant.add_argument("--count", type=int, default=8, help="clips to make of each")
    plant.add_argument("--falls", type=int, default=1, help="falls in each")
    plant.add_argument(
        "--seconds", type=float, default=6.0, help="how much of the footage each shows at most"
    )
    _add_release(verbs)
    _add_figures(verbs)
    chain = verbs.add_parser("chain", help="everything from nothing to a release")
    chain.add_argument("work", type=Path, help="folder for what lies between; gone on with where steps can")
    chain.add_argument("out", type=Path, help="folder of the release")
    chain.add_argument("--version", default="0.0")
    chain.add_argument("--scale", type=float, default=1.0, help="share of scenes and steps, to try it out")
    return parser


def _add_release(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    strips = verbs.add_parser(
        "strips", help="find the paths in annotated clips; goes on where it was interrupted"
    )
    strips.add_argument("detector", type=Path, help="detector.onnx; not looked at with --classical or --mog2")
    strips.add_argument(
        "clips", type=Path, help="folder of rendered clips the detector has not been trained on"
    )
    strips.add_argument("out", type=Path, help="folder for one file a clip")
    strips.add_argument("--classical", action="store_true", help="the paths of the three-frame difference")
    strips.add_argument("--mog2", action="store_true", help="the paths of OpenCV's MOG2, a baseline only")
    judge = verbs.add_parser("judge", help="train the path classifier on strips")
    judge.add_argument("check", type=Path, help="folder of strips of validation clips, for the temperature")
    judge.add_argument("out", type=Path, help="classifier.onnx")
    judge.add_argument("strips", type=Path, nargs="+", help="folders of strips")
    judge.add_argument("--epochs", type=int, help="times every strip is looked at")
    onnx = verbs.add_parser("onnx", help="write a checkpoint as an ONNX file")
    onnx.add_argument("checkpoint", type=Path)
    onnx.add_argument("out", type=Path)
    release = verbs.add_parser("release", help="export a checkpoint and write the manifest")
    release.add_argument("checkpoint", type=Path)
    release.add_argument("out", type=Path)
    release.add_argument(
        "--classifier", type=Path, required=True, help="classifier.onnx of the detector's paths"
    )
    release.add_argument(
        "--fallback", type=Path, help="classifier.onnx of the classical paths; without: none"
    )
    release.add_argument("--tiles", type=Path, help="tiles on which int8 is calibrated; without: float")
    release.add_argument("--version", required=True)
    release.add_argument(
        "--validation",
        type=Path,
        required=True,
        help="folder of rendered clips on which the threshold is chosen",
    )
    release.add_argument(
        "--for-alarms", action="store_true", help="its figures are good enough to raise alarms"
    )


def _add_figures(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    evaluate = verbs.add_parser("evaluate", help="figures on annotated clips")
    evaluate.add_argument(
        "clips", nargs="+", type=Path, help="clips or folders; annotation beside each clip, none: a negative"
    )
    evaluate.add_argument("--models", type=Path, required=True, help="folder of a release")
    evaluate.add_argument(
        "--classical", action="store_true", help="three-frame difference instead of the network"
    )
    evaluate.add_argument("--threshold", type=float, help="without: the release's own")
    evaluate.add_argument("--undrawn", action="store_true", help="as if no operator had drawn any floors")
    rivals = verbs.add_parser("compare", help="a release beside both kinds of background subtraction")
    rivals.add_argument("clips", nargs="+", type=Path, help="clips or folders")
    rivals.add_argument("--models", type=Path, required=True, help="folder of a release")
    rivals.add_argument("--mog2", type=Path, help="classifier.onnx of MOG2's paths; without: left out")
    lost = verbs.add_parser("losses", help="where falls are lost")
    lost.add_argument("clips", type=Path, help="folder of rendered clips")
    lost.add_argument("--models", type=Path, required=True, help="folder of a release")
    lost.add_argument(
        "--classical", action="store_true", help="three-frame difference instead of the network"
    )
    night = verbs.add_parser("negatives", help="false alarms over hours of rendered scenes")
    night.add_argument("ledger", type=Path, help="JSON lines; gone on with")
    night.add_argument("--models", type=Path, required=True, help="folder of a release")
    night.add_argument("--minutes", type=float, default=10.0, help="how long to go on")
    draw = verbs.add_parser("draw", help="write a picture of what is found in one clip")
    draw.add_argument("clip", type=Path)
    draw.add_argument("out", type=Path, help="PNG file")
    draw.add_argument("--models", type=Path, required=True)
    draw.add_argument("--threshold", type=float)


def _tiles(args: argparse.Namespace) -> int:
    from gatehouse_edge.vision.detector import OnnxDetector
    from gatehouse_throw.scenes.spec import Split, seeds
    from gatehouse_throw.tiles import Tiles, tiles_of

    args.out.mkdir(parents=True, exist_ok=True)
    rival = OnnxDetector(args.rival) if args.rival else None
    held: list[Tiles] = []
    written = 0

    def flush() -> None:
        nonlocal held, written
        if not held:
            return
        name = f"tiles_{args.first:08d}_{written:04d}"
        boxes = np.stack(
            [np.concatenate([t.objects for t in held]), np.concatenate([t.doubtful for t in held])], axis=1
        )
        np.save(args.out / f"{name}.boxes.npy", boxes)
        np.save(args.out / f"{name}.npy", np.concatenate([t.pictures for t in held]))
        held, written = [], written + 1

    for seed in _shown(seeds(Split.DENSE, args.first + args.count)[args.first :]):
        held.append(tiles_of(seed, rival=rival))
        if sum(len(t.pictures) for t in held) > _TILES_A_FILE:
            flush()
    flush()
    return 0


def _render(args: argparse.Namespace) -> int:
    from gatehouse_throw.clips import render
    from gatehouse_throw.scenes.spec import Split, seeds, spec_of

    args.out.mkdir(parents=True, exist_ok=True)
    chosen = seeds(Split(args.split), args.first + args.count)[args.first :]
    for seed in _shown(
        seed for seed in chosen if args.widest is None or spec_of(seed).width_px <= args.widest
    ):
        if not (args.out / f"{seed}.json").exists():
            render(spec_of(seed), args.out / f"{seed}.mkv")
    return 0


def _plant(args: argparse.Namespace) -> int:
    from gatehouse_edge.drivers.clip import ClipError
    from gatehouse_throw.evaluate import clips_in
    from gatehouse_throw.planted import FootageError, plant

    args.out.mkdir(parents=True, exist_ok=True)
    footage = [clip for path in args.footage for clip in clips_in(path)]
    left_out: list[str] = []
    for clip, seed in _shown(
        (clip, seed) for clip in footage for seed in range(args.first, args.first + args.count)
    ):
        out = args.out / f"{clip.stem}_{seed}.mkv"
        if not out.with_suffix(".json").exists():
            try:
                plant(clip, out, seed=seed, seconds=args.seconds, falls=args.falls)
            except (ClipError, FootageError) as error:
                left_out.append(str(error))
    for words in sorted(set(left_out)):
        _say(f"left out: {words}")
    return 1 if left_out else 0


def _train(args: argparse.Namespace) -> int:
    from gatehouse_throw.train import BATCH, train

    _say(str(train(args.tiles, args.out, steps=args.steps, batch=args.batch or BATCH)))
    return 0


def _ablation(args: argparse.Namespace) -> int:
    from gatehouse_throw.ablation import compare, table

    _say(table(compare(args.tiles, args.held_out, args.out, steps=args.steps)))
    return 0


def _strips(args: argparse.Namespace) -> int:
    from gatehouse_edge.vision.detector import ClassicalDetector, Detector, OnnxDetector
    from gatehouse_edge.vision.watch import Watch
    from gatehouse_throw.annotations import read
    from gatehouse_throw.baselines import Mog2Watch
    from gatehouse_throw.clips import lessons_in
    from gatehouse_throw.evaluate import clips_in

    detector: Detector = ClassicalDetector() if args.classical or args.mog2 else OnnxDetector(args.detector)

    def make(height_px: int) -> Watch:
        if args.mog2:
            return Mog2Watch(None, height_px=height_px, threshold=1.0)
        return Watch(detector, None, height_px=height_px)

    args.out.mkdir(parents=True, exist_ok=True)
    paths = throws = 0
    for clip in _shown(clips_in(args.clips)):
        out = args.out / f"{clip.stem}.npz"
        if not out.exists():
            lessons_in(read(clip), make).save(out)
        kinds = np.load(out)["kinds"]
        paths, throws = paths + len(kinds), throws + int((kinds == 0).sum())
    _say(f"{paths} paths, {throws} of throws")
    return 0


def _judge(args: argparse.Namespace) -> int:
    from gatehouse_throw.judge import EPOCHS, export, fit
    from gatehouse_throw.labels import joined, load

    train = joined([load(path) for folder in args.strips for path in sorted(folder.glob("*.npz"))])
    check = joined([load(path) for path in sorted(args.check.glob("*.npz"))])
    judge = fit(train, check, epochs=args.epochs or EPOCHS)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    export(judge, args.out)
    throws = int((train.kinds == 0).sum())
    _say(f"{len(train)} paths, {throws} of throws; temperature {float(judge.temperature):.2f}")
    return 0


def _onnx(args: argparse.Namespace) -> int:
    from gatehouse_throw.export import export, load

    export(load(args.checkpoint), args.out)
    return 0


def _release(args: argparse.Namespace) -> int:
    from gatehouse_edge.vision.release import watch_maker
    from gatehouse_edge.vision.stack import LAYERS, TILE_PX
    from gatehouse_throw.annotations import read
    from gatehouse_throw.evaluate import chosen, clips_in, run
    from gatehouse_throw.export import export, load, parity, quantise
    from gatehouse_throw.train import Shards

    args.out.mkdir(parents=True, exist_ok=True)
    detector, classifier, fallback = (
        args.out / f"{name}.onnx" for name in ("detector", "classifier", "fallback")
    )
    net = load(args.checkpoint)
    export(net, detector)
    samples = np.random.default_rng(0).integers(0, 255, (8, LAYERS, TILE_PX, TILE_PX), dtype=np.uint8)
    difference = parity(net, detector, samples)
    if args.tiles is not None:
        shards = Shards(args.tiles)
        some = np.linspace(0, len(shards.objects) - 1, _CALIBRATED_TILES).astype(int)
        exact = detector.with_suffix(".exact.onnx")
        detector.rename(exact)
        quantise(exact, detector, shards.pictures(some))
        exact.unlink()
    classifier.write_bytes(args.classifier.read_bytes())
    paths = [detector, classifier]
    if args.fallback is not None:
        fallback.write_bytes(args.fallback.read_bytes())
        paths.append(fallback)
    files = {path.stem: {"file": path.name, "sha256": _sha256(path)} for path in paths}
    told = {"version": args.version, **files, "threshold": _LEAST_TOLD, "for_alarms": args.for_alarms}
    manifest = args.out / "manifest.json"
    manifest.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    make = watch_maker(args.out, is_classical=False)
    report = run(_shown([read(clip) for clip in clips_in(args.validation)]), make, threshold=_LEAST_TOLD)
    told["threshold"] = chosen(report)
    manifest.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    _say(f"torch and onnxruntime differ by at most {difference:.1e}; threshold {told['threshold']}")
    return 0


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _evaluate(args: argparse.Namespace) -> int:
    from gatehouse_edge.vision.release import load_manifest, watch_maker
    from gatehouse_throw.annotations import read
    from gatehouse_throw.evaluate import clips_in, run

    threshold = load_manifest(args.models).threshold if args.threshold is None else args.threshold
    make = watch_maker(args.models, is_classical=args.classical, threshold=threshold)
    clips = [read(clip) for path in args.clips for clip in clips_in(path)]
    _say(run(_shown(clips), make, threshold=threshold, is_drawn=not args.undrawn).to_json())
    return 0


def _losses(args: argparse.Namespace) -> int:
    from gatehouse_edge.vision.release import parts
    from gatehouse_throw.annotations import read
    from gatehouse_throw.evaluate import clips_in
    from gatehouse_throw.losses import losses, table

    detector, classifier, threshold = parts(args.models, is_classical=args.classical)
    clips = _shown([read(clip) for clip in clips_in(args.clips)])
    _say(table(losses(clips, detector, classifier, threshold=threshold)))
    return 0


def _negatives(args: argparse.Namespace) -> int:
    from gatehouse_edge.vision.release import load_manifest, watch_maker
    from gatehouse_throw.negatives import entries, tally, watch

    manifest = load_manifest(args.models)
    make = watch_maker(args.models, is_classical=False)
    until_s = time.monotonic() + 60 * args.minutes
    for entry in watch(
        args.ledger, make, models=manifest.sha256, threshold=manifest.threshold, until_s=until_s
    ):
        sys.stderr.write(f"\r{entry.seed}: {len(entry.told)} ")
    told = tally(entries(args.ledger, manifest.sha256, manifest.threshold))
    _say(json.dumps(msgspec.to_builtins(told), indent=1))
    return 0


def _compare(args: argparse.Namespace) -> int:
    from gatehouse_edge.vision.classifier import Classifier
    from gatehouse_edge.vision.release import load_manifest, watch_maker
    from gatehouse_throw.annotations import read
    from gatehouse_throw.baselines import Mog2Watch
    from gatehouse_throw.evaluate import clips_in, rows, run

    clips = [read(clip) for path in args.clips for clip in clips_in(path)]
    threshold = load_manifest(args.models).threshold
    makers = {
        "tiles and network": watch_maker(args.models, is_classical=False),
        "three-frame difference": watch_maker(args.models, is_classical=True),
    }
    if args.mog2 is not None:
        judge = Classifier(args.mog2)
        makers["OpenCV MOG2"] = lambda height_px: Mog2Watch(judge, height_px=height_px, threshold=threshold)
    _say(rows([(name, run(_shown(clips), make, threshold=threshold)) for name, make in makers.items()]))
    return 0


def _draw(args: argparse.Namespace) -> int:
    from gatehouse_edge.vision.release import watch_maker
    from gatehouse_throw.annotations import read
    from gatehouse_throw.contact import trail

    count = trail(
        read(args.clip), watch_maker(args.models, is_classical=False, threshold=args.threshold), args.out
    )
    _say(f"{count} throw(s)")
    return 0


def _sheet(args: argparse.Namespace) -> int:
    from gatehouse_throw.contact import sheet

    sheet(_shown(range(args.first, args.first + args.count)), args.out)
    return 0


def _chain(args: argparse.Namespace) -> int:
    """Run every step at the sizes of the released models, times `--scale`."""
    work, out = args.work, args.out

    def some(count: int) -> str:
        return str(max(1, round(args.scale * count)))

    def judging(name: str, *options: str) -> list[list[object]]:
        parts = [work / f"{name}_{part}" for part in ("validation", "judge_dense", "judge")]
        found: list[list[object]] = [
            ["strips", work / "detector.onnx", work / part.name.removeprefix(f"{name}_"), part, *options]
            for part in parts
        ]
        return [*found, ["judge", parts[0], work / f"{name}.onnx", *parts[1:]]]

    steps: list[list[object]] = [
        ["tiles", work / "tiles", "--count", some(450)],
        ["train", work / "tiles", work / "first", "--steps", some(9000)],
        ["onnx", work / "first" / "detector.pt", work / "first.onnx"],
        ["tiles", work / "tiles", "--first", "300000", "--count", some(660), "--rival", work / "first.onnx"],
        ["train", work / "tiles", work / "second", "--steps", some(7000), "--batch", "512"],
        ["onnx", work / "second" / "detector.pt", work / "detector.onnx"],
        ["render", work / "judge_dense", "--split", "dense", "--first", "600000", "--count", some(JUDGED_DENSE)],
        ["render", work / "judge", "--split", "train", "--first", "500000", "--count", some(JUDGED)],
        ["render", work / "validation", "--split", "validation", "--count", some(150)],
        *judging("classifier"),
        *judging("fallback", "--classical"),
        ["release", work / "second" / "detector.pt", out, "--classifier", work / "classifier.onnx",
         "--fallback", work / "fallback.onnx", "--validation", work / "validation", "--tiles", work / "tiles",
         "--version", args.version],
    ]  # fmt: skip
    for step in steps:
        words = [str(word) for word in step]
        _say("$ python -m gatehouse_throw " + " ".join(words))
        if (code := main(words)) != 0:
            return code
    return 0


def _shown(things: Iterable[Thing]) -> Iterator[Thing]:
    """Yield things with a line of progress on standard error."""
    every = list(things)
    for n, thing in enumerate(every, start=1):
        sys.stderr.write(f"\r{n}/{len(every)}")
        sys.stderr.flush()
        yield thing
    sys.stderr.write("\n")


def _say(words: str) -> None:
    sys.stdout.write(words + "\n")


_VERBS: Final = {
    "sheet": _sheet, "tiles": _tiles, "train": _train, "render": _render, "plant": _plant, "strips": _strips, "judge": _judge, "release": _release, "evaluate": _evaluate,
    "draw": _draw, "onnx": _onnx, "losses": _losses, "negatives": _negatives, "ablation": _ablation, "compare": _compare, "chain": _chain,
}  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run one step; returns 0 done, 1 something was left out, 2 misuse."""
    args = _parser().parse_args(argv)
    return _VERBS[args.verb](args)


if __name__ == "__main__":
    sys.exit(main())
