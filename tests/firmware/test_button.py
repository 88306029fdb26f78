"""The help button's firmware on the real VM, heard and answered by the gateway's driver over stock bleak."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from node_site import KEY, Nvs, node_of, until

from gatehouse_edge.drivers.ble_roster import Tag, TagKey, TagKind
from gatehouse_edge.reading import BeaconReading, ButtonEvent, ButtonReading
from gatehouse_hil.node_build import NodeKind
from gatehouse_hil.simnode import SimNode

sys.path.insert(0, str(Path(__file__).parents[1] / "edge" / "drivers"))
from ble_site import site  # the gateway's own Bluetooth site

KEY_PIN, LAMP_PIN = 3, 5
BATTERY_FRESH = round(1_500_000 * 65535 / 2_500_000)
"""Half of 3.0 V."""


def tag_of(node: SimNode, *, kind: TagKind = TagKind.BUTTON, key: bytes = KEY) -> Tag:
    return Tag(
        device_id="btn-1" if kind is TagKind.BUTTON else "beacon-2", kind=kind, address=node.bluetooth_address,
        keys=(TagKey(key_id=1, secret=key),),
    )  # fmt: skip


async def press(node: SimNode, *, hold_s: float = 0.2) -> None:
    node.sense(f"pin{KEY_PIN}", 0)
    await asyncio.sleep(hold_s)
    node.sense(f"pin{KEY_PIN}", 1)


async def asleep(node: SimNode) -> None:
    await node.until(lambda one: one.is_asleep, timeout_s=30)


@pytest.mark.timeout(180)
async def test_a_press_is_recorded_and_its_lamp_lights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        site(tmp_path, monkeypatch, buttons=0) as place,
        node_of(tmp_path / "node", NodeKind.BUTTON, medium=place.medium) as node,
    ):
        node.sense("adc2", BATTERY_FRESH)
        place.tags.append(tag_of(node))
        async with place.driver() as radio:
            await node.power_on()
            await place.ledger.until(lambda: any(isinstance(one, ButtonReading) for one in place.ledger.seen))
            await asleep(node)
            alive = next(one for one in place.ledger.seen if isinstance(one, ButtonReading))
            await press(node)
            await place.ledger.until(lambda: place.ledger.presses)
            await node.until(lambda one: one.pin(LAMP_PIN) == 1, timeout_s=20)
            await asleep(node)
        counters = [one.counter for one in place.ledger.seen if isinstance(one, ButtonReading)]
    assert (alive.event, alive.battery_pct, alive.counter) == (ButtonEvent.ALIVE, 100, 1)
    assert place.ledger.presses == [("btn-1", 2)]
    assert counters == [1, 2]
    assert radio.receipts.delivered == 1
    assert place.ledger.refusals == []
    assert Nvs(tmp_path / "node").number("gh_run", "counter") == 2


@pytest.mark.timeout(180)
async def test_without_a_gateway_the_lamp_stays_dark_and_a_stuck_key_does_not_cry_for_ever(
    tmp_path: Path,
) -> None:
    async with node_of(tmp_path, NodeKind.BUTTON, is_compiled=False) as node:
        program = tmp_path / "flash" / "a" / "button_app.py"
        short = program.read_text().replace("STUCK_RETRY_MS = const(600_000)", "STUCK_RETRY_MS = const(300)")
        program.write_text(short.replace("SHOUT_MS = const(3000)", "SHOUT_MS = const(300)").replace("button_receipt.WINDOW_S * 1000", "400"))  # fmt: skip
        node.sense(f"pin{KEY_PIN}", 0)
        await node.power_on()
        await node.until(lambda one: one.boots >= 4, timeout_s=60)
        lamp = node.pin(LAMP_PIN)
        counter = Nvs(tmp_path).number("gh_run", "counter")
    assert lamp == 0
    assert counter == 1  # one press, however often it looked


async def test_the_beacon_is_heard_and_its_counter_costs_one_write_in_a_thousand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        site(tmp_path, monkeypatch, buttons=0) as place,
        node_of(tmp_path / "node", NodeKind.BEACON, medium=place.medium) as node,
    ):
        place.tags.append(tag_of(node, kind=TagKind.BEACON))
        async with place.driver():
            await node.power_on()
            heard: list[BeaconReading] = []

            def enough() -> bool:
                heard[:] = [
                    one for one in place.ledger.seen
                    if isinstance(one, BeaconReading) and one.device_id == "beacon-2"
                ]  # fmt: skip
                return len(heard) >= 2

            await until(enough)
            await node.power_cycle()
            await until(lambda: enough() and heard[-1].counter > 1000)
    assert [one.counter for one in heard[:2]] == [1, 2]
    assert heard[-1].counter in {1001, 1002}
