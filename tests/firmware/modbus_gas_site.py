"""The gateway's real Modbus driver on one of our gas nodes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from gatehouse_config.buses import ModbusRtuBus
from gatehouse_config.devices import GasDevice, Location
from gatehouse_config.profiles import GasProfile, shipped
from gatehouse_edge.clock import SystemClock
from gatehouse_edge.drivers.modbus_bus import ModbusBus
from gatehouse_edge.drivers.modbus_gas import GasUnit
from gatehouse_edge.reading import AnyObservation, GasReading, Observation


class Recorder:
    """An inbox that keeps what it was given."""

    def __init__(self) -> None:
        self.seen: list[AnyObservation] = []
        self.bus: ModbusBus

    async def put(self, observation: AnyObservation) -> None:
        self.seen.append(observation)

    def of(self, kind: type[Observation]) -> list:
        return [one for one in self.seen if isinstance(one, kind)]

    @property
    def values(self) -> list[float | None]:
        return [one.value for one in self.of(GasReading)]


def profile() -> GasProfile:
    found = shipped()["gatehouse_gas_node"]
    assert isinstance(found, GasProfile)
    return found


def device(unit_id: int = 7, *, poll_ms: int = 100) -> GasDevice:
    return GasDevice(
        kind="gas", id=f"gas-{unit_id}", location=Location(building="3"), bus="b", unit_id=unit_id,
        profile="gatehouse_gas_node", poll_ms=poll_ms, installed_on="2024-05-01",
    )  # fmt: skip


@contextlib.asynccontextmanager
async def bus_on(port: Path, *units: int, poll_ms: int = 100) -> AsyncIterator[Recorder]:
    inbox = Recorder()
    setting = ModbusRtuBus(kind="modbus_rtu", id="b", port=str(port), baud=9600, response_timeout_ms=200)
    gas_units = [GasUnit(device(unit_id, poll_ms=poll_ms), profile()) for unit_id in units or (7,)]
    inbox.bus = ModbusBus(setting, gas_units, inbox=inbox, clock=SystemClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(inbox.bus.run(), name="bus")
        try:
            yield inbox
        finally:
            task.cancel()
