"""What the firmware tests share: built programs, provisioned nodes on the real VM, a line between node and gateway."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from gatehouse_hil.node_build import Build, NodeKind, build
from gatehouse_hil.simnode import SimNode
from gatehouse_hil.simnode.coverage import LineCoverage

KEY = bytes(range(16))
OTHER_KEY = bytes(range(16, 32))
CLEAN_AIR = 10_486
"""ADC reading (of 65535 over 2.5 V) of the default zero point, 400 mV."""


COVERAGE: list[LineCoverage] = []
"""Filled by conftest.py when the run counts the firmware's lines; then source is flashed instead of compiled files."""


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
    build = built(kind, version, is_compiled=is_compiled and not COVERAGE)
    build.write(directory / "flash")
    provision(directory, kind, node=node, is_confirmed=is_confirmed)
    async with sim_node(directory, **traits) as made:
        made.sense("pin3", 1)
        made.sense("adc2", CLEAN_AIR)
        yield made


@contextlib.asynccontextmanager
async def sim_node(directory: Path, **traits) -> AsyncIterator[SimNode]:
    """A node without a program; its lines are traced where a run asks for the firmware's coverage."""
    async with SimNode(
        directory, mac=bytes.fromhex("020000000001"), settrace=bool(COVERAGE), **traits
    ) as made:
        try:
            yield made
        finally:
            await made.power_off()
            for coverage in COVERAGE:
                coverage.add(made.directory / "coverage.txt")


async def until(condition: Callable[[], object], *, within_s: float = 20.0) -> None:
    """Return when `condition` holds; the deadline only bounds a failure."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)
