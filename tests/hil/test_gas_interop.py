"""Our gas node, its firmware on the MicroPython VM, read by masters we did not write, over a line at 9600 that does its worst."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from pymodbus.client import ModbusSerialClient
from pymodbus.exceptions import ModbusException

from gatehouse_hil.line import Line, LineFaults
from gatehouse_hil.node_build import NodeKind
from gatehouse_hil.wire_trace import Recorder
from gatehouse_wire import gas_registers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
UNIT = 17
CALIBRATION = {"zero_uv": 400_000, "span_uv": 1_400_000, "span": 500, "warm_ms": 0}
SETTLED = {
    0: gas_registers.IDENTITY,
    2: 100,
    3: 0x0201,
    4: 100,
    5: 200,
    6: 1000,
    8: 0x8000,
    9: 0xFFFF,
    14: 0x0100,
}
"""What cannot change while 10.0 %LEL stand at the sensor: register to value."""


def client(wire: Line, timeout_s: float = 0.5) -> ModbusSerialClient:
    return ModbusSerialClient(str(wire.port), baudrate=9600, timeout=timeout_s, retries=0)


def read(master: ModbusSerialClient, unit: int = UNIT) -> list[int] | None:
    """Return the block, None when the wire has spoilt it."""
    try:
        reply = master.read_holding_registers(0, count=gas_registers.COUNT, device_id=unit)
    except ModbusException:
        master.connect()
        return None
    return None if reply.isError() else reply.registers


def until_measuring(master: ModbusSerialClient, unit: int = UNIT) -> list[int]:
    for _ in range(100):
        block = read(master, unit)
        if block is not None and block[1] & gas_registers.MEASURING:
            return block
    raise AssertionError("the node never measured")


async def settled(node: Callable[..., Any], line: Callable[..., Any], number: int = UNIT) -> Any:
    """A node that measures 10.0 %LEL."""
    gas = await node(NodeKind.GAS, number=number, calibration=CALIBRATION)
    gas.sense("adc2_uv", 600_000)
    return gas


def until_settled(master: ModbusSerialClient, unit: int = UNIT) -> list[int]:
    for _ in range(100):
        block = read(master, unit)
        if block is not None and block[2] == SETTLED[2]:
            return block
    raise AssertionError("the node never measured 10.0 %LEL")


async def test_pymodbus_reads_the_node_over_a_clean_line(node, line) -> None:
    gas = await settled(node, line)
    with line(gas) as wire, client(wire) as master:
        block = await asyncio.to_thread(until_settled, master)
    assert {at: block[at] for at in SETTLED} == SETTLED
    assert gas_registers.decode(block).value == 10.0


@pytest.mark.parametrize(
    "faults",
    [
        LineFaults(drop=0.01),
        LineFaults(flip=0.01),
        LineFaults(noise=0.01),
        LineFaults(drop=0.004, flip=0.004, noise=0.004),
    ],
    ids=["drop", "flip", "noise", "all three"],
)
async def test_a_bad_line_loses_readings_and_never_changes_one(
    node, line, rounds, faults: LineFaults
) -> None:
    gas = await settled(node, line)
    with line(gas) as wire, client(wire, timeout_s=0.2) as master:
        await asyncio.to_thread(until_settled, master)
        wire.faults = faults
        blocks = [await asyncio.to_thread(read, master) for _ in range(rounds(60))]
        wire.faults = LineFaults()
        await asyncio.to_thread(until_settled, master)
    good = [block for block in blocks if block is not None]
    assert len(good) >= len(blocks) // 4
    assert [block for block in good if {at: block[at] for at in SETTLED} != SETTLED] == []


async def test_a_wrong_function_and_a_wrong_register_are_exceptions_by_number(node, line) -> None:
    gas = await node(NodeKind.GAS, number=UNIT, calibration=CALIBRATION)
    with line(gas) as wire, client(wire) as master:
        await asyncio.to_thread(until_measuring, master)
        beyond = await asyncio.to_thread(lambda: master.read_holding_registers(0, count=100, device_id=UNIT))
        coils = await asyncio.to_thread(lambda: master.read_coils(0, count=1, device_id=UNIT))
        identity = await asyncio.to_thread(lambda: master.report_device_id(device_id=UNIT))
    assert (beyond.exception_code, coils.exception_code) == (2, 1)
    assert b"Gatehouse gas" in identity.identifier


async def test_two_nodes_share_a_line_and_one_of_them_may_die(node, line) -> None:
    first, second = [await settled(node, line, number) for number in (17, 18)]
    with line(first, second) as wire, client(wire) as master:
        assert [(await asyncio.to_thread(until_settled, master, unit))[2] for unit in (17, 18)] == [100, 100]
        await second.off()
        assert await asyncio.to_thread(read, master, 18) is None
        assert (await asyncio.to_thread(until_settled, master, 17))[2] == 100
        await second.on()
        assert (await asyncio.to_thread(until_settled, master, 18))[11] == gas_registers.RESET_POWER


async def test_a_node_set_to_parity_hears_nothing_on_a_line_without(node, line) -> None:
    gas = await settled(node, line)
    with Line(baud=9600, parity=0) as wire:
        wire.join(gas.simulated.uart_port)
        with client(wire, timeout_s=0.2) as master:
            assert [await asyncio.to_thread(read, master) for _ in range(3)] == [None] * 3


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed (Debian package list)")
async def test_mbpoll_reads_the_node(node, line) -> None:
    gas = await settled(node, line)
    with line(gas) as wire:
        with client(wire) as master:
            await asyncio.to_thread(until_settled, master)
        command = [
            "mbpoll",
            "-m",
            "rtu",
            "-a",
            str(UNIT),
            "-b",
            "9600",
            "-P",
            "none",
            "-t",
            "4",
            "-0",
            "-r",
            "0",
        ]
        command += ["-c", "16", "-o", "1", "-1", str(wire.port)]
        done = await asyncio.to_thread(
            lambda: subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[0]: \t18225" in done.stdout
    assert "[2]: \t100" in done.stdout


async def test_a_reading_on_the_wire_is_as_it_was_when_it_was_reviewed(node, line, golden) -> None:
    gas = await node(NodeKind.GAS, number=UNIT, calibration=CALIBRATION)
    recorder = Recorder(note="9600 8N1: the sixteen registers of a gas node")
    with line(gas) as wire, client(wire) as master:
        await asyncio.to_thread(until_measuring, master)
        wire.record(recorder)
        await asyncio.to_thread(read, master)
    golden(recorder, "gas-read")
