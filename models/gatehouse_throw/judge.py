"""Training the classifier: strips of the tracker's paths on rendered clips, labelled by the truth, into small networks that look along them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gatehouse_edge.vision.classifier import MOVERS
from gatehouse_edge.vision.detector import PATCH_PX
from gatehouse_edge.vision.features import NAMES
from gatehouse_edge.vision.metres import METRE_NAMES
from gatehouse_edge.vision.strip import NUMBER_NAMES, STEP_NAMES, STEPS
from gatehouse_throw.labels import Lesson

EPOCHS: Final = 14
VOICES: Final = 4
BATCH: Final = 128
_TRIED: Final = torch.linspace(0.5, 3.0, 51)
"""Temperatures."""
_MIX: Final = (
    (1 / 32, -1 / 32, 0.0, 0.0),
    (1 / 32, 0.0, -1 / 32, 0.0),
    (1 / 32, 0.0, 0.0, -1 / 32),
    (0.0, 0.0, 0.0, 1 / 128),
)
"""What an eye looks at, over (now, before, earlier, background): three differences and how light it is behind."""
_LOOKS: Final = (24, 48)
"""Channels of the two convolutions over a picture."""
_STEP_WIDTH: Final = 48
_SEQUENCE_WIDTH: Final = 96
_NUMBER_WIDTH: Final = 64
_HEAD_WIDTH: Final = 128
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
_UNHEARD_SHARE: Final = 0.15
"""So often a voice hears none of the numbers of the whole: no single one of its senses is to carry its verdict (decision 56)."""
_LOST_SHARE: Final = 0.05
"""So large a share of single numbers is missing, of the whole and of steps,"""
_UNSEEN_SHARE: Final = 0.1
"""and of single pictures."""
_SHAKEN_STEPS: Final = 0.03
_SOFT_SHARE: Final = 0.4
_SOFTEST: Final = 0.45
"""So large a share of pictures is softer, mixed with their mean over three pixels by at most so much: real lenses and codecs draw less sharply."""
_GRAIN: Final = 0.04
"""Most noise of a camera that a picture gets on top, in `_MIX`'s scale."""


class Voice(nn.Module):
    """Looks at each step's picture, then along the steps, then at the numbers of the whole."""

    def __init__(self) -> None:
        super().__init__()
        near, far = _LOOKS
        self.near = nn.Conv2d(4, near, 3, stride=2, padding=1)
        self.far = nn.Conv2d(near, far, 3, stride=2, padding=1)
        self.seen = nn.Linear(far * (PATCH_PX // 4) ** 2, _STEP_WIDTH)
        self.step = nn.Linear(len(STEP_NAMES), _SEQUENCE_WIDTH - _STEP_WIDTH)
        self.along = nn.ModuleList(
            [nn.Conv1d(_SEQUENCE_WIDTH, _SEQUENCE_WIDTH, 3, padding=1) for _ in range(3)]
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
        """Return the mean of what the voices say, as logarithms of probabilities: one that doubts outweighs one that is sure."""
        heard, pictures = self.standard(numbers), self.pictures(patches)
        told = [functional.log_softmax(voice(heard, steps, pictures), dim=1) for voice in self.voices]
        return torch.stack(told).mean(0)

    def forward(self, numbers: Tensor, steps: Tensor, patches: Tensor) -> Tensor:
        """Return probabilities of `MOVERS`."""
        return functional.softmax(self.logits(numbers, steps, patches) / self.temperature, dim=1)


class Desk:
    """Lessons as tensors on the device that learns, and in as many variants as one likes."""

    def __init__(self, train: Lesson, device: torch.device) -> None:
        self.device: Final = device
        self.numbers, self.steps, self.patches, self.kinds = (
            torch.from_numpy(getattr(train, name)).to(device) for name in ("numbers", "steps", "patches", "kinds")
        )  # fmt: skip
        counts = torch.bincount(self.kinds, minlength=len(MOVERS)).float()
        # Rare kinds count a little more each; the fourth root keeps what is likely likely.
        self.weight: Final = torch.clamp(counts.sum() / counts.clamp(min=20.0), max=400.0) ** 0.25

    def __len__(self) -> int:
        """Return how many lessons there are."""
        return len(self.kinds)

    def varied(
        self, judge: Judge, index: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return a batch as it might also have been: mirrored, lighter or darker, in infrared, softer or noisier, and with some of it missing."""
        numbers, steps = self.numbers[index], self.steps[index]
        pictures = judge.pictures(self.patches[index]).reshape(-1, STEPS, 4, PATCH_PX, PATCH_PX)
        n = len(index)

        def some(share: float, *shape: int) -> Tensor:
            return torch.rand(*(shape or (n,)), generator=generator, device=self.device) < share

        def shaken(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, device=self.device)

        flipped = some(0.5)
        sign = torch.where(flipped, -1.0, 1.0)
        numbers[:, list(_FLIPPED_NUMBERS)] *= sign[:, None]
        steps[:, :, list(_FLIPPED_STEPS)] *= sign[:, None, None]
        numbers[:, _METRES] *= some(_DRAWN_SHARE)[:, None]
        numbers = judge.standard(numbers)
        numbers[:, : _METRES.start] += 0.05 * shaken(n, _METRES.start)
        numbers[:, _METRES] *= 1 + 0.08 * shaken(n, len(METRE_NAMES))
        gain = torch.exp(0.3 * shaken(n)) * torch.where(some(_INVERTED_SHARE), -1.0, 1.0)
        steps[:, :, _CONTRAST_STEP] *= gain[:, None]
        pictures = torch.where(flipped[:, None, None, None, None], pictures.flip(4), pictures)
        pictures = pictures * torch.where(some(_BLIND_SHARE), 0.0, gain)[:, None, None, None, None]
        pictures[:, :, 3] += (torch.where(gain < 0, 2.0, 0.0) + 0.2 * shaken(n))[:, None, None, None]
        pictures = _softened(
            pictures, _SOFTEST * torch.rand(n, generator=generator, device=self.device) * some(_SOFT_SHARE)
        )
        grain = _GRAIN * torch.rand(n, generator=generator, device=self.device)[:, None, None, None, None]
        pictures[:, :, :3] += grain * shaken(n, STEPS, 3, PATCH_PX, PATCH_PX)
        pictures *= some(1 - _UNSEEN_SHARE, n, STEPS)[:, :, None, None, None]
        numbers *= some(1 - _UNHEARD_SHARE)[:, None] & some(1 - _LOST_SHARE, *numbers.shape)
        there, told = steps[:, :, :1], steps[:, :, 1:]
        told = (told + _SHAKEN_STEPS * shaken(*told.shape) * there) * some(
            1 - _LOST_SHARE, n, 1, told.shape[2]
        )
        return numbers, torch.cat([there, told], dim=2), pictures.reshape(-1, 4, PATCH_PX, PATCH_PX)


def _softened(pictures: Tensor, share: Tensor) -> Tensor:
    """Return pictures (n, STEPS, 4, PATCH_PX, PATCH_PX) mixed with their means over 3x3 pixels by these shares (n,)."""
    around = functional.pad(pictures.reshape(-1, 4, PATCH_PX, PATCH_PX), (1, 1, 1, 1), mode="replicate")
    soft = functional.avg_pool2d(around, 3, stride=1).reshape(pictures.shape)
    return torch.lerp(pictures, soft, share[:, None, None, None, None])


def fit(train: Lesson, check: Lesson, *, epochs: int = EPOCHS, seed: int = 1) -> Judge:
    """Train on `train` (on a GPU when one is there), set the temperature on `check`."""
    torch.manual_seed(seed)
    judge = Judge()
    known = train.numbers[train.numbers[:, _METRES.start] > 0]
    judge.mean.copy_(torch.from_numpy(train.numbers.mean(0)))
    judge.scale.copy_(torch.from_numpy(train.numbers.std(0) + 1e-3))
    if len(known):  # 0 stays 0: nothing drawn
        judge.mean[_METRES] = 0.0
        judge.scale[_METRES] = torch.from_numpy(known[:, _METRES].std(0) + 0.5)
    desk = Desk(train, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    judge.to(desk.device)
    for number, voice in enumerate(judge.voices):
        _teach(judge, voice, desk, epochs=epochs, seed=seed + number)
    judge.cpu().eval()
    _calibrate(judge, check)
    return judge


def _teach(judge: Judge, voice: nn.Module, desk: Desk, *, epochs: int, seed: int) -> None:
    """Let one voice learn all lessons `epochs` times."""
    optimiser = torch.optim.AdamW(voice.parameters(), lr=2e-3, weight_decay=1e-2)
    rounds = -(-len(desk) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=2.5e-3, total_steps=max(2, epochs * rounds), pct_start=0.15
    )
    generator = torch.Generator(desk.device).manual_seed(seed)
    voice.train()
    for epoch in range(epochs):
        total = torch.zeros((), device=desk.device)
        for index in torch.randperm(len(desk), generator=generator, device=desk.device).split(BATCH):
            numbers, steps, pictures = desk.varied(judge, index, generator)
            error = functional.cross_entropy(
                voice(numbers, steps, pictures), desk.kinds[index], weight=desk.weight, label_smoothing=0.003
            )
            optimiser.zero_grad()
            error.backward()
            optimiser.step()
            schedule.step()
            total += error.detach() * len(index)
        sys.stderr.write(f"\rvoice {seed}, epoch {epoch + 1}/{epochs}: {float(total) / len(desk):.4f} ")
    sys.stderr.write("\n")


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
