"""The real esptool, called as a program: it is GPL, its API moves, and its refusals are what technicians search for."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gatehouse_hil.bench import tool_process
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.raw_repl import is_gone, open_port
from gatehouse_hil.bench.station import Station
from gatehouse_hil.bench.tool_process import Told

_PROGRESS: Final = re.compile(r"^Writing at 0x[0-9a-f]+ .*?([0-9.]+)%")
_CHIP: Final = re.compile(r"^Chip type:\s+([A-Z0-9-]+)", re.MULTILINE)
_MAC: Final = re.compile(r"^MAC:\s+((?:[0-9a-f]{2}:){5}[0-9a-f]{2})\s*$", re.MULTILINE)
_OTHER_CHIP: Final = re.compile(r"This chip is ([A-Z0-9-]+), not")
_QUERY_S: Final = 30.0
_WRITE_S: Final = 300.0
"""A 1.7 MB runtime at 115200 bit/s without compression takes 150 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipSeen:
    """What the loader said of itself."""

    chip: str
    """ESP32-C3"""
    mac: str
    """12 hex digits."""


async def read_chip(station: Station, options: Sequence[str]) -> ChipSeen:
    """Ask the loader which chip it is and for its MAC. `options` come from `power.loader`.

    Raises:
        BenchError: PORT_BUSY; PORT_GONE; NO_ANSWER.
    """
    told = await _esptool(station, options, "auto", ["read-mac"], timeout_s=_QUERY_S)
    chip, mac = _CHIP.search(told.text), _MAC.search(told.text)
    if told.status or chip is None or mac is None:
        raise _refusal(station, told)
    return ChipSeen(chip=chip.group(1), mac=mac.group(1).replace(":", ""))


async def write_runtime(
    station: Station, options: Sequence[str], image: Path, *, on_progress: Callable[[float], None]
) -> None:
    """Write the runtime file from flash address 0; esptool compares the MD5 of the flash afterwards.

    Raises:
        BenchError: WRONG_CHIP; HALF_WRITTEN; PORT_BUSY; PORT_GONE; NO_ANSWER.
    """
    has_begun = False

    def on_line(line: str) -> None:
        nonlocal has_begun
        if found := _PROGRESS.match(line):
            has_begun = True
            on_progress(float(found.group(1)) / 100)

    command = ["write-flash", "--compress", "--flash-size", "keep", "0x0", str(image)]
    told = await _esptool(
        station, options, station.expects.chip, command, timeout_s=_WRITE_S, on_line=on_line
    )
    if told.status == 0 and "Hash of data verified" in told.text:
        return
    if has_begun and not is_gone(station.port):
        raise BenchError(Fault.HALF_WRITTEN, port=station.port, said=told.last)
    raise _refusal(station, told)


async def _esptool(
    station: Station,
    options: Sequence[str],
    chip: str,
    command: Sequence[str],
    *,
    timeout_s: float,
    on_line: Callable[[str], None] = lambda _line: None,
) -> Told:
    # esptool says "busy or doesn't exist" for both; ours can tell them apart.
    await asyncio.to_thread(_probe, station.port)
    stub = () if station.is_loader_real else ("--no-stub",)
    return await tool_process.run(
        [sys.executable, "-m", "esptool", "--port", station.port, "--chip", chip, *options, *stub, *command],
        timeout_s=timeout_s,
        on_line=on_line,
    )


def _probe(port: str) -> None:
    with open_port(port):
        return


def _refusal(station: Station, told: Told) -> BenchError:
    if found := _OTHER_CHIP.search(told.text):
        return BenchError(Fault.WRONG_CHIP, found=found.group(1), wanted=station.expects.chip)
    if "Could not open" in told.text or is_gone(station.port):
        return BenchError(Fault.PORT_GONE, port=station.port)
    return BenchError(Fault.NO_ANSWER, port=station.port)
