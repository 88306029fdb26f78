"""Boards of a labgrid laboratory: places are leased, and power is switched, by calling the `labgrid-client` program.

labgrid installs a fork of pyserial under pyserial's own name, which breaks esptool and mpremote beside it; so it lives
in an environment of its own and we read what its client prints. Sentences as of labgrid 26.0.1:

    acquired place NAME | released place NAME | power for place NAME is on
    labgrid-client: Error: Place NAME is already acquired by HOST/USER. To work simultaneously, ...
    labgrid-client: Error: You have already acquired place NAME.
    labgrid-client: Error: place pattern NAME matches nothing
    Server error: Error: Could not connect to coordinator
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from typing import Final

from gatehouse_hil.bench import tool_process
from gatehouse_hil.bench.backend_local import meters
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.rig import LabgridBoard, LabgridRig
from gatehouse_hil.bench.station import Hands, Station
from gatehouse_hil.bench.tool_process import Told

_CLIENT_S: Final = 30.0
_TAKEN: Final = re.compile(r"already acquired by (\S+?)\.? ")
_POWER: Final = re.compile(r"^power for place \S+ is (on|off|True|False)\s*$", re.MULTILINE)
_NET_SERIAL: Final = re.compile(
    r"'cls': 'NetworkSerialPort'.*?'host': '(?P<host>[\w.-]+)'.*?'port': (?P<port>\d+)", re.DOTALL
)


class LabgridClient:
    """`labgrid-client` against one coordinator."""

    def __init__(self, program: str, coordinator: str) -> None:
        self._program = program
        self._coordinator = coordinator

    async def acquire(self, place: str) -> None:
        """Lease a place.

        Raises:
            BenchError: PLACE_TAKEN with the owner; LABGRID_SAID; TOOL_ABSENT.
        """
        told = await self._run(place, "acquire")
        if found := _TAKEN.search(told.text):
            raise BenchError(Fault.PLACE_TAKEN, place=place, owner=found.group(1))
        if told.status and "You have already acquired" in told.text:
            raise BenchError(Fault.PLACE_TAKEN, place=place, owner="labgrid-client")
        self._expect(told)

    async def release(self, place: str) -> None:
        """Give the place back.

        Raises:
            BenchError: LABGRID_SAID; TOOL_ABSENT.
        """
        self._expect(await self._run(place, "release"))

    async def power(self, place: str, action: str) -> None:
        """Switch the place's power: `on` or `off`.

        Raises:
            BenchError: LABGRID_SAID; TOOL_ABSENT.
        """
        self._expect(await self._run(place, "power", action))

    async def is_powered(self, place: str) -> bool:
        """Return what labgrid believes.

        Raises:
            BenchError: LABGRID_SAID; TOOL_ABSENT.
        """
        told = self._expect(await self._run(place, "power", "get"))
        found = _POWER.search(told.text)
        if found is None:
            raise BenchError(Fault.LABGRID_SAID, said=told.last)
        return found.group(1) in {"on", "True"}

    async def console(self, place: str) -> str:
        """Return the place's serial port as a pyserial URL.

        Raises:
            BenchError: LABGRID_SAID, it has none; TOOL_ABSENT.
        """
        told = self._expect(await self._run(place, "show"))
        found = _NET_SERIAL.search(told.text)
        if found is None:
            raise BenchError(Fault.LABGRID_SAID, said=f"{place}: no NetworkSerialPort")
        return f"rfc2217://{found['host']}:{found['port']}"

    async def _run(self, place: str, *command: str) -> Told:
        return await tool_process.run(
            [self._program, "-x", self._coordinator, "-p", place, *command], timeout_s=_CLIENT_S
        )

    def _expect(self, told: Told) -> Told:
        if told.status:
            raise BenchError(Fault.LABGRID_SAID, said=told.last.removeprefix("labgrid-client: Error: "))
        return told


class PlacePower:
    """The power of one place."""

    def __init__(self, client: LabgridClient, place: str) -> None:
        self._client = client
        self._place = place
        self.resource = f"place-{place}"

    async def on(self) -> None:
        """Switch on."""
        await self._client.power(self._place, "on")

    async def off(self) -> None:
        """Order it off.

        Raises:
            BenchError: POWER_STAYS_ON, labgrid itself reads it back as on; LABGRID_SAID.
        """
        await self._client.power(self._place, "off")
        if await self._client.is_powered(self._place):
            raise BenchError(
                Fault.POWER_STAYS_ON, resource=self.resource, part=self.resource, sign="labgrid: on"
            )


@contextlib.asynccontextmanager
async def stations(
    rig: LabgridRig, hands: Hands, *, boards: frozenset[str]
) -> AsyncIterator[tuple[Station, ...]]:
    """Lease the places of `boards` for the block and give them back after it, whatever happens."""
    client = LabgridClient(rig.client, rig.coordinator)
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for board in rig.boards:
            if board.name in boards:
                await client.acquire(board.place)
                stack.push_async_callback(client.release, board.place)
                made.append(await _station(rig, board, client, hands))
        yield tuple(made)


async def _station(rig: LabgridRig, board: LabgridBoard, client: LabgridClient, hands: Hands) -> Station:
    return Station(
        name=board.name,
        kind=board.kind,
        port=board.port or await client.console(board.place),
        expects=board.expects,
        reset=board.reset,
        hands=hands,
        power=PlacePower(client, board.place),
        meters=meters(board.meters, {meter.name: meter for meter in rig.resources}),
    )
