"""The detector: a small fully convolutional network over a stack of luma frames and the background behind them.

Normalising and differencing are part of the graph: what goes in is what the decoder gave, 8 bits. Nothing is thrown away
before the first convolution: it keeps a 2 px thing whole. Out comes, at a quarter of the resolution, a heat map, the offset of the centre and the size.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatehouse_edge.vision.stack import FRAMES, LAYERS

EVERY_LAYER: Final = tuple(range(LAYERS))
STRIDE: Final = 4
"""Pixels of the picture per cell of the heat map."""
SIZE_UNIT_PX: Final = 8.0
"""Sizes are told as log(size / SIZE_UNIT_PX)."""


def mix_of(layers: Sequence[int]) -> Tensor:
    """Return what the first convolution is taught on, as rows over the layers it sees: differences from frame to frame, from the background, and where it is light.

    Differencing is linear, so it is part of that convolution's weights and costs nothing.
    """
    frames = [n for n, layer in enumerate(layers) if layer < FRAMES]
    rows = [{now: 1 / 24, before: -1 / 24} for now, before in pairwise(frames)]
    if len(frames) < len(layers):
        rows += [{0: 1 / 24, len(frames): -1 / 24}, {len(frames): 1 / 96}]
    else:
        rows += [{0: 1 / 24}]
    return torch.tensor([[row.get(n, 0.0) for n in range(len(layers))] for row in rows])


class TileNet(nn.Module):
    """Full convolutions: one at half resolution on the bytes themselves, most at a quarter, where the heat map is, some at an eighth."""

    def __init__(
        self, *, width: int = 32, depthwise: bool = False, layers: Sequence[int] = EVERY_LAYER
    ) -> None:
        super().__init__()
        block = _depthwise if depthwise else _full
        self.layers = list(layers)
        self.first = nn.Conv2d(len(layers), width // 2, 6, stride=2, padding=2)
        self.down = nn.Conv2d(width // 2, width, 3, stride=2, padding=1)
        self.near = block(width, width)
        self.far_down = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.far = nn.ModuleList([block(width, width) for _ in range(2)])
        self.last = block(width, width)
        self.head = nn.Conv2d(width, 5, 1)
        self.register_buffer("mix", mix_of(layers), persistent=False)
        self.is_folded = False
        with torch.no_grad():
            self.head.bias[0] = -4.6  # a hundredth: nearly everywhere is nothing

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """Return (heat logits (n, 1, h/4, w/4), offset and log size (n, 4, h/4, w/4)) of uint8 tiles (n, LAYERS, h, w)."""
        if len(self.layers) < LAYERS:
            tiles = tiles[:, self.layers]
        x = functional.conv2d(
            tiles.to(torch.float32), self.mixed(), self.first.bias, stride=self.first.stride, padding=self.first.padding
        )  # fmt: skip
        x = functional.relu(self.down(functional.relu(x)))
        x = functional.relu(self.near(x)) + x
        y = functional.relu(self.far_down(x))
        for conv in self.far:
            y = functional.relu(conv(y)) + y
        x = x + functional.interpolate(y, scale_factor=2.0, mode="nearest")
        x = functional.relu(self.last(x)) + x
        out = self.head(x)
        return out[:, :1], out[:, 1:]

    def mixed(self) -> Tensor:
        """Return the first convolution's weights over the pictures themselves."""
        return (
            self.first.weight
            if self.is_folded
            else torch.einsum("oikl,ij->ojkl", self.first.weight, self.mix)
        )

    def folded(self) -> TileNet:
        """Return a copy whose first convolution holds the differencing: what is exported."""
        plain = copy.deepcopy(self)
        with torch.no_grad():
            plain.first.weight.copy_(self.mixed())
        plain.is_folded = True
        return plain


class HalfNet(nn.Module):
    """The rival of the ablation: the whole picture at half its resolution, depthwise, 8 channels."""

    def __init__(self, *, width: int = 8) -> None:
        super().__init__()
        self.first = nn.Conv2d(LAYERS, width, 3, padding=1)
        self.down = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.body = nn.ModuleList([_depthwise(width, width) for _ in range(4)])
        self.head = nn.Conv2d(width, 5, 1)
        self.register_buffer("mix", mix_of(EVERY_LAYER), persistent=False)
        with torch.no_grad():
            self.head.bias[0] = -4.6

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """Return heat and sizes at a quarter of the picture's resolution."""
        x = functional.avg_pool2d(tiles.to(torch.float32), 2)
        x = functional.conv2d(
            x, torch.einsum("oikl,ij->ojkl", self.first.weight, self.mix), self.first.bias, padding=1
        )
        x = functional.relu(self.down(functional.relu(x)))
        for conv in self.body:
            x = functional.relu(conv(x)) + x
        out = self.head(x)
        return out[:, :1], out[:, 1:]


def _full(inside: int, outside: int) -> nn.Module:
    return nn.Conv2d(inside, outside, 3, padding=1)


def _depthwise(inside: int, outside: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inside, inside, 3, padding=1, groups=inside), nn.Conv2d(inside, outside, 1)
    )


def targets(
    objects: Tensor, doubtful: Tensor, *, size: int, stride: int = STRIDE
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (heat 0..1, weight, where sizes count, offset and log size) for boxes (n, k, 4) in tile pixels."""
    n, cells = objects.shape[0], size // stride
    at = objects.device
    grid = (torch.arange(cells, dtype=torch.float32, device=at) + 0.5) * stride
    gy, gx = torch.meshgrid(grid, grid, indexing="ij")
    heat = torch.zeros(n, cells, cells, device=at)
    weight = torch.ones(n, cells, cells, device=at)
    where = torch.zeros(n, cells, cells, device=at)
    truth = torch.zeros(n, 4, cells, cells, device=at)
    for k in range(objects.shape[1]):
        cx, cy, w, h = (objects[:, k, i].view(n, 1, 1) for i in range(4))
        is_there = (w > 0).float()
        spread = torch.clamp(0.22 * torch.sqrt(torch.clamp(w * h, min=1.0)), 1.7, 5.0)
        bell = is_there * torch.exp(-((gx - cx) ** 2 + (gy - cy) ** 2) / (2 * spread**2))
        at_home = ((gx - cx).abs() <= stride / 2) & (
            (gy - cy).abs() <= stride / 2
        )  # the cell the centre lies in
        bell = torch.where(at_home & (w > 0), torch.ones_like(bell), 0.9 * bell)
        heat = torch.maximum(heat, bell)
        near = (bell > 0.5).float()
        where = torch.maximum(where, near)
        told = torch.stack(
            [
                (cx - gx) / stride,
                (cy - gy) / stride,
                _log_size(w).expand_as(gx + cx),
                _log_size(h).expand_as(gx + cx),
            ],
            1,
        )
        truth = torch.where(near.unsqueeze(1) > 0, told, truth)
        fx, fy, fw, fh = (doubtful[:, k, i].view(n, 1, 1) for i in range(4))
        inside = (fw > 0) & ((gx - fx).abs() < fw / 2 + 2) & ((gy - fy).abs() < fh / 2 + 2)
        weight = torch.where(inside, torch.full_like(weight, 0.35), weight)
    return heat, weight, where, truth


def loss(found: tuple[Tensor, Tensor], aim: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    """Return focal loss of the heat map (CornerNet's, exponents 2 and 4) plus L1 of offset and size."""
    heat_logits, boxes = found
    heat, weight, where, truth = aim
    logits = heat_logits[:, 0]
    p = torch.sigmoid(logits).clamp(1e-5, 1 - 1e-5)
    is_peak = heat > 0.99
    hit = -((1 - p) ** 2) * torch.log(p) * is_peak
    miss = -((1 - heat) ** 4) * p**2 * torch.log(1 - p) * ~is_peak * weight
    focal = (hit.sum() + miss.sum()) / torch.clamp(is_peak.sum(), min=1.0)
    error = (functional.smooth_l1_loss(boxes, truth, reduction="none").sum(1) * where).sum() / torch.clamp(
        where.sum(), min=1.0
    )
    return focal + 0.3 * error


def _log_size(pixels: Tensor) -> Tensor:
    return torch.log(torch.clamp(pixels, min=1.0) / SIZE_UNIT_PX)
