"""The last frames of a camera, the background behind them, and the few tiles in which something small has moved.

Works in capture time: a repeated picture is stepped over, told by its time stamp or because no 8x8 block of it has
changed (a mean over the whole picture would also drop real frames in which only four pixels moved).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]
Cells = npt.NDArray[np.float32]

CELL_PX: Final = 16
"""Side of the cells in which movement is counted."""
TILE_PX: Final = 64
"""Side of what the network sees at once, full resolution."""
CORE_PX: Final = 48
"""Side of its middle, in which detections count; the rim is context."""
BUDGET: Final = 20
"""Most tiles a frame, whatever moves; the rest is counted as skipped."""
_BLOCK_PX: Final = 8
_REPEAT_MEAN: Final = 1.2
"""A block whose mean change is below this has not changed: a 2 px thing of contrast 40 makes 2.5."""
_REPEAT_SHARE: Final = 0.15
_REPEAT_MOST: Final = 4.5
"""A codec leaves up to 4 in a block of a repeat (measured on a 20 fps camera that sends 30), where new frames have 30 and more: in a
lively picture the limit rises with what its frames usually change, up to this."""
_DEPTH: Final = 3
"""Frames a tile shows."""
_PULSE_FRAMES: Final = 15
_ACTIVE_PIXELS: Final = 2.0
_BACKGROUND_EVERY_S: Final = 0.2
_BACKGROUND_RATE: Final = 0.08
_HABIT_RATE: Final = 0.02
_STILL_TIME_S: Final = 0.004
"""Two frames closer in capture time than this are one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """What one frame offers to a detector."""

    capture_s: float
    number: int
    """Of the frame in its stream, repeats counted, from 0."""
    tiles: npt.NDArray[np.uint8]
    """Shape (n, 4, TILE_PX, TILE_PX): this frame, the one before, the one before that, the background."""
    corners: npt.NDArray[np.int32]
    """Shape (n, 2): x, y of each tile's upper left corner in the picture; may be negative at the rim."""
    skipped: int
    """Tiles in which something moved but for which the budget was spent."""
    active_share: float
    """Share of the picture's cells in which something moved, 0 to 1."""


class FrameStack:
    """One camera's frames; `add` them in order."""

    def __init__(self, *, budget: int = BUDGET) -> None:
        self._budget: Final = budget
        self._frames: list[Luma] = []
        self._times: list[float] = []
        self._background: npt.NDArray[np.float32] | None = None
        self._background_at_s = 0.0
        self._habit: Cells | None = None
        self._number = -1
        self._pulse: deque[float] = deque(maxlen=_PULSE_FRAMES)
        self.repeats = 0
        self.skipped_tiles = 0

    def add(
        self, luma: Luma, capture_s: float, *, wanted: npt.NDArray[np.float64] | None = None
    ) -> Look | None:
        """Take one frame; None for a repeat or while there are fewer than three.

        Args:
            luma: shape (height, width); a change of size starts afresh.
            capture_s: when it was captured, in seconds on any scale that only grows.
            wanted: centres, shape (n, 2), that a tracker wants looked at whatever moves there.
        """
        self._number += 1
        if self._frames and self._frames[-1].shape != luma.shape:
            self.forget()
        change: Luma | None = None
        if self._frames:
            change = np.asarray(cv2.absdiff(luma, self._frames[-1]), np.uint8)
            if capture_s - self._times[-1] < _STILL_TIME_S or self._is_repeat(change):
                self.repeats += 1
                return None
        self._remember(luma, capture_s)
        if change is None or len(self._frames) < _DEPTH:
            return None
        cells = self._activity(change)
        active = cells >= _ACTIVE_PIXELS
        corners, skipped = self._choose(cells, active, wanted)
        self.skipped_tiles += skipped
        assert self._habit is not None  # noqa: S101  # set with the first frame
        self._habit += _HABIT_RATE * (active - self._habit)
        return Look(
            capture_s=capture_s,
            number=self._number,
            tiles=self.tiles_at(corners),
            corners=corners,
            skipped=skipped,
            active_share=float(active.mean()),
        )

    def forget(self) -> None:
        """Start afresh: another picture size, or the camera was moved."""
        self._frames.clear()
        self._times.clear()
        self._background = self._habit = None
        self._pulse.clear()

    def _is_repeat(self, change: Luma) -> bool:
        height, width = change.shape
        size = (max(1, width // _BLOCK_PX), max(1, height // _BLOCK_PX))
        most = float(cv2.resize(change, size, interpolation=cv2.INTER_AREA).max())
        usual = sorted(self._pulse)[len(self._pulse) // 2] if self._pulse else 0.0
        if most < max(_REPEAT_MEAN, min(_REPEAT_MOST, _REPEAT_SHARE * usual)):
            return True
        self._pulse.append(most)
        return False

    def _remember(self, luma: Luma, capture_s: float) -> None:
        self._frames = [*self._frames[-2:], luma]
        self._times = [*self._times[-2:], capture_s]
        if self._background is None:
            self._background = luma.astype(np.float32)
            self._habit = np.zeros((-(-luma.shape[0] // CELL_PX), -(-luma.shape[1] // CELL_PX)), np.float32)
            self._background_at_s = capture_s
        elif capture_s - self._background_at_s >= _BACKGROUND_EVERY_S:
            cv2.accumulateWeighted(luma, self._background, _BACKGROUND_RATE)
            self._background_at_s = capture_s

    def _activity(self, change: Luma) -> Cells:
        """Return for each cell how many pixels show something that was in neither of the two frames before."""
        older = cv2.absdiff(self._frames[-1], self._frames[-3])
        fresh = cv2.min(change, older)
        typical = float(np.median(change[::8, ::8]))
        limit = min(40.0, max(8.0, 6.0 + 3.5 * typical))
        _, moved = cv2.threshold(fresh, limit, 255, cv2.THRESH_BINARY)
        height, width = moved.shape
        rows, columns = -(-height // CELL_PX), -(-width // CELL_PX)
        if height % CELL_PX or width % CELL_PX:
            moved = cv2.copyMakeBorder(
                moved, 0, rows * CELL_PX - height, 0, columns * CELL_PX - width, cv2.BORDER_CONSTANT
            )
        shares = cv2.resize(moved, (columns, rows), interpolation=cv2.INTER_AREA)
        return shares.astype(np.float32) * (CELL_PX * CELL_PX / 255.0)

    def _choose(
        self, cells: Cells, active: npt.NDArray[np.bool_], wanted: npt.NDArray[np.float64] | None
    ) -> tuple[npt.NDArray[np.int32], int]:
        """Return the corners of the tiles to look at: what is tracked first, then what moves alone and where little moves."""
        assert self._habit is not None  # noqa: S101  # set with the first frame
        corners: list[tuple[int, int]] = []
        open_cells = active.copy()
        for x, y in wanted if wanted is not None else ():
            if len(corners) >= self._budget // 2:
                break
            self._take(corners, open_cells, int(x), int(y))
        rows, columns = np.nonzero(open_cells)
        if len(rows):
            crowd = cv2.blur(active.astype(np.float32), (7, 7))
            merit = np.minimum(cells[rows, columns], 24.0) / (
                (0.04 + crowd[rows, columns]) * (0.1 + self._habit[rows, columns])
            )
            for index in np.argsort(-merit, kind="stable"):
                if len(corners) >= self._budget:
                    break
                row, column = int(rows[index]), int(columns[index])
                if open_cells[row, column]:
                    self._take(
                        corners, open_cells, column * CELL_PX + CELL_PX // 2, row * CELL_PX + CELL_PX // 2
                    )
        left = int(np.count_nonzero(open_cells))
        skipped = -(-left // (CORE_PX // CELL_PX) ** 2)
        return np.array(corners, np.int32).reshape(-1, 2), skipped

    @staticmethod
    def _take(corners: list[tuple[int, int]], open_cells: npt.NDArray[np.bool_], x: int, y: int) -> None:
        corners.append((x - TILE_PX // 2, y - TILE_PX // 2))
        half = CORE_PX // 2
        # Only cells that lie wholly in the core are done with.
        r0, r1 = -(-(y - half) // CELL_PX), (y + half) // CELL_PX
        c0, c1 = -(-(x - half) // CELL_PX), (x + half) // CELL_PX
        open_cells[max(0, r0) : max(0, r1), max(0, c0) : max(0, c1)] = False
        if 0 <= y // CELL_PX < open_cells.shape[0] and 0 <= x // CELL_PX < open_cells.shape[1]:
            open_cells[y // CELL_PX, x // CELL_PX] = False

    def tiles_at(self, corners: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
        """Return tiles of the newest frame as a `Look` has them, for corners of one's own; needs three frames."""
        tiles = np.empty((len(corners), 4, TILE_PX, TILE_PX), np.uint8)
        assert self._background is not None  # noqa: S101  # set with the first frame
        now, before, earlier = self._frames[-1], self._frames[-2], self._frames[-3]
        for tile, (x, y) in zip(tiles, corners, strict=True):
            for layer, frame in enumerate((now, before, earlier)):
                tile[layer] = cut(frame, int(x), int(y))
            tile[3] = cut(self._background, int(x), int(y))
        return tiles


def cut(frame: npt.NDArray[np.uint8] | npt.NDArray[np.float32], x: int, y: int) -> npt.NDArray[np.uint8]:
    """Return the tile at (x, y); beyond the rim the nearest pixel is repeated."""
    height, width = frame.shape
    if 0 <= x <= width - TILE_PX and 0 <= y <= height - TILE_PX:
        return frame[y : y + TILE_PX, x : x + TILE_PX].astype(np.uint8)
    rows = np.clip(np.arange(y, y + TILE_PX), 0, height - 1)
    columns = np.clip(np.arange(x, x + TILE_PX), 0, width - 1)
    return frame[rows[:, None], columns[None, :]].astype(np.uint8)
