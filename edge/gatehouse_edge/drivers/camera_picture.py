"""Is a camera's picture alive? A pure judge of luma frames: ok, frozen or black.

Frozen is judged by content. A living sensor has noise, so some 16 x 16 block always changes; the mean over the picture
would hide a person crossing a still yard, so the block that changed *most* decides. Two references are kept, because an
encoder redraws even a dead picture slightly differently in each kind of frame: all frames against the
last one that differed, and key frames against the last key frame that differed.

Measured (x264, drawn facade, sensor noise 0.5 to 3 steps, quantisers up to crf 35): two key frames of a living scene differ by
0.66 steps or more in their worst block, those of a dead one mostly by exactly 0. What this cannot see: a dead
sensor behind an encoder so starved (60 kbit/s for VGA) that its own rate control changes every block.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec import Struct

from gatehouse_edge.drivers.camera_port import Luma
from gatehouse_edge.reading import PictureState

BLOCK_PX: Final = 16
"""An H.264 macroblock: the unit in which an encoder decides that nothing changed."""
BLACK_SHARE_PCT: Final = 99.5
"""So much of the picture must be dark; one lit window keeps a night picture from being black."""


class PictureSettings(Struct, frozen=True, kw_only=True):
    """Limits of the judge."""

    frozen_after_s: float = 5.0
    black_after_s: float = 2.0
    still_level: float = 0.3
    """Luma steps, mean of the block that changed most; below it nothing moved and nothing was noisy."""
    black_level: int = 32
    """Luma steps; video black is 16, a covered lens with gain reaches the twenties."""
    sample_every_s: float = 0.25
    """Frames in between are not looked at (key frames always are): noise does not need 25 looks a second."""


class Verdict(Struct, frozen=True):
    """What a picture is worth, and why, in a few words."""

    picture: PictureState
    detail: str = ""


class PictureJudge:
    """Watches the frames of one opened stream. Times are monotonic seconds of arrival."""

    def __init__(self, settings: PictureSettings) -> None:
        self.settings: Final = settings
        self._all: Final = _Stillness(settings.still_level)
        self._keys: Final = _Stillness(settings.still_level)
        self._sampled_s: float | None = None
        self._dark_since_s: float | None = None
        self._pts_s: float | None = None
        self._pts_moved_s: float | None = None

    def see(self, luma: Luma, *, pts_s: float | None, is_key: bool, now_s: float) -> None:
        """Take one frame into account."""
        if pts_s is None or pts_s != self._pts_s or self._pts_moved_s is None:
            self._pts_s, self._pts_moved_s = pts_s, now_s
        is_due = self._sampled_s is None or now_s - self._sampled_s >= self.settings.sample_every_s
        if is_due:
            self._sampled_s = now_s
            self._all.see(luma, now_s)
            self._look_for_darkness(luma, now_s)
        if is_key:
            self._keys.see(luma, now_s)

    def verdict(self, now_s: float) -> Verdict:
        """Return what the frames seen so far amount to. A black picture is also still; black is the better name."""
        settings = self.settings
        if self._dark_since_s is not None and now_s - self._dark_since_s >= settings.black_after_s:
            return Verdict(PictureState.BLACK, "画面全黑 dark everywhere")
        still_s = max(self._all.still_s, self._keys.still_s)
        if still_s >= settings.frozen_after_s:
            return Verdict(
                PictureState.FROZEN, f"画面{still_s:.0f} s无变化 nothing changed for {still_s:.0f} s"
            )
        if self._pts_moved_s is not None and now_s - self._pts_moved_s >= settings.frozen_after_s:
            return Verdict(PictureState.FROZEN, "时间戳不再前进 time stamps stand still")
        return Verdict(PictureState.OK)

    def _look_for_darkness(self, luma: Luma, now_s: float) -> None:
        if np.percentile(luma[::4, ::4], BLACK_SHARE_PCT) > self.settings.black_level:
            self._dark_since_s = None
        elif self._dark_since_s is None:
            self._dark_since_s = now_s


class _Stillness:
    """For how long no block of the pictures seen has changed."""

    def __init__(self, level: float) -> None:
        self.still_s = 0.0
        self._level: Final = level
        self._reference: Luma | None = None
        self._since_s = 0.0

    def see(self, luma: Luma, now_s: float) -> None:
        if self._reference is None or worst_block(luma, self._reference) > self._level:
            self._reference, self._since_s = luma, now_s
        self.still_s = now_s - self._since_s


def worst_block(one: Luma, other: Luma) -> float:
    """Return the mean absolute difference in the block that differs most, in luma steps (255 if the sizes differ).

    Rows and columns that do not fill a block are left out, unless the picture is smaller than one block.
    """
    if one.shape != other.shape:
        return 255.0
    difference = np.maximum(one, other) - np.minimum(one, other)
    high, wide = (length // BLOCK_PX for length in difference.shape)
    if not high or not wide:
        return float(difference.mean()) if difference.size else 0.0
    blocks = difference[: high * BLOCK_PX, : wide * BLOCK_PX].reshape(high, BLOCK_PX, wide, BLOCK_PX)
    return float(blocks.mean(axis=(1, 3), dtype=np.float32).max())
