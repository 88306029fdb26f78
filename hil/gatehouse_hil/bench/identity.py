"""Which board is this? Asked before anything is written to it, and checked again afterwards.

Zephyr's `west flash` with two boards attached has flashed the wrong one (zephyr #82331). Here chip and MAC come from the
chip itself, every later step compares them, and a board that carries another serial number or kind is left alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from gatehouse_hil.bench import esptool_cli, node, power
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.kind import Kind
from gatehouse_hil.bench.rig import Expected, Reset
from gatehouse_hil.bench.station import Station

_CHIPS: Final = {"ESP32-C3": "esp32c3", "ESP32-S3": "esp32s3"}


class BoardState(StrEnum):
    """How far a board is."""

    LOADER = "loader"
    """Only the chip's own loader answers."""
    RUNTIME = "runtime"
    """MicroPython without an application."""
    APPLICATION = "application"


class Identity(Struct, frozen=True, kw_only=True):
    """What a board says it is. Empty: it does not know."""

    state: BoardState
    chip: str
    mac: str
    micropython: str = ""
    kind: str = ""
    version: str = ""
    slot: str = ""
    is_confirmed: bool = False
    serial: str = ""
    node: int = 0


async def identify(station: Station) -> Identity:
    """Ask the board who it is: its program first, then the loader.

    Raises:
        BenchError: NO_ANSWER, PORT_BUSY, PORT_GONE, POWER_STAYS_ON.
    """
    try:
        return from_version(await node.version(station.port, within_s=node.KNOCK_S))
    except BenchError as error:
        if error.fault is not Fault.NO_ANSWER or station.reset is Reset.HANDS:
            raise
    return await identify_loader(station)


async def identify_loader(station: Station) -> Identity:
    """Ask the chip's loader, whatever the flash holds.

    Raises:
        BenchError: as `identify`.
    """
    async with power.loader(station) as options:
        seen = await esptool_cli.read_chip(station, options)
    return Identity(state=BoardState.LOADER, chip=seen.chip, mac=seen.mac)


def from_version(said: node.Version) -> Identity:
    """Return the identity in a node's own answer."""
    return Identity(
        state=BoardState.RUNTIME if said.version is None else BoardState.APPLICATION,
        chip=_chip_of(said.machine),
        mac=_mac_of(said),
        micropython=said.micropython,
        kind=said.kind or "",
        version=said.version or "",
        slot=said.slot or "",
        is_confirmed=bool(said.confirmed),
        serial=said.serial or "",
        node=said.node or 0,
    )


def check_board(identity: Identity, expected: Expected) -> None:
    """Refuse a board that is not the one this place is for.

    Raises:
        BenchError: WRONG_CHIP, WRONG_BOARD.
    """
    if identity.chip and _CHIPS.get(identity.chip) != expected.chip:
        raise BenchError(Fault.WRONG_CHIP, found=identity.chip, wanted=expected.chip)
    if expected.mac is not None and identity.mac != expected.mac:
        raise BenchError(Fault.WRONG_BOARD, found=identity.mac, wanted=expected.mac)


def check_same(before: Identity, after: Identity) -> None:
    """Refuse to go on with a board that is not the one we began with.

    Raises:
        BenchError: WRONG_BOARD.
    """
    if after.mac != before.mac:
        raise BenchError(Fault.WRONG_BOARD, found=after.mac, wanted=before.mac)


def check_role(identity: Identity, *, kind: Kind, serial: str, may_change: bool) -> None:
    """Refuse a board that is already another device, unless the technician means it.

    Raises:
        BenchError: OTHER_SERIAL, WRONG_KIND.
    """
    if may_change:
        return
    if identity.serial and identity.serial != serial:
        raise BenchError(Fault.OTHER_SERIAL, found=identity.serial, wanted=serial)
    if identity.kind and identity.kind != kind:
        raise BenchError(Fault.WRONG_KIND, found=identity.kind, wanted=kind.value)


def _chip_of(machine: str) -> str:
    """MicroPython calls the machine `ESP32C3 module with ESP32C3`."""
    last = machine.rpartition(" ")[2].upper()
    return f"{last[:5]}-{last[5:]}" if last.startswith("ESP32") and len(last) > 5 else ""


def _mac_of(said: node.Version) -> str:
    # The ESP32 port's machine.unique_id() is the base MAC, which is what the loader reads out of eFuse.
    return (said.uid or said.mac or "").lower()[:12]
