"""Designs of the detector side by side: trained alike on the same tiles, judged on tiles of other scenes, timed on one thread."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import nn

from gatehouse_edge.vision.stack import BUDGET, FRAMES, LAYERS, TILE_PX
from gatehouse_throw.export import export, quantise
from gatehouse_throw.net import STRIDE, HalfNet, TileNet
from gatehouse_throw.train import Shards, train

_LEAST_HEAT: Final = 0.05
_REACH_PX: Final = 4.0
_FULL_HD: Final = (1088, 1920)
_RUNS: Final = 15


DESIGNS: Final[dict[str, Callable[[], nn.Module]]] = {
    "tiles, full convolutions, 32 channels (released)": TileNet,
    "the same, 16 channels": lambda: TileNet(width=16),
    "the same, depthwise": lambda: TileNet(depthwise=True),
    "the same, three frames and the background": lambda: TileNet(layers=(0, 1, 2, LAYERS - 1)),
    "the same, without the background": lambda: TileNet(layers=range(FRAMES)),
    "whole picture at half resolution, depthwise, 8 channels": HalfNet,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One design."""

    name: str
    parameters: int
    precision: float
    """Average precision of peaks on held-out tiles, 0 to 1."""
    recall: float
    """Share of things with a peak of at least `_LEAST_HEAT`."""
    ms: float
    """Of one thread for what one 1080p frame asks of it."""


def compare(tiles: Path, held_out: Path, out: Path, *, steps: int) -> list[Row]:
    """Train every design for `steps` steps and return the table; checkpoints stay in `out`."""
    test = Shards(held_out)
    picked = np.arange(0, len(test.objects), max(1, len(test.objects) // 6000))
    pictures, boxes = test.pictures(picked), test.objects[picked]
    rows = []
    for number, (name, make) in enumerate(DESIGNS.items()):
        net = make()
        checkpoint = train(tiles, out / str(number), steps=steps, make=make)
        net.load_state_dict(torch.load(checkpoint, weights_only=True)["net"])
        net.eval()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.onnx"
            shape = _FULL_HD if isinstance(net, HalfNet) else None
            export(net, path, size=shape)
            heat = _heat(net, pictures)
            precision, recall = average_precision(heat, boxes)
            rows.append(
                Row(name=name, parameters=sum(p.numel() for p in net.parameters()), precision=precision, recall=recall,
                    ms=_ms(path, shape))
            )  # fmt: skip
            if number == 0:
                small = Path(folder) / "b.onnx"
                quantise(path, small, pictures[:: max(1, len(pictures) // 256)])
                precision, recall = average_precision(_heat_of(small, pictures), boxes)
                rows.append(
                    Row(name=f"{name}, int8", parameters=rows[0].parameters, precision=precision, recall=recall,
                        ms=_ms(small, None))
                )  # fmt: skip
    return rows


def table(rows: list[Row]) -> str:
    """Return a Markdown table."""
    lines = [
        "| design | parameters | average precision | recall | ms a 1080p frame |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.name} | {r.parameters} | {r.precision:.3f} | {r.recall:.3f} | {r.ms:.1f} |" for r in rows
    ]
    return "\n".join(lines)


def average_precision(heat: npt.NDArray[np.float32], boxes: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Return (average precision, recall at the lowest heat) of the peaks of heat maps (n, h, w) against boxes (n, k, 4)."""
    scores: list[float] = []
    right: list[bool] = []
    count = 0
    for one, truth in zip(heat, boxes, strict=True):
        there = truth[truth[:, 2] > 0]
        count += len(there)
        taken: set[int] = set()
        for row, column in _peaks(one):
            scores.append(float(one[row, column]))
            x, y = (column + 0.5) * STRIDE, (row + 0.5) * STRIDE
            apart = (
                np.maximum(abs(there[:, 0] - x), abs(there[:, 1] - y))
                - there[:, 2:].max(axis=1, initial=0) / 2
            )
            best = int(apart.argmin()) if len(apart) else -1
            is_hit = best >= 0 and best not in taken and float(apart[best]) <= _REACH_PX
            right.append(is_hit)
            if is_hit:
                taken.add(best)
    if not scores or not count:
        return 0.0, 0.0
    hits = np.cumsum(np.array(right)[np.argsort(-np.array(scores), kind="stable")])
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    recall = hits / count
    return float((np.diff(recall, prepend=0.0) * precision).sum()), float(recall[-1])


def _peaks(heat: npt.NDArray[np.float32]) -> list[tuple[int, int]]:
    rows, columns = np.nonzero(heat >= _LEAST_HEAT)
    order = np.argsort(-heat[rows, columns], kind="stable")
    is_open = np.ones(heat.shape, bool)
    found = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if is_open[row, column]:
            is_open[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = False
            found.append((row, column))
    return found


def _heat(net: nn.Module, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    with torch.no_grad():
        parts = [
            torch.sigmoid(net(torch.from_numpy(part))[0])[:, 0]
            for part in np.array_split(pictures, len(pictures) // 128 + 1)
        ]
    heat: npt.NDArray[np.float32] = torch.cat(parts).numpy()
    return heat


def _heat_of(path: Path, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    session = _session(path)
    return np.concatenate(
        [
            session.run(None, {"tiles": part})[0][:, 0]
            for part in np.array_split(pictures, len(pictures) // 128 + 1)
        ]
    )


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _ms(path: Path, size: tuple[int, int] | None) -> float:
    shape = (BUDGET, LAYERS, TILE_PX, TILE_PX) if size is None else (1, LAYERS, *size)
    tiles = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    session = _session(path)
    times = []
    for _ in range(_RUNS):
        began_s = time.thread_time()
        session.run(None, {"tiles": tiles})
        times.append((time.thread_time() - began_s) * 1000)
    return float(np.median(times))
