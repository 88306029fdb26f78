"""Help buttons over a real D-Bus, stock bleak and virtual controllers: each press once, on disk, answered."""

import asyncio
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from ble_site import secret_of, site, until  # importlib mode: a neighbour is found through its folder

from gatehouse_edge.drivers.ble_roster import Tag, TagKey, TagKind
from gatehouse_edge.reading import ButtonEvent, ButtonReading, RefusalReason
from gatehouse_hil.radio.button import Timing
from gatehouse_hil.radio.medium import BurstyLoss


async def _replay_now_and_then(place, rng):
    """An eavesdropper sends something it has recorded, again and again."""
    while True:
        await asyncio.sleep(0.01)
        if place.medium.heard:
            place.intruder.replay(rng.choice(place.medium.heard))


async def _press_often(button, times):
    return [(button.address, await button.press()) for _ in range(times)]


async def test_every_press_is_one_event_under_bursty_loss_with_duplicates_and_replays(
    tmp_path, monkeypatch, rounds
):
    presses = rounds(200)
    async with site(tmp_path, monkeypatch, buttons=5) as place, place.driver():
        place.medium.loss = BurstyLoss(loss=0.6, burst=6.0, rng=random.Random(3))
        place.medium.duplicate = 0.3
        async with asyncio.TaskGroup() as group:
            intruder = group.create_task(_replay_now_and_then(place, random.Random(4)))
            async with asyncio.TaskGroup() as people:
                for button in place.buttons:
                    people.create_task(_press_often(button, presses // 5))
            await place.ledger.until(lambda: len(place.ledger.presses) >= presses)
            intruder.cancel()
        wanted = [(f"btn-{n}", c) for n, b in enumerate(place.buttons) for c in range(1, b.counter + 1)]
        assert sorted(place.ledger.presses) == wanted
        assert len(wanted) == presses


async def test_the_lamp_lights_only_after_the_press_is_on_disk(tmp_path, monkeypatch):
    slow = Timing(repeats=20, interval_s=0.01, window_s=20.0)
    async with site(tmp_path, monkeypatch, timing=slow) as place, place.driver() as radio:
        button, ledger = place.buttons[0], place.ledger
        ledger.is_open.clear()
        async with asyncio.TaskGroup() as group:
            press = group.create_task(button.press())
            # Far into the window somebody could have come; nobody may have.
            await until(lambda: len(place.intruder.recorded(button.address)) >= 30)
            assert (button.led_lit, radio.receipts.delivered) == (False, 0)
            ledger.is_open.set()
            await press
        assert button.led_lit
        assert ledger.presses == [("btn-0", button.counter)]
        assert button.receipts_refused == 0


async def test_a_receipt_that_cannot_be_delivered_leaves_the_lamp_dark_and_the_scan_running(
    tmp_path, monkeypatch
):
    windowless = Timing(repeats=20, interval_s=0.005, window_s=0.0)
    async with site(tmp_path, monkeypatch, timing=windowless) as place, place.driver():
        button = place.buttons[0]
        first, second = await button.press(), await button.press()
        await place.ledger.until(lambda: len(place.ledger.presses) == 2)
        assert place.ledger.presses == [("btn-0", first), ("btn-0", second)]
        assert not button.led_lit


async def test_after_a_restart_the_recording_of_an_old_press_is_refused_and_a_new_press_let_in(
    tmp_path, monkeypatch
):
    async with site(tmp_path, monkeypatch) as place:
        button, ledger = place.buttons[0], place.ledger
        async with place.driver():
            await button.press()
            await button.press()
            await ledger.until(lambda: len(ledger.presses) == 2)
        recording = place.intruder.recorded(button.address)[0]
        async with place.driver():
            for _ in range(20):
                place.intruder.replay(recording)
                await asyncio.sleep(0.01)
            await button.press()
            await ledger.until(lambda: any(r.reason is RefusalReason.REPLAY for r in ledger.refusals))
        assert ledger.presses == [("btn-0", 1), ("btn-0", 2), ("btn-0", 3)]


async def test_a_press_stored_just_before_a_restart_is_answered_after_it_and_stays_one_event(
    tmp_path, monkeypatch
):
    slow = Timing(repeats=150, interval_s=0.01, window_s=10.0, window_interval_s=0.05)
    async with site(tmp_path, monkeypatch, timing=slow) as place:
        button, ledger = place.buttons[0], place.ledger
        async with asyncio.TaskGroup() as group:
            async with place.driver() as radio:
                press = group.create_task(button.press())
                await ledger.until(lambda: len(ledger.presses) == 1)
                assert radio.receipts.delivered == 0
            async with place.driver():
                await press
        assert button.led_lit
        assert ledger.presses == [("btn-0", 1)]


async def test_a_press_that_waits_for_the_disk_when_the_radio_is_restarted_is_not_lost(tmp_path, monkeypatch):
    async with site(tmp_path, monkeypatch) as place:
        button, ledger = place.buttons[0], place.ledger
        ledger.is_open.clear()
        async with place.driver():
            await button.press()
            asyncio.get_running_loop().call_later(0.1, ledger.is_open.set)
        assert ledger.presses == [("btn-0", 1)]


async def test_a_flood_of_forged_adverts_is_a_few_reports_and_a_press_still_gets_through(
    tmp_path, monkeypatch, rounds
):
    forged = rounds(10_000)
    async with site(tmp_path, monkeypatch) as place, place.driver():
        button, ledger = place.buttons[0], place.ledger
        strangers = tuple(f"D0:00:00:00:{n:02X}:01" for n in range(20))
        async with asyncio.TaskGroup() as group:
            group.create_task(place.intruder.forge((button.address, *strangers), forged))
            group.create_task(button.press())
        await place.intruder.shout_garbage(button.address, 50)
        await ledger.until(lambda: sum(r.count for r in ledger.refusals) >= forged * 0.9)
        assert ledger.presses == [("btn-0", 1)]
        assert len(ledger.refusals) <= 15
        assert {r.reason for r in ledger.refusals} >= {RefusalReason.BAD_TAG, RefusalReason.UNKNOWN_NODE}


async def test_keys_are_rotated_under_load_and_no_press_is_lost(tmp_path, monkeypatch):
    async with site(tmp_path, monkeypatch, buttons=3) as place:
        overlap = [place.tags[0]]
        for number, button in enumerate(place.buttons):
            keys = tuple(TagKey(key_id=key, secret=secret_of(number, key)) for key in (1, 2))
            overlap.append(
                Tag(device_id=f"btn-{number}", kind=TagKind.BUTTON, address=button.address, keys=keys)
            )
        place.medium.loss = BurstyLoss(loss=0.3, rng=random.Random(5))
        async with place.driver(tags=overlap):

            async def rotate_while_pressing(number, button):
                await _press_often(button, 3)
                button.rotate(secret_of(number, 2), key_id=2)
                await _press_often(button, 3)

            async with asyncio.TaskGroup() as group:
                for number, button in enumerate(place.buttons):
                    group.create_task(rotate_while_pressing(number, button))
            await place.ledger.until(lambda: len(place.ledger.presses) >= 18)
            pressed = [seen for seen in place.ledger.seen if isinstance(seen, ButtonReading)]
            assert sorted((s.device_id, s.counter, s.key_id) for s in pressed) == [
                (f"btn-{n}", c, 1 if c <= 3 else 2) for n in range(3) for c in range(1, 7)
            ]


async def test_a_sign_of_life_carries_battery_and_signal_and_is_not_a_press(tmp_path, monkeypatch):
    async with site(tmp_path, monkeypatch) as place, place.driver() as radio:
        button, ledger = place.buttons[0], place.ledger
        button.battery_pct = 12
        place.medium.rssi_dbm[button.address] = -80
        await button.alive()
        await ledger.until(lambda: any(isinstance(seen, ButtonReading) for seen in ledger.seen))
        (alive,) = [seen for seen in ledger.seen if isinstance(seen, ButtonReading)]
        assert (alive.event, alive.battery_pct, alive.adapter) == (ButtonEvent.ALIVE, 12.0, "hci0")
        assert alive.rssi_dbm is not None
        assert -84 < alive.rssi_dbm < -76
        assert radio.receipts.delivered == 0


async def test_a_press_heard_by_two_adapters_is_one_event(tmp_path, monkeypatch):
    async with site(tmp_path, monkeypatch, adapters=("hci0", "hci1")) as place, place.driver():
        await place.buttons[0].press()
        await place.buttons[0].press()
        await place.ledger.until(lambda: len(place.ledger.presses) >= 2)
        assert place.ledger.presses == [("btn-0", 1), ("btn-0", 2)]
