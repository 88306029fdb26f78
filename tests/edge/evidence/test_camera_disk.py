"""A camera whose disk fills up while its clip is written: real process, real stream, real journal; the kernel refuses in mid-file."""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import av
import pytest
from console_site import CAMERA, SETTINGS, running_site

from gatehouse_edge.drivers.camera import CameraDriver, CameraSettings
from gatehouse_events.evidence import Kept, Missed, decode_register
from gatehouse_hil.camera_player import CameraPlayer
from gatehouse_hil.facade import Facade

pytestmark = pytest.mark.timeout(150)
LIMIT_S = 60.0
FULL, EMPTY = 48 * 1024, 0
"""Bytes a file may have: enough for a promise and not for a clip; for nothing at all."""
NO_LIMIT = resource.RLIM_INFINITY
PARTS = {"clip.mp4", "release.jpg", "landing.jpg", "track.json", "overlay.svg"}


async def test_a_disk_that_fills_up_in_mid_clip_is_a_fault_and_what_was_promised_is_kept_whole_when_it_can(
    tmp_path: Path,
) -> None:
    async with (
        running_site(tmp_path, devices=[*SETTINGS["devices"], CAMERA]) as site,
        CameraPlayer(fps=20, facade=Facade(960, 540, floors=15, columns=10, fps=20)) as player,
        asyncio.TaskGroup() as tasks,
    ):
        await asyncio.to_thread(site.evidence.folder.mkdir)
        settings = CameraSettings(
            camera_id="cam-1", url=player.url, detect="alarm", evidence_directory=str(site.evidence.folder),
            lost_after_s=30.0, frozen_after_s=60.0, report_every_s=0.5,
        )  # fmt: skip
        driver = CameraDriver(settings, inbox=site.ledger, clock=site.clock, evidence=site.evidence)
        running = tasks.create_task(driver.run(), name="camera")
        await until(lambda: driver.figures.models)
        await asyncio.sleep(2.0)  # the detector learns the still scene

        player.throw(floor=9, column=7)
        await until(lambda: list(site.evidence.folder.glob(".draft-*/promise.json")))
        files_may_have(driver, FULL)
        await until(lambda: fault(site, "gateway.evidence_failed"))
        assert "File too large" in fault(site, "gateway.evidence_failed")
        await until(lambda: fault(site, "throw.evidence_missing"))
        assert not list(site.evidence.folder.glob("*.mp4")), "nothing half"
        ring_s = driver.figures.ring_s
        await until(lambda: driver.figures.ring_s > ring_s + 1)

        files_may_have(driver, NO_LIMIT)
        player.throw(floor=12, column=3)
        await until(lambda: len(site.evidence.stored()) == 2)
        await until(lambda: not fault(site, "gateway.evidence_failed"))
        assert [type(entry) for entry in register(site)] == [Kept, Kept]
        for entry in register(site):
            assert {file.name for file in entry.manifest.files} == PARTS
            # The stream began a few seconds before: nothing else is short.
            assert all("before it was first seen" in words for words in entry.manifest.missing)
            shown = await site.evidence.show(entry.manifest_sha256)
            assert decoded(site.evidence.path(shown, "clip.mp4")) == entry.manifest.clip.pictures

        files_may_have(driver, EMPTY)
        player.throw(floor=8, column=5)
        await until(lambda: len(register(site)) == 3)
        assert isinstance(register(site)[-1], Missed), "not even a promise: said at once, and in the journal"
        assert fault(site, "gateway.evidence_failed")
        assert driver.figures.openings == 1
        running.cancel()


def files_may_have(driver: CameraDriver, limit_bytes: int) -> None:
    """Let the kernel refuse to write more into any file of the camera's process; needs no right that a test has not."""
    assert driver.process_id is not None
    _, most = resource.prlimit(driver.process_id, resource.RLIMIT_FSIZE)
    resource.prlimit(driver.process_id, resource.RLIMIT_FSIZE, (limit_bytes, most))


def fault(site, code: str) -> str:
    """Words of an active condition; empty: there is none."""
    found = [alarm for alarm in site.ledger.alarms() if alarm.code == code and alarm.is_active]
    return (found[0].text or code) if found else ""


def register(site) -> list[Kept | Missed]:
    return [decode_register(entry.body) for entry in site.reader.read_evidence(0, 100)]


def decoded(path: Path) -> int:
    with av.open(str(path)) as clip:
        return sum(1 for _ in clip.decode(video=0))


async def until(is_true) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not is_true():  # journal and files have no event for it
            await asyncio.sleep(0.1)
