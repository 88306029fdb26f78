"""A video file as frames: for replay, evaluation and calibration stills. Corrupt packets are counted, not fatal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av

from gatehouse_edge.drivers.camera_port import Luma
from gatehouse_edge.drivers.camera_stream import MAX_PIXELS, luma_of

_NO_RATE_FPS: Final = 25.0
"""Assumed where a file tells neither time stamps nor a frame rate."""


class ClipError(Exception):
    """A file is not a clip that can be played; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipFrame:
    """One decoded picture."""

    number: int
    """From 0, repeats counted, as decoded."""
    at_s: float
    """Capture time from the file's time stamps; from number and frame rate where there are none (`is_timed` False)."""
    is_timed: bool
    luma: Luma


class Clip:
    """Iterate over `frames()`; `undecodable` counts what had to be left out."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet.

        Raises:
            ClipError: there is no such file.
        """
        if not path.is_file():
            raise ClipError(f"{path} is not a file")
        self.path: Final = path
        self.undecodable = 0

    def frames(self) -> Iterator[ClipFrame]:
        """Yield every frame in order.

        Raises:
            ClipError: no video in it, or a picture larger than twice 4K.
        """
        try:
            with av.open(str(self.path), metadata_errors="ignore") as container:
                if not container.streams.video:
                    raise ClipError(f"{self.path.name} has no video in it")
                video = container.streams.video[0]
                if not 0 < video.width * video.height <= MAX_PIXELS:
                    raise ClipError(
                        f"{self.path.name}: impossible picture size {video.width} x {video.height}"
                    )
                video.thread_type = "NONE"
                rate = float(video.average_rate or video.guessed_rate or _NO_RATE_FPS)
                yield from self._decode(container, video, rate if rate > 0 else _NO_RATE_FPS)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise ClipError(f"{self.path.name} cannot be read: {type(error).__name__}") from error

    def _decode(
        self, container: av.container.InputContainer, video: av.VideoStream, rate: float
    ) -> Iterator[ClipFrame]:
        number, last_s = -1, float("-inf")
        for packet in container.demux(video):
            try:
                decoded = packet.decode()
            except av.error.InvalidDataError:
                self.undecodable += 1
                continue
            for frame in decoded:
                number += 1
                is_timed = frame.time is not None and frame.time > last_s
                at_s = (
                    float(frame.time)
                    if is_timed and frame.time is not None
                    else max(number / rate, last_s + 1 / rate)
                )
                last_s = at_s
                yield ClipFrame(number=number, at_s=at_s, is_timed=is_timed, luma=luma_of(frame))
