"""Training the classifier: paths of the tracker on rendered clips, labelled by the truth, into a small network."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from gatehouse_edge.vision.features import NAMES
from gatehouse_edge.vision.watch import MOVERS

EPOCHS: Final = 80
_TRIED: Final = torch.linspace(0.5, 3.0, 51)
"""Temperatures."""


class Judge(nn.Module):
    """Standardises its features itself; three layers; softmax at a calibrated temperature."""

    def __init__(self, *, width: int = 64) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(NAMES)))
        self.register_buffer("scale", torch.ones(len(NAMES)))
        self.register_buffer("temperature", torch.ones(1))
        self.layers = nn.Sequential(
            nn.Linear(len(NAMES), width),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(width, len(MOVERS)),
        )

    def logits(self, rows: Tensor) -> Tensor:
        """Return unscaled scores."""
        return self.layers(torch.clamp((rows - self.mean) / self.scale, -6, 6))  # type: ignore[no-any-return]

    def forward(self, rows: Tensor) -> Tensor:
        """Return probabilities of `MOVERS`."""
        return functional.softmax(self.logits(rows) / self.temperature, dim=1)


def fit(
    rows: npt.NDArray[np.float32],
    kinds: npt.NDArray[np.int64],
    check: tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]],
    *,
    epochs: int = EPOCHS,
    seed: int = 1,
) -> Judge:
    """Train on `rows`, set the temperature on `check`."""
    torch.manual_seed(seed)
    judge = Judge()
    judge.mean.copy_(torch.from_numpy(rows.mean(0)))
    judge.scale.copy_(torch.from_numpy(rows.std(0) + 1e-3))
    x, y = torch.from_numpy(rows), torch.from_numpy(kinds)
    counts = torch.bincount(y, minlength=len(MOVERS)).float()
    # Rare kinds count a little more each; half of the root keeps what is likely likely.
    weight = torch.clamp(counts.sum() / torch.clamp(counts, min=20.0), max=400.0) ** 0.25
    optimiser = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        judge.train()
        for index in torch.randperm(len(x), generator=generator).split(256):
            error = functional.cross_entropy(
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


def export(judge: Judge, path: Path) -> None:
    """Write the ONNX file: input `features` (n, len(NAMES)), output `likely` (n, len(MOVERS))."""
    torch.onnx.export(
        judge.eval(), (torch.zeros(2, len(NAMES)),), str(path), input_names=["features"], output_names=["likely"],
        dynamic_axes={"features": {0: "n"}, "likely": {0: "n"}}, opset_version=17, dynamo=False,
    )  # fmt: skip


def _calibrate(judge: Judge, rows: npt.NDArray[np.float32], kinds: npt.NDArray[np.int64]) -> None:
    """Set the temperature at which "a throw" or "none" is told best: which kind of none does not matter to an alarm."""
    with torch.no_grad():
        logits, is_throw = judge.logits(torch.from_numpy(rows)), torch.from_numpy(kinds == 0).float()
        losses = [
            functional.binary_cross_entropy(
                functional.softmax(logits / t, dim=1)[:, 0].clamp(1e-6, 1 - 1e-6), is_throw
            )
            for t in _TRIED
        ]
        judge.temperature.fill_(float(_TRIED[int(torch.stack(losses).argmin())]))
