"""A camera that ends while something lands: it is told all the same, by the camera that was stopped and by the one whose stream broke."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from camera_desk import Desk, Watch, watching

from gatehouse_edge.clock import SystemClock
from gatehouse_edge.drivers.camera_port import FrameQueue, LumaFrame
from gatehouse_edge.drivers.camera_time import Stamp
from gatehouse_edge.drivers.camera_watch import CameraWatch
from gatehouse_edge.drivers.camera_wire import CameraSettings
from gatehouse_edge.reading import CameraReading, PictureState, ThrowReading
from gatehouse_events.evidence import ClockBasis
from gatehouse_hil.camera_player import CameraPlayer
from gatehouse_hil.facade import Facade

AT = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)
_LAG_S = 0.2
"""From a picture that was drawn to one that was looked at; a landing is told a good half second after it, at the earliest."""


async def test_what_lands_as_a_camera_is_stopped_or_breaks_is_told() -> None:
    desk = Desk()
    limits = {"detect": "watch", "lost_after_s": 60.0, "read_limit_s": 30.0, "frozen_after_s": 60.0}
    facade = Facade(480, 272, floors=10, columns=8, fps=12)
    async with AsyncExitStack() as wire:
        player = await wire.enter_async_context(CameraPlayer(facade=facade))
        stopped = watching(player.url, desk, camera_id="stopped", **limits)
        broken = watching(player.url, desk, camera_id="broken", **limits)
        async with Watch(broken):
            async with Watch(stopped):
                for name in ("stopped", "broken"):
                    await desk.wait(_looks(name))
                body = player.throw(floor=9, column=4)
                landed = player.pictures + round(body.fall_s * facade.fps)
                while player.pictures < landed:
                    await asyncio.sleep(1 / facade.fps)
                await asyncio.sleep(_LAG_S)
                assert not _told(desk, "stopped"), "told before it was stopped: nothing is tested"
            assert _told(desk, "stopped")
            assert not _told(desk, "broken")
            await wire.aclose()
            await desk.wait(lambda desk: _told(desk, "broken"))
            assert desk.of("broken")[-1].figures.openings == 1


def test_what_was_followed_is_placed_on_the_picture_it_was_seen_in_though_the_next_has_another_size() -> None:
    sizes, told = [(480, 272), (496, 272)], []
    pictures = []
    for size in sizes:
        facade = Facade(*size, floors=10, columns=8, fps=12)
        body = facade.throw(40, floor=9, column=4)
        pictures += [facade.picture(n) for n in range(40 + round(body.fall_s * facade.fps))]
    frames = FrameQueue(limit=len(pictures))
    for n, picture in enumerate(pictures):
        frames.offer(_frame(picture, n / 12))
    settings = CameraSettings(camera_id="cam-1", url="", detect="watch")
    watch = CameraWatch(settings, frames, tell=told.append, drawn=None)
    watch.start()
    deadline_s = time.monotonic() + 20
    while len(told) < len(sizes) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    watch.finish(5.0)
    assert watch.bug is None
    assert [one.size_px for one in told] == sizes


def _frame(luma: np.ndarray, at_s: float) -> LumaFrame:
    at = AT + timedelta(seconds=at_s)
    stamp = Stamp(capture_s=at_s, at=at, clock=ClockBasis.ARRIVAL, is_timed=True, is_new_run=False)
    return LumaFrame(camera_id="cam-1", luma=luma, pts_s=at_s, stamp=stamp, opening=1, at=SystemClock().now())


def _looks(name: str):
    """Return what finds a camera that has seen enough pictures with its models to know what stands still."""

    def found(desk: Desk) -> CameraReading | None:
        last = desk.of(name)[-1:]
        is_ready = last and last[0].picture is PictureState.OK and last[0].figures.models
        return last[0] if is_ready and last[0].figures.frames > 60 else None

    return found


def _told(desk: Desk, name: str) -> list[ThrowReading]:
    return [one for one in desk.seen if isinstance(one, ThrowReading) and one.device_id == name]
