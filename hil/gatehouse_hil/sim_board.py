"""A whole simulated board on one port: power, BOOT strap, the chip's loader, and what its flash boots into.

With the strap closed at power-on the loader answers (`fake_rom`); else the flash decides, as the chip's second stage
does: a whole runtime boots into a `SimNode`, anything else leaves the port silent. Flash, files and NVS stay on disk
between two commands, so a board flashed by one is identified by the next.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gatehouse_hil import rom_image
from gatehouse_hil.fake_rom import ESP32_C3, FLASH_BYTES, Chip, FakeRom
from gatehouse_hil.serial_cable import SerialCable
from gatehouse_hil.simnode import SimNode

SUPPLY_V: Final = 5.03


class SimBoard:
    """One board; an async context manager. It comes without power.

    Args:
        directory: where its flash lives.
        path: its console port, a link that stays.
        is_deaf: nothing ever answers at its port.
        is_stuck_on: "off" changes nothing, as on a hub that only says so.
    """

    def __init__(
        self,
        directory: Path,
        path: Path,
        *,
        mac: bytes,
        chip: Chip = ESP32_C3,
        baud: int = 115_200,
        is_deaf: bool = False,
        is_stuck_on: bool = False,
    ) -> None:
        self.rom: Final = FakeRom(chip=chip, mac=mac, flash=_load(directory / "flash.bin"))
        self.node: Final = SimNode(directory, mac=mac, board=chip.name.replace("-", "").lower(), name="node")
        self.cable: Final = SerialCable(path, baud=baud)
        self.is_strapped = False
        self.unplug_after_bytes: int | None = None
        """The adapter is pulled once a running node has been sent so much."""
        self._image: Final = directory / "flash.bin"
        self._is_deaf: Final = is_deaf
        self._is_stuck_on: Final = is_stuck_on
        self._has_power = False
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.node)
            stack.enter_context(self.cable)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cable.detach()
        self._save()
        await self._stack.__aexit__(kind, error, trace)

    @property
    def supply_v(self) -> float:
        """What a voltmeter on its supply shows."""
        return SUPPLY_V if self._has_power else 0.02

    async def on(self) -> None:
        """Give it power. Twice does nothing."""
        if self._has_power:
            return
        self._has_power = True
        self.rom.has_power = True
        if self._is_deaf:
            return
        if self.is_strapped:
            self.cable.attach_loader(self.rom.feed)
        elif self.boots():
            self.cable.attach_console(str(self.node.console), unplug_after_bytes=self.unplug_after_bytes)
            await self.node.power_on()

    async def off(self) -> None:
        """Take its power away."""
        if self._is_stuck_on:
            return
        self._has_power = False
        self.cable.detach()
        await self.node.power_off()
        self._save()

    def boots(self) -> bool:
        """Whether the flash holds a whole runtime for this chip."""
        try:
            image = rom_image.read_runtime(self.rom.flash)
        except rom_image.ImageError:
            return False
        return image.chip == self.rom.chip.name and bool(image.version)

    def _save(self) -> None:
        self._image.parent.mkdir(parents=True, exist_ok=True)
        self._image.write_bytes(bytes(self.rom.flash).rstrip(b"\xff"))


def _load(path: Path) -> bytearray:
    content = path.read_bytes() if path.exists() else b""
    return bytearray(content[:FLASH_BYTES].ljust(FLASH_BYTES, b"\xff"))
