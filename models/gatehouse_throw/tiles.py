"""Training material of the detector: tiles as the gateway cuts them, from rendered clips that went through a codec."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt

from gatehouse_edge.drivers.camera_stream import luma_of
from gatehouse_edge.vision.detector import Detector, Spot
from gatehouse_edge.vision.stack import CORE_PX, LAYERS, TILE_PX, FrameStack
from gatehouse_throw.scenes import Scene, spec_of
from gatehouse_throw.scenes.codec import Shot, encode, shots
from gatehouse_throw.scenes.distractors import Box
from gatehouse_throw.visible import clarity

MAX_OBJECTS: Final = 3
LEAST_CLARITY: Final = 2.2
"""A fall that stands out less in a frame is not asked for there: nobody could see it in one."""
FRAME_SHARE: Final = 0.6
"""Share of the frames that are used: neighbours are much alike."""
FLYERS: Final = frozenset({"bird", "flock", "insect", "drone", "helicopter", "leaf"})
"""Small moving things: look like throws for a few frames; counted less in training, the track decides."""


@dataclass(slots=True)
class Tiles:
    """Arrays side by side."""

    pictures: npt.NDArray[np.uint8]
    """(n, LAYERS, TILE_PX, TILE_PX)"""
    objects: npt.NDArray[np.float32]
    """(n, MAX_OBJECTS, 4): centre x, y, width, height in tile pixels; width 0: none."""
    doubtful: npt.NDArray[np.float32]
    """(n, MAX_OBJECTS, 4): boxes of flyers, of mirror images, and of falls too faint for this frame to show them."""


def tiles_of(seed: int, *, negatives: int = 2, rival: Detector | None = None) -> Tiles:
    """Render the scene of `seed`, encode and decode it, and return tiles of it.

    Args:
        seed: which scene.
        negatives: tiles without a throw that are kept of each frame, at random.
        rival: an earlier detector; of each frame the two tiles in which it errs most are kept as well.
    """
    spec = spec_of(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mkv"  # MP4 edit lists hide the first frame of some streams
        told = encode(spec, shots(Scene(spec)), path)
        return _collect(path, told, np.random.default_rng([seed, 7]), negatives, rival)


def _collect(
    path: Path, told: list[Shot], rng: np.random.Generator, negatives: int, rival: Detector | None
) -> Tiles:
    stack = FrameStack()
    pictures: list[npt.NDArray[np.uint8]] = []
    objects: list[npt.NDArray[np.float32]] = []
    doubtful: list[npt.NDArray[np.float32]] = []
    with av.open(str(path)) as container:
        for shot, frame in zip(told, container.decode(video=0), strict=True):
            luma = luma_of(frame)
            look = stack.add(luma, shot.pts_s)
            if look is None or rng.random() > FRAME_SHARE:
                continue
            corners = [(int(x), int(y)) for x, y in look.corners]
            seen = clarity(stack, look.shift, shot.truth)
            at = {n: _back(box, look.shift) for n, box in shot.truth.throws.items()}
            clear = [box for n, box in at.items() if seen[n] >= LEAST_CLARITY]
            faint = [box for n, box in at.items() if seen[n] < LEAST_CLARITY]
            for x, y, w, h in clear:
                off = rng.integers(-CORE_PX // 2 + 2, CORE_PX // 2 - 2, 2)
                corners.append((int(x + w / 2 - TILE_PX / 2 + off[0]), int(y + h / 2 - TILE_PX / 2 + off[1])))
            with_throw = [c for c in corners if _inside(c, clear)]
            without = [c for c in corners if c not in with_throw]
            doubted = [box for kind, box in shot.truth.others if kind in FLYERS] + shot.truth.mirrored
            flyers = [_back(box, look.shift) for box in doubted] + faint
            near_flyer = [c for c in without if _inside(c, flyers)]
            chosen = _some(with_throw, 4, rng) + _some(without, negatives, rng) + _some(near_flyer, 1, rng)
            if rival is not None:
                chosen += _erring(rival.find(look), without, clear + faint)
            pictures += list(stack.tiles_at(np.array(chosen, np.int32).reshape(-1, 2)))
            for corner in chosen:
                objects.append(_targets(corner, clear))
                doubtful.append(_targets(corner, flyers))
    if not pictures:
        return Tiles(
            np.empty((0, LAYERS, TILE_PX, TILE_PX), np.uint8),
            *(np.empty((0, MAX_OBJECTS, 4), np.float32) for _ in range(2)),
        )
    return Tiles(np.stack(pictures), np.stack(objects), np.stack(doubtful))


def _erring(spots: list[Spot], without: list[tuple[int, int]], falls: list[Box]) -> list[tuple[int, int]]:
    """Return up to two tiles with the surest spots that are no fall."""
    wrong = [
        spot for spot in spots
        if not any(x - 4 <= spot.x <= x + w + 4 and y - 4 <= spot.y <= y + h + 4 for x, y, w, h in falls)
    ]  # fmt: skip
    rim = (TILE_PX - CORE_PX) // 2
    found: list[tuple[int, int]] = []
    for spot in wrong[:6]:
        found += [
            (x, y) for x, y in without
            if rim <= spot.x - x <= TILE_PX - rim and rim <= spot.y - y <= TILE_PX - rim and (x, y) not in found
        ][:1]  # fmt: skip
    return found[:2]


def _back(box: Box, shift: tuple[float, float]) -> Box:
    x, y, w, h = box
    return x - shift[0], y - shift[1], w, h


def _some(corners: list[tuple[int, int]], count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    if len(corners) <= count:
        return corners
    return [corners[i] for i in rng.choice(len(corners), count, replace=False)]


def _inside(corner: tuple[int, int], boxes: list[tuple[float, float, float, float]]) -> bool:
    return any(
        0 <= x + w / 2 - corner[0] < TILE_PX and 0 <= y + h / 2 - corner[1] < TILE_PX for x, y, w, h in boxes
    )


def _targets(
    corner: tuple[int, int], boxes: list[tuple[float, float, float, float]]
) -> npt.NDArray[np.float32]:
    found = np.zeros((MAX_OBJECTS, 4), np.float32)
    inside = [box for box in boxes if _inside(corner, [box])][:MAX_OBJECTS]
    for row, (x, y, w, h) in zip(found, inside, strict=False):
        row[:] = (x + w / 2 - corner[0], y + h / 2 - corner[1], w, h)
    return found
