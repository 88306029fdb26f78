"""A camera's reader in this process, films to play to it, and a real RTSP server beside it."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import asynccontextmanager
from pathlib import Path

import av

from gatehouse_edge.clock import SystemClock
from gatehouse_edge.drivers.camera_ring import PacketRing
from gatehouse_edge.drivers.camera_stream import CameraStream
from gatehouse_edge.drivers.camera_wire import CameraSettings
from gatehouse_hil.facade import Facade

SERVER = Path(__file__).with_name("rtsp_server.py")
DISTRIBUTION_PYTHON = "/usr/bin/python3"
CODECS = {
    "h264": ("libx264", {"preset": "ultrafast", "tune": "zerolatency"}),
    "h265": (
        "libx265",
        {"preset": "ultrafast", "x265-params": "log-level=error:bframes=0:pools=none:keyint=15"},
    ),
}


@asynccontextmanager
async def reading(url: str, frames=None, *, ring=None, on_break=lambda _: None, view=None, **limits):
    """A `CameraStream` at work; its thread has ended when this does."""
    stream = CameraStream(
        CameraSettings(
            camera_id="cam-1",
            url=url,
            frozen_after_s=60.0,
            read_limit_s=1.0,
            first_retry_s=0.1,
            last_retry_s=0.4,
            **{"flaw_window_s": 1.0} | limits,
        ),
        clock=SystemClock(),
        ring=ring or PacketRing(keep_s=30.0, limit_bytes=1 << 25),
        detector=frames,
        on_change=lambda: None,
        on_break=on_break,
        view=view,
    )
    stream.start()
    try:
        yield stream
    finally:
        stream.stop()
        assert await asyncio.to_thread(stream.join, 8.0)
        assert stream.bug is None or isinstance(stream.bug, ZeroDivisionError)


async def until(is_true, limit_s: float = 15.0) -> None:
    async with asyncio.timeout(limit_s):
        while not is_true():  # a thread has no event for it
            await asyncio.sleep(0.05)


@asynccontextmanager
async def rtsp_server(clip: Path, codec: str, *, drop: float = 0.0, port: int = 0):
    """GStreamer's server with one clip; yields its process and its address."""
    process = await asyncio.create_subprocess_exec(
        DISTRIBUTION_PYTHON, str(SERVER), str(clip), codec, str(drop), str(port),
        stdin=PIPE, stdout=PIPE, stderr=DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    async with asyncio.timeout(20):
        found = int(await process.stdout.readline())
    try:
        yield process, f"rtsp://127.0.0.1:{found}/facade"
    finally:
        process.stdin.close()
        async with asyncio.timeout(10):
            await process.wait()


def film(
    path: Path,
    *,
    pictures: int,
    fps: int,
    facade: Facade | None = None,
    first: int = 0,
    codec: str = "h264",
    times=None,
) -> None:
    """Write a clip of the drawn façade; `times` gives each picture's time stamp in thousandths of a second."""
    from fractions import Fraction

    scene = facade or Facade()
    name, options = CODECS[codec]
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream(name, rate=fps)
        stream.width, stream.height, stream.pix_fmt = scene.width, scene.height, "yuv420p"
        stream.codec_context.gop_size = fps
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = options
        for number in range(pictures):
            frame = av.VideoFrame.from_ndarray(scene.picture(number), format="gray").reformat(
                format="yuv420p"
            )
            frame.pts = first + number if times is None else times[number]
            for packet in stream.encode(frame):
                sink.mux(packet)
        for packet in stream.encode():
            sink.mux(packet)
