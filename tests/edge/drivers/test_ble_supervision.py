"""A radio that is not heard is named and brought back; nothing about the stack below ends the driver."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from ble_site import site, until  # importlib mode: a neighbour is found through its folder

from gatehouse_config.buses import BleBus
from gatehouse_edge.reading import BusReading
from gatehouse_hil.radio.bluetoothd import Cure


async def _press_until_heard(place):
    """A resident presses until the lamp lights; at the latest now the radio must work again."""
    async with asyncio.timeout(20):
        while not place.buttons[0].led_lit:
            await place.buttons[0].press()


@pytest.mark.parametrize("cure", [Cure.RESTART_SCAN, Cure.POWER_CYCLE])
async def test_a_scanner_that_silently_died_is_named_and_brought_back(tmp_path, monkeypatch, cure):
    async with site(tmp_path, monkeypatch, max_silence_s=0.6) as place, place.driver():
        place.bluetoothd["hci0"].die_silently(cure)
        await place.ledger.until(lambda: place.ledger.bus_states() == [True, False, True])
        down = [s for s in place.ledger.seen if isinstance(s, BusReading) and not s.is_up]
        assert [reading.detail for reading in down] == ["radio_silent"]
        await _press_until_heard(place)


async def test_the_d_bus_going_away_and_coming_back_costs_no_press(tmp_path, monkeypatch):
    # The silence limit is far away: the watch on the bus itself must find out.
    async with site(tmp_path, monkeypatch, max_silence_s=60.0) as place, place.driver():
        await place.bus.restart(down_s=0.3)
        await _press_until_heard(place)
        assert place.ledger.presses[-1] == ("btn-0", place.buttons[0].counter)


async def test_a_restarted_bluetoothd_is_found_again_on_both_adapters(tmp_path, monkeypatch):
    two = ("hci0", "hci1")
    async with site(tmp_path, monkeypatch, adapters=two, max_silence_s=60.0) as place, place.driver():
        await place.bluetoothd.restart(down_s=0.2)
        assert not any(adapter.face.is_discovering for adapter in place.bluetoothd.adapters.values())
        await until(lambda: all(a.face.is_discovering for a in place.bluetoothd.adapters.values()))
        await _press_until_heard(place)


async def test_stop_discovery_answering_in_progress_does_not_lose_the_scanner(tmp_path, monkeypatch):
    async with site(tmp_path, monkeypatch, max_silence_s=0.6) as place, place.driver():
        adapter = place.bluetoothd["hci0"]
        adapter.face.stop_error = ("org.bluez.Error.InProgress", "Operation already in progress")
        adapter.die_silently(Cure.POWER_CYCLE)
        await place.ledger.until(lambda: place.ledger.bus_states() == [True, False, True])
        await _press_until_heard(place)


async def test_an_adapter_somebody_switched_off_is_switched_on_again(tmp_path, monkeypatch):
    async with site(tmp_path, monkeypatch, max_silence_s=0.6) as place, place.driver():
        place.bluetoothd["hci0"].face.power(is_on=False)
        await place.ledger.until(lambda: place.ledger.bus_states() == [True, False, True])
        await _press_until_heard(place)


async def test_a_jammed_air_stays_a_fault_until_it_is_free_again(tmp_path, monkeypatch):
    async with site(tmp_path, monkeypatch, max_silence_s=0.5) as place, place.driver():
        place.medium.is_jammed = True
        await place.ledger.until(lambda: place.ledger.bus_states() == [True, False])
        await until(
            lambda: place.bluetoothd["hci0"].face.power_ons > 0
        )  # the whole ladder was climbed, in vain
        assert place.ledger.bus_states() == [True, False]
        place.medium.is_jammed = False
        await place.ledger.until(lambda: place.ledger.bus_states() == [True, False, True])


async def test_a_replayed_beacon_does_not_hide_a_dead_one(tmp_path, monkeypatch):
    async with site(tmp_path, monkeypatch, max_silence_s=0.6) as place, place.driver():
        place.beacon.is_on = False
        async with asyncio.TaskGroup() as group:

            async def pretend():
                while True:
                    place.intruder.replay(place.intruder.recorded(place.beacon.address)[-1])
                    await asyncio.sleep(0.05)

            pretending = group.create_task(pretend())
            await place.ledger.until(lambda: place.ledger.bus_states() == [True, False])
            pretending.cancel()


async def test_one_deaf_adapter_is_named_while_the_other_stays_up(tmp_path, monkeypatch):
    async with (
        site(tmp_path, monkeypatch, adapters=("hci0", "hci1"), max_silence_s=0.6) as place,
        place.driver(),
    ):
        place.bluetoothd["hci1"].die_silently(Cure.POWER_CYCLE)
        await place.ledger.until(lambda: place.ledger.bus_states("ble1") == [True, False, True])
        assert place.ledger.bus_states("ble0") == [True]
        await _press_until_heard(place)


async def test_without_a_beacon_the_bus_is_a_fault_and_presses_still_come_in(tmp_path, monkeypatch):
    async with site(tmp_path, monkeypatch) as place, place.driver(tags=place.tags[1:]):
        await _press_until_heard(place)
        assert place.ledger.bus_states() == [False]
        assert place.ledger.presses[0][0] == "btn-0"


async def test_nothing_is_left_behind_when_the_driver_stops(tmp_path, monkeypatch):
    async with site(tmp_path, monkeypatch) as place:
        before = asyncio.all_tasks()
        async with place.driver():
            await place.buttons[0].press()
        assert place.buttons[0].led_lit
        await until(lambda: not asyncio.all_tasks() - before)
        assert not place.bluetoothd["hci0"].links


def test_the_shipped_silence_limit_names_a_dead_radio_within_ten_seconds():
    assert BleBus(kind="ble", id="ble0", adapter="hci0").max_silence_s <= 8
