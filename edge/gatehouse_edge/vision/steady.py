"""A mast sways, a wall trembles: how far a picture is shifted against the background, and the picture shifted back. Pure.

Differences of pictures that are shifted by a pixel show every window frame; a falling thing drowns among them. The shift is measured by least squares
on a small copy (Lucas and Kanade's equation), block by block, and the blocks' median counts: a tree that sways fills some of them and persuades nobody.
Good to a tenth of a pixel; a camera that stands still costs no warping.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_SMALL_PX: Final = 400
"""The copy is at most so wide (a half, a quarter or an eighth of the picture)."""
_STEPS: Final = 4
_ENOUGH_PX: Final = 0.02
_STILL_PX: Final = 0.2
"""Less than that is not put right: resampling would cost more than it mends."""
_WAKES_PX: Final = 0.35
_RESTS_FRAMES: Final = 50
_GLANCE_FRAMES: Final = 3
"""A camera that has stood still is looked at only so often."""
_FARTHEST_SHARE: Final = 0.12
"""Beyond that share of the picture's height it looks elsewhere: a new background is needed."""
_BLOCKS: Final = (8, 6)
_LEAST_TEXTURE: Final = 0.5
"""Mean squared slope (luma a pixel) below which a block says nothing about its shift."""
_FEWEST_BLOCKS: Final = 6
_AGREE_PX: Final = 0.5
"""Half of the blocks must say the same to within so much of the small copy."""


class Steady:
    """One camera. `aim` at a background now and then; `shift_of` and `steadied` for every frame."""

    def __init__(self) -> None:
        self._aim: Floats | None = None
        self._slopes: tuple[Floats, Floats] | None = None
        self._scale = 1
        self._last = (0.0, 0.0)
        self._awake = 0
        self._count = 0
        self.is_lost = False
        """It looks somewhere else than the background does."""

    def aim(self, background: Luma) -> None:
        """Measure shifts against this picture from now on."""
        self._scale = 1
        while background.shape[1] // self._scale > _SMALL_PX:
            self._scale *= 2
        small = shrunk(background, self._scale).astype(np.float32)
        self._aim = np.asarray(cv2.GaussianBlur(small, (5, 5), 1.0), np.float32)
        self._slopes = (
            np.asarray(cv2.Sobel(self._aim, cv2.CV_32F, 1, 0, scale=0.125), np.float32),
            np.asarray(cv2.Sobel(self._aim, cv2.CV_32F, 0, 1, scale=0.125), np.float32),
        )
        gx, gy = self._slopes
        self._a, self._b, self._c = _blocks(gx * gx), _blocks(gx * gy), _blocks(gy * gy)
        det = self._a * self._c - self._b**2
        # A block of one long edge knows only how far it has moved across it.
        self._usable = (np.minimum(self._a, self._c) > _LEAST_TEXTURE) & (det > 0.05 * self._a * self._c)
        self._det = det[self._usable]
        self._window = np.asarray(
            cv2.createHanningWindow((small.shape[1], small.shape[0]), cv2.CV_32F), np.float32
        )

    def shift_of(self, luma: Luma) -> tuple[float, float]:
        """Return (dx, dy) by which `luma` is moved against the background, pixels; (0, 0) for a camera that stands still."""
        self._count += 1
        if self._aim is None or self._slopes is None or (not self._awake and self._count % _GLANCE_FRAMES):
            return 0.0, 0.0
        small = np.asarray(
            cv2.GaussianBlur(shrunk(luma, self._scale).astype(np.float32), (5, 5), 1.0), np.float32
        )
        near = (self._last[0] / self._scale, self._last[1] / self._scale)
        told = self._settled(small, near)
        if told is None and near != (0.0, 0.0):
            told = self._settled(small, (0.0, 0.0))
        if told is None and self._usable.sum() >= _FEWEST_BLOCKS:
            # Copies: OpenCV 5 multiplies its inputs by the window in place at sizes that need no padding.
            far, _ = cv2.phaseCorrelate(self._aim.copy(), small.copy(), self._window)
            told = self._settled(small, (far[0], far[1]))
        dx, dy = told or (0.0, 0.0)
        found = (dx * self._scale, dy * self._scale)
        far = _FARTHEST_SHARE * luma.shape[0]
        self.is_lost = max(abs(found[0]), abs(found[1])) > far
        self._last = (0.0, 0.0) if self.is_lost else found
        size = max(abs(found[0]), abs(found[1]))
        self._awake = _RESTS_FRAMES if size > _WAKES_PX else max(0, self._awake - 1)
        return self._last if self._awake and size > _STILL_PX else (0.0, 0.0)

    def _settled(self, small: Floats, start: tuple[float, float]) -> tuple[float, float] | None:
        """Return the shift near `start` on which the blocks agree, pixels of the small copy; None if they do not."""
        assert self._aim is not None  # noqa: S101  # asked by the caller
        assert self._slopes is not None  # noqa: S101  # set with it
        (gx, gy), (dx, dy) = self._slopes, start
        for _ in range(_STEPS):
            gap = (small if abs(dx) + abs(dy) < _ENOUGH_PX else _moved(small, dx, dy)) - self._aim
            p, q = _blocks(gx * gap), _blocks(gy * gap)
            steps = (
                np.stack([self._c * p - self._b * q, self._a * q - self._b * p])[:, self._usable] / self._det
            )
            if steps.shape[1] < _FEWEST_BLOCKS:
                return None
            step = np.median(steps, axis=1)
            dx, dy = dx - float(step[0]), dy - float(step[1])
            if float(np.abs(step).sum()) < _ENOUGH_PX:
                break
        apart = float(np.median(np.hypot(*(steps - step[:, None]))))
        return (dx, dy) if apart < _AGREE_PX else None

    @staticmethod
    def steadied(luma: Luma, shift: tuple[float, float]) -> Luma:
        """Return `luma` moved back by `shift`; at the rim the nearest pixel is repeated."""
        return luma if shift == (0.0, 0.0) else np.asarray(_moved(luma, *shift), np.uint8)


def shrunk(luma: Luma, scale: int) -> Luma:
    """Return `luma` at a half, a quarter, an eighth, …: halving again and again is the quickest way to average."""
    while scale > 1:
        luma = np.asarray(
            cv2.resize(luma, (luma.shape[1] // 2, luma.shape[0] // 2), interpolation=cv2.INTER_AREA), np.uint8
        )
        scale //= 2
    return luma


def _blocks(values: Floats) -> Floats:
    """Return the means of `_BLOCKS` parts of a picture."""
    return np.asarray(cv2.resize(values, _BLOCKS, interpolation=cv2.INTER_AREA), np.float32)


def _moved(picture: npt.NDArray[np.float32] | Luma, dx: float, dy: float) -> npt.NDArray[np.float32]:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = (picture.shape[1], picture.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))
