# a benchmark prints, waits and compares with plain numbers
"""What fifty TCP slaves cost, how quiet an idle bus is, and how fast a changed register reaches the inbox."""

from __future__ import annotations

import asyncio
import logging
import random
import statistics
import sys
import time

import psutil
from modbus_far import far
from modbus_near import detector, rtu, running, table, tcp
from pymodbus.client import AsyncModbusTcpClient

from gatehouse_edge.reading import AnyObservation, GasReading
from gatehouse_hil.gas_controller import GasController
from gatehouse_hil.gas_detector import Cn6in1Detector
from gatehouse_hil.line import Line

SLAVES = 50


async def measured(seconds: float, count) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Return requests per second and per cent of a core over `seconds`."""
    await asyncio.sleep(2)
    start, began_s, cpu_s = count(), time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    took_s = time.monotonic() - began_s
    return (count() - start) / took_s, 100 * (time.process_time() - cpu_s) / took_s


async def cpu_table(seconds: float) -> None:
    """Print the CPU time of fifty slaves of ten registers at 1 Hz."""
    rows = []
    with far("tcp", SLAVES, 1) as ports:
        buses = [(tcp(port), [detector(1, poll_ms=1000, name=f"gas{port}")]) for port in ports]
        async with running(buses) as inbox:
            rate, cpu = await measured(seconds, lambda: sum(inbox.counts.values()))
        rows.append(
            (
                "gatehouse, 50 connections, readings decoded",
                rate,
                cpu,
                psutil.Process().memory_info().rss / 2**20,
            )
        )
        clients = [
            AsyncModbusTcpClient("127.0.0.1", port=int(port), timeout=0.5, retries=0) for port in ports
        ]
        polls = 0

        async def poll(client: AsyncModbusTcpClient) -> None:
            nonlocal polls
            await client.connect()
            while True:
                await client.read_holding_registers(0, count=10, device_id=1)
                polls += 1
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(poll(client), name="poll") for client in clients]
            rate, cpu = await measured(seconds, lambda: polls)
            for task in tasks:
                task.cancel()
        for client in clients:
            client.close()
        rows.append(
            ("pymodbus async, bare, registers only", rate, cpu, psutil.Process().memory_info().rss / 2**20)
        )
    with far("tcp", 1, SLAVES) as (port,):
        units = [detector(at, poll_ms=1000) for at in range(1, SLAVES + 1)]
        async with running([(tcp(port), units)]) as inbox:
            rate, cpu = await measured(seconds, lambda: sum(inbox.counts.values()))
        rows.append(
            ("gatehouse, one connection, 50 units", rate, cpu, psutil.Process().memory_info().rss / 2**20)
        )
    rows.append(("thingsboard-gateway 3.8.5 (field notes)", 498.0, 14.0, 66.0))
    table("50 TCP slaves x 10 registers at 1 Hz", ("client", "requests/s", "% of a core", "RSS MiB"), rows)


async def idle_table(seconds: float) -> None:
    """Print the CPU time of buses with little or nothing to do."""
    rows = []
    with far("line", 9600, 6, 3) as (path,):
        async with running(
            [(rtu(path, 9600), [detector(at, poll_ms=1000, gap_ms=500) for at in range(1, 7)])]
        ) as inbox:
            rate, cpu = await measured(seconds, lambda: inbox.observations)
        rows.append(("six detectors at 1 Hz, one dead", rate, cpu))
    async with running(
        [
            (rtu("/dev/serial/by-id/usb-none", 9600), [detector(1, poll_ms=1000)]),
            (tcp("9"), [detector(2, poll_ms=1000)]),
        ]
    ) as inbox:
        rate, cpu = await measured(seconds, lambda: inbox.observations)
    rows.append(("no adapter and no controller", rate, cpu))
    table("Idle", ("bus", "observations/s", "% of a core"), rows)


class Stopwatch:
    """An inbox that notes when a value first arrives."""

    def __init__(self) -> None:
        self.value = 0.0
        self.seen: dict[float, float] = {}

    async def put(self, observation: AnyObservation) -> None:
        """Note the first arrival of each value."""
        if isinstance(observation, GasReading) and observation.value is not None:
            self.seen.setdefault(round(observation.value, 1), time.monotonic())


async def latency(setting, units, slave: Cn6in1Detector, rounds: int) -> tuple[float, float, float]:  # type: ignore[no-untyped-def]
    """Return p50, p99 and the maximum in ms from a changed register to the inbox."""
    from gatehouse_edge.clock import SystemClock
    from gatehouse_edge.drivers.modbus_bus import ModbusBus

    inbox, took_ms, chance = Stopwatch(), [], random.Random(1)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(
            ModbusBus(setting, units, inbox=inbox, clock=SystemClock()).run(), name="bus"
        )
        await asyncio.sleep(1)
        for at in range(rounds):
            await asyncio.sleep(0.03 + chance.random() * 0.1)
            value = round(0.1 + at * 0.1, 1)
            changed_s = time.monotonic()
            slave.gas(value)
            while value not in inbox.seen:
                await asyncio.sleep(0.002)
            took_ms.append(1000 * (inbox.seen[value] - changed_s))
        task.cancel()
    return statistics.median(took_ms), statistics.quantiles(took_ms, n=100)[98], max(took_ms)


async def latency_table(rounds: int) -> None:
    """Print the latency from register to inbox at a poll of 100 ms."""
    rows = []
    with Line(baud=115_200) as line:
        slaves = [Cn6in1Detector(at) for at in range(1, 7)]
        for slave in slaves:
            line.attach(slave)
        units = [detector(at, poll_ms=100) for at in range(1, 7)]
        rows.append(
            (
                "RTU 115200, six detectors",
                *await latency(rtu(str(line.port), 115_200), units, slaves[3], rounds),
            )
        )
    slave = Cn6in1Detector(1)
    async with GasController([slave]) as controller:
        rows.append(
            ("TCP", *await latency(tcp(str(controller.port)), [detector(1, poll_ms=100)], slave, rounds))
        )
    rows.append(("thingsboard-gateway to its publish (field notes)", 117.0, 361.0, "10x100 ms: 168 / 254"))
    table(
        "Register change to inbox, poll 100 ms (target p99: 150 ms at the console)",
        ("bus", "p50 ms", "p99 ms", "max ms"),
        rows,
    )


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    length_s = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    asyncio.run(cpu_table(length_s))
    asyncio.run(idle_table(length_s))
    asyncio.run(latency_table(int(10 * length_s)))
