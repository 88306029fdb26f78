"""What can happen in the simulated estate. Each scenario is a short script over real wires; tests play them too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gatehouse_hil.camera_player import Condition
from gatehouse_hil.control import Player, Request, Say
from gatehouse_hil.estate import EBIKE, LAMP, MAINS, SIREN, VALVE_CLOSE, VOICE, Estate
from gatehouse_hil.gas_detector import Cn6in1Detector, Detector0x6000
from gatehouse_hil.own_nodes import OwnGasDetector

RECORDING_AGE_S: Final = 35.0
"""Within 30 s the same advert is a repeat of one press and says nothing new; later it can only be a recording."""

Script = Callable[[Estate, str, Say], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One entry of the play list."""

    name: str
    zh: str
    en: str
    script: Script
    target: str = ""
    """Default device; empty: the scenario takes none."""


def _detector(estate: Estate, name: str) -> Cn6in1Detector | Detector0x6000 | OwnGasDetector:
    found = estate.detectors.get(name) or estate.boiler_detectors.get(name) or estate.gas_nodes.get(name)
    if found is None:
        known = ", ".join([*estate.detectors, *estate.boiler_detectors, *estate.gas_nodes])
        raise ValueError(f"no gas detector {name}; there are: {known}")
    return found


async def _leak(estate: Estate, target: str, say: Say) -> None:
    detector = _detector(estate, target)
    for value in (4.0, 12.0, 27.0):
        detector.gas(value)
        await say(f"{target}: {value:g} %LEL")
        await asyncio.sleep(2.0)
    await say("low and high alarm stand; the valve of building 3 closes; `play calm` airs the room")


async def _sensor_fault(estate: Estate, target: str, say: Say) -> None:
    _detector(estate, target).sensor_fault()
    await say(f"{target}: reports its sensor lost")


async def _over_range(estate: Estate, target: str, say: Say) -> None:
    _detector(estate, target).over_range()
    await say(f"{target}: beyond full scale")


async def _warm_up(estate: Estate, target: str, say: Say) -> None:
    _detector(estate, target).warm_up(60.0)
    await say(f"{target}: warming up")


async def _dead_unit(estate: Estate, target: str, say: Say) -> None:
    _detector(estate, target).kill()
    await say(f"{target}: does not answer any more; its neighbours go on")


async def _sos(estate: Estate, target: str, say: Say) -> None:
    button = estate.buttons.get(target)
    if button is None:
        raise ValueError(f"no button {target}; there are: {', '.join(estate.buttons)}")
    await say(f"{target}: pressed")
    await button.press()
    await say("the receipt came, its LED is lit" if button.led_lit else "no receipt came, its LED stays dark")


async def _replay(estate: Estate, target: str, say: Say) -> None:
    button = estate.buttons.get(target)
    if button is None:
        raise ValueError(f"no button {target}; there are: {', '.join(estate.buttons)}")
    await say(f"{target}: pressed; somebody records it")
    await button.press()
    recorded = [advert for advert in estate.medium.heard if advert.address == button.address][-1]
    await say(f"{RECORDING_AGE_S:.0f} s later the recording is played")
    await asyncio.sleep(RECORDING_AGE_S)
    for _ in range(50):
        estate.medium.inject(button.address, recorded.data)
        await asyncio.sleep(0.02)
    await say(f"50 recorded adverts of {target} were sent again: refused, counted, one security entry")


async def _trapped(estate: Estate, target: str, say: Say) -> None:
    del target
    await estate.lift_node.trap(floor=7, off_level=True)
    await say(
        "lift-3-1: stopped between floors near 7, doors shut, somebody inside; the fault comes after 45 s, the trap after 60 s"
    )


async def _controller_fault(estate: Estate, target: str, say: Say) -> None:
    del target
    estate.lift_controller.trap(floor=5)
    await say("lift-3-2: its controller reports a trapped passenger at 5")


async def _ebike(estate: Estate, target: str, say: Say) -> None:
    del target
    estate.board.set_input(EBIKE, is_on=True)
    await say("lift-3-1: the in-car camera's contact closes: e-bike; voice, lamp and event")
    await asyncio.sleep(8.0)
    estate.board.set_input(EBIKE, is_on=False)
    await say("the e-bike has left the car")


async def _unplug(estate: Estate, target: str, say: Say) -> None:
    del target
    await asyncio.to_thread(estate.line.unplug)
    await say("the RS-485 adapter is pulled")
    await asyncio.sleep(12.0)
    await asyncio.to_thread(estate.line.replug)
    await say("and plugged in again: reading resumes by itself")


async def _noise(estate: Estate, target: str, say: Say) -> None:
    del target
    estate.line.faults.noise = estate.line.faults.flip = 0.02
    await say("2 % of the bytes on the RS-485 line are hurt for 20 s")
    await asyncio.sleep(20.0)
    estate.line.faults.noise = estate.line.faults.flip = 0.0
    await say("the line is clean again")


async def _mains_loss(estate: Estate, target: str, say: Say) -> None:
    del target
    estate.board.set_input(MAINS, is_on=False)
    await say("mains lost, running on the UPS; `play calm` brings it back")


async def _throw(estate: Estate, target: str, say: Say) -> None:
    try:
        floor, column = map(int, target.split("-"))
    except ValueError:
        raise ValueError("target is FLOOR-COLUMN, such as 12-4") from None
    facade = estate.camera.facade
    if not (2 <= floor <= facade.floors and 1 <= column <= facade.columns):
        raise ValueError(f"floors are 2 to {facade.floors}, columns 1 to {facade.columns}")
    body = estate.camera.throw(floor=floor, column=column)
    await say(
        f"cam-3-n: something is thrown from floor {floor}, column {column}; it lands in {body.fall_s:.1f} s"
    )
    await asyncio.sleep(body.fall_s)
    await say("it lies on the ground; the alarm is there within two seconds, its clip some six seconds later")


async def _camera_frozen(estate: Estate, target: str, say: Say) -> None:
    del target
    estate.camera.condition = Condition.FROZEN
    await say("cam-3-n: the picture stands still")


async def _camera_black(estate: Estate, target: str, say: Say) -> None:
    del target
    estate.camera.condition = Condition.BLACK
    await say("cam-3-n: the lens is covered")


async def _camera_lost(estate: Estate, target: str, say: Say) -> None:
    del target
    estate.camera.condition = Condition.DROPPED
    await say("cam-3-n: connection cut")


async def _look(estate: Estate, target: str, say: Say) -> None:
    del target
    names = (("siren", SIREN), ("lamp", LAMP), ("voice", VOICE), ("valve contact", VALVE_CLOSE))
    await say(
        "relays: " + ", ".join(f"{name} {'ON' if estate.board.coils[at] else 'off'}" for name, at in names)
    )
    await say(f"gas valve of building 3: {'closed' if estate.is_valve_closed else 'open'}")
    await say(f"text messages sent: {len(estate.modem.texts)}")
    for text in estate.modem.texts[-5:]:
        await say(f"  {text.number}: {text.text}")


async def _calm(estate: Estate, target: str, say: Say) -> None:
    del target
    for name, detector in {**estate.detectors, **estate.boiler_detectors, **estate.gas_nodes}.items():
        detector.gas(0.0)
        if name != "gas-3-2-702":
            detector.revive()
    estate.board.set_input(MAINS, is_on=True)
    estate.board.set_input(EBIKE, is_on=False)
    estate.camera.condition = Condition.NORMAL
    await estate.lift_node.release()
    estate.lift_controller.release()
    await say(
        "all causes are gone (the dead detector 702 stays dead); alarms wait for people where they are latched"
    )


SCENARIOS: Final = {
    row.name: row
    for row in (
        Scenario("leak", "燃气泄漏", "gas leak: low then high alarm, valve closes", _leak, "gas-3-2-501"),
        Scenario("sensor-fault", "探测器传感器故障", "gas sensor lost", _sensor_fault, "gas-3-2-502"),
        Scenario("over-range", "超量程", "gas beyond full scale", _over_range, "gas-boiler-1"),
        Scenario("warm-up", "预热", "detector warming up", _warm_up, "gas-3-2-601"),
        Scenario("dead-unit", "探测器失联", "a detector stops answering", _dead_unit, "gas-3-2-602"),
        Scenario("trapped", "电梯困人", "lift stopped between floors with a passenger", _trapped),
        Scenario(
            "lift-fault",
            "控制器报困人",
            "the push-only controller reports a trapped passenger",
            _controller_fault,
        ),
        Scenario("ebike", "电动自行车进电梯", "e-bike in the lift car", _ebike),
        Scenario("sos", "一键求助", "help button pressed", _sos, "btn-3-2-101"),
        Scenario("replay", "重放攻击", "a recorded press is sent again", _replay, "btn-3-2-102"),
        Scenario("unplug", "拔掉总线适配器", "RS-485 adapter pulled and put back", _unplug),
        Scenario("noise", "总线干扰", "noise on the RS-485 line", _noise),
        Scenario("mains-loss", "市电中断", "mains lost", _mains_loss),
        Scenario(
            "throw",
            "高空抛物",
            "something falls past the facade: found in the picture, not injected",
            _throw,
            "9-7",
        ),
        Scenario("camera-frozen", "画面冻结", "camera picture frozen", _camera_frozen),
        Scenario("camera-black", "画面全黑", "camera picture black", _camera_black),
        Scenario("camera-lost", "摄像机失联", "camera connection cut", _camera_lost),
        Scenario("look", "查看继电器与短信", "show relays, valve and text messages", _look),
        Scenario("calm", "恢复正常", "every cause goes away", _calm),
    )
}


def player(estate: Estate) -> Player:
    """Return what the control socket calls for each request."""

    async def play(request: Request, say: Say) -> None:
        scenario = SCENARIOS.get(request.play)
        if scenario is None:
            raise ValueError(f"no scenario {request.play}; there are: {', '.join(SCENARIOS)}")
        await scenario.script(estate, request.target or scenario.target, say)

    return play
