# a benchmark prints, waits and compares with plain numbers
"""Our end of the Modbus benchmarks: a bus with simple targets, and an inbox that only counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from gatehouse_config.buses import ModbusRtuBus, ModbusTcpBus
from gatehouse_config.devices import GasDevice, Location
from gatehouse_config.profiles import GasProfile, shipped
from gatehouse_edge.clock import SystemClock
from gatehouse_edge.drivers.modbus_bus import ModbusBus
from gatehouse_edge.drivers.modbus_gas import GasUnit
from gatehouse_edge.reading import AnyObservation, GasReading

PROFILE = shipped()["cn6in1_unitreg"]
assert isinstance(PROFILE, GasProfile)


class CountingInbox:
    """Counts good readings per device and remembers when the last one came and the longest gap."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.longest_gap_s: dict[str, float] = {}
        self._last_s: dict[str, float] = {}
        self.observations = 0
        self.last: AnyObservation | None = None

    async def put(self, observation: AnyObservation) -> None:
        """Count."""
        self.observations += 1
        self.last = observation
        if not isinstance(observation, GasReading):
            return
        now_s = time.monotonic()
        device_id = observation.device_id
        self.counts[device_id] = self.counts.get(device_id, 0) + 1
        gap_s = now_s - self._last_s.get(device_id, now_s)
        self.longest_gap_s[device_id] = max(self.longest_gap_s.get(device_id, 0.0), gap_s)
        self._last_s[device_id] = now_s

    def reset(self) -> None:
        """Start counting anew."""
        self.counts.clear()
        self.longest_gap_s.clear()
        self._last_s.clear()


def detector(unit_id: int, *, poll_ms: int, gap_ms: int = 0, name: str = "gas") -> GasUnit:
    """Return a detector of ten registers, without a vendor gap unless given."""
    device = GasDevice(
        kind="gas", id=f"{name}-{unit_id}", location=Location(building="3"), bus="b", unit_id=unit_id,
        profile="cn6in1_unitreg", poll_ms=poll_ms, installed_on="2024-05-01",  # type: ignore[arg-type]
    )  # fmt: skip
    profile = PROFILE.model_copy(update={"min_gap_ms": gap_ms, "min_poll_ms": 20})
    assert isinstance(profile, GasProfile)
    return GasUnit(device, profile)


def rtu(path: str, baud: int) -> ModbusRtuBus:
    """Return an RTU bus with the default timeout of 200 ms."""
    return ModbusRtuBus(kind="modbus_rtu", id="b", port=path, baud=baud)  # type: ignore[arg-type]


def tcp(port: str) -> ModbusTcpBus:
    """Return a TCP bus."""
    return ModbusTcpBus(kind="modbus_tcp", id=f"b{port}", host="127.0.0.1", port=int(port))


@asynccontextmanager
async def running(
    buses: Sequence[tuple[ModbusRtuBus | ModbusTcpBus, Sequence[GasUnit]]],
) -> AsyncIterator[CountingInbox]:
    """Run buses with one inbox."""
    inbox, clock = CountingInbox(), SystemClock()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(ModbusBus(bus, units, inbox=inbox, clock=clock).run(), name=bus.id)
            for bus, units in buses
        ]
        try:
            yield inbox
        finally:
            for task in tasks:
                task.cancel()


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table."""
    print(f"\n### {title}\n")
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for row in rows:
        print(
            "| " + " | ".join(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row) + " |"
        )
