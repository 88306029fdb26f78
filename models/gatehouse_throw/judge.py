"""Training the classifier: strips of the tracker's paths on rendered clips, labelled by the truth, into small networks that look along them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gatehouse_edge.vision.detector import PATCH_PX
from gatehouse_edge.vision.features import NAMES
from gatehouse_edge.vision.metres import METRE_NAMES
from gatehouse_edge.vision.strip import NUMBER_NAMES, STEP_NAMES, STEPS
from gatehouse_edge.vision.watch import MOVERS
from gatehouse_throw.labels import Lesson

EPOCHS: Final = 14
VOICES: Final = 2
BATCH: Final = 128
_NEVER: Final = 1e-7
_TRIED: Final = torch.linspace(0.5, 3.0, 51)
"""Temperatures."""
_MIX: Final = (
    (1 / 32, -1 / 32, 0.0, 0.0),
    (1 / 32, 0.0, -1 / 32, 0.0),
    (1 / 32, 0.0, 0.0, -1 / 32),
    (0.0, 0.0, 0.0, 1 / 128),
)
"""What an eye looks at, over (now, before, earlier, background): three differences and how light it is behind."""
_STEP_WIDTH: Final = 32
_SEQUENCE_WIDTH: Final = 64
_NUMBER_WIDTH: Final = 64
_HEAD_WIDTH: Final = 96
_FLIPPED_STEPS: Final = tuple(n for n, name in enumerate(STEP_NAMES) if "aside" in name)
_FLIPPED_NUMBERS: Final = tuple(
    n for n, name in enumerate(NUMBER_NAMES) if name.startswith("aside_") and name[-1].isdigit()
)
_CONTRAST_STEP: Final = STEP_NAMES.index("contrast")
_METRES: Final = slice(len(NAMES), len(NAMES) + len(METRE_NAMES))
_DRAWN_SHARE: Final = 0.5
"""So often a lesson with metres is taught with them: the judge must do without as well."""
_BLIND_SHARE: Final = 0.1
_INVERTED_SHARE: Final = 0.25


class Voice(nn.Module):
    """Looks at each step's picture, then along the steps, then at the numbers of the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(4, 16, 3, stride=2, padding=1)
        self.far = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.seen = nn.Linear(32 * (PATCH_PX // 4) ** 2, _STEP_WIDTH)
        self.step = nn.Linear(len(STEP_NAMES), _SEQUENCE_WIDTH - _STEP_WIDTH)
        self.along = nn.ModuleList(
            [nn.Conv1d(_SEQUENCE_WIDTH, _SEQUENCE_WIDTH, 3, padding=1) for _ in range(2)]
        )
        self.whole = nn.Linear(len(NUMBER_NAMES), _NUMBER_WIDTH)
        self.head = nn.Linear(2 * _SEQUENCE_WIDTH + _NUMBER_WIDTH, _HEAD_WIDTH)
        self.last = nn.Linear(_HEAD_WIDTH, len(MOVERS))
        self.drop = nn.Dropout(0.2)

    def forward(self, numbers: Tensor, steps: Tensor, pictures: Tensor) -> Tensor:
        """Return logits of `MOVERS`; `pictures`: what `Judge.pictures` makes of patches."""
        seen = functional.relu(self.far(functional.relu(self.near(pictures))))
        seen = functional.relu(self.seen(seen.flatten(1))).reshape(-1, STEPS, _STEP_WIDTH)
        there = steps[:, :, :1]
        x = (torch.cat([seen, functional.relu(self.step(steps))], dim=2) * there).transpose(1, 2)
        there = there.transpose(1, 2)
        for conv in self.along:
            x = x + functional.relu(conv(x)) * there
        mean = x.sum(2) / there.sum(2).clamp(min=1.0)
        most = (x - 1e3 * (1 - there)).amax(2)
        whole = functional.relu(self.whole(numbers))
        heard = self.drop(torch.cat([mean, most, whole], dim=1))
        told: Tensor = self.last(self.drop(functional.relu(self.head(heard))))
        return told


class Judge(nn.Module):
    """Standardises its numbers itself; a few networks side by side, whose mean counts: each errs in its own way on paths it has not seen."""

    def __init__(self, voices: int = VOICES) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(NUMBER_NAMES)))
        self.register_buffer("scale", torch.ones(len(NUMBER_NAMES)))
        self.register_buffer("temperature", torch.ones(1))
        self.register_buffer("mix", torch.tensor(_MIX))
        self.voices = nn.ModuleList([Voice() for _ in range(voices)])

    def standard(self, numbers: Tensor) -> Tensor:
        """Return the numbers a voice hears."""
        return torch.clamp((numbers - self.mean) / self.scale, -6, 6)

    def pictures(self, patches: Tensor) -> Tensor:
        """Return what a voice looks at, shape (n * STEPS, 4, PATCH_PX, PATCH_PX), of patches (n, STEPS, 4, PATCH_PX, PATCH_PX)."""
        flat = patches.reshape(-1, 4, PATCH_PX, PATCH_PX).to(torch.float32)
        return functional.conv2d(flat, self.mix[:, :, None, None])

    def logits(self, numbers: Tensor, steps: Tensor, patches: Tensor) -> Tensor:
        """Return the logarithm of the voices' mean probability."""
        heard, pictures = self.standard(numbers), self.pictures(patches)
        told = torch.stack(
            [functional.softmax(voice(heard, steps, pictures), dim=1) for voice in self.voices]
        )
        return torch.log(told.mean(0) + _NEVER)

    def forward(self, numbers: Tensor, steps: Tensor, patches: Tensor) -> Tensor:
        """Return probabilities of `MOVERS`."""
        return functional.softmax(self.logits(numbers, steps, patches) / self.temperature, dim=1)


def fit(train: Lesson, check: Lesson, *, epochs: int = EPOCHS, seed: int = 1) -> Judge:
    """Train on `train`, set the temperature on `check`."""
    torch.manual_seed(seed)
    judge = Judge()
    known = train.numbers[train.numbers[:, _METRES.start] > 0]
    judge.mean.copy_(torch.from_numpy(train.numbers.mean(0)))
    judge.scale.copy_(torch.from_numpy(train.numbers.std(0) + 1e-3))
    if len(known):  # 0 stays 0: nothing drawn
        judge.mean[_METRES] = 0.0
        judge.scale[_METRES] = torch.from_numpy(known[:, _METRES].std(0) + 0.5)
    counts = np.bincount(train.kinds, minlength=len(MOVERS)).astype(np.float32)
    # Rare kinds count a little more each; the fourth root keeps what is likely likely.
    weight = torch.from_numpy(np.clip(counts.sum() / np.maximum(counts, 20.0), None, 400.0) ** 0.25)
    for number, voice in enumerate(judge.voices):
        _train(judge, voice, train, weight, epochs=epochs, seed=seed + number)
    judge.eval()
    _calibrate(judge, check)
    return judge


def _train(judge: Judge, voice: nn.Module, train: Lesson, weight: Tensor, *, epochs: int, seed: int) -> None:
    optimiser = torch.optim.AdamW(voice.parameters(), lr=2e-3, weight_decay=1e-2)
    rounds = -(-len(train) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=2.5e-3, total_steps=max(2, epochs * rounds), pct_start=0.15
    )
    generator = torch.Generator().manual_seed(seed)
    voice.train()
    for epoch in range(epochs):
        total = 0.0
        for index in torch.randperm(len(train), generator=generator).split(BATCH):
            numbers, steps, pictures = _varied(judge, train, index.numpy(), generator)
            aim = torch.from_numpy(train.kinds[index.numpy()])
            error = functional.cross_entropy(
                voice(numbers, steps, pictures), aim, weight=weight, label_smoothing=0.01
            )
            optimiser.zero_grad()
            error.backward()
            optimiser.step()
            schedule.step()
            total += float(error) * len(index)
        sys.stderr.write(f"\rvoice {seed}, epoch {epoch + 1}/{epochs}: {total / len(train):.4f} ")
    sys.stderr.write("\n")


def _varied(
    judge: Judge, train: Lesson, index: np.ndarray[tuple[int], np.dtype[np.int64]], generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a batch as it might also have been: mirrored, lighter or darker, in infrared, without metres, without pictures."""
    numbers, steps = torch.from_numpy(train.numbers[index]), torch.from_numpy(train.steps[index])
    pictures = judge.pictures(torch.from_numpy(train.patches[index]))
    n = len(index)

    def some(share: float) -> Tensor:
        return torch.rand(n, generator=generator) < share

    flipped = some(0.5)
    numbers[flipped.nonzero(), list(_FLIPPED_NUMBERS)] *= -1
    for column in _FLIPPED_STEPS:
        steps[flipped, :, column] *= -1
    numbers[~some(_DRAWN_SHARE), _METRES] = 0.0
    numbers = judge.standard(numbers)
    numbers[:, : _METRES.start] += 0.05 * torch.randn(n, _METRES.start, generator=generator)
    numbers[:, _METRES] *= 1 + 0.08 * torch.randn(n, len(METRE_NAMES), generator=generator)
    gain = torch.exp(0.3 * torch.randn(n, generator=generator)) * torch.where(
        some(_INVERTED_SHARE), -1.0, 1.0
    )
    steps[:, :, _CONTRAST_STEP] *= gain[:, None]
    pictures = pictures.reshape(n, STEPS, 4, PATCH_PX, PATCH_PX)
    pictures = torch.where(flipped[:, None, None, None, None], pictures.flip(4), pictures)
    pictures = pictures * torch.where(some(_BLIND_SHARE), 0.0, gain)[:, None, None, None, None]
    behind = torch.where(gain < 0, 2.0, 0.0) + 0.2 * torch.randn(n, generator=generator)
    pictures[:, :, 3] += behind[:, None, None, None]
    return numbers, steps, pictures.reshape(-1, 4, PATCH_PX, PATCH_PX)


def export(judge: Judge, path: Path) -> None:
    """Write the ONNX file: inputs `numbers`, `steps`, `patches` (first axis: paths), output `likely` (n, len(MOVERS))."""
    shown = (
        torch.zeros(2, len(NUMBER_NAMES)),
        torch.zeros(2, STEPS, len(STEP_NAMES)),
        torch.zeros(2, STEPS, 4, PATCH_PX, PATCH_PX, dtype=torch.uint8),
    )
    names = ["numbers", "steps", "patches"]
    torch.onnx.export(
        judge.eval(), shown, str(path), input_names=names, output_names=["likely"],
        dynamic_axes={name: {0: "n"} for name in [*names, "likely"]}, opset_version=17, dynamo=False,
    )  # fmt: skip


def _calibrate(judge: Judge, check: Lesson) -> None:
    """Set the temperature at which "a throw" or "none" is told best: which kind of none does not matter to an alarm."""
    with torch.no_grad():
        every = [
            judge.logits(
                *(torch.from_numpy(getattr(check, name)[part]) for name in ("numbers", "steps", "patches"))
            )
            for part in np.array_split(np.arange(len(check)), max(1, len(check) // 1000))
        ]
        logits, is_throw = torch.cat(every), torch.from_numpy(check.kinds == 0).float()
        losses = [
            functional.binary_cross_entropy(
                functional.softmax(logits / t, dim=1)[:, 0].clamp(1e-6, 1 - 1e-6), is_throw
            )
            for t in _TRIED
        ]
        judge.temperature.fill_(float(_TRIED[int(torch.stack(losses).argmin())]))
