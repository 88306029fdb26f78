"""The lift node's firmware on the real VM: what it sees, what it keeps through a power cut, what the gateway makes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lift_site import KEY, Ledger, gateway_on, ride, stand_at_rest
from node_site import Nvs, built, node_of, until

from gatehouse_edge.drivers.node_update import Result, Transfer, read_image
from gatehouse_edge.reading import Car, Direction, Quality
from gatehouse_hil.node_build import NodeKind


async def test_contacts_and_pressure_become_readings_of_the_gateway(tmp_path: Path) -> None:
    ledger = Ledger()
    async with node_of(tmp_path, NodeKind.LIFT) as node:
        stand_at_rest(node)
        await node.power_on()
        async with gateway_on(node, ledger):
            await until(lambda: ledger.readings)
            first = ledger.readings[0]
            node.sense("door_open", 1)
            node.sense("passenger", 1)
            await until(lambda: any(one.door_closed is False and one.passenger for one in ledger.readings))
            node.sense("button_up", 0)
            await until(lambda: any(one.is_alarm_button for one in ledger.readings))
            node.sense("lid_open", 1)
            await until(lambda: any("tamper" in one.foreign_codes for one in ledger.readings))
            node.sense("mains", 0)
            await until(lambda: any("node_on_battery" in one.foreign_codes for one in ledger.readings))
            node.sense("pressure_pa", None)
            await until(lambda: any("pressure_sensor" in one.foreign_codes for one in ledger.readings))
    assert (first.car, first.door_zone, first.door_closed, first.passenger, first.quality) == (
        Car.STOPPED, True, True, False, Quality.GOOD,
    )  # fmt: skip
    assert ledger.events == list(range(1, len(ledger.events) + 1))
    assert ledger.refusals == []


async def test_it_knows_its_floor_once_it_has_travelled_from_end_to_end(tmp_path: Path) -> None:
    ledger = Ledger()
    Nvs(tmp_path).put("gh_cal", floors=b"".join(
        name.encode().ljust(4, b"\0") + (at * 3000).to_bytes(4, "little") for at, name in enumerate(("B1", "1", "2"))
    ))  # fmt: skip
    async with node_of(tmp_path, NodeKind.LIFT) as node:
        stand_at_rest(node, 20.0)
        await node.power_on()
        async with gateway_on(node, ledger):
            await until(lambda: ledger.readings)
            await ride(node, 20.0, 26.0)
            await until(lambda: any(one.floor == "2" for one in ledger.readings))
            await ride(node, 26.0, 23.0)
            await until(lambda: ledger.readings[-1].floor == "1" and ledger.readings[-1].car is Car.STOPPED)
    assert ledger.readings[0].floor is None
    running = [one for one in ledger.readings if one.car is Car.RUNNING]
    assert {one.direction for one in running} >= {Direction.UP, Direction.DOWN}
    assert max(one.speed_mps or 0 for one in running) > 1


async def test_what_happened_without_the_gateway_is_told_after_a_power_cut(tmp_path: Path) -> None:
    ledger = Ledger()
    async with node_of(tmp_path, NodeKind.LIFT) as node:
        stand_at_rest(node)
        await node.power_on()
        async with gateway_on(node, ledger):
            await until(lambda: ledger.readings)
        kept = Nvs(tmp_path).number("gh_run", "acked") or 0
        node.sense("button_up", 0)
        await until(lambda: f"e{(kept + 1) % 32}" in Nvs(tmp_path).read("gh_run"))
        await node.power_off()
        node.sense("button_up", 1)
        await node.power_on()
        async with gateway_on(node, ledger):
            await until(lambda: any(one.is_alarm_button for one in ledger.readings))
            await until(lambda: (Nvs(tmp_path).number("gh_run", "acked") or 0) > kept)
        told = list(ledger.events)
        # Acknowledged: another start says nothing of it again.
        await node.power_cycle()
        async with gateway_on(node, ledger):
            count = len(ledger.readings)
            await until(lambda: len(ledger.readings) > count + 2)
    assert ledger.events == told == list(range(1, len(told) + 1))
    assert ledger.refusals == []


async def test_a_lift_node_gets_new_firmware_over_its_line(tmp_path: Path) -> None:
    ledger = Ledger()
    image = read_image(built(NodeKind.LIFT, (2, 0, 0)).image)
    transfer = Transfer(image, node_id=7, key_id=1, key=KEY, chunk_bytes=128, is_alarm=lambda: False)
    async with node_of(tmp_path, NodeKind.LIFT) as node:
        stand_at_rest(node)
        await node.power_on()
        async with gateway_on(node, ledger) as driver, asyncio.timeout(60):
            await until(lambda: ledger.readings)
            count = len(ledger.events)
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(driver.update(transfer))
                await until(lambda: transfer.sent_bytes > 3000)
                node.sense("passenger", 1)
                await until(lambda: len(ledger.events) > count)
            outcome = task.result()
    assert (outcome.result, outcome.from_version, outcome.to_version) == (Result.CONFIRMED, "1.0.0", "2.0.0")
    assert Nvs(tmp_path).slot == ("b", True, 0)
    assert ledger.refusals == []
