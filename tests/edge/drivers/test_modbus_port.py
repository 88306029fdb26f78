"""The ports alone: locks, cancellation, independent slaves, and what a lift's port may be asked."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

sys.path.insert(0, str(Path(__file__).parent))
from modbus_site import until

from gatehouse_edge.drivers.modbus_port import RegisterReader
from gatehouse_edge.drivers.modbus_query import (
    CoilOrder,
    ModbusError,
    PortBusyError,
    PortLostError,
    RegisterFunction,
    RegisterQuery,
)
from gatehouse_edge.drivers.modbus_rtu import RtuPort, SerialSettings
from gatehouse_edge.drivers.modbus_tcp import TcpPort, TcpSettings
from gatehouse_hil.gas_controller import GasController
from gatehouse_hil.line import Line
from gatehouse_hil.modbus_slave import Slave


def ask(unit_id=1, address=0, count=8):
    return RegisterQuery(unit_id=unit_id, function=RegisterFunction.HOLDING, address=address, count=count)


def nobody():
    return None


@pytest.fixture
def line():
    with Line(baud=115_200) as line:
        yield line


@pytest.fixture
async def port(line):
    port = RtuPort(SerialSettings(path=line.port, baud=115_200, response_timeout_s=0.05), on_lost=nobody)
    await port.open()
    yield port
    port.close()


async def test_a_second_owner_is_refused(line, port):
    second = RtuPort(port.settings, on_lost=nobody)
    with pytest.raises(PortBusyError, match="held by another program"):
        await second.open()
    port.close()
    await second.open()
    second.close()


async def test_a_port_that_is_not_there_is_named(tmp_path):
    port = RtuPort(SerialSettings(path=tmp_path / "usb-none", baud=9600), on_lost=nobody)
    with pytest.raises(PortLostError, match="usb-none cannot be opened: No such file"):
        await port.open()


async def cancel_many(port, stagger_s, times):
    """Cancel reads of one block at every stage of their life; each next read of another block must be right."""
    for round_ in range(times):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(port.exchange(ask(address=0)), name="cancelled")
            await asyncio.sleep(stagger_s * (round_ % 20))
            task.cancel()
        if round_ % 5 == 4:
            assert await port.exchange(ask(address=100)) == tuple(range(100, 108))


async def test_a_cancelled_read_leaves_nothing_behind_on_a_serial_line(line, port, rounds):
    line.attach(Slave(1, holding={at: at for at in range(200)}))
    await cancel_many(port, 0.0005, rounds(1000))


async def test_a_cancelled_read_leaves_nothing_behind_on_tcp(rounds):
    slave = Slave(1, holding={at: at for at in range(200)})
    slave.manners.late_s = 0.002
    async with GasController([slave]) as controller:
        port = TcpPort(TcpSettings(host="127.0.0.1", port=controller.port), on_lost=nobody)
        await port.open()
        await cancel_many(port, 0.0002, rounds(1000))
        port.close()


async def test_a_timeout_around_a_read_is_a_timeout(line, port):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await port.exchange(ask(unit_id=9))


async def test_a_late_answer_to_one_block_is_not_taken_for_the_next(line, port):
    slave = Slave(1, holding={at: at for at in range(200)})
    line.attach(slave)
    slave.manners.late_s = 0.055
    with pytest.raises(ModbusError):
        await port.exchange(ask(address=0))
    slave.manners.late_s = 0.0
    assert await port.exchange(ask(address=100)) == tuple(range(100, 108))


async def test_pymodbus_serves_us_over_the_line(line):
    device = SimDevice(
        17, simdata=[SimData(0, values=[10, 2, 3, 4, 5, 6, 7, 8], datatype=DataType.REGISTERS)]
    )
    server = ModbusSerialServer(device, port=line.open_tap(), baudrate=115_200)
    await server.serve_forever(background=True)
    port = RtuPort(SerialSettings(path=line.port, baud=115_200), on_lost=nobody)
    await port.open()
    try:
        for _ in range(20):
            assert await port.exchange(ask(unit_id=17)) == (10, 2, 3, 4, 5, 6, 7, 8)
    finally:
        port.close()
        await server.shutdown()


async def test_pymodbus_serves_us_over_tcp(unused_tcp_port_number):
    number = unused_tcp_port_number
    device = SimDevice(
        17, simdata=[SimData(0, values=[10, 2, 3, 4, 5, 6, 7, 8], datatype=DataType.REGISTERS)]
    )
    server = ModbusTcpServer(device, address=("127.0.0.1", number))
    await server.serve_forever(background=True)
    port = TcpPort(TcpSettings(host="127.0.0.1", port=number), on_lost=nobody)
    await port.open()
    try:
        for _ in range(20):
            assert await port.exchange(ask(unit_id=17)) == (10, 2, 3, 4, 5, 6, 7, 8)
    finally:
        port.close()
        await server.shutdown()


@pytest.fixture
async def unused_tcp_port_number():
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    number = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return number


async def test_a_lifts_port_is_read_and_never_written(line, port):
    slave = Slave(1, holding={at: at for at in range(8)}, coils={0: 0})
    line.attach(slave)
    reader = RegisterReader(port)
    assert await reader.read(ask()) == tuple(range(8))
    with pytest.raises(TypeError, match="functions 3 and 4 only"):
        await reader.read(CoilOrder(unit_id=1, address=0, is_on=True))
    assert slave.functions_seen == {3}
    assert not [name for name in dir(reader) if not name.startswith("_") and name != "read"]


async def test_a_stuck_line_is_silence_and_not_a_hang(line, port):
    line.attach(Slave(1, holding={at: at for at in range(8)}))
    line.faults.is_stuck = True
    for _ in range(3):
        with pytest.raises(ModbusError):
            await port.exchange(ask())
    line.faults.is_stuck = False
    assert await port.exchange(ask()) == tuple(range(8))


async def test_a_pulled_adapter_ends_the_read_in_flight(line, port):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_outcome(port.exchange(ask(unit_id=9))), name="read")
        await until(lambda: line.bytes_carried >= 8)
        line.unplug()
    assert isinstance(task.result(), PortLostError)
    assert not port.is_open


async def _outcome(reading):
    try:
        return await reading
    except ModbusError as error:
        return error
