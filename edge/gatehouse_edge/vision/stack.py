"""The last frames of a camera, the background behind them, and the few tiles in which something small has moved.

Works in capture time: a repeated picture is stepped over, told by its time stamp or because no 8x8 block of it has
changed (a mean over the whole picture would also drop real frames in which only four pixels moved). Everything is kept
in the place of the background: where the camera itself sways, frames are shifted back first (`steady.py`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from gatehouse_edge.vision.steady import Steady, shrunk

Luma = npt.NDArray[np.uint8]
Cells = npt.NDArray[np.float32]

CELL_PX: Final = 16
"""Side of the cells in which movement is counted."""
TILE_PX: Final = 64
"""Side of what the network sees at once, full resolution."""
CORE_PX: Final = 48
"""Side of its middle, in which detections count; the rim is context."""
BUDGET: Final = 24
"""Most tiles a frame, whatever moves; the rest is counted as skipped."""
_UNUSUAL: Final = 1.5
"""Merit of a cell from which its change is out of the ordinary there."""
_CROWDED: Final = 16
"""So many places apart may be out of the ordinary at once before trails choose: in rendered rain five frames in six have more, on a clear day one in thirty,
above a street one in fifteen."""
_TRAIL_KEEPS: Final = 0.6
"""Share of its trail that what goes on moving takes with it from frame to frame; tried from 0.3 to 0.9 (decision 55)."""
_TRAIL_MOST: Final = 3.0
"""One frame adds no more to a trail, however unusual: a streak of rain is that once."""
_FROM_ABOVE: Final = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0]], np.uint8)
"""Cells from which a thing in the middle one can have come within a frame: the same, two rows above, one column to either side."""
_AROUND: Final = np.ones((3, 3), np.uint8)
_CELLS_A_TILE: Final = 16
"""A tile takes at most that many cells away, so so many of the best cells for each tile are enough to choose from."""
_STRIP_PX: Final = 128
"""A multiple of the cells' side."""
_BLOCK_PX: Final = 8
_REPEAT_MEAN: Final = 1.2
"""A block whose mean change is below this has not changed: a 2 px thing of contrast 40 makes 2.5."""
_REPEAT_SHARE: Final = 0.15
_REPEAT_MOST: Final = 4.5
"""A codec leaves up to 4 in a block of a repeat (measured on a 20 fps camera that sends 30), where new frames have 30 and more: in a
lively picture the limit rises with what its frames usually change, up to this."""
_LIVELY: Final = _REPEAT_MOST / _REPEAT_SHARE
"""More than this in one block need not be told apart: no limit rises any further."""
FRAMES: Final = 5
"""Frames a tile shows: a faint thing that falls steps through five of them in a line, where three are but three dots among many."""
LAYERS: Final = FRAMES + 1
"""Pictures a tile shows: the frames, newest first, and the background."""
_FEWEST_FRAMES: Final = 3
"""From so many on there is something to compare; the oldest stands in for those before it."""
_PULSE_EVERY: Final = 8
_PULSE_FRAMES: Final = 6
"""What frames usually change is asked of two in eight, one after the other: of these not both are repeats. The others are looked at only until it is
certain that they are none."""
_LEAST_PEAK: Final = 2.5
_NOISE_FACTOR: Final = 1.0
"""A change counts from so much luma, and from so many times the middle cell's."""
_BACKGROUND_EVERY_S: Final = 0.2
_AIM_EVERY_S: Final = 1.0
_BACKGROUND_RATE: Final = 0.08
_FINE: Final = 256
"""Steps of the background in one of luma: half the memory of a float, and what a fortieth of luma adds still counts."""
_HABIT_RATE: Final = 0.04
"""Share of each frame in what is usual at a place."""
_STANDS_FRAMES: Final = 8
"""No camera sends a picture so often: after so many that hardly differ the scene has come to rest, and what was usual in it no longer is."""
_STILL_TIME_S: Final = 0.004
"""Two frames closer in capture time than this are one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """What one frame offers to a detector."""

    capture_s: float
    number: int
    """Of the frame in its stream, repeats counted, from 0."""
    tiles: npt.NDArray[np.uint8]
    """Shape (n, LAYERS, TILE_PX, TILE_PX): this frame, the four before it, newest first, the background."""
    corners: npt.NDArray[np.int32]
    """Shape (n, 2): x, y of each tile's upper left corner; may be negative at the rim."""
    skipped: int
    """Tiles in which something moved but for which the budget was spent."""
    active_share: float
    """Share of the picture's cells in which something moved, 0 to 1."""
    shift: tuple[float, float] = (0.0, 0.0)
    """What must be added to a place in the tiles for its place in this very picture: how far the camera has swayed."""


class FrameStack:
    """One camera's frames; `add` them in order."""

    def __init__(self, *, budget: int = BUDGET) -> None:
        self._budget: Final = budget
        self._ring: Luma | None = None
        """Shape (LAYERS, height, width): the frames, each in the place of the one that was oldest, and last what the background looks like.
        One large array: the system then gives it large pages, and tiles would lie scattered over thousands of small ones (decision 57)."""
        self._held = self._newest = 0
        """How many frames there are, and which place has the newest."""
        self._raw: Luma | None = None
        self._steady = Steady()
        self._shift = (0.0, 0.0)
        self._times: list[float] = []
        self._background: npt.NDArray[np.uint16] | None = None
        self._background_at_s = self._aimed_at_s = 0.0
        self._habit: Cells | None = None
        self._trail: Cells | None = None
        self._number = -1
        self._pulse: deque[float] = deque(maxlen=_PULSE_FRAMES)
        self._differing = 0
        """Frames that were no repeats."""
        self._alike = 0
        """Frames that hardly differed, in a row."""
        self._liveliest = 0
        """Which strip of the picture told last that a frame was none of the one before."""
        self.repeats = 0
        self.skipped_tiles = 0
        self.moves = 0
        """How often the camera was found to look elsewhere."""

    def add(
        self, luma: Luma, capture_s: float, *, wanted: npt.NDArray[np.float64] | None = None
    ) -> Look | None:
        """Take one frame; None for a repeat or while there are fewer than three.

        Args:
            luma: shape (height, width), copied; a change of size starts afresh.
            capture_s: when it was captured, in seconds on any scale that only grows.
            wanted: centres, shape (n, 2), that a tracker wants looked at whatever moves there.
        """
        self._number += 1
        if self._raw is not None:
            if self._raw.shape != luma.shape:
                self.forget()
            elif capture_s - self._times[-1] < _STILL_TIME_S or self._is_repeat(luma, self._raw):
                self.repeats += 1
                return None
        self._shift = self._steady.shift_of(luma)
        if self._steady.is_lost:
            self.forget()
            self.moves += 1
        kept = self._remember(Steady.steadied(luma, self._shift), capture_s)
        self._raw = kept if self._shift == (0.0, 0.0) else luma.copy()
        if self._held < _FEWEST_FRAMES:
            return None
        merit, active = self._unusual()
        corners, skipped = self._choose(self._ranked(merit, active), active, wanted)
        self.skipped_tiles += skipped
        return Look(
            capture_s=capture_s,
            number=self._number,
            tiles=self.tiles_at(corners),
            corners=corners,
            skipped=skipped,
            active_share=float(active.mean()),
            shift=self._shift,
        )

    def forget(self) -> None:
        """Start afresh: another picture size, or the camera was moved."""
        self._times.clear()
        self._held = 0
        self._ring = self._raw = self._background = self._habit = self._trail = None
        self._steady, self._shift = Steady(), (0.0, 0.0)
        self._pulse.clear()

    def _is_repeat(self, luma: Luma, before: Luma) -> bool:
        usual = sorted(self._pulse)[len(self._pulse) // 2] if self._pulse else 0.0
        limit = max(_REPEAT_MEAN, min(_REPEAT_MOST, _REPEAT_SHARE * usual))
        is_asked = len(self._pulse) < _PULSE_FRAMES or self._differing % _PULSE_EVERY < 2  # noqa: PLR2004  # two
        enough = _LIVELY if is_asked else limit
        parts = _strips(len(luma))
        first, most = min(self._liveliest, len(parts) - 1), 0.0
        for number in (first, *(n for n in range(len(parts)) if n != first)):
            change = np.asarray(cv2.absdiff(luma[parts[number]], before[parts[number]]), np.uint8)
            change_most = float(shrunk(change, _BLOCK_PX).max(initial=0))
            if change_most > most:
                most, self._liveliest = change_most, number
            if most >= enough:
                break
        if most < limit:
            self._alike += 1
            if self._alike >= _STANDS_FRAMES:
                self._pulse.clear()
            return True
        self._alike = 0
        self._differing += 1
        if is_asked:
            self._pulse.append(min(_LIVELY, most))
        return False

    def _remember(self, luma: Luma, capture_s: float) -> Luma:
        """Let a frame into the ring and the background, and return it as it is kept."""
        self._times = [*self._times[1 - FRAMES :], capture_s]
        if self._ring is None or self._background is None:
            self._ring, self._background = (
                np.empty((LAYERS, *luma.shape), np.uint8),
                luma.astype(np.uint16) * _FINE,
            )
            self._ring[FRAMES] = luma
            self._background_at_s = self._aimed_at_s = capture_s
            self._steady.aim(luma)
        elif capture_s - self._background_at_s >= _BACKGROUND_EVERY_S:
            _blend(luma, self._background, self._ring[FRAMES])
            self._background_at_s = capture_s
            if capture_s - self._aimed_at_s >= _AIM_EVERY_S:
                self._steady.aim(self._ring[FRAMES])
                self._aimed_at_s = capture_s
        self._newest = (self._newest + 1) % FRAMES
        self._held = min(FRAMES, self._held + 1)
        kept: Luma = self._ring[self._newest]
        kept[:] = luma
        return kept

    def _unusual(self) -> tuple[Cells, npt.NDArray[np.bool_]]:
        """Return for each cell how unusual its strongest change is for that place, and whether it is one at all.

        What counts is what was in neither of the two frames before nor in the background, averaged over 2x2 pixels
        against noise and compared with what is usual there. A flake among flakes and a leaf in a swaying tree are usual; a dot on a quiet wall is not.
        """
        now, before, earlier, *_, still = self.pictures()
        peaks = _fresh(now, before, earlier, still)
        around = np.asarray(cv2.blur(peaks, (7, 7)), np.float32)
        if self._habit is None:
            self._habit = np.asarray(cv2.blur(peaks, (9, 9)), np.float32)
        base = float(np.median(peaks))
        merit = (peaks - 0.7 * base) / (4.0 + 0.5 * around + self._habit)
        self._habit += _HABIT_RATE * (peaks - self._habit)
        return merit, peaks > max(_LEAST_PEAK, _NOISE_FACTOR * base)

    def _ranked(self, merit: Cells, active: npt.NDArray[np.bool_]) -> Cells:
        """Return by what cells are chosen: how unusual they are, or where that is true of too many, how unusual they have been along the way down to them.

        In rain a hundred streaks are as unusual as a fall, each in one frame: a fall is so in the next frame too, there or a little further down.
        """
        trail = np.clip(merit, 0.0, _TRAIL_MOST)
        if self._trail is not None:
            trail += _TRAIL_KEEPS * np.asarray(cv2.dilate(self._trail, _FROM_ABOVE), np.float32)
        self._trail = np.where(active, trail, np.float32(0.0))
        unusual = np.where(active & (merit > _UNUSUAL), merit, np.float32(0.0))
        places = np.count_nonzero((unusual > 0) & (unusual >= cv2.dilate(unusual, _AROUND)))
        return self._trail if places > _CROWDED else merit

    def _choose(
        self, rank: Cells, active: npt.NDArray[np.bool_], wanted: npt.NDArray[np.float64] | None
    ) -> tuple[npt.NDArray[np.int32], int]:
        """Return the corners of the tiles to look at: what is tracked first, then the highest ranks."""
        corners: list[tuple[int, int]] = []
        open_cells = active.copy()
        for x, y in wanted if wanted is not None else ():
            if len(corners) >= self._budget // 2:
                break
            self._take(corners, open_cells, int(x), int(y))
        for cell in _best(rank.ravel(), np.flatnonzero(open_cells), self._budget * _CELLS_A_TILE):
            if len(corners) >= self._budget:
                break
            row, column = divmod(cell, open_cells.shape[1])
            if open_cells[row, column]:
                self._take(corners, open_cells, column * CELL_PX + CELL_PX // 2, row * CELL_PX + CELL_PX // 2)
        skipped = -(-int(np.count_nonzero(open_cells)) // (CORE_PX // CELL_PX) ** 2)
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

    def _layers(self) -> tuple[Luma, list[int]]:
        """Return the ring, and which place of it each layer of a tile is; the oldest frame stands in for those before it."""
        assert self._ring is not None  # noqa: S101  # set with the first frame
        return self._ring, [
            *((self._newest - min(ago, self._held - 1)) % FRAMES for ago in range(FRAMES)),
            FRAMES,
        ]

    def pictures(self) -> list[Luma]:
        """Return the layers of a tile as whole pictures, all in the background's place; needs three frames. They hold until the next frame is added."""
        ring, places = self._layers()
        return [ring[place] for place in places]

    def tiles_at(self, corners: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
        """Return tiles of the newest frame as a `Look` has them, for corners of one's own; needs three frames."""
        ring, places = self._layers()
        tiles = np.empty((len(corners), LAYERS, TILE_PX, TILE_PX), np.uint8)
        for tile, (x, y) in zip(tiles, corners.tolist(), strict=True):
            # "clip" only because `take` writes straight to where it is told to in that mode: all places are valid.
            np.take(_cut(ring, x, y), places, axis=0, out=tile, mode="clip")
        return tiles


def _cut(pictures: Luma, x: int, y: int) -> Luma:
    """Return the tile at (x, y) of pictures (n, height, width); beyond the rim the nearest pixel is repeated."""
    _, height, width = pictures.shape
    if 0 <= x <= width - TILE_PX and 0 <= y <= height - TILE_PX:
        return pictures[:, y : y + TILE_PX, x : x + TILE_PX]
    rows = np.clip(np.arange(y, y + TILE_PX), 0, height - 1)[:, None]
    columns = np.clip(np.arange(x, x + TILE_PX), 0, width - 1)
    return pictures[:, rows, columns]


def _best(values: Cells, among: npt.NDArray[np.intp], count: int) -> list[int]:
    """Return which of some indices have the `count` largest values, best first: sorting them all would cost more than what follows."""
    if len(among) > count:
        among = among[np.argpartition(values[among], -count)[-count:]]
    return [int(n) for n in among[np.argsort(-values[among], kind="stable")]]


def _strips(height: int) -> list[slice]:
    """Return the rows of a picture in parts that stay in a core's cache from one operation to the next."""
    return [slice(y, min(height, y + _STRIP_PX)) for y in range(0, height, _STRIP_PX)]


def _blend(luma: Luma, background: npt.NDArray[np.uint16], still: Luma) -> None:
    """Let a picture into the background, and write into `still` what it looks like then."""
    for part in _strips(len(luma)):
        fine = luma[part].astype(np.uint16) * _FINE
        cv2.addWeighted(fine, _BACKGROUND_RATE, background[part], 1 - _BACKGROUND_RATE, 0.0, background[part])
        np.right_shift(background[part], 8, out=still[part], casting="unsafe")


def _fresh(now: Luma, before: Luma, earlier: Luma, still: Luma) -> Cells:
    """Return, for each cell, the strongest of what is in `now` and in none of the others."""
    height, width = now.shape
    room = np.empty((2, _STRIP_PX, width), np.uint8)
    """The same for every strip, so that it stays in the core's cache."""
    halved = np.empty((height // 2, width // 2), np.uint8)
    for part in _strips(height):
        fresh, other = room[:, : part.stop - part.start]
        cv2.absdiff(now[part], before[part], fresh)
        cv2.absdiff(now[part], earlier[part], other)
        cv2.min(fresh, other, fresh)
        cv2.absdiff(now[part], still[part], other)
        cv2.min(fresh, other, fresh)
        halved[part.start // 2 : part.stop // 2] = shrunk(fresh, 2)
    return _peaks(halved)


def _peaks(change: Luma) -> Cells:
    """Return the largest value of each cell of a picture at half its size."""
    height, width = change.shape
    size = CELL_PX // 2
    below, right = -height % size, -width % size
    if below or right:
        change = np.asarray(cv2.copyMakeBorder(change, 0, below, 0, right, cv2.BORDER_CONSTANT), np.uint8)
    # Halving by neighbours is many times quicker than a maximum over blocks; rows first, they lie in one piece.
    for _ in range(size.bit_length() - 1):
        change = np.maximum(change[0::2], change[1::2])
    for _ in range(size.bit_length() - 1):
        change = np.maximum(change[:, 0::2], change[:, 1::2])
    return change.astype(np.float32)
