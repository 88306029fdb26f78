"""What each program keeps on the heap, measured in the VM with the files that are flashed (32-bit objects, as on the chip).

The VM's own heap grows by itself, so running out cannot be shown here; what is kept can. Limits: README, "Memory".
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest
from node_site import built, provision

from gatehouse_hil.node_build import FIRMWARE, NodeKind
from gatehouse_hil.simnode import SimNode

PROBES = {
    NodeKind.GAS: (
        "import gas_app; node = gas_app.GasNode(); frame = bytes((7, 3, 0, 0, 0, 16, 0x44, 0x60))",
        "node.meter.sample(500000, 1000); node.slave.hear(frame)",
    ),
    NodeKind.LIFT: (
        "import lift_app; node = lift_app.LiftNode()",
        "node.watch.look(50); node.talk.say_status()",
    ),
    NodeKind.BUTTON: ("import button_app; node = button_app.Button(); node._open()", "node._advert(True)"),
    NodeKind.BEACON: (
        "import beacon_app, ccm; from advert import advert; node = beacon_app.Beacon(); seal = ccm.sealer(bytes(16))",
        "advert(counter=node.counter.step(), seal=seal, address=bytes(6))",
    ),
}


def limits() -> dict[str, int]:
    """Kind -> bytes, from the table of the README."""
    text = (FIRMWARE / "node" / "README.md").read_text(encoding="utf-8")
    return {
        name: int(most)
        for name, most in re.findall(r"^\| `(\w+)` \| \d+ \| (\d+) \|", text, flags=re.MULTILINE)
    }


async def heap_after_each(node: SimNode, *steps: str) -> list[int]:
    """Run each step at the console and return the heap in use after it.

    This VM collects only between two commands (notes on the VM in docs), so each of them is a command of its own.
    """
    words = ["exec", "import gc"]
    for step in steps:
        words += ["exec", step, "exec", "gc.collect()", "exec", "print('HEAP', gc.mem_alloc())"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mpremote", "connect", str(node.console), *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return [int(line.split()[1]) for line in output.decode().splitlines() if line.startswith("HEAP ")]


@pytest.mark.parametrize("kind", list(NodeKind), ids=lambda kind: kind.word)
async def test_a_program_keeps_no_more_than_its_budget_and_does_not_grow(
    tmp_path: Path, kind: NodeKind
) -> None:
    make, step = PROBES[kind]
    build = built(kind)
    build.write(tmp_path / "flash")
    provision(tmp_path, kind)
    (tmp_path / "flash" / "main.py").unlink()
    async with SimNode(tmp_path, mac=bytes.fromhex("020000000001")) as node:
        node.sense("adc2", 30_000)
        await node.power_on()
        often = f"for _ in range(60):\n    {step}"
        before, made, once, twice = await heap_after_each(node, "pass", make, often, often)
    print(f"{kind.word}: {made - before} bytes kept, image {len(build.image)} bytes")  # noqa: T201  # shown with -s
    assert made - before <= limits()[kind.word]
    assert twice - once <= 512


@pytest.mark.parametrize("kind", list(NodeKind), ids=lambda kind: kind.word)
def test_an_image_is_small_enough_for_a_quick_bench(kind: NodeKind) -> None:
    """36 kB over 115200 baud are 3.2 s of line time, hex and all below 6.5 s; the gas node's stays below 30 kB."""
    assert len(built(kind).image) <= (30_000 if kind is NodeKind.GAS else 36_000)
