# a benchmark prints, waits and compares with plain numbers
"""A hundred thousand failed reads: what they leave behind in memory and tasks."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time

import psutil
from modbus_near import CountingInbox, table

from gatehouse_config.buses import ModbusTcpBus
from gatehouse_edge.clock import Now, SystemClock
from gatehouse_edge.drivers.modbus_bus import ModbusBus
from gatehouse_edge.drivers.modbus_plan import Block, Target
from gatehouse_edge.drivers.modbus_query import ModbusError, RegisterFunction, RegisterQuery
from gatehouse_edge.drivers.modbus_rtu import RtuPort, SerialSettings
from gatehouse_edge.reading import AnyObservation
from gatehouse_hil.gas_controller import GasController
from gatehouse_hil.gas_detector import Cn6in1Detector
from gatehouse_hil.line import Line

_BLOCK = Block(function=RegisterFunction.HOLDING, address=0, count=10, is_alarm=True)


class Eager:
    """A unit that is asked again as soon as it has answered."""

    device_id = "gas-1"
    target = Target(unit_id=1, blocks=(_BLOCK,), poll_s=0.0)

    def take(self, block: int, values: object, now: Now, now_s: float) -> list[AnyObservation]:
        """Make nothing of it."""
        del block, values, now, now_s
        return []

    def lose(self) -> None:
        """Forget nothing."""


class Meter:
    """RSS and tasks before and after."""

    def __init__(self) -> None:
        gc.collect()
        self.rss = psutil.Process().memory_info().rss
        self.tasks = len(asyncio.all_tasks())
        self.began_s = time.monotonic()

    def row(self, name: str, count: int) -> tuple[object, ...]:
        """Return one line of the table."""
        gc.collect()
        grown = (psutil.Process().memory_info().rss - self.rss) / 2**20
        return name, count, grown, len(asyncio.all_tasks()) - self.tasks, time.monotonic() - self.began_s


async def refusals(count: int) -> tuple[object, ...]:
    """Run a whole bus against a slave that answers with exceptions."""
    slave = Cn6in1Detector(1)
    slave.manners.exception = 4
    inbox = CountingInbox()
    async with GasController([slave]) as controller, asyncio.TaskGroup() as group:
        setting = ModbusTcpBus(kind="modbus_tcp", id="b", host="127.0.0.1", port=controller.port)
        bus = ModbusBus(setting, [Eager()], inbox=inbox, clock=SystemClock())
        task = group.create_task(bus.run(), name="bus")
        while bus.failures < 2000:
            await asyncio.sleep(0.05)
        meter, start = Meter(), bus.failures
        while bus.failures < start + count:
            await asyncio.sleep(0.2)
        row = meter.row("TCP, exceptions, whole bus", bus.failures - start)
        task.cancel()
    return row


async def silences(count: int) -> tuple[object, ...]:
    """Ask a dead unit over a serial line, with a response timeout of half a millisecond to get anywhere."""
    query = RegisterQuery(unit_id=9, function=RegisterFunction.HOLDING, address=0, count=10)
    with Line(baud=230_400) as line:
        port = RtuPort(
            SerialSettings(path=line.port, baud=230_400, response_timeout_s=0.0005), on_lost=lambda: None
        )
        await port.open()

        async def ask(times: int) -> None:
            for _ in range(times):
                try:
                    await port.exchange(query)
                except ModbusError:
                    continue

        await ask(500)
        meter = Meter()
        await ask(count)
        row = meter.row("RTU, silence, port alone", count)
        port.close()
    return row


async def both(count: int) -> None:
    """Print both."""
    rows = [await refusals(count * 8 // 10), await silences(count * 2 // 10)]
    table(f"{count} failed reads (target: < 2 MiB, 0 tasks; peers leak without bound, field notes row 8)",
          ("what", "failed reads", "RSS growth MiB", "tasks more", "took s"), rows)  # fmt: skip


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(both(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
