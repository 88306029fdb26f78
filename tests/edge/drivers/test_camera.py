from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from pathlib import Path

import av
import pytest

from gatehouse_edge.clock import SystemClock
from gatehouse_edge.drivers import camera_stream
from gatehouse_edge.drivers.camera import CameraDriver, CameraSettings
from gatehouse_edge.drivers.camera_port import FrameQueue
from gatehouse_edge.reading import CameraReading, PictureState
from gatehouse_hil.camera_player import CameraPlayer, Condition

OK, FROZEN, BLACK, LOST = PictureState.OK, PictureState.FROZEN, PictureState.BLACK, PictureState.LOST


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_stream, "READ_TIMEOUT_S", 1.0)
    monkeypatch.setattr(camera_stream, "FIRST_RETRY_S", 0.1)
    monkeypatch.setattr(camera_stream, "LAST_RETRY_S", 0.4)


class Desk:
    """An inbox that keeps camera readings and lets a test wait for the next change."""

    def __init__(self) -> None:
        self.readings: list[CameraReading] = []
        self._news = asyncio.Condition()

    async def put(self, reading: CameraReading) -> None:
        async with self._news:
            self.readings.append(reading)
            self._news.notify_all()

    @property
    def pictures(self) -> list[PictureState]:
        """Every change, without repeats."""
        seen = [reading.picture for reading in self.readings]
        return [one for one, before in zip(seen, [None, *seen], strict=False) if one is not before]

    async def until(self, picture: PictureState, device_id: str = "cam-1") -> CameraReading:
        def latest() -> CameraReading | None:
            mine = [reading for reading in self.readings if reading.device_id == device_id]
            return mine[-1] if mine and mine[-1].picture is picture else None

        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(latest)
        reading = latest()
        assert reading is not None
        return reading


class Watch:
    """Runs camera drivers for the length of a test."""

    def __init__(self, *drivers: CameraDriver) -> None:
        self._drivers = drivers

    async def __aenter__(self) -> None:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._running = [self._tasks.create_task(driver.run()) for driver in self._drivers]

    async def __aexit__(self, *error) -> None:
        for task in self._running:
            task.cancel()
        await self._tasks.__aexit__(*error)


def watching(url: str, desk: Desk, *, camera_id: str = "cam-1", detector=None, **limits) -> CameraDriver:
    settings = CameraSettings(
        camera_id=camera_id,
        url=url,
        **{"frozen_after_s": 1.0, "lost_after_s": 2.0, "report_every_s": 1.0, "black_after_s": 0.5} | limits,
    )
    return CameraDriver(settings, inbox=desk, clock=SystemClock(), detector=detector)


async def test_each_fault_of_a_picture_is_named_and_each_camera_recovers() -> None:
    async with asyncio.TaskGroup() as tasks:  # together: one after the other they take half a minute
        for condition, picture, wire, words in (
            (Condition.FROZEN, FROZEN, "rtsp", "nothing changed"),
            (Condition.BLACK, BLACK, "mpegts", "dark"),
            (Condition.DROPPED, LOST, "rtsp", "refused"),
            (Condition.STALLED, LOST, "rtsp", "no picture"),
            (Condition.STOPPED_CLOCK, FROZEN, "rtsp", "time stamps"),
        ):
            tasks.create_task(_falls_and_recovers(condition, picture, wire, words), name=condition)


async def _falls_and_recovers(condition: Condition, picture: PictureState, wire, words: str) -> None:
    desk = Desk()
    async with CameraPlayer(wire=wire) as player, Watch(watching(player.url, desk)):
        await desk.until(OK)
        connections = player.connections
        player.condition = condition
        reading = await desk.until(picture)
        player.condition = Condition.NORMAL
        await desk.until(OK)
        assert words in reading.detail
        assert (player.connections > connections) is (picture is LOST)


async def test_a_stalled_camera_does_not_delay_its_neighbour() -> None:
    desk, frames = Desk(), FrameQueue(limit=1000)
    async with CameraPlayer() as good, CameraPlayer() as bad:
        bad.condition = Condition.STALLED
        drivers = (
            watching(good.url, desk, detector=frames),
            watching(bad.url, desk, camera_id="cam-2", lost_after_s=1.0),
        )
        async with Watch(*drivers):
            await desk.until(OK)
            await desk.until(LOST, "cam-2")
            sent = good.pictures
            while frames.take(0.0) is not None:
                pass
            while good.pictures < sent + 12:  # a simulator has no event for it
                await asyncio.sleep(0.05)
    assert frames.dropped == 0
    assert len(frames._frames) >= 10


async def test_an_address_that_nobody_serves_is_lost_with_a_reason_and_without_its_password() -> None:
    desk = Desk()
    async with Watch(watching("rtsp://admin:hunter2@127.0.0.1:9/x", desk, lost_after_s=0.5)):
        reading = await desk.until(LOST)
    assert "refused" in reading.detail
    assert "hunter2" not in reading.detail


@contextlib.asynccontextmanager
async def foreign_server(words: bytes, *, stays: bool):
    """Something on the camera's port that is no camera; yields its port and a queue with an item per caller."""
    callers: asyncio.Queue[None] = asyncio.Queue()
    inside = 0

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal inside
        inside += 1
        callers.put_nowait(None)
        with contextlib.suppress(ConnectionError):
            writer.write(words)
            await writer.drain()
            while stays and await reader.read(100):
                pass
        writer.transport.abort()
        inside -= 1

    server = await asyncio.start_server(receive, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], callers
    async with asyncio.timeout(5):  # the reader thread hangs up when its deadline passes
        await asyncio.sleep(0.05)
        while inside:  # a handful of looks
            await asyncio.sleep(0.02)


async def test_a_peer_that_talks_garbage_is_lost_not_a_crash() -> None:
    desk = Desk()
    async with (
        foreign_server(bytes(range(256)) * 64, stays=False) as (port, _),
        Watch(watching(f"tcp://127.0.0.1:{port}", desk, lost_after_s=0.5)),
    ):
        await desk.until(LOST)


async def test_a_camera_that_accepts_and_then_says_nothing_is_lost_and_asked_again(monkeypatch) -> None:
    monkeypatch.setattr(camera_stream, "OPEN_TIMEOUT_S", 0.5)
    desk = Desk()
    async with (
        foreign_server(b"", stays=True) as (port, callers),
        Watch(watching(f"rtsp://admin:hunter2@127.0.0.1:{port}/x", desk, lost_after_s=1.0)),
    ):
        async with asyncio.timeout(8):
            for _ in range(2):
                await callers.get()
        reading = await desk.until(LOST)
    assert reading.detail.startswith(("no answer", "Invalid data"))
    assert "127.0.0.1" not in reading.detail
    assert "hunter2" not in reading.detail


async def test_a_bug_in_the_detector_ends_the_driver_loudly() -> None:
    class Broken:
        def offer(self, frame: object) -> None:
            raise ZeroDivisionError

    desk = Desk()
    async with CameraPlayer() as player:
        with pytest.raises(ZeroDivisionError):
            async with asyncio.timeout(8):
                await watching(player.url, desk, detector=Broken()).run()


async def test_frames_reach_the_detector_in_order_with_their_capture_time() -> None:
    desk, frames = Desk(), FrameQueue(limit=100)
    async with CameraPlayer(fps=20) as player, Watch(watching(player.url, desk, detector=frames)):
        got = []
        while len(got) < 10:
            frame = await asyncio.to_thread(frames.take, 5.0)
            assert frame is not None
            got.append(frame)
    assert {frame.luma.shape for frame in got} == {(240, 320)}
    steps = [later.pts_s - earlier.pts_s for earlier, later in itertools.pairwise(got)]
    assert all(step >= 0.049 for step in steps)  # FFmpeg may skip pictures while it probes the stream
    assert min(steps) == pytest.approx(0.05, abs=0.001)


async def test_the_ring_holds_playable_packets_within_its_bounds() -> None:
    desk = Desk()
    async with CameraPlayer(fps=25) as player:
        driver = watching(player.url, desk, ring_s=0.5, ring_bytes=400_000)
        async with Watch(driver):
            await desk.until(OK)
            while player.pictures < 45:
                assert driver.ring.held_bytes <= 400_000
                await asyncio.sleep(0.05)
            packets = driver.ring.packets(since_s=0.0)
    assert packets[0].is_key
    decoder = av.CodecContext.create("h264", "r")
    pictures = [frame for packet in packets for frame in decoder.decode(av.Packet(packet.octets))]
    assert len(pictures) >= len(packets) - 2


async def test_a_file_is_played_at_its_own_pace_again_and_again(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    _film(clip, pictures=10, fps=10)
    desk, frames = Desk(), FrameQueue(limit=100)
    began = time.monotonic()
    async with Watch(watching(str(clip), desk, detector=frames)):
        for _ in range(15):
            assert await asyncio.to_thread(frames.take, 5.0) is not None
        await desk.until(OK)
    assert time.monotonic() - began > 0.9
    assert LOST not in desk.pictures


async def test_cancelling_ends_the_reader_thread() -> None:
    desk = Desk()
    async with CameraPlayer() as player:
        async with Watch(watching(player.url, desk)):
            await desk.until(OK)
        async with asyncio.timeout(5):
            while any(thread.name == "camera cam-1" for thread in threading.enumerate()):  # nor a thread
                await asyncio.sleep(0.02)


def _film(path: Path, *, pictures: int, fps: int) -> None:
    from gatehouse_hil.facade import Facade

    facade = Facade()
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(pictures):
            frame = av.VideoFrame.from_ndarray(facade.picture(number), format="gray").reformat(
                format="yuv420p"
            )
            for packet in stream.encode(frame):
                sink.mux(packet)
        for packet in stream.encode():
            sink.mux(packet)
