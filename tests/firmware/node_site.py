"""What the firmware tests share: built programs, provisioned nodes on the real VM, a line between node and gateway."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import termios
import tty
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from gatehouse_hil.line import Line
from gatehouse_hil.node_build import Build, NodeKind, build
from gatehouse_hil.simnode import SimNode

KEY = bytes(range(16))
OTHER_KEY = bytes(range(16, 32))
CLEAN_AIR = 10_486
"""ADC reading (of 65535 over 2.5 V) of the default zero point, 400 mV."""


@functools.cache
def built(kind: NodeKind, version: tuple[int, int, int] = (1, 0, 0), *, is_compiled: bool = True) -> Build:
    return build(kind, version=version, is_compiled=is_compiled)


def steps(tenths: int) -> int:
    """The ADC reading for a concentration in tenths of a percent, at the calibration of `provision`."""
    return round((400_000 + tenths * 2000) * 65535 / 2_500_000)


class Nvs:
    """The NVS partition of a simulated node, seen from outside."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "nvs"
        self.directory.mkdir(parents=True, exist_ok=True)

    def read(self, space: str) -> dict[str, str]:
        path = self.directory / f"{space}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def put(self, space: str, **values: int | bytes) -> None:
        fresh = {
            name: f"i{value}" if isinstance(value, int) else "b" + value.hex()
            for name, value in values.items()
        }
        (self.directory / f"{space}.json").write_text(json.dumps(self.read(space) | fresh))

    def number(self, space: str, key: str) -> int | None:
        text = self.read(space).get(key)
        return None if text is None else int(text[1:])

    @property
    def slot(self) -> tuple[str, bool, int]:
        word = self.number("gh_boot", "state")
        assert word is not None
        assert word >> 16 == 0x4748
        return "b" if word & 1 else "a", bool(word & 2), word >> 8 & 0xFF


def provision(
    directory: Path, kind: NodeKind, *, node: int = 7, key: bytes = KEY, is_confirmed: bool = True
) -> Nvs:
    nvs = Nvs(directory)
    nvs.put("gh_id", kind=int(kind), serial=b"GH-EXAMPLE-1", node=node)
    nvs.put("gh_key", id1=1, key1=key)
    nvs.put("gh_cal", zero_uv=400_000, span_uv=1_400_000, span=500, warm_ms=0)
    if is_confirmed:
        nvs.put("gh_boot", state=0x4748 << 16 | 2)
    return nvs


@contextlib.asynccontextmanager
async def node_of(
    directory: Path, kind: NodeKind, *, version: tuple[int, int, int] = (1, 0, 0), is_confirmed: bool = True,
    node: int = 7, is_compiled: bool = True, **traits,
) -> AsyncIterator[SimNode]:  # fmt: skip
    """A provisioned node with its program in slot a, not yet switched on."""
    built(kind, version, is_compiled=is_compiled).write(directory / "flash")
    provision(directory, kind, node=node, is_confirmed=is_confirmed)
    async with SimNode(directory, mac=bytes.fromhex("020000000001"), **traits) as made:
        made.sense("pin3", 1)
        made.sense("adc2", CLEAN_AIR)
        yield made


@contextlib.contextmanager
def joined(node: SimNode, line: Line):
    """Hang the node on a simulated line instead of a PTY of its own."""
    inside = node.uart_port.lend()
    tap = os.open(line.open_tap(), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(tap)
    modes = termios.tcgetattr(tap)
    modes[4] = modes[5] = getattr(termios, f"B{line.baud}")
    termios.tcsetattr(tap, termios.TCSANOW, modes)
    loop = asyncio.get_running_loop()

    def outwards() -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(tap, inside.recv(4096))

    def inwards() -> None:
        with contextlib.suppress(BlockingIOError):
            octets = os.read(tap, 4096)
            if node.is_on:
                inside.send(octets)

    loop.add_reader(inside, outwards)
    loop.add_reader(tap, inwards)
    try:
        yield
    finally:
        loop.remove_reader(inside)
        loop.remove_reader(tap)
        os.close(tap)
        node.uart_port.take_back()


async def until(condition: Callable[[], object], *, within_s: float = 20.0) -> None:
    """Return when `condition` holds; the deadline only bounds a failure."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)
