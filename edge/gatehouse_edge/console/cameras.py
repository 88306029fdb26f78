"""What the console needs of the cameras: which there are, a still of each, and what has been drawn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from gatehouse_edge.calibration import CalibrationStore


class NoStillError(Exception):
    """A camera gives no picture now; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraDesk:
    """Made by the gateway."""

    names: Callable[[], Mapping[str, str]]
    """Id and place of every configured camera."""
    still: Callable[[str], Awaitable[bytes]]
    """A fresh picture as JPEG, shield zones burnt in; raises `NoStillError`."""
    store: CalibrationStore
    changed: Callable[[str], Awaitable[None]]
    """Called with the camera's id after a new version was stored."""
