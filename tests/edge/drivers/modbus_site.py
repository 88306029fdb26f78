"""What the Modbus tests share: a recording inbox, a running bus, waiting for a condition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from gatehouse_config.buses import ModbusRtuBus, ModbusTcpBus
from gatehouse_config.devices import GasDevice, Input, IoDevice, Location
from gatehouse_config.profiles import GasProfile, IoProfile, shipped
from gatehouse_edge.clock import SystemClock
from gatehouse_edge.drivers.modbus_bus import ModbusBus
from gatehouse_edge.reading import AnyObservation, GasReading, Observation, Silence

DEADLINE_S = 10.0
PROFILES = shipped()
HERE = Location(building="3")


class Recorder:
    """An inbox that keeps what it was given, and when."""

    def __init__(self) -> None:
        self.seen: list[AnyObservation] = []
        self.at_s: list[float] = []

    async def put(self, observation: AnyObservation) -> None:
        self.seen.append(observation)
        self.at_s.append(asyncio.get_running_loop().time())

    def of(self, kind: type[Observation], device_id: str | None = None) -> list:
        return [one for one in self.seen if isinstance(one, kind) and device_id in (None, one.device_id)]

    def values(self, device_id: str) -> list[float | None]:
        return [one.value for one in self.of(GasReading, device_id)]

    def reasons(self, device_id: str) -> list[str]:
        return [one.reason for one in self.of(Silence, device_id)]


def gas_profile(name: str = "cn6in1_unitreg", *, gap_ms: int | None = None) -> GasProfile:
    profile = PROFILES[name]
    assert isinstance(profile, GasProfile)
    profile = profile.settled(unit="%LEL", decimals=1)
    return profile if gap_ms is None else profile.model_copy(update={"min_gap_ms": gap_ms, "min_poll_ms": 20})


def io_profile() -> IoProfile:
    profile = PROFILES["relay_8ch"]
    assert isinstance(profile, IoProfile)
    return profile


def gas(unit_id: int, *, poll_ms: int = 100, profile: str = "cn6in1_unitreg") -> GasDevice:
    return GasDevice(
        kind="gas",
        id=f"gas-{unit_id}",
        location=HERE,
        bus="b",
        unit_id=unit_id,
        profile=profile,
        poll_ms=poll_ms,
        installed_on="2024-05-01",
    )


def board(unit_id: int = 30, *, inputs: tuple[Input, ...] = (), poll_ms: int = 50) -> IoDevice:
    return IoDevice(
        kind="io",
        id="io-1",
        location=HERE,
        bus="b",
        unit_id=unit_id,
        profile="relay_8ch",
        poll_ms=poll_ms,
        inputs=inputs,
    )


def rtu(port: Path, *, baud: int = 115_200, timeout_ms: int = 150) -> ModbusRtuBus:
    return ModbusRtuBus(kind="modbus_rtu", id="b", port=str(port), baud=baud, response_timeout_ms=timeout_ms)


def tcp(port: int, *, timeout_ms: int = 250) -> ModbusTcpBus:
    return ModbusTcpBus(
        kind="modbus_tcp", id="b", host="127.0.0.1", port=port, response_timeout_ms=timeout_ms
    )


@asynccontextmanager
async def running(bus_setting, units, *, relays=()) -> AsyncIterator[tuple[ModbusBus, Recorder]]:
    inbox = Recorder()
    bus = ModbusBus(bus_setting, units, inbox=inbox, clock=SystemClock(), relays=relays)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bus.run(), name="bus")
        try:
            yield bus, inbox
        finally:
            task.cancel()


async def until(condition: Callable[[], object], *, within_s: float = DEADLINE_S) -> None:
    """Return when `condition` holds; the deadline only bounds a failure."""
    async with asyncio.timeout(within_s):
        while not condition():  # what is waited for sets no event
            await asyncio.sleep(0.005)
