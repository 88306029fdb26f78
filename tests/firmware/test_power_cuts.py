"""Power cuts at flash writes: in memory by the thousand inside the VM, and of whole nodes, process and all."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from node_site import KEY, Nvs, built, node_of, provision, until

from gatehouse_edge.drivers.modbus_query import (
    ModbusError,
    PortLostError,
    RegisterFunction,
    RegisterQuery,
    UpdateOrder,
)
from gatehouse_edge.drivers.modbus_rtu import RtuPort, SerialSettings
from gatehouse_edge.drivers.node_update import Transfer, read_image
from gatehouse_hil.node_build import NodeKind
from gatehouse_hil.simnode import Cut, SimNode
from gatehouse_wire import node_update as wire

LONG_S = 1600
"""Time limit; a fifth of the rounds takes far less."""
HERE = Path(__file__).parent


async def results_in_the_vm(tmp_path: Path, plan: dict[str, int]) -> dict[str, dict]:
    """Run vm_cuts.py in the VM on the gas image of this tree; return what it found by kind."""
    flash = tmp_path / "flash"
    gas, lift = built(NodeKind.GAS, (1, 1, 0)), built(NodeKind.LIFT)
    for name, content in {
        **lift.files,
        **gas.files,
        "counter.mpy": built(NodeKind.BUTTON).files["counter.mpy"],
    }.items():
        target = flash / "a" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    (flash / "slots.py").write_bytes(gas.boot["slots.py"])
    (flash / "image.bin").write_bytes(gas.image)
    (flash / "plan.json").write_text(json.dumps(plan))
    (flash / "main.py").write_text((HERE / "vm_cuts.py").read_text(encoding="utf-8"), encoding="utf-8")
    found: dict[str, dict] = {}
    async with SimNode(tmp_path, mac=bytes.fromhex("020000000001")) as node:
        await node.power_on()
        await node.until(
            lambda one: any('"end"' in line or "Error" in line for line in one.log),
            timeout_s=LONG_S - 100,
        )
        for line in node.log:
            if line.startswith("CUTS "):
                row = json.loads(line.removeprefix("CUTS "))
                found[f"{row['what']} {row['found'].get('stride', '')}".strip()] = row["found"]
        assert "end" in found, list(node.log)[-20:]
    return found


@pytest.mark.timeout(LONG_S)
async def test_no_cut_in_memory_breaks_an_update_a_counter_or_the_event_ring(tmp_path: Path, rounds) -> None:
    """Every write of the update of the real gas image (a fifth of them by default), 1000 cuts of counter and ring."""
    found = await results_in_the_vm(tmp_path, {"cuts": rounds(1000), "every": 5 // rounds(5)})
    assert found["updates"]["bad"] == [], found["updates"]
    assert found["updates"]["points"] >= found["updates"]["total"] // (5 // rounds(5))
    assert min(found["updates"]["ends"].values()) > 0
    for stride in (1, 20):
        assert found[f"counters {stride}"]["twice"] == []
        assert found[f"counters {stride}"]["cuts"] == rounds(1000)
    assert found["counters 1"]["used"] > rounds(1000) // 2
    assert found["rings"]["bad"] == []


# ---- whole nodes

SMALL = b"""import machine, slots, time
def run():
    print('{"gatehouse": "start", "version": "3.0.0", "slot": "%s"}' % slots.on_chip().running)
    slots.on_chip().confirm()
    watchdog = machine.WDT(timeout=8000)
    while True:
        watchdog.feed()
        time.sleep_ms(100)
"""
"""A program that works, in as few flash writes as possible."""


def small_image() -> bytes:
    files = [("app.py", SMALL)]
    return bytes(
        wire.build_image(
            files, kind=wire.GAS, version=(3, 0, 0), abi=0, sha256=lambda body: hashlib.sha256(body).digest()
        )
    )


async def push(node: SimNode, image: bytes) -> None:
    """Send an image as fast as the node takes it; ends when it restarts or dies."""
    transfer = Transfer(
        read_image(image), node_id=7, key_id=1, key=KEY, chunk_bytes=128, is_alarm=lambda: False
    )
    port = RtuPort(SerialSettings(path=node.uart, baud=9600), on_lost=lambda: None)
    await port.open()
    try:
        while (
            node.is_on and (request := transfer.request(1e9)) and request[0] != wire.ASK
        ) or not transfer.sent_bytes:
            if not node.is_on or transfer.outcome is not None:
                return
            try:
                transfer.take(
                    bytes(await port.exchange(UpdateOrder(unit_id=7, data=request or wire.ask()))), 1.0
                )
            except PortLostError:
                raise
            except ModbusError as error:
                transfer.miss(1.0, str(error))
    finally:
        port.close()


async def answers(node: SimNode) -> bool:
    port = RtuPort(SerialSettings(path=node.uart, baud=9600), on_lost=lambda: None)
    await port.open()
    try:
        query = RegisterQuery(unit_id=7, function=RegisterFunction.HOLDING, address=0, count=16)
        async with asyncio.timeout(20):
            while True:
                try:
                    return (await port.exchange(query))[0] == 0x4731
                except ModbusError:
                    continue
    finally:
        port.close()


WRITES = 12
"""Manifest of the target slot removed, one stale file removed, `app.py` made and written in three pieces, manifest made and written in
two, boot state switched, first start counted, confirmed: the flash writes of an update from offer to confirmation."""


def points(step: int) -> list[tuple[int, Cut]]:
    return [(n, how) for n in range(1, WRITES + 1) for how in Cut][::step]


@pytest.mark.timeout(LONG_S)
async def test_a_node_cut_off_while_updating_starts_a_known_slot(tmp_path: Path, rounds) -> None:
    image = small_image()
    found: list[str] = []
    for number, (n, how) in enumerate(points(5 // rounds(5))):
        directory = tmp_path / str(number)
        older = directory / "flash" / "b"
        older.mkdir(parents=True)
        (older / "MANIFEST").write_bytes(built(NodeKind.GAS, (0, 9, 0)).manifest)
        (older / "stale.mpy").write_bytes(b"left over")
        async with node_of(directory, NodeKind.GAS) as node:
            await node.power_on()
            await node.until('"start"', timeout_s=20)
            node.cut_power_at_write(n, how)
            await push(node, image)
            await until(lambda: node.flash_writes_cut == 1, within_s=30)
            node.log.clear()
            await node.power_on()
            await node.until('"start"', timeout_s=20)
            slot, is_confirmed, _ = Nvs(directory).slot
            said = json.loads(next(line for line in node.log if '"start"' in line))
            assert (said["slot"], said["version"]) == (slot, {"a": "1.0.0", "b": "3.0.0"}[slot]), (n, how)
            if slot == "a":
                assert is_confirmed
                assert await answers(node), (n, how)
            found.append(slot)
    assert found == sorted(found)  # up to the switch the old one starts, after it the new one
    assert set(found) == {"a", "b"}


@pytest.mark.timeout(LONG_S)
async def test_a_buttons_counter_never_repeats_over_real_power_cuts(tmp_path: Path, rounds) -> None:
    """Whole processes killed in their NVS write; the in-memory test above does the thousand."""
    flash = tmp_path / "flash"
    built(NodeKind.BUTTON).write(flash)
    (flash / "main.py").write_text(
        "import store, counter\nn = counter.Counter(store.on_chip())\nfor _ in range(5):\n    print('used', n.step())\n"
    )
    provision(tmp_path, NodeKind.BUTTON)
    used: list[int] = []
    async with SimNode(tmp_path, mac=bytes.fromhex("020000000001")) as node:
        for number in range(rounds(50)):
            node.cut_power_at_write(1 + number % 3, tuple(Cut)[number % 3])
            await node.power_on()
            await node.until(lambda one: not one.is_on, timeout_s=20)
            used += [int(line.split()[1]) for line in node.log if line.startswith("used")]
            node.log.clear()
    assert len(used) == len(set(used))
    assert used == sorted(used)
    assert len(used) >= rounds(50) // 3
