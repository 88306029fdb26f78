# a benchmark prints, waits and compares with plain numbers
"""How near to its own bound an RS-485 line is driven, and what one dead unit costs its neighbours."""

from __future__ import annotations

import asyncio
import logging
import sys
import time

import pymodbus
from modbus_far import far
from modbus_near import CountingInbox, detector, rtu, running, table
from pymodbus.client import AsyncModbusSerialClient
from pymodbus.exceptions import ModbusException

UNITS = 6
REQUEST_BYTES, REPLY_BYTES = 8, 25


def bound_s(baud: int) -> float:
    """Return the line's own time for one poll of ten registers: both frames, 10 bits a character, two silences."""
    silence_s = 1.75e-3 if baud > 19_200 else 35 / baud
    return (REQUEST_BYTES + REPLY_BYTES) * 10 / baud + 2 * silence_s


async def ours(
    path: str, baud: int, seconds: float, *, poll_ms: int, gap_ms: int = 0
) -> tuple[CountingInbox, float, float]:
    """Poll six detectors with our bus; return counts, seconds and CPU seconds."""
    units = [detector(at, poll_ms=poll_ms, gap_ms=gap_ms) for at in range(1, UNITS + 1)]
    async with running([(rtu(path, baud), units)]) as inbox:
        await asyncio.sleep(3)
        inbox.reset()
        began_s, cpu_s = time.monotonic(), time.process_time()
        await asyncio.sleep(seconds)
        return inbox, time.monotonic() - began_s, time.process_time() - cpu_s


async def raw_pymodbus(
    path: str, baud: int, seconds: float, *, poll_s: float = 0.0, **settings: float
) -> tuple[CountingInbox, float, float]:
    """Poll six detectors in turn with pymodbus's own client."""
    inbox = CountingInbox()
    client = AsyncModbusSerialClient(path, baudrate=baud, **settings)  # type: ignore[arg-type]
    await client.connect()
    began_s, cpu_s = time.monotonic(), time.process_time()
    while time.monotonic() < began_s + seconds:
        sweep_s = time.monotonic()
        for unit_id in range(1, UNITS + 1):
            try:
                reply = await client.read_holding_registers(0, count=10, device_id=unit_id)
            except ModbusException:
                await asyncio.sleep(0)
                continue
            if not reply.isError():
                name = f"gas-{unit_id}"
                now_s = time.monotonic()
                inbox.counts[name] = inbox.counts.get(name, 0) + 1
                last_s = inbox._last_s.get(name, now_s)
                inbox.longest_gap_s[name] = max(inbox.longest_gap_s.get(name, 0.0), now_s - last_s)
                inbox._last_s[name] = now_s
        await asyncio.sleep(max(0.0, sweep_s + poll_s - time.monotonic()))
    client.close()
    return inbox, time.monotonic() - began_s, time.process_time() - cpu_s


async def bound_table(seconds: float) -> None:
    """Print polls per second beside the line's bound."""
    rows = []
    for baud in (9600, 115_200):
        limit = 1 / bound_s(baud)
        for name, client in (("gatehouse", ours), ("pymodbus async, bare, on lenient slaves", raw_pymodbus)):
            # pymodbus does not keep the silence after an answer; slaves that insist on it would hardly ever hear it.
            with far("line", baud, UNITS, 0, 0, int(client is raw_pymodbus)) as (path,):
                keywords = {"poll_ms": 20} if client is ours else {"timeout": 0.2, "retries": 0}
                inbox, took_s, cpu_s = await client(path, baud, seconds, **keywords)  # type: ignore[operator]
            polls = sum(inbox.counts.values())
            rate = polls / took_s
            rows.append((baud, name, rate, limit, f"{100 * rate / limit:.1f} %", 1e6 * cpu_s / max(polls, 1)))
    peers = "field notes, socat: libmodbus 21.6 / 142, pymodbus 21.4 / 137, minimalmodbus 19.8 / 111 polls/s at 9600 / 115200"
    table(f"RTU, 10 registers, six detectors, paced line ({peers})",
          ("baud", "client", "polls/s", "line's bound", "of the bound", "CPU µs/poll"), rows)  # fmt: skip


async def dead_table(seconds: float) -> None:
    """Print what a dead unit costs the five others."""
    rows = []
    for baud, poll_ms in ((9600, 1000), (9600, 20), (115_200, 20)):
        rates = {}
        for dead in (0, 3):
            with far("line", baud, UNITS, dead) as (path,):
                inbox, took_s, _ = await ours(path, baud, seconds, poll_ms=poll_ms)
            good = {name: count for name, count in inbox.counts.items() if name != "gas-3"}
            rates[dead] = min(good.values()) / took_s
            gap_s = max(inbox.longest_gap_s[name] for name in good)
        if poll_ms < 1000:  # a full line: without unit 3 the others have its share too
            rates[0] *= UNITS / (UNITS - 1)
        rows.append((f"gatehouse, {baud}, {'1 Hz' if poll_ms == 1000 else 'flat out'}", rates[0], rates[3],
                     f"{100 * rates[3] / rates[0]:.1f} %", gap_s))  # fmt: skip
    for name, settings in (
        ("pymodbus defaults (3 s, 3 retries), 9600, 1 Hz", {}),
        ("pymodbus 0.2 s, no retries, 9600, 1 Hz", {"timeout": 0.2, "retries": 0}),
    ):
        with far("line", 9600, UNITS, 3, 0, 1) as (path,):
            inbox, took_s, _ = await raw_pymodbus(path, 9600, max(seconds, 26), poll_s=1.0, **settings)
        good = {name: count for name, count in inbox.counts.items() if name != "gas-3"}
        rate = min(good.values(), default=0) / took_s
        rows.append(
            (name, 1.0, rate, f"{100 * rate:.1f} %", max(inbox.longest_gap_s.values(), default=took_s))
        )
    rows.append(("thingsboard-gateway 3.8.5 (field notes)", 1.0, 0.05, "5 %", 20.2))
    table("One dead unit of six, no vendor gap: the five others",
          ("client", "reads/s each, alone", "beside the dead", "kept", "longest gap s"), rows)  # fmt: skip
    with far("line", 9600, UNITS, 3, 0.5) as (path,):
        inbox, took_s, _ = await ours(path, 9600, seconds, poll_ms=500, gap_ms=500)
    ideal_s = 0.5 + bound_s(9600)
    worst = min(count for name, count in inbox.counts.items() if name != "gas-3")
    table("The same with the vendor's 500 ms gap per address", ("ideal sweep s", "sweep s", "ratio", "longest gap s"),
          [(ideal_s, took_s / worst, took_s / worst / ideal_s, max(inbox.longest_gap_s.values()))])  # fmt: skip


if __name__ == "__main__":
    pymodbus.pymodbus_apply_logging_config(logging.CRITICAL)
    logging.disable(logging.CRITICAL)
    length_s = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    asyncio.run(bound_table(length_s))
    asyncio.run(dead_table(length_s))
