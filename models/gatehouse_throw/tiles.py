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
from gatehouse_edge.vision.stack import CORE_PX, TILE_PX, FrameStack
from gatehouse_throw.scenes import Scene, spec_of
from gatehouse_throw.scenes.codec import Shot, encode, shots

MAX_OBJECTS: Final = 3
FLYERS: Final = frozenset({"bird", "flock", "insect", "drone", "helicopter", "leaf"})
"""Small moving things: look like throws for a few frames; counted less in training, the track decides."""


@dataclass(slots=True)
class Tiles:
    """Arrays side by side."""

    pictures: npt.NDArray[np.uint8]
    """(n, 4, TILE_PX, TILE_PX)"""
    objects: npt.NDArray[np.float32]
    """(n, MAX_OBJECTS, 4): centre x, y, width, height in tile pixels; width 0: none."""
    doubtful: npt.NDArray[np.float32]
    """(n, MAX_OBJECTS, 4): boxes of flyers."""


def tiles_of(seed: int, *, negatives: int = 2) -> Tiles:
    """Render the scene of `seed`, encode and decode it, and return tiles of it.

    Args:
        seed: which scene.
        negatives: tiles without a throw that are kept of each frame, at random.
    """
    spec = spec_of(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mkv"  # MP4 edit lists hide the first frame of some streams
        told = encode(spec, shots(Scene(spec)), path)
        return _collect(path, told, np.random.default_rng([seed, 7]), negatives)


def _collect(path: Path, told: list[Shot], rng: np.random.Generator, negatives: int) -> Tiles:
    stack = FrameStack()
    pictures: list[npt.NDArray[np.uint8]] = []
    objects: list[npt.NDArray[np.float32]] = []
    doubtful: list[npt.NDArray[np.float32]] = []
    with av.open(str(path)) as container:
        for shot, frame in zip(told, container.decode(video=0), strict=True):
            luma = luma_of(frame)
            look = stack.add(luma, shot.pts_s)
            if look is None:
                continue
            corners = [(int(x), int(y)) for x, y in look.corners]
            for x, y, w, h in shot.truth.throws.values():
                for _ in range(1 if rng.random() < 0.6 else 2):
                    off = rng.integers(-CORE_PX // 2 + 2, CORE_PX // 2 - 2, 2)
                    corners.append(
                        (int(x + w / 2 - TILE_PX / 2 + off[0]), int(y + h / 2 - TILE_PX / 2 + off[1]))
                    )
            with_throw = [c for c in corners if _inside(c, list(shot.truth.throws.values()))]
            without = [c for c in corners if c not in with_throw]
            flyers = [box for kind, box in shot.truth.others if kind in FLYERS]
            near_flyer = [c for c in without if _inside(c, flyers)]
            chosen = with_throw[:3] + _some(without, negatives, rng) + _some(near_flyer, 1, rng)
            pictures += list(stack.tiles_at(np.array(chosen, np.int32).reshape(-1, 2)))
            for corner in chosen:
                objects.append(_targets(corner, list(shot.truth.throws.values())))
                doubtful.append(_targets(corner, flyers))
    if not pictures:
        return Tiles(
            np.empty((0, 4, TILE_PX, TILE_PX), np.uint8),
            *(np.empty((0, MAX_OBJECTS, 4), np.float32) for _ in range(2)),
        )
    return Tiles(np.stack(pictures), np.stack(objects), np.stack(doubtful))


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
