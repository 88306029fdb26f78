"""Training the detector: deterministic, resumable, on a processor in an hour or two, on a GPU when one is there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gatehouse_edge.vision.stack import TILE_PX
from gatehouse_throw.net import TileNet, loss, targets

BATCH: Final = 64
PEAK_RATE: Final = 2.5e-3
_SAVE_EVERY_STEPS: Final = 500
_MIRRORED_SHARE: Final = 0.5
_INVERTED_SHARE: Final = 0.25


class Shards:
    """Tiles on disk, several thousand a file: mapped when needed, or all of them in a GPU's memory."""

    def __init__(self, folder: Path, *, device: torch.device | None = None) -> None:
        self.paths: Final = sorted(p for p in folder.glob("*.npy") if p.suffixes == [".npy"])
        if not self.paths:
            raise FileNotFoundError(
                f"no tiles in {folder}: render them first (`python -m gatehouse_throw tiles`)"
            )
        self._files: Final = [np.load(path, mmap_mode="r") for path in self.paths]
        self._first: Final = np.cumsum([0, *map(len, self._files)])
        boxes = np.concatenate([np.load(path.with_suffix(".boxes.npy")) for path in self.paths])
        self.objects: Final[npt.NDArray[np.float32]] = boxes[:, 0]
        self.doubtful: Final[npt.NDArray[np.float32]] = boxes[:, 1]
        self._device: Final = device or torch.device("cpu")
        self._held: Final = (
            None if self._device.type == "cpu" else torch.cat([torch.from_numpy(np.array(one)).to(self._device) for one in self._files])
        )  # fmt: skip

    def batches(
        self, seed: int, *, size: int = BATCH, skip: int = 0
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield batches for ever, two fifths of the tiles with a throw in them; `skip` of them are stepped over."""
        rng = np.random.default_rng(seed)
        has = self.objects[:, 0, 2] > 0
        with_throw, without = np.flatnonzero(has), np.flatnonzero(~has)
        number = 0
        while True:
            picked = np.concatenate(
                [rng.choice(with_throw, size * 2 // 5), rng.choice(without, size - size * 2 // 5)]
            )
            chances = rng.random((3, size), np.float32)
            number += 1
            if number > skip:
                yield self._batch(picked, chances)

    def pictures(self, picked: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Return tiles by number, shape (n, LAYERS, TILE_PX, TILE_PX)."""
        files = np.searchsorted(self._first, picked, side="right") - 1
        return np.stack([self._files[f][n - self._first[f]] for f, n in zip(files, picked, strict=True)])

    def _batch(
        self, picked: npt.NDArray[np.int64], chances: npt.NDArray[np.float32]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return tiles as they might also have been: half of them mirrored, a quarter in infrared, each with more or less contrast."""
        at = self._device
        pictures = (
            torch.from_numpy(self.pictures(picked)) if self._held is None else self._held[torch.from_numpy(picked).to(at)]
        ).float()  # fmt: skip
        boxes = torch.from_numpy(np.stack([self.objects[picked], self.doubtful[picked]])).to(at)
        is_mirrored, is_inverted, gain = torch.from_numpy(chances).to(at)[:, :, None, None, None]
        pictures = torch.where(is_mirrored < _MIRRORED_SHARE, pictures.flip(3), pictures)
        there = (boxes[..., 2] > 0) & (is_mirrored[None, :, :, 0, 0] < _MIRRORED_SHARE)
        boxes[..., 0] = torch.where(there, TILE_PX - boxes[..., 0], boxes[..., 0])
        pictures = torch.where(is_inverted < _INVERTED_SHARE, 255 - pictures, pictures)
        mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
        return torch.clamp((pictures - mean) * (0.7 + 0.6 * gain) + mean, 0, 255), boxes[0], boxes[1]


def train(
    folder: Path,
    out: Path,
    *,
    steps: int,
    batch: int = BATCH,
    seed: int = 1,
    make: Callable[[], nn.Module] = TileNet,
    max_s: float | None = None,
) -> Path:
    """Train for `steps` steps of `batch` tiles (or `max_s` seconds) and return the checkpoint; an earlier one in `out` is gone on from."""
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = make().to(device)
    optimiser = torch.optim.AdamW(net.parameters(), lr=PEAK_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, PEAK_RATE, total_steps=steps + 1, pct_start=0.08
    )
    out.mkdir(parents=True, exist_ok=True)
    path, first = out / "detector.pt", 0
    if path.exists():
        kept = torch.load(path, map_location=device, weights_only=True)
        net.load_state_dict(kept["net"])
        optimiser.load_state_dict(kept["optimiser"])
        schedule.load_state_dict(kept["schedule"])
        first = int(kept["step"])
    shards = Shards(folder, device=device)
    began, running = time.monotonic(), torch.zeros(())
    for step, (pictures, objects, doubtful) in enumerate(
        shards.batches(seed, size=batch, skip=first), start=first + 1
    ):
        error = loss(net(pictures), targets(objects, doubtful, size=TILE_PX))
        optimiser.zero_grad()
        error.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        running = 0.98 * running + 0.02 * error.detach() if step > first + 1 else error.detach()
        is_last = step >= steps or (max_s is not None and time.monotonic() - began > max_s)
        if step % _SAVE_EVERY_STEPS == 0 or is_last:
            state = {
                "net": net.state_dict(),
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
                "step": step,
            }
            torch.save(state, path)
            line = {
                "step": step,
                "loss": round(float(running), 4),
                "elapsed_s": round(time.monotonic() - began, 1),
            }
            with (out / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        if is_last:
            return path
    raise AssertionError("batches never end")
