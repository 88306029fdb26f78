"""The node under test on a real rig: a board of the rig file, already flashed, commissioned anew for the test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final, assert_never

from gatehouse_hil.bench import backend_labgrid, backend_local, backend_simulated, node, power, rig
from gatehouse_hil.bench.kind import Kind
from gatehouse_hil.bench.station import Station
from gatehouse_hil.bench.words import Lang, Words
from gatehouse_hil.pytest_plugin.subject import Identity, skip_on_rig
from gatehouse_hil.simnode import SimNode


class RigSubject:
    """A real board. It keeps the test's identity and key afterwards: a rig for tests is no rig for shipping."""

    def __init__(self, station: Station, identity: Identity, address: str) -> None:
        self.station: Final = station
        self.identity = identity
        self.address = address

    @property
    def name(self) -> str:
        """Name of its place."""
        return self.station.name

    @property
    def console(self) -> Path:
        """Serial port of its REPL."""
        return Path(self.station.port)

    @property
    def simulated(self) -> SimNode:
        """There is none."""
        return skip_on_rig("the test reaches into a simulated node")

    def sense(self, name: str, value: float) -> None:
        """No rig of ours drives a sensor's pin."""
        skip_on_rig(f"set {name} to {value:g}")

    async def on(self) -> None:
        """Give it power."""
        if self.station.power is None:
            skip_on_rig(f"board {self.name} has no power in the rig file")
        await self.station.power.on()

    async def off(self) -> None:
        """Take its power; the test fails when it stays on."""
        if self.station.power is None:
            skip_on_rig(f"board {self.name} has no power in the rig file")
        await power.cut(self.station)


@contextlib.asynccontextmanager
async def opened(path: Path, directory: Path) -> AsyncIterator[tuple[Station, ...]]:
    """Open the boards' places of a rig file for the block.

    Raises:
        BenchError: the file is wrong; what the back end says.
    """
    plan = rig.load(path)
    hands = backend_local.Technician(Words(Lang.EN))
    match plan:
        case rig.SimulatedRig():
            places = backend_simulated.stations(plan, directory)
        case rig.LocalRig():
            places = backend_local.stations(plan, hands)
        case rig.LabgridRig():
            names = frozenset(board.name for board in plan.boards)
            places = backend_labgrid.stations(plan, hands, boards=names)
        case never:
            assert_never(never)
    async with places as stations:
        yield stations


async def commissioned(
    station: Station, identity: Identity, calibration: Mapping[str, int | bytes | str]
) -> RigSubject:
    """Write identity, key and calibration into the board over its console, restart it, and return once it answers.

    Raises:
        BenchError: the board does not answer, or refuses.
    """
    port = station.port
    await node.provision(
        port,
        kind=Kind(identity.kind.word),
        serial=identity.serial,
        node=identity.number,
        key_id=identity.key_id,
        key=identity.key,
    )
    numbers = {name: value for name, value in calibration.items() if isinstance(value, int)}
    if numbers:
        await node.calibrate(port, numbers)
    said = await node.version(port)
    await node.reset(port)
    mac = said.mac or ""
    return RigSubject(station, identity, ":".join(mac[at : at + 2] for at in range(0, len(mac), 2)).upper())
