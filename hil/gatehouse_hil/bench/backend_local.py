"""Boards on this computer's own ports; hubs through uhubctl, relays and meters on serial ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final, assert_never

import serial

from gatehouse_hil.bench import tool_process
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.progress import Told
from gatehouse_hil.bench.raw_repl import open_port
from gatehouse_hil.bench.rig import LocalBoard, LocalRig, Reset, Resource, ScpiMeter, UsbHub, UsbRelay
from gatehouse_hil.bench.station import Hands, HandTask, Meter, PowerPort, Quantity, Relay, Station
from gatehouse_hil.bench.words import Lang, Words

_SWITCH_S: Final = 20.0
_NUMBER: Final = re.compile(rb"^\s*([-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)")


@contextlib.asynccontextmanager
async def stations(rig: LocalRig, hands: Hands) -> AsyncIterator[tuple[Station, ...]]:
    """Yield the stations of the rig; nothing is opened before it is used."""
    yield tuple(
        _station(board, {resource.name: resource for resource in rig.resources}, hands)
        for board in rig.boards
    )


class UsbHubPower:
    """A port of a hub, switched by uhubctl. Whether its VBUS follows is found out by `power.cut`."""

    def __init__(self, hub: UsbHub) -> None:
        self._hub = hub
        self.resource = hub.name

    async def on(self) -> None:
        """Switch the port on.

        Raises:
            BenchError: TOOL_ABSENT; TOOL_FAILED.
        """
        await self._order("on")

    async def off(self) -> None:
        """Switch the port off.

        Raises:
            BenchError: as `on`.
        """
        await self._order("off")

    async def _order(self, action: str) -> None:
        command = ["uhubctl", "-l", self._hub.hub, "-p", str(self._hub.port), "-a", action]
        told = await tool_process.run(command, timeout_s=_SWITCH_S)
        if told.status:
            raise BenchError(Fault.TOOL_FAILED, resource=self.resource, tool="uhubctl", said=told.last)


class UsbRelayContact:
    """One contact of an LCUS relay board: 0xA0, channel, 0 or 1, and the sum of the three."""

    def __init__(self, relay: UsbRelay) -> None:
        self._relay = relay
        self.resource = relay.name

    async def set(self, *, is_closed: bool) -> None:
        """Close or open the contact.

        Raises:
            BenchError: PORT_BUSY, PORT_GONE.
        """
        await asyncio.to_thread(self._set, is_closed)

    def _set(self, is_closed: bool) -> None:  # the value of the contact, passed through a thread
        order = bytes((0xA0, self._relay.channel, is_closed))
        with open_port(self._relay.port, baud=9600) as device:
            device.write(order + bytes((sum(order) & 0xFF,)))
            device.flush()


class RelayPower:
    """A supply that hangs on a relay's contact."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.resource = relay.resource

    async def on(self) -> None:
        """Close the contact."""
        await self._relay.set(is_closed=True)

    async def off(self) -> None:
        """Open the contact."""
        await self._relay.set(is_closed=False)


class SerialMeter:
    """A meter that answers SCPI on a serial port."""

    def __init__(self, meter: ScpiMeter) -> None:
        self._meter = meter
        self.resource = meter.name

    async def read(self) -> Quantity:
        """Return one reading.

        Raises:
            BenchError: INSTRUMENT_SILENT; PORT_BUSY, PORT_GONE.
        """
        return await asyncio.to_thread(self._read)

    def _read(self) -> Quantity:
        query = b"MEAS:VOLT:DC?\n" if self._meter.unit == "V" else b"MEAS:CURR:DC?\n"
        try:
            with open_port(self._meter.port, baud=self._meter.baud, timeout_s=3.0) as device:
                device.reset_input_buffer()
                device.write(query)
                line = device.read_until(b"\n", 64)
        except serial.SerialException as error:
            raise BenchError(Fault.INSTRUMENT_SILENT, resource=self.resource, part=self.resource) from error
        found = _NUMBER.match(line)
        if found is None:
            raise BenchError(Fault.INSTRUMENT_SILENT, resource=self.resource, part=self.resource)
        return Quantity(value=float(found.group(1)), unit=self._meter.unit)


class Technician:
    """The person at the bench: reads what to do, does it, presses Enter."""

    def __init__(self, words: Words) -> None:
        self._words = words

    async def do(self, task: HandTask, **facts: str | float) -> None:
        """Ask, and wait for Enter.

        Raises:
            BenchError: NO_RESOURCE, nobody sits at this terminal.
        """
        if not sys.stdin.isatty():
            raise BenchError(Fault.NO_RESOURCE, part="hands", known="-")
        sys.stderr.write("  " + self._words(f"task.{task}", **facts) + " ")
        sys.stderr.flush()
        await asyncio.to_thread(sys.stdin.readline)


class TechnicianAtPage:
    """The same person in front of a program that shows the task and writes a line when it is done."""

    def __init__(self, told: Told) -> None:
        self._told = told

    async def do(self, task: HandTask, **facts: str | float) -> None:
        """Ask, and wait for the line.

        Raises:
            BenchError: NO_RESOURCE, nobody is there any more.
        """
        sentences = {lang.value: Words(lang)(f"task.{task}", **facts) for lang in Lang}
        board = str(facts.get("board", ""))
        self._told.tell("ask", task=task.value, board=board, **sentences)
        if not await _line_from(sys.stdin.fileno()):
            raise BenchError(Fault.NO_RESOURCE, part="hands", known="-")
        self._told.tell("done", task=task.value, board=board)


async def _line_from(handle: int) -> bool:
    """Wait for a line at `handle`; False at its end. No thread waits there, so that a Ctrl-C ends the command at once."""
    loop = asyncio.get_running_loop()
    while True:
        readable = asyncio.Event()
        try:
            loop.add_reader(handle, readable.set)
        except PermissionError:  # a file or /dev/null: nobody will ever write a line there
            return False
        try:
            await readable.wait()
        finally:
            loop.remove_reader(handle)
        mark = os.read(handle, 1)
        if mark in (b"", b"\n"):
            return bool(mark)


def meters(wanted: Mapping[str, str], resources: Mapping[str, Resource]) -> dict[str, Meter]:
    """Return the meters of a board by what they measure."""
    return {
        what: SerialMeter(resource)
        for what, name in wanted.items()
        if isinstance(resource := resources.get(name), ScpiMeter)
    }


def _station(board: LocalBoard, resources: Mapping[str, Resource], hands: Hands) -> Station:
    return Station(
        name=board.name,
        kind=board.kind,
        port=board.port,
        expects=board.expects,
        reset=board.reset,
        hands=hands,
        power=_power(resources[board.power]) if board.power else None,
        strap=_relay(resources[board.strap]) if board.strap and board.reset is Reset.STRAP else None,
        uart=board.uart,
        meters=meters(board.meters, resources),
    )


def _power(resource: Resource) -> PowerPort:
    match resource:
        case UsbHub():
            return UsbHubPower(resource)
        case UsbRelay():
            return RelayPower(UsbRelayContact(resource))
        case ScpiMeter():
            raise BenchError(Fault.NO_RESOURCE, part=resource.name, known="usb-hub, usb-relay")
        case never:
            assert_never(never)


def _relay(resource: Resource) -> Relay:
    if not isinstance(resource, UsbRelay):
        raise BenchError(Fault.NO_RESOURCE, part=resource.name, known="usb-relay")
    return UsbRelayContact(resource)


def serial_ports() -> tuple[tuple[str, str], ...]:
    """Return this computer's serial ports: the stable name of each and what it says it is."""
    from serial.tools import list_ports

    by_id = {link.resolve(): link for link in Path("/dev/serial/by-id").glob("*")}
    return tuple(
        (str(by_id.get(Path(port.device).resolve(), port.device)), port.description or "")
        for port in sorted(list_ports.comports(), key=lambda port: str(port.device))
    )
