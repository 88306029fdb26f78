"""Every fault of a camera on a live stream, through its own process: it rises, it goes when its cause goes, and a neighbour loses no frame."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent))
from camera_desk import Desk, Watch, watching

from gatehouse_edge.drivers.camera import CameraDriver
from gatehouse_edge.evidence.promise import Drawn
from gatehouse_edge.reading import Flaw, PictureState
from gatehouse_edge.rules import camera as rule
from gatehouse_edge.vision.facade import Calibration
from gatehouse_hil.camera_player import CameraPlayer, Condition

OK, FROZEN, BLACK, LOST = PictureState.OK, PictureState.FROZEN, PictureState.BLACK, PictureState.LOST


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is done to a camera and what must be said of it."""

    cause: Condition
    named: PictureState | Flaw
    words: str
    also: PictureState = OK
    """What its picture is called meanwhile."""


LIVES = {
    "sensor": ("rtsp", (
        Fault(cause=Condition.FROZEN, named=FROZEN, words="nothing changed"),
        Fault(cause=Condition.STOPPED_CLOCK, named=Flaw.UNTIMED, words="no time stamps", also=FROZEN),
    )),
    "cover": ("mpegts", (
        Fault(cause=Condition.BLACK, named=BLACK, words="dark"),
        Fault(cause=Condition.BARE, named=Flaw.UNTIMED, words="no time stamps"),
    )),
    "aim": ("rtsp", (
        Fault(cause=Condition.BLURRED, named=Flaw.BLURRED, words="clean the lens"),
        Fault(cause=Condition.MOVED, named=Flaw.MOVED, words="view shifted by"),
    )),
    "rate": ("rtsp", (
        Fault(cause=Condition.SLOW, named=Flaw.SLOW, words="a second, below 8"),
        Fault(cause=Condition.UNEVEN, named=Flaw.UNEVEN, words="holes up to 0.3 s"),
        Fault(cause=Condition.DROPPED, named=LOST, words="refused"),
    )),
    "line": ("rtsp", (
        Fault(cause=Condition.CORRUPT, named=Flaw.CORRUPT, words="check the line"),
        Fault(cause=Condition.RESIZED, named=Flaw.RESIZED, words="picture 640x480, not 320x240"),
        Fault(cause=Condition.STALLED, named=LOST, words="no picture"),
    )),
}  # fmt: skip
"""One camera each: they fail side by side, since one after the other they take minutes."""


async def test_each_fault_is_named_goes_with_its_cause_and_costs_a_neighbour_no_frame(tmp_path: Path) -> None:
    desk = Desk()
    async with CameraPlayer() as good:
        neighbour = watching(good.url, desk, camera_id="good", lost_after_s=60.0, read_limit_s=60.0)
        async with Watch(neighbour):
            await desk.until(OK, "good")
            async with asyncio.TaskGroup() as failing:
                for name, (wire, faults) in LIVES.items():
                    failing.create_task(
                        _fail_and_recover(desk, name, wire, faults, tmp_path / name), name=name
                    )
                failing.create_task(_reboot_and_settle(desk), name="reboots")
                missed = await _settled(good, neighbour)  # they are all just starting
            assert await _settled(good, neighbour) == missed, (
                "frames that its player sent and it did not decode"
            )
    assert neighbour.figures.openings == 1
    assert neighbour.figures.undecodable == 0
    assert {reading.picture for reading in desk.of("good")} == {OK}
    named = {flaw for reading in desk.of("good") for flaw, words in reading.flaws.items() if words}
    assert named <= {Flaw.SLOW, Flaw.UNEVEN}, "nothing but its own two pauses"


async def _fail_and_recover(desk: Desk, name: str, wire, faults: tuple[Fault, ...], views: Path) -> None:
    async with CameraPlayer(wire=wire) as player:
        drawing = Drawn(
            version=1, sha256="d" * 64, calibration=msgspec.convert(player.facade.calibration(), Calibration)
        )
        driver = watching(
            player.url, desk, camera_id=name, flaw_window_s=2.0, view_after_s=2.0,
            view_directory=str(views), drawn=lambda: msgspec.json.encode(drawing),
        )  # fmt: skip
        async with Watch(driver):
            for fault in faults:
                await _fail_once(desk, name, player, fault)
    assert {code_of(fault.named) for fault in faults} <= raised(desk, name)


async def _fail_once(desk: Desk, name: str, player: CameraPlayer, fault: Fault) -> None:
    await desk.until(OK, name)
    await _gone(desk, name, fault)
    connections = player.connections
    player.condition = fault.cause
    if isinstance(fault.named, Flaw):
        words = await desk.flaw(fault.named, name)
        assert desk.of(name)[-1].picture is fault.also
    else:
        words = (await desk.until(fault.named, name)).detail
    player.condition = Condition.NORMAL
    await desk.until(OK, name)
    await _gone(desk, name, fault)
    assert fault.words in words
    is_reconnected = fault.named is LOST or fault.cause is Condition.BARE
    assert (player.connections > connections) is is_reconnected, fault


async def _gone(desk: Desk, name: str, fault: Fault) -> None:
    if isinstance(fault.named, Flaw):
        await desk.well(fault.named, name)


async def _reboot_and_settle(desk: Desk) -> None:
    """Each reboot passes unnamed, for the picture is back at once; the fifth opening is one too many, and after a quiet while forgotten."""
    async with CameraPlayer() as player:
        driver = watching(player.url, desk, camera_id="reboots", lost_after_s=30.0, breaks_window_s=12.0)
        async with Watch(driver):
            await desk.until(OK, "reboots")
            for _ in range(4):
                openings = driver.figures.openings
                await player.reboot()
                await desk.wait(lambda _, before=openings: driver.figures.openings > before)
                await desk.until(OK, "reboots")
            words = await desk.flaw(Flaw.UNSTABLE, "reboots")
            await desk.well(Flaw.UNSTABLE, "reboots")
    assert "4 breaks" in words
    assert raised(desk, "reboots") == {"throw.camera_unstable"}


async def _settled(player: CameraPlayer, driver: CameraDriver) -> int:
    """Return how many pictures a player has sent that its camera never decoded; it pauses until the last one has come."""
    player.condition = Condition.STALLED
    seen = (-1, -1)
    async with asyncio.timeout(20.0):
        while seen != (now := (player.delivered, driver.figures.frames)):
            seen = now
            await asyncio.sleep(1.5)  # longer than a report takes
    player.condition = Condition.NORMAL
    return seen[0] - seen[1]


def code_of(named: PictureState | Flaw) -> str:
    return f"throw.camera_{named}"


def raised(desk: Desk, device_id: str) -> set[str]:
    """Return every condition that the rules make of what a camera has said."""
    readings, settings = desk.of(device_id), rule.Settings(ok_s=0.1)
    state, codes = rule.initial(settings, readings[0].at), set()
    for reading in readings:
        state, found = rule.step(state, reading, reading.at, settings)
        codes |= {condition.code for condition in found}
    return codes
