"""Small videos, made on the spot: a wall, and a dot that falls in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

WriteVideo = Callable[..., Path]


def falling(count: int, *, width: int = 128, height: int = 96, seed: int = 1) -> list[np.ndarray]:
    wall = np.random.default_rng(seed).integers(90, 110, (height, width)).astype(np.uint8)
    frames = []
    for n in range(count):
        frame = wall.copy()
        y = int(4 + 0.5 * 0.9 * n * n) % (height - 6)
        frame[y : y + 5, 40:45] = 230
        frames.append(frame)
    return frames


@pytest.fixture
def write_video(tmp_path: Path) -> WriteVideo:
    def write(
        name: str,
        frames: Iterable[np.ndarray] | None = None,
        *,
        codec: str = "libx264",
        gop: int = 12,
        fps: int = 25,
        ticks: Iterable[int] | None = None,
    ) -> Path:
        """`ticks`: time stamps in milliseconds; without: one every 1/fps."""
        pictures = list(falling(30) if frames is None else frames)
        height, width = pictures[0].shape
        path = tmp_path / name
        with av.open(str(path), "w") as out:
            stream = out.add_stream(codec, rate=fps)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.gop_size = gop
            stream.codec_context.time_base = Fraction(1, 1000)
            stream.options = (
                {"x265-params": f"log-level=error:pools=none:keyint={gop}:bframes=0"}
                if codec == "libx265"
                else {"bf": "0", "threads": "1"}
            )
            stamps = range(0, 10**9, 1000 // fps) if ticks is None else ticks
            for luma, tick in zip(pictures, stamps, strict=False):
                frame = av.VideoFrame(width, height, "yuv420p")
                for plane, values in zip(frame.planes, (luma, None, None), strict=True):
                    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
                    rows[:] = 128
                    if values is not None:
                        rows[:height, :width] = values
                frame.pts, frame.time_base = tick, Fraction(1, 1000)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        return path

    return write
