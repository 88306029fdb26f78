"""The reader against GStreamer's RTSP server: both codecs, both transports, loss on the way, a camera that is started anew."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from camera_site import DISTRIBUTION_PYTHON, film, reading, rtsp_server, until

from gatehouse_edge.drivers.camera_port import FrameQueue
from gatehouse_edge.drivers.camera_ring import PacketRing
from gatehouse_edge.drivers.clip_file import write_clip
from gatehouse_edge.reading import Flaw
from gatehouse_events.evidence import ClockBasis

FPS = 15


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    bindings = "import gi; gi.require_version('GstRtspServer', '1.0')"
    if (
        not Path(DISTRIBUTION_PYTHON).exists()
        or subprocess.run([DISTRIBUTION_PYTHON, "-c", bindings], check=False, capture_output=True).returncode
    ):
        pytest.skip("GStreamer's RTSP server is not installed (requirements/debian.txt)")
    folder = tmp_path_factory.mktemp("clips")
    found = {codec: folder / f"{codec}.mkv" for codec in ("h264", "h265")}
    for codec, path in found.items():
        film(path, pictures=10 * FPS, fps=FPS, codec=codec)
    return found


async def test_both_codecs_come_over_both_transports_with_the_servers_own_clock(
    clips: dict[str, Path], tmp_path: Path
) -> None:
    async with asyncio.TaskGroup() as tasks:  # side by side: each waits for the sender's first report
        for codec in ("h264", "h265"):
            for transport in ("tcp", "udp"):
                name = f"{codec} {transport}"
                tasks.create_task(_comes(clips[codec], codec, transport, tmp_path / f"{name}.mp4"), name=name)


async def _comes(source: Path, codec: str, transport: str, clip: Path) -> None:
    frames, ring = FrameQueue(limit=1000), PacketRing(keep_s=30.0, limit_bytes=1 << 25)
    async with (
        rtsp_server(source, codec) as (_, url),
        reading(url, frames, ring=ring, transport=transport) as stream,
    ):
        await until(lambda: stream.pulse.frames > 2 * FPS and stream.pulse.clock is ClockBasis.CAMERA)
    assert stream.shape is not None
    assert stream.shape.codec == {"h264": "h264", "h265": "hevc"}[codec]
    assert not any(stream.pulse.flaws.values()), stream.pulse.flaws
    assert abs(stream.pulse.clock_offset_s or 9.9) < 1.0
    seen = list(frames._frames)
    times = [frame.stamp.capture_s for frame in seen]
    assert times == sorted(times)
    assert round(1 / (times[-1] - times[-2])) == FPS
    write_clip(ring.packets(since_s=0.0), stream.shape, clip)
    assert clip.stat().st_size > 1000


async def test_packets_lost_on_the_way_are_a_named_flaw(clips: dict[str, Path]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for codec in ("h264", "h265"):
            tasks.create_task(_is_lossy(clips[codec], codec), name=codec)


async def _is_lossy(source: Path, codec: str) -> None:
    async with (
        rtsp_server(source, codec, drop=0.15) as (_, url),
        reading(url, transport="udp", flaw_window_s=2.0) as stream,
    ):
        await until(lambda: stream.pulse.flaws.get(Flaw.CORRUPT))
    assert "use TCP" in stream.pulse.flaws[Flaw.CORRUPT]


async def test_a_camera_that_is_started_anew_is_found_again_and_its_times_begin_anew(
    clips: dict[str, Path],
) -> None:
    frames, breaks = FrameQueue(limit=1000), []
    async with (
        rtsp_server(clips["h264"], "h264") as (process, url),
        reading(url, frames, on_break=breaks.append) as stream,
    ):
        await until(lambda: stream.pulse.frames > FPS)
        process.kill()
        await until(lambda: breaks)
        port = int(url.rpartition(":")[2].partition("/")[0])
        async with rtsp_server(clips["h264"], "h264", port=port):
            before = stream.pulse.frames
            await until(lambda: stream.pulse.frames > before + FPS)
    assert stream.pulse.openings == 2
    assert "@" not in breaks[0]
    openings = [frame.opening for frame in frames._frames]
    assert openings == sorted(openings)
    assert openings[0] < openings[-1]
