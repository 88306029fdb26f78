"""Training the classifier: paths of the tracker on rendered clips, labelled by the truth, into a small network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatehouse_edge.vision.features import NAMES, falling_part, features
from gatehouse_edge.vision.tracks import Path
from gatehouse_edge.vision.watch import MOVERS, Mover
from gatehouse_throw.scenes.scene import Truth

KINDS: Final[dict[str, Mover]] = {
    "bird": Mover.BIRD, "flock": Mover.BIRD, "insect": Mover.INSECT, "leaf": Mover.LEAF,
    "laundry": Mover.CLOTH, "curtain": Mover.CLOTH, "window": Mover.CLOTH, "tree": Mover.LEAF,
    "person": Mover.VEHICLE, "roof_person": Mover.VEHICLE, "hand": Mover.VEHICLE, "vehicle": Mover.VEHICLE, "lift_outside": Mover.VEHICLE,
    "drone": Mover.FLYING_MACHINE, "helicopter": Mover.FLYING_MACHINE, "lamp": Mover.CLUTTER, "headlight": Mover.CLUTTER,
}  # fmt: skip
"""What a rendered distractor is called by the classifier."""


class Judge(nn.Module):
    """Standardises its features itself; three layers; softmax at a calibrated temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(NAMES)))
        self.register_buffer("scale", torch.ones(len(NAMES)))
        self.register_buffer("temperature", torch.ones(1))
        self.layers = nn.Sequential(
            nn.Linear(len(NAMES), 48),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(48, 32),
            nn.ReLU(),
            nn.Linear(32, len(MOVERS)),
        )

    def logits(self, rows: Tensor) -> Tensor:
        """Return unscaled scores."""
        return self.layers(torch.clamp((rows - self.mean) / self.scale, -6, 6))  # type: ignore[no-any-return]

    def forward(self, rows: Tensor) -> Tensor:
        """Return probabilities of `MOVERS`."""
        return F.softmax(self.logits(rows) / self.temperature, dim=1)


def label(path: Path, truths: Sequence[Truth]) -> Mover:
    """Return what moved along a path: the throw if at least half of its points lie on one, else what covers most of them."""
    points = falling_part(path)
    on_throw = 0
    others: Counter[Mover] = Counter()
    for point in points:
        truth = truths[point.frame] if point.frame < len(truths) else Truth()
        if any(_covers(box, point.spot.x, point.spot.y, 4.0) for box in truth.throws.values()):
            on_throw += 1
            continue
        hits = [kind for kind, box in truth.others if _covers(box, point.spot.x, point.spot.y, 2.0)]
        small = [kind for kind in hits if kind != "tree"]
        if hits:
            others[KINDS[(small or hits)[0]]] += 1
    if on_throw >= 0.5 * len(points):
        return Mover.THROW
    if not others:
        return Mover.CLUTTER
    return others.most_common(1)[0][0]


def rows_of(
    paths: Sequence[Path], truths: Sequence[Truth], *, height_px: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return (features, index into `MOVERS`) of the paths of one clip."""
    kept = [(features(path, height_px=height_px), label(path, truths)) for path in paths]
    known = [(row, mover) for row, mover in kept if row is not None]
    if not known:
        return np.empty((0, len(NAMES)), np.float32), np.empty(0, np.int64)
    return np.stack([row for row, _ in known]), np.array(
        [MOVERS.index(mover) for _, mover in known], np.int64
    )


def fit(
    rows: npt.NDArray[np.float32],
    kinds: npt.NDArray[np.int64],
    check: tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]],
    *,
    epochs: int = 60,
    seed: int = 1,
) -> Judge:
    """Train on `rows`, set the temperature on `check`."""
    torch.manual_seed(seed)
    judge = Judge()
    judge.mean.copy_(torch.from_numpy(rows.mean(0)))
    judge.scale.copy_(torch.from_numpy(rows.std(0) + 1e-3))
    x, y = torch.from_numpy(rows), torch.from_numpy(kinds)
    counts = torch.bincount(y, minlength=len(MOVERS)).float()
    weight = torch.sqrt(counts.sum() / torch.clamp(counts, min=20.0))
    optimiser = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        judge.train()
        for index in torch.randperm(len(x), generator=generator).split(256):
            error = F.cross_entropy(
                judge.logits(x[index] + 0.03 * judge.scale * torch.randn(len(index), len(NAMES))),
                y[index],
                weight=weight,
                label_smoothing=0.01,
            )
            optimiser.zero_grad()
            error.backward()
            optimiser.step()
        schedule.step()
    judge.eval()
    _calibrate(judge, *check)
    return judge


def export(judge: Judge, path: FilePath) -> None:
    """Write the ONNX file: input `features` (n, len(NAMES)), output `likely` (n, len(MOVERS))."""
    torch.onnx.export(
        judge.eval(), (torch.zeros(2, len(NAMES)),), str(path), input_names=["features"], output_names=["likely"],
        dynamic_axes={"features": {0: "n"}, "likely": {0: "n"}}, opset_version=17, dynamo=False,
    )  # fmt: skip


def _calibrate(judge: Judge, rows: npt.NDArray[np.float32], kinds: npt.NDArray[np.int64]) -> None:
    with torch.no_grad():
        logits, y = judge.logits(torch.from_numpy(rows)), torch.from_numpy(kinds)
        tried = torch.linspace(0.5, 3.0, 51)
        losses = torch.stack([F.cross_entropy(logits / t, y) for t in tried])
        judge.temperature.fill_(float(tried[int(losses.argmin())]))


def _covers(box: tuple[float, float, float, float], x: float, y: float, rim: float) -> bool:
    return box[0] - rim <= x <= box[0] + box[2] + rim and box[1] - rim <= y <= box[1] + box[3] + rim
