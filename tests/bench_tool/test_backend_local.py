"""Real back ends against stand-ins that speak as the real parts do: a PTY relay, a PTY meter, a program called uhubctl."""

from __future__ import annotations

import contextlib
import os
import pty
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial

from gatehouse_hil.bench import power, rig
from gatehouse_hil.bench.backend_local import (
    RelayPower,
    SerialMeter,
    Technician,
    UsbHubPower,
    UsbRelayContact,
    stations,
)
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.raw_repl import open_port
from gatehouse_hil.bench.rig import ScpiMeter, UsbHub, UsbRelay
from gatehouse_hil.bench.station import Station
from gatehouse_hil.bench.words import Lang, Words


class Part:
    """Something at the far end of a PTY: hears bytes, says what `answer` returns."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.port = os.ttyname(self.slave)
        self.heard = b""
        self._answer = answer
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while octets := os.read(self.master, 4096):
                self.heard += octets
                os.write(self.master, self._answer(octets))

    def close(self) -> None:
        os.close(self.slave)
        self._thread.join(timeout=10)
        os.close(self.master)


@pytest.fixture
def part() -> Iterator[Callable[[Callable[[bytes], bytes]], Part]]:
    with contextlib.ExitStack() as stack:

        def make(answer: Callable[[bytes], bytes]) -> Part:
            made = Part(answer)
            stack.callback(made.close)
            return made

        yield make


def on_path(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")


async def test_a_relay_board_hears_its_four_octets(part: Any) -> None:
    acknowledged = part(lambda _: b"")
    contact = UsbRelayContact(UsbRelay(type="usb-relay", name="r", port=acknowledged.port, channel=2))
    await contact.set(is_closed=True)
    await RelayPower(contact).off()
    # LCUS boards: A0, channel, state, sum of the three.
    wanted = bytes.fromhex("a00201a3a00200a2")
    with contextlib.suppress(TimeoutError):
        deadline = threading.Event()
        for _ in range(200):
            if acknowledged.heard == wanted:
                break
            deadline.wait(0.02)
    assert acknowledged.heard == wanted


async def test_a_meter_is_asked_by_scpi(part: Any) -> None:
    volts = part(lambda _: b"+5.0312E+00\r\n")
    reading = await SerialMeter(ScpiMeter(type="scpi-meter", name="m", port=volts.port, unit="V")).read()
    assert (reading.value, reading.unit) == (pytest.approx(5.0312), "V")
    assert volts.heard == b"MEAS:VOLT:DC?\n"


async def test_a_meter_that_gives_no_number_is_not_zero(part: Any) -> None:
    confused = part(lambda _: b"ERR -113\r\n")
    with pytest.raises(BenchError) as caught:
        await SerialMeter(ScpiMeter(type="scpi-meter", name="m", port=confused.port, unit="A")).read()
    assert (caught.value.fault, caught.value.resource) == (Fault.INSTRUMENT_SILENT, "m")


async def test_a_hub_is_switched_by_uhubctl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    on_path(monkeypatch, tmp_path, "uhubctl", f'echo "$@" >> {tmp_path}/said')
    hub = UsbHubPower(UsbHub(type="usb-hub", name="h", hub="1-1.2", port=3))
    await hub.off()
    await hub.on()
    assert (tmp_path / "said").read_text(encoding="ascii").splitlines() == [
        "-l 1-1.2 -p 3 -a off",
        "-l 1-1.2 -p 3 -a on",
    ]


async def test_a_hub_that_cannot_switch_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    on_path(
        monkeypatch, tmp_path, "uhubctl", 'echo "No compatible devices detected at location 1-1.2!"; exit 1'
    )
    with pytest.raises(BenchError) as caught:
        await UsbHubPower(UsbHub(type="usb-hub", name="h", hub="1-1.2", port=3)).off()
    assert "No compatible devices" in caught.value.facts["said"]


async def test_a_program_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BenchError) as caught:
        await UsbHubPower(UsbHub(type="usb-hub", name="h", hub="1-1", port=1)).on()
    assert (caught.value.fault, caught.value.facts["tool"]) == (Fault.TOOL_ABSENT, "uhubctl")


async def station(port: str, meter: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Station:
    """A board on a hub that always says yes."""
    on_path(monkeypatch, folder, "uhubctl", "true")
    data: dict[str, Any] = {
        "name": "x",
        "backend": "local",
        "resources": [{"type": "usb-hub", "name": "hub-1", "hub": "1-1", "port": 1}],
        "boards": [{"name": "a", "port": port, "power": "hub-1"}],
    }
    if meter is not None:
        data["resources"].append({"type": "scpi-meter", "name": "meter-1", "port": meter, "unit": "V"})
        data["boards"][0]["meters"] = {"supply": "meter-1"}
    local = rig.parse(data)
    assert isinstance(local, rig.LocalRig)
    async with stations(local, Technician(Words(Lang.EN))) as (made,):
        return made


async def test_off_is_not_believed_while_the_board_still_answers(
    part: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alive = part(lambda _: b">>> ")
    made = await station(alive.port, None, tmp_path, monkeypatch)
    with pytest.raises(BenchError) as caught:
        await power.cut(made)
    assert (caught.value.fault, caught.value.resource) == (Fault.POWER_STAYS_ON, "hub-1")


async def test_off_is_not_believed_while_the_meter_still_shows_volts(
    part: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silent, volts = part(lambda _: b""), part(lambda _: b"4.87\n")
    made = await station(silent.port, volts.port, tmp_path, monkeypatch)
    with pytest.raises(BenchError) as caught:
        await power.cut(made)
    assert caught.value.facts["sign"] == "4.87 V"


async def test_off_is_believed_when_nobody_answers_and_the_volts_are_gone(
    part: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silent, volts = part(lambda _: b""), part(lambda _: b"0.03\n")
    await power.cut(await station(silent.port, volts.port, tmp_path, monkeypatch))
    assert volts.heard == b"MEAS:VOLT:DC?\n"


async def test_a_port_that_vanished_with_the_power_is_a_board_that_is_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = await station(str(tmp_path / "gone"), None, tmp_path, monkeypatch)
    await power.cut(made)
    assert made.power is not None


def test_a_busy_port_is_said_and_the_command_fails(
    part: Any, bench: Callable[..., Any], tmp_path: Path
) -> None:
    idle = part(lambda _: b"")
    path = tmp_path / "rig.yaml"
    path.write_text(f"name: x\nbackend: local\nboards: [{{name: a, port: {idle.port}}}]\n", encoding="ascii")
    with serial.Serial(idle.port, exclusive=True):
        ran = bench("identify", "--json", "--lang", "en", "--rig", path, "--directory", tmp_path)
    assert ran.status == 1
    assert ran.json["boards"][0]["fault"] == "port_busy"
    assert "Close the serial terminal" in ran.json["boards"][0]["sentence"]


def test_a_missing_port_is_said_and_the_command_fails(bench: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(
        f"name: x\nbackend: local\nboards: [{{name: a, port: {tmp_path}/none}}]\n", encoding="ascii"
    )
    ran = bench("identify", "--json", "--rig", path, "--directory", tmp_path)
    assert (ran.status, ran.json["boards"][0]["fault"]) == (1, "port_gone")


def test_a_run_that_fails_on_a_busy_port_leaves_a_record_that_says_failed(
    part: Any, bench: Callable[..., Any], tmp_path: Path
) -> None:
    idle = part(lambda _: b"")
    path = tmp_path / "rig.yaml"
    path.write_text(f"name: x\nbackend: local\nboards: [{{name: a, port: {idle.port}}}]\n", encoding="ascii")
    with serial.Serial(idle.port, exclusive=True):
        ran = bench("test", "--json", "--lang", "en", "--rig", path, "--directory", tmp_path)
    [board] = ran.json["boards"]
    assert (ran.status, board["fault"], board["verdict"]) == (1, "port_busy", "failed")
    assert bench("record", "verify", "--directory", tmp_path, board["record"]).status == 0


def test_a_port_that_comes_back_late_is_awaited(part: Any, tmp_path: Path) -> None:
    back = part(lambda octets: octets)
    path = tmp_path / "usb-late"
    timer = threading.Timer(0.5, path.symlink_to, [back.port])
    timer.start()
    with open_port(str(path), timeout_s=5.0, patience_s=30.0) as device:
        device.write(b"hello")
        assert device.read(5) == b"hello"
    timer.join()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_port_that_is_not_ours_says_which_group_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "tty"
    path.touch(mode=0o000)
    with pytest.raises(BenchError) as caught, open_port(str(path), patience_s=0.0):
        pass
    assert caught.value.fault is Fault.PORT_FORBIDDEN
