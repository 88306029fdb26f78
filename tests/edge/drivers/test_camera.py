"""A camera through its own process: what is told of its picture, and what becomes of the process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from camera_desk import LIMIT_S, Desk, Watch, watching

from gatehouse_edge.clock import SystemClock
from gatehouse_edge.drivers import camera
from gatehouse_edge.drivers.camera import CameraDriver, CameraProcessError, CameraSettings
from gatehouse_edge.drivers.camera_wire import Begin, encode
from gatehouse_edge.reading import (
    CameraReading,
    PictureState,
)
from gatehouse_hil.camera_player import CameraPlayer

OK, LOST = PictureState.OK, PictureState.LOST


async def test_a_process_that_crashes_stops_or_grows_is_named_and_costs_its_neighbour_no_frame(
    monkeypatch,
) -> None:
    monkeypatch.setattr(camera, "SILENT_S", 5.0)
    desk = Desk()
    harms = {signal.SIGSEGV: "by SIGSEGV", signal.SIGKILL: "by SIGKILL", signal.SIGSTOP: "silent for"}
    async with (
        CameraPlayer() as good,
        CameraPlayer() as bad,
        Watch(watching(good.url, desk, lost_after_s=30.0)),
        asyncio.TaskGroup() as tasks,
    ):
        await desk.until(OK)
        for number, words in harms.items():
            tasks.create_task(_harmed(bad.url, desk, number, words))
        with pytest.raises(CameraProcessError, match="limit 16 MiB"):
            await watching(bad.url, desk, camera_id="cam-greedy", memory_limit_mib=16).run()
        await desk.wait(lambda desk: len({one.device_id for one in desk.readings}) > len(harms))
        sent = good.pictures
        last = await desk.wait(lambda desk: _newest(desk) if _newest(desk).figures.frames >= sent else None)
    assert {one.picture for one in desk.readings if one.device_id == "cam-1"} == {OK}
    assert last.figures.openings == 1
    assert last.figures.frames_skipped == last.figures.undecodable == 0


async def _harmed(url: str, desk: Desk, number: signal.Signals, words: str) -> None:
    driver = watching(url, desk, camera_id=f"cam-{number.name}", lost_after_s=30.0)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(_error_of(driver))
        await desk.until(OK, f"cam-{number.name}")
        process_id = driver.process_id
        assert process_id is not None
        os.kill(process_id, number)
        assert words in await running
    assert not psutil.pid_exists(process_id), "it was ended"


async def _error_of(driver: CameraDriver) -> str:
    with pytest.raises(CameraProcessError) as caught:
        await driver.run()
    return str(caught.value)


def _newest(desk: Desk) -> CameraReading:
    return [reading for reading in desk.readings if reading.device_id == "cam-1"][-1]


async def test_a_gateway_that_is_killed_takes_its_cameras_along(tmp_path: Path) -> None:
    # The process sees its socket end; nobody tells it anything.
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gatehouse_edge.drivers.camera_worker",
            str(theirs.fileno()),
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        ours.setblocking(False)
        settings = CameraSettings(camera_id="cam-1", url=str(tmp_path / "none.mp4"), detect="off")
        begin = Begin(settings=settings, now=SystemClock().now(), gateway_id="g", config_sha256="0" * 64)
        await asyncio.get_running_loop().sock_sendall(ours, encode(begin))
        async with asyncio.timeout(LIMIT_S):
            await asyncio.get_running_loop().sock_recv(ours, 1)
        ours.close()
        async with asyncio.timeout(LIMIT_S):
            assert await process.wait() == 0


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


async def test_a_camera_that_accepts_and_then_says_nothing_is_lost_and_asked_again() -> None:
    desk = Desk()
    async with (
        foreign_server(b"", stays=True) as (port, callers),
        Watch(watching(f"rtsp://admin:hunter2@127.0.0.1:{port}/x", desk, lost_after_s=1.0)),
    ):
        async with asyncio.timeout(LIMIT_S):
            for _ in range(2):
                await callers.get()
        words = ("no answer", "Invalid data")
        reading = await desk.wait(
            lambda desk: next((r for r in desk.readings if any(word in r.detail for word in words)), None)
        )
    assert reading.picture is LOST
    assert "127.0.0.1" not in reading.detail
    assert "hunter2" not in reading.detail


async def test_the_process_of_a_camera_carries_no_library_that_it_does_not_use() -> None:
    heavy = ("asyncio", "cryptography", "sqlite3", "ssl", "pydantic", "fastapi", "httpx")
    code = (
        "import sys, gatehouse_edge.drivers.camera_worker, gatehouse_edge.vision.watch, gatehouse_edge.vision.detector;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    assert told.decode().strip() == "[]"
