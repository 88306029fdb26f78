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

EPOCHS: Final = 40
VOICES: Final = 4
WIDTH: Final = 80
_NEVER: Final = 1e-7
_TRIED: Final = torch.linspace(0.5, 3.0, 51)
"""Temperatures."""


class Judge(nn.Module):
    """Standardises its features itself; a few small networks side by side, whose mean counts: each errs in its own way on paths it has not seen."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(NAMES)))
        self.register_buffer("scale", torch.ones(len(NAMES)))
        self.register_buffer("temperature", torch.ones(1))
        self.voices = nn.ModuleList([_voice() for _ in range(VOICES)])

    def standard(self, rows: Tensor) -> Tensor:
        """Return what a voice hears."""
        return torch.clamp((rows - self.mean) / self.scale, -6, 6)

    def logits(self, rows: Tensor) -> Tensor:
        """Return the logarithm of the voices' mean probability."""
        heard = self.standard(rows)
        told = torch.stack([functional.softmax(voice(heard), dim=1) for voice in self.voices])
        return torch.log(told.mean(0) + _NEVER)

    def forward(self, rows: Tensor) -> Tensor:
        """Return probabilities of `MOVERS`."""
        return functional.softmax(self.logits(rows) / self.temperature, dim=1)


def _voice() -> nn.Module:
    return nn.Sequential(
        nn.Linear(len(NAMES), WIDTH), nn.ReLU(), nn.Dropout(0.15), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Dropout(0.15),
        nn.Linear(WIDTH, len(MOVERS)),
    )  # fmt: skip


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
    x, y = judge.standard(torch.from_numpy(rows)), torch.from_numpy(kinds)
    counts = torch.bincount(y, minlength=len(MOVERS)).float()
    # Rare kinds count a little more each; the fourth root keeps what is likely likely.
    weight = torch.clamp(counts.sum() / torch.clamp(counts, min=20.0), max=400.0) ** 0.25
    for number, voice in enumerate(judge.voices):
        _train(voice, x, y, weight, epochs=epochs, seed=seed + number)
    judge.eval()
    _calibrate(judge, *check)
    return judge


def _train(voice: nn.Module, x: Tensor, y: Tensor, weight: Tensor, *, epochs: int, seed: int) -> None:
    optimiser = torch.optim.AdamW(voice.parameters(), lr=2e-3, weight_decay=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    generator = torch.Generator().manual_seed(seed)
    voice.train()
    for _ in range(epochs):
        for index in torch.randperm(len(x), generator=generator).split(256):
            noisy = x[index] + 0.05 * torch.randn(len(index), x.shape[1], generator=generator)
            error = functional.cross_entropy(voice(noisy), y[index], weight=weight, label_smoothing=0.01)
            optimiser.zero_grad()
            error.backward()
            optimiser.step()
        schedule.step()


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
