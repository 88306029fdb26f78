"""A still from a running camera's process: the newest picture, what is shielded black from the moment it was drawn."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import cv2
import numpy as np
import pytest
from film import AT
from msgspec import structs

from gatehouse_edge.calibration import CalibrationStore
from gatehouse_edge.clock import SystemClock
from gatehouse_edge.drivers.camera import CameraDriver, CameraSettings
from gatehouse_edge.drivers.camera_drawing import Drawing
from gatehouse_edge.ports import GivesStills, StillError
from gatehouse_edge.vision.facade import Calibration, FloorLine
from gatehouse_hil.camera_player import CameraPlayer


class Sink:
    """Takes what a camera says and forgets it."""

    async def put(self, reading) -> None:
        return


def drawn_for(width: int, height: int) -> Calibration:
    zone = ((0.0, 0.0), (width / 2, 0.0), (width / 2, height / 2), (0.0, height / 2))
    return Calibration(
        width_px=width, height_px=height,
        facade=((10.0, 10.0), (width - 10.0, 10.0), (width - 10.0, height - 10.0), (10.0, height - 10.0)),
        floors=(
            FloorLine(floor=1, left=(10.0, height - 10.0), right=(width - 10.0, height - 10.0)),
            FloorLine(floor=9, left=(10.0, 20.0), right=(width - 10.0, 20.0)),
        ),
        shield=(zone,),
    )  # fmt: skip


async def picture(driver: CameraDriver):
    async with asyncio.timeout(20):
        while True:
            try:
                raw = await driver.still()
                return cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR)
            except StillError:
                await asyncio.sleep(0.1)


async def test_a_still_is_the_newest_picture_with_its_zones_burnt_in(tmp_path: Path) -> None:
    store = CalibrationStore(tmp_path)
    async with CameraPlayer(wire="mpegts") as player, asyncio.TaskGroup() as tasks:
        settings = CameraSettings(camera_id="cam-1", url=player.url)
        driver = CameraDriver(
            settings, inbox=Sink(), clock=SystemClock(), drawn=Drawing(tmp_path, "cam-1", None).now
        )
        assert isinstance(driver, GivesStills)
        with pytest.raises(StillError, match="not running"):
            await driver.still()
        running = tasks.create_task(driver.run())
        first, again = await asyncio.gather(picture(driver), picture(driver))
        assert first.shape == again.shape
        height, width = first.shape[:2]
        corner = (slice(4, height // 2 - 4), slice(4, width // 2 - 4))
        assert first[corner].mean() > 20
        drawing = drawn_for(width, height)
        store.put("cam-1", drawing, based_on=0, still_sha256="", by="x", at=AT)
        async with asyncio.timeout(20):
            while (seen := await picture(driver))[corner].max() > 24:
                await asyncio.sleep(0.2)
        assert seen[height // 2 + 4 :].mean() > 20
        undone = structs.replace(drawing, shield=())
        store.put("cam-1", undone, based_on=1, still_sha256="", by="x", at=AT)
        async with asyncio.timeout(20):
            while (await picture(driver))[corner].max() <= 24:
                await asyncio.sleep(0.2)
        running.cancel()
