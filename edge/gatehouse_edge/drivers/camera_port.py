"""Where a camera hands over its frames: what a detector must offer, and the queue that stands between the two."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from gatehouse_edge.clock import Now
from gatehouse_edge.drivers.camera_time import Stamp

Luma = npt.NDArray[np.uint8]
"""One picture's brightness, shape (height, width), as decoded; 16 is black in limited range, 0 in full range."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LumaFrame:
    """One decoded picture, luma only. The array is the receiver's own and may be kept."""

    camera_id: str
    luma: Luma
    pts_s: float | None
    """The camera's own presentation time in seconds; starts anywhere, jumps when the stream is opened again."""
    stamp: Stamp
    """When it was taken."""
    opening: int
    """Number of the opening it came from; nothing can be followed from one to the next."""
    at: Now
    """When the packet that completed it arrived."""


class DetectorPort(Protocol):
    """Takes the frames of one camera."""

    def offer(self, frame: LumaFrame) -> None:
        """Take one frame. Called in the camera's reader thread; must return at once and never raise."""
        ...


class FrameQueue:
    """A bounded queue between a camera and a slower detector: the oldest frame is given up, and counted."""

    def __init__(self, limit: int = 8) -> None:
        self._frames: deque[LumaFrame] = deque()
        self._limit: Final = limit
        self._changed: Final = threading.Condition()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Frames given up so far because the detector was slower than the camera."""
        return self._dropped

    def offer(self, frame: LumaFrame) -> None:
        """Add a frame, giving up the oldest one when full. Any thread."""
        with self._changed:
            if len(self._frames) >= self._limit:
                self._frames.popleft()
                self._dropped += 1
            self._frames.append(frame)
            self._changed.notify()

    def take(self, timeout_s: float) -> LumaFrame | None:
        """Return the oldest frame, or None if none came within `timeout_s`. Any thread but the event loop's."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._frames, timeout_s):
                return None
            return self._frames.popleft()
