"""A lift node in its shaft: what its sensors see, and the gateway's real driver on its line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gatehouse_edge.clock import SystemClock
from gatehouse_edge.drivers.lift_node import LiftNodeDriver, NodeSettings, ring_counter
from gatehouse_edge.drivers.serial_port import SerialSettings
from gatehouse_edge.reading import AnyObservation, LiftReading, Refusal
from gatehouse_hil.simnode import SimNode
from gatehouse_wire import lift_link

KEY = bytes(range(16))
WIRING = {"door_open": 3, "passenger": 4, "button_up": 5, "lid_open": 10, "mains": 1, "off_level": 0}
SEA_LEVEL_PA = 101_325.0


def pressure_pa(metres: float) -> float:
    """Standard atmosphere, ISO 2533:1975."""
    return SEA_LEVEL_PA * (1 - metres / 44_330.77) ** (1 / 0.190263)


def stand_at_rest(node: SimNode, metres: float = 20.0) -> None:
    """An empty car at a landing, door shut."""
    node.wiring |= WIRING
    for name, value in {
        "door_open": 0,
        "passenger": 0,
        "button_up": 1,
        "lid_open": 0,
        "mains": 1,
        "off_level": 0,
    }.items():
        node.sense(name, value)
    node.sense("pressure_pa", pressure_pa(metres))


async def ride(node: SimNode, start_m: float, end_m: float, *, speed_mps: float = 4.0) -> None:
    """Move the car; the landing magnet is left and found again."""
    node.sense("off_level", 1)
    steps = max(1, int(abs(end_m - start_m) / speed_mps / 0.1))
    for at in range(1, steps + 1):
        node.sense("pressure_pa", pressure_pa(start_m + (end_m - start_m) * at / steps))
        await asyncio.sleep(0.1)
    node.sense("off_level", 0)


class Ledger:
    """An inbox that commits at once; what it has committed survives the driver."""

    def __init__(self) -> None:
        self.items: list[AnyObservation] = []
        self.committed: dict[str, int] = {}

    def get(self, key: str) -> int | None:
        return self.committed.get(key)

    async def put(self, observation: AnyObservation) -> None:
        if isinstance(observation, LiftReading) and observation.source_seq is not None:
            key = ring_counter(observation.device_id)
            assert observation.source_seq > self.committed.get(key, 0) or observation.is_ring_renewed
            self.committed[key] = observation.source_seq
        self.items.append(observation)

    @property
    def events(self) -> list[int]:
        return [item.source_seq for item in self.items if isinstance(item, LiftReading) and item.source_seq]

    @property
    def readings(self) -> list[LiftReading]:
        return [item for item in self.items if isinstance(item, LiftReading)]

    @property
    def refusals(self) -> list[Refusal]:
        return [item for item in self.items if isinstance(item, Refusal)]


@contextlib.asynccontextmanager
async def gateway_on(node: SimNode, ledger: Ledger) -> AsyncIterator[LiftNodeDriver]:
    driver = LiftNodeDriver(
        NodeSettings(
            bus_id="line-1", device_id="lift-1", node_id=7, port=SerialSettings(path=str(node.uart), baud=115200)
        ),
        keys={1: KEY}, inbox=ledger, clock=SystemClock(), counters=ledger,
    )  # fmt: skip
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(driver.run())
        try:
            yield driver
        finally:
            task.cancel()


__all__ = ["KEY", "Ledger", "gateway_on", "lift_link", "pressure_pa", "ride", "stand_at_rest"]
