"""The reader of one camera, in this process: what it hands on, keeps and gives up."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
import time
from pathlib import Path

import av
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from camera_site import film, reading, until

from gatehouse_edge.drivers.camera_port import FrameQueue
from gatehouse_edge.drivers.camera_ring import PacketRing
from gatehouse_edge.drivers.camera_stream import source_of
from gatehouse_edge.drivers.camera_wire import CameraSettings
from gatehouse_edge.reading import Flaw
from gatehouse_events.evidence import ClockBasis
from gatehouse_hil.camera_player import CameraPlayer, Condition
from gatehouse_hil.facade import Facade


async def taken(frames: FrameQueue, count: int):
    got = []
    while len(got) < count:
        frame = await asyncio.to_thread(frames.take, 8.0)
        assert frame is not None
        got.append(frame)
    return got


async def test_a_bug_in_what_takes_the_frames_is_kept_and_not_swallowed() -> None:
    class Broken:
        def offer(self, frame: object) -> None:
            raise ZeroDivisionError

    async with CameraPlayer() as player, reading(player.url, Broken()) as stream:
        await until(lambda: stream.bug is not None)
    assert isinstance(stream.bug, ZeroDivisionError)


async def test_frames_come_in_order_with_the_time_at_which_the_camera_took_them() -> None:
    frames = FrameQueue(limit=100)
    async with CameraPlayer(fps=20) as player, reading(player.url, frames):
        got = await taken(frames, 12)
    assert {frame.luma.shape for frame in got} == {(240, 320)}
    for steps in (
        [later.pts_s - earlier.pts_s for earlier, later in itertools.pairwise(got)],
        [later.stamp.capture_s - earlier.stamp.capture_s for earlier, later in itertools.pairwise(got)],
    ):
        assert all(step >= 0.049 for step in steps)  # FFmpeg may skip pictures while it probes the stream
        assert min(steps) == pytest.approx(0.05, abs=0.001)
    assert got[-1].stamp.clock is ClockBasis.CAMERA, "the player sends RTCP sender reports"
    assert abs((got[-1].stamp.at - got[-1].at.wall).total_seconds()) < 1.0


async def test_a_camera_whose_clock_is_wrong_is_named_and_its_clock_not_used() -> None:
    frames = FrameQueue(limit=100)
    async with CameraPlayer(fps=20) as player:
        player.clock_error_s = -3600.0
        async with reading(player.url, frames) as stream:
            await until(lambda: stream.pulse.flaws.get(Flaw.CLOCK))
            last = (await taken(frames, 8))[-1]
    assert "-3600" in stream.pulse.flaws[Flaw.CLOCK]
    assert last.stamp.clock is ClockBasis.ARRIVAL
    assert abs((last.stamp.at - last.at.wall).total_seconds()) < 1.0


async def test_without_sender_reports_it_is_said_that_times_are_those_of_arrival() -> None:
    frames = FrameQueue(limit=100)
    async with CameraPlayer(fps=20) as player:
        player.clock_error_s = None
        async with reading(player.url, frames) as stream:
            got = await taken(frames, 8)
    assert {frame.stamp.clock for frame in got} == {ClockBasis.ARRIVAL}
    assert stream.pulse.clock_offset_s is None


async def test_the_ring_holds_playable_packets_within_its_bounds_and_is_offered_before_it_is_emptied() -> (
    None
):
    ring = PacketRing(keep_s=0.5, limit_bytes=400_000)
    offered = []
    async with CameraPlayer(fps=25) as player:
        take = lambda why: offered.append((why, ring.packets(since_s=0.0)))  # noqa: E731
        async with reading(player.url, ring=ring, on_break=take) as stream:
            while player.pictures < 45:
                assert ring.held_bytes <= 400_000
                await asyncio.sleep(0.05)
            player.condition = Condition.DROPPED
            await until(lambda: offered)
            player.condition = Condition.NORMAL
            await until(lambda: stream.pulse.openings == 2)
    why, packets = offered[0]
    assert why
    assert packets[0].is_key
    decoder = av.CodecContext.create("h264", "r")
    pictures = [frame for packet in packets for frame in decoder.decode(av.Packet(packet.octets))]
    assert len(pictures) >= len(packets) - 2


async def test_a_file_is_played_at_its_own_pace_again_and_again(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    film(clip, pictures=10, fps=10)
    frames = FrameQueue(limit=100)
    began = time.monotonic()
    async with reading(str(clip), frames) as stream:
        got = await taken(frames, 15)
    assert time.monotonic() - began > 0.9
    assert got[-1].opening > got[0].opening, "nothing can be followed from one round to the next"
    assert {frame.stamp.clock for frame in got} == {ClockBasis.FILE}
    assert stream.pulse.fault == ""


async def test_a_file_that_is_played_once_is_over_at_its_end(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    film(clip, pictures=5, fps=10)
    async with reading(str(clip), repeat_file=False) as stream:
        await until(lambda: "the file has ended" in stream.pulse.fault)
        assert stream.pulse.frames == 5


async def test_a_picture_size_that_changes_in_mid_stream_is_named_and_the_ring_begins_anew(
    tmp_path: Path,
) -> None:
    clip = tmp_path / "both.ts"
    one, other = tmp_path / "one.ts", tmp_path / "other.ts"
    film(one, pictures=10, fps=10)
    film(other, pictures=20, fps=10, facade=Facade(480, 272), first=10)
    clip.write_bytes(one.read_bytes() + other.read_bytes())
    frames, broken = FrameQueue(limit=100), []
    async with reading(str(clip), frames, on_break=broken.append, repeat_file=False) as stream:
        await until(lambda: stream.pulse.flaws.get(Flaw.RESIZED))
    assert "480x272" in stream.pulse.flaws[Flaw.RESIZED]
    assert "320x240" in stream.pulse.flaws[Flaw.RESIZED]
    assert "size changed" in broken[0]
    assert stream.shape is not None
    assert (stream.shape.width_px, stream.shape.height_px) == (480, 272)


async def test_the_reader_thread_ends_when_it_is_told_to() -> None:
    async with CameraPlayer() as player, reading(player.url) as stream:
        await until(lambda: stream.pulse.frames > 0)
    assert not any(thread.name == "camera cam-1" for thread in threading.enumerate())


def test_each_kind_of_address_is_opened_as_what_it_is() -> None:
    told = {
        url: source_of(CameraSettings(camera_id="c", url=url, transport="udp"))
        for url in ("/dev/video0", "/var/clip.mp4", "rtsp://192.0.2.1/1", "tcp://127.0.0.1:9")
    }
    assert (told["/dev/video0"].format, told["/dev/video0"].is_file) == ("v4l2", False)
    assert told["/var/clip.mp4"].is_file
    assert told["rtsp://192.0.2.1/1"].options["rtsp_transport"] == "udp"
    assert "rtsp_transport" not in told["tcp://127.0.0.1:9"].options
