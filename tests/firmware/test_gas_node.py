"""The gas node's firmware on the real VM, asked by the gateway's real driver and by real pymodbus."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from modbus_gas_site import bus_on  # a neighbour is found through its folder
from node_site import Nvs, node_of, steps, until
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient

from gatehouse_edge.reading import GasFlag, GasReading, Quality
from gatehouse_hil.line import Line
from gatehouse_hil.node_build import NodeKind
from gatehouse_hil.simnode import ResetCause, SimNode
from gatehouse_wire import gas_registers


@contextlib.asynccontextmanager
async def client_of(node: SimNode) -> AsyncIterator[AsyncModbusSerialClient]:
    client = AsyncModbusSerialClient(
        str(node.uart), framer=FramerType.RTU, baudrate=9600, timeout=2, retries=1
    )
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


async def until_testing(client: AsyncModbusSerialClient) -> None:
    async with asyncio.timeout(10):
        while True:
            status = (await client.read_holding_registers(1, count=1, device_id=7)).registers[0]
            if status & gas_registers.SELF_TEST:
                assert not status & gas_registers.MEASURING
                return


async def test_the_gateways_driver_reads_our_firmware_as_its_profile_says(tmp_path: Path) -> None:
    async with node_of(tmp_path, NodeKind.GAS) as node:
        await node.power_on()
        async with bus_on(node.uart) as inbox:
            await until(lambda: inbox.of(GasReading))
            node.sense("adc2", steps(123))
            await until(lambda: any(one.value == 12.3 for one in inbox.of(GasReading)))
    alarm = next(one for one in inbox.of(GasReading) if one.value == 12.3)
    assert (alarm.unit, alarm.quality, alarm.low_set, alarm.high_set, alarm.full_scale) == (
        "%LEL", Quality.GOOD, 10.0, 20.0, 100.0,
    )  # fmt: skip
    assert alarm.flags == {GasFlag.LOW_ALARM}


async def test_a_broken_sensor_is_a_fault_and_never_zero(tmp_path: Path) -> None:
    async with node_of(tmp_path, NodeKind.GAS) as node:
        await node.power_on()
        async with bus_on(node.uart) as inbox:
            await until(lambda: inbox.of(GasReading))
            node.sense("adc2", 0)
            await until(lambda: any(GasFlag.SENSOR_FAULT in one.flags for one in inbox.of(GasReading)))
    broken = [one for one in inbox.of(GasReading) if GasFlag.SENSOR_FAULT in one.flags]
    assert {one.value for one in broken} == {None}
    assert {one.quality for one in broken} == {Quality.FAULT}


async def test_a_stranger_asks_it_with_every_function_it_knows(tmp_path: Path) -> None:
    async with node_of(tmp_path, NodeKind.GAS) as node:
        await node.power_on()
        await node.until('"start"', timeout_s=20)
        async with client_of(node) as client:
            await until(lambda: node.pin(10) == 0)
            holding = await client.read_holding_registers(0, count=16, device_id=7)
            inputs = await client.read_input_registers(2, count=1, device_id=7)
            beyond = await client.read_holding_registers(10, count=7, device_id=7)
            foreign = await client.read_coils(0, count=1, device_id=7)
            identity = await client.report_device_id(device_id=7)
            refused = await client.write_register(4, 50, device_id=7)
            await client.write_register(
                gas_registers.SELF_TEST_REGISTER, gas_registers.SELF_TEST_KEY, device_id=7
            )
            await until_testing(client)
            moved = await client.write_registers(gas_registers.UNIT_ID_REGISTER, [9], device_id=7)
            after = await client.read_holding_registers(0, count=16, device_id=9)
    block = gas_registers.decode(holding.registers)
    assert (block.unit, block.value, block.slot, block.firmware, block.reset_cause) == (
        gas_registers.PCT_LEL, 0.0, 0, 0x0100, gas_registers.RESET_POWER,
    )  # fmt: skip
    assert inputs.registers == holding.registers[2:3]
    assert (beyond.exception_code, foreign.exception_code, refused.exception_code) == (2, 1, 2)
    assert identity.identifier == b"Gatehouse gas 1.0.0 GH-EXAMPLE-1"
    assert not moved.isError()
    assert gas_registers.decode(after.registers).heartbeat > 0


@pytest.mark.parametrize("fault", ["drop", "flip", "noise"])
async def test_under_noise_it_answers_rightly_or_not_at_all(tmp_path: Path, rounds, fault: str) -> None:
    """9600 baud, paced; 1 % of bytes lost, flipped or added. What is read is compared with what the sensor shows."""
    wanted = rounds(120)
    async with node_of(tmp_path / "node", NodeKind.GAS) as node:
        with Line(baud=9600, directory=tmp_path, seed=5) as line:
            line.join(node.uart_port)
            node.sense("adc2", steps(55))
            await node.power_on()
            async with bus_on(line.port, poll_ms=60) as inbox:
                await until(lambda: inbox.values and inbox.values[-1] == 5.5)
                before = len(inbox.values)
                setattr(line.faults, fault, 0.01)
                await until(lambda: inbox.bus.requests >= wanted, within_s=100)
                setattr(line.faults, fault, 0.0)
    assert set(inbox.values) <= {5.5, 0.0}
    assert inbox.values[-1] == 5.5
    assert len(inbox.values) - before > wanted // 4


async def test_a_task_that_hangs_takes_the_node_down_and_up_again(tmp_path: Path) -> None:
    async with node_of(tmp_path, NodeKind.GAS, is_compiled=False) as node:
        slot = tmp_path / "flash" / "a"
        edit(slot / "gas_app.py", 'self.supervisor.tick("measure")', "while uptime_ms > 800: pass")
        edit(slot / "supervisor.py", "WATCHDOG_MS = 8000", "WATCHDOG_MS = 2000")
        await node.power_on()
        await node.until(lambda one: one.reset_cause is ResetCause.WATCHDOG, timeout_s=40)
    assert node.boots >= 2


async def test_a_cold_sensor_is_not_believed(tmp_path: Path) -> None:
    async with node_of(tmp_path, NodeKind.GAS) as node:
        Nvs(tmp_path).put("gh_cal", warm_ms=60_000)
        await node.power_on()
        async with bus_on(node.uart) as inbox:
            await until(lambda: inbox.of(GasReading))
    cold = inbox.of(GasReading)[0]
    assert (cold.value, cold.quality, cold.flags) == (None, Quality.WARMING_UP, {GasFlag.WARMING_UP})
    assert 0 < cold.warm_up_left_s <= 60
