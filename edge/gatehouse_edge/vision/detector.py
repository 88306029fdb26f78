"""The ONNX detector on tiles, and the classical proposals that stand in when there is no model.

Both answer with the same `Spot`s, so the tracker does not know who found them; the spot says how sure its finder is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from gatehouse_edge.vision.release import ModelError
from gatehouse_edge.vision.stack import CORE_PX, LAYERS, TILE_PX, Look

Floats = npt.NDArray[np.float64]

STRIDE: Final = 4
"""Pixels of the picture per cell of the heat map."""
SIZE_UNIT_PX: Final = 8.0
_AT_ONCE: Final = 8
"""Tiles in one run of the network: as quick as all of them together, and it needs a third of the memory in between."""
MAX_SPOTS: Final = 12
"""Most spots a frame, the best ones: with 24 foliage crowds falls out of the tracker, with 10 faint ones are missing (decision 51)."""
_MOST_PEAKS: Final = 32
"""So many peaks are looked at for doubles."""
_MERGE_PX: Final = 4.0
_AROUND_Y, _AROUND_X = (part.ravel() for part in np.mgrid[-1:2, -1:2])
PATCH_PX: Final = 16
"""Side of the small picture that is kept of each spot."""
_PATCH_SIZES: Final = 2.0
"""It shows so many times the spot's longer side, but not less than its own pixels, and"""
_COARSEST: Final = 3.0
"""not more than three for one: beyond lies another tile."""
_PATCH_STEPS: Final = np.arange(PATCH_PX) - (PATCH_PX - 1) / 2
_PATCH_LAYERS: Final = (0, 1, 2, LAYERS - 1)
_NO_PATCH: Final = np.zeros((4, PATCH_PX, PATCH_PX), np.uint8)
_LEAST_AREA_PX: Final = 2
_WIDEST_PX: Final = 60
"""What the classical path takes for a thing; smaller is noise, larger a body or a shadow."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Something small that may be falling, in one frame."""

    x: float
    """Centre, pixels."""
    y: float
    width_px: float
    height_px: float
    score: float
    """0 to 1."""
    contrast: float = 0.0
    """Luma at its centre minus the background's there, -255 to 255."""
    patch: npt.NDArray[np.uint8] = field(default_factory=lambda: _NO_PATCH, compare=False, repr=False)
    """What was to be seen there, shape (4, PATCH_PX, PATCH_PX): this frame, the two before, the background; two spots wide. Black until `pictured`."""

    def showing(self, patch: npt.NDArray[np.uint8]) -> Spot:
        """Return this spot with its patch."""
        return Spot(self.x, self.y, self.width_px, self.height_px, self.score, self.contrast, patch)


class Detector(Protocol):
    """Finds spots in the tiles of one frame."""

    def find(self, look: Look) -> list[Spot]:
        """Return the spots of one frame, best first, at most `MAX_SPOTS`."""
        ...


class OnnxDetector:
    """Runs a released model in one thread."""

    def __init__(self, path: Path, *, sha256: str | None = None, floor: float = 0.08) -> None:
        """Open the model.

        Args:
            path: the ONNX file.
            sha256: what its hash must be (manifest); None: any.
            floor: spots below this score are not told.

        Raises:
            ModelError: missing, another hash, not ONNX, or of another shape; the text says which.
        """
        self._floor: Final = floor
        self._session: Final = open_model(path, sha256=sha256)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        is_ours = (
            len(inputs) == 1
            and inputs[0].type == "tensor(uint8)"
            and list(inputs[0].shape[1:]) == [LAYERS, TILE_PX, TILE_PX]
            and [one.name for one in outputs] == ["heat", "boxes"]
        )
        if not is_ours:
            raise ModelError(
                f"{path.name} is not a throw detector: wants uint8 (n, {LAYERS}, {TILE_PX}, {TILE_PX}) in, heat and boxes out"
            )
        self._name: Final = inputs[0].name

    def find(self, look: Look) -> list[Spot]:
        """Return the spots of one frame, best first."""
        if not len(look.tiles):
            return []
        told = [
            self._session.run(None, {self._name: look.tiles[first : first + _AT_ONCE]})
            for first in range(0, len(look.tiles), _AT_ONCE)
        ]
        heat, boxes = (np.concatenate(parts) for parts in zip(*told, strict=True))
        return spots_of(heat[:, 0], boxes, look, floor=self._floor)


def spots_of(
    heat: npt.NDArray[np.float32], boxes: npt.NDArray[np.float32], look: Look, *, floor: float
) -> list[Spot]:
    """Return the peaks of heat maps (n, h, w) in the tiles' cores as spots of the picture."""
    rim = (TILE_PX - CORE_PX) // 2 // STRIDE
    # One cell of overlap: a spot on the seam belongs to both and is merged.
    core = heat[:, rim - 1 : heat.shape[1] - rim + 1, rim - 1 : heat.shape[2] - rim + 1]
    tiles, rows, columns = np.nonzero(core >= floor)
    rows, columns = rows + rim - 1, columns + rim - 1
    scores = heat[tiles, rows, columns]
    around = heat[tiles[:, None], rows[:, None] + _AROUND_Y, columns[:, None] + _AROUND_X]
    is_peak = scores >= around.max(axis=1, initial=-1.0)
    tiles, rows, columns, scores = tiles[is_peak], rows[is_peak], columns[is_peak], scores[is_peak]
    best = np.argsort(-scores, kind="stable")[:_MOST_PEAKS]
    tiles, rows, columns, scores = tiles[best], rows[best], columns[best], scores[best]
    found = np.asarray(boxes[tiles, :, rows, columns], float)
    in_x = (columns + 0.5 + np.clip(found[:, 0], -2, 2)) * STRIDE
    in_y = (rows + 0.5 + np.clip(found[:, 1], -2, 2)) * STRIDE
    sizes = np.exp(np.clip(found[:, 2:], -3, 3)) * SIZE_UNIT_PX
    contrasts = _contrasts(look.tiles, tiles, in_x, in_y)
    corners = look.corners[tiles]
    table = np.stack(
        [corners[:, 0] + in_x, corners[:, 1] + in_y, sizes[:, 0], sizes[:, 1], scores, contrasts], axis=1
    )
    return merged([Spot(*row) for row in table.tolist()])


def pictured(spots: list[Spot], look: Look) -> list[Spot]:
    """Return spots with their patches, each cut from the tile in whose middle it lies best; as they are where there are no tiles."""
    if not spots or not len(look.tiles):
        return spots
    centres = np.array([(spot.x, spot.y) for spot in spots])
    away = np.abs(centres[:, None] - (look.corners[None] + TILE_PX / 2)).max(axis=2)
    which = away.argmin(axis=1)
    sides = np.array([max(spot.width_px, spot.height_px) for spot in spots])
    scale = np.clip(_PATCH_SIZES * sides / PATCH_PX, 1.0, _COARSEST)[:, None]
    inside = centres - look.corners[which]
    columns, rows = (
        np.clip(np.round(inside[:, axis, None] - 0.5 + scale * _PATCH_STEPS), 0, TILE_PX - 1).astype(int)
        for axis in (0, 1)
    )
    layers = np.array(_PATCH_LAYERS)[None, :, None, None]
    patches = look.tiles[
        which[:, None, None, None], layers, rows[:, None, :, None], columns[:, None, None, :]
    ]
    return [spot.showing(patch) for spot, patch in zip(spots, patches, strict=True)]


def merged(spots: list[Spot]) -> list[Spot]:
    """Return spots best first without those that lie on a better one."""
    kept: list[Spot] = []
    for spot in sorted(spots, key=lambda one: -one.score):
        if all(
            abs(spot.x - k.x) > max(_MERGE_PX, k.width_px / 2)
            or abs(spot.y - k.y) > max(_MERGE_PX, k.height_px / 2)
            for k in kept
        ):
            kept.append(spot)
        if len(kept) >= MAX_SPOTS:
            break
    return kept


class ClassicalDetector:
    """Three-frame difference and connected components on the same tiles: the fallback, and the baseline of every table."""

    def find(self, look: Look) -> list[Spot]:
        """Return changed blobs of 2 to 60 px; the score tells only contrast."""
        rows: list[tuple[int, float, float, float, float, float]] = []
        rim = (TILE_PX - CORE_PX) // 2 - STRIDE
        for number, tile in enumerate(look.tiles):
            fresh = cv2.min(cv2.absdiff(tile[0], tile[1]), cv2.absdiff(tile[0], tile[2]))
            _, moved = cv2.threshold(fresh, 14, 255, cv2.THRESH_BINARY)
            count, _, stats, centres = cv2.connectedComponentsWithStats(moved, connectivity=8)
            for index in range(1, count):
                _, _, w, h, area = stats[index]
                cx, cy = centres[index]
                if (
                    area >= _LEAST_AREA_PX
                    and max(w, h) <= _WIDEST_PX
                    and rim <= cx <= TILE_PX - rim
                    and rim <= cy <= TILE_PX - rim
                ):
                    rows.append((number, cx, cy, float(w), float(h), min(0.5, 0.1 + area / 200)))
        if not rows:
            return []
        table = np.array(rows)
        which = table[:, 0].astype(int)
        contrasts = _contrasts(look.tiles, which, table[:, 1], table[:, 2])
        places = table[:, 1:3] + look.corners[which]
        spots = np.column_stack([places, table[:, 3:], contrasts])
        return merged([Spot(*row) for row in spots.tolist()])


def _contrasts(
    tiles: npt.NDArray[np.uint8],
    which: npt.NDArray[np.int_],
    x: npt.NDArray[np.floating],
    y: npt.NDArray[np.floating],
) -> Floats:
    """Return how much lighter than the background 3x3 pixels around places in tiles are."""
    columns = np.clip(x.astype(int), 1, TILE_PX - 2)[:, None] + _AROUND_X
    rows = np.clip(y.astype(int), 1, TILE_PX - 2)[:, None] + _AROUND_Y
    now, still = (
        tiles[which[:, None], layer, rows, columns].astype(np.float64).mean(1) for layer in (0, LAYERS - 1)
    )
    contrasts: Floats = now - still
    return contrasts


def open_model(path: Path, *, sha256: str | None) -> onnxruntime.InferenceSession:
    """Open an ONNX file for one thread of a processor.

    Raises:
        ModelError: missing, another hash, or not ONNX.
    """
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise ModelError(f"model {path.name} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(octets).hexdigest()
    if sha256 is not None and found != sha256:
        raise ModelError(
            f"model {path.name} has SHA-256 {found[:12]}…, the manifest says {sha256[:12]}…: it was changed or is another one"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(octets, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base of their own
        raise ModelError(f"model {path.name} is not a usable ONNX file: {type(error).__name__}") from error
