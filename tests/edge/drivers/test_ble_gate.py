"""Pure parts of the Bluetooth driver: counters, folded refusals, the ladder, the allow-list, the opened advert."""

from datetime import UTC, datetime

import pytest
from bthome_ble import BTHomeBluetoothDeviceData
from habluetooth import BluetoothServiceInfoBleak
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_edge.clock import Now
from gatehouse_edge.drivers.ble_advert import AdvertReader, Message, Refused
from gatehouse_edge.drivers.ble_gate import REPEAT_WINDOW_S, CounterGates, Verdict
from gatehouse_edge.drivers.ble_ladder import RUNGS, Pauses, Rung, measure
from gatehouse_edge.drivers.ble_refusals import RefusalFold
from gatehouse_edge.drivers.ble_roster import Roster, RosterError, Tag, TagKey, TagKind
from gatehouse_edge.reading import ButtonEvent, RefusalReason
from gatehouse_events.clock import ClockQuality, ClockSource
from gatehouse_hil.radio.advert import INFO_TRIGGERED, Event, objects, service_data

ADDRESS = "C3:28:40:FF:C1:94"
OLD = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
NEW = bytes(range(16))
counters = st.integers(min_value=0, max_value=2**32 - 1)


def tag(*secrets, kind=TagKind.BUTTON, address=ADDRESS, device_id="btn-17"):
    keys = tuple(TagKey(key_id=number, secret=secret) for number, secret in enumerate(secrets, start=1))
    return Tag(device_id=device_id, kind=kind, address=address, keys=keys)


def at(service_s):
    clock = ClockQuality(synced=False, offset_ms=None, source=ClockSource.NONE)
    wall = datetime(2026, 1, 1, tzinfo=UTC)
    return Now(wall=wall, service_s=service_s, boot="0" * 32, mono_ns=int(service_s * 1e9), clock=clock)


class Committed(dict):
    """Counters as the ledger has them on disk; `dict.get` is the whole port."""


@given(sequence=st.lists(counters, max_size=60))
def test_only_a_counter_above_all_before_it_is_fresh(sequence):
    gates = CounterGates(Committed(), now_s=0.0)
    verdicts = [gates.judge("k", counter, now_s=0.0) for counter in sequence]
    rising = [all(counter > other for other in sequence[:place]) for place, counter in enumerate(sequence)]
    assert [verdict is Verdict.FRESH for verdict in verdicts] == rising


@given(committed=counters, counter=counters)
def test_after_a_restart_the_committed_counter_decides(committed, counter):
    gates = CounterGates(Committed(k=committed), now_s=0.0)
    assert (gates.judge("k", counter, now_s=1.0) is Verdict.FRESH) == (counter > committed)


def test_the_same_counter_is_a_repeat_at_first_and_a_recording_later():
    gates = CounterGates(Committed(), now_s=0.0)
    gates.judge("k", 7, now_s=100.0)
    assert gates.judge("k", 7, now_s=100.0 + REPEAT_WINDOW_S) is Verdict.REPEAT
    assert gates.judge("k", 7, now_s=100.1 + REPEAT_WINDOW_S) is Verdict.REPLAY


def test_an_older_counter_just_heard_is_a_late_repeat_and_not_an_attack():
    gates = CounterGates(Committed(), now_s=0.0)
    gates.judge("k", 7, now_s=1.0)
    gates.judge("k", 8, now_s=2.0)
    assert gates.judge("k", 7, now_s=3.0) is Verdict.REPEAT
    assert gates.judge("k", 6, now_s=3.0) is Verdict.REPLAY


def test_a_restart_in_the_middle_of_a_press_does_not_report_its_repeats():
    gates = CounterGates(Committed(k=7), now_s=500.0)
    assert gates.judge("k", 7, now_s=501.0) is Verdict.REPEAT
    assert gates.judge("k", 7, now_s=501.0 + REPEAT_WINDOW_S) is Verdict.REPLAY


def test_a_press_that_found_no_room_is_let_in_at_its_next_repeat():
    gates = CounterGates(Committed(k=6), now_s=0.0)
    gates.judge("k", 7, now_s=1.0)
    gates.forget("k", 7)
    assert gates.judge("k", 7, now_s=1.1) is Verdict.FRESH


def test_two_keys_of_one_button_count_apart():
    gates = CounterGates(Committed(), now_s=0.0)
    gates.judge("button/btn-17/1", 900, now_s=0.0)
    assert gates.judge("button/btn-17/2", 1, now_s=0.0) is Verdict.FRESH


@given(gaps=st.lists(st.floats(min_value=0.0, max_value=20.0), min_size=1, max_size=300))
def test_every_refusal_is_counted_once_and_the_reports_thin_out(gaps):
    fold = RefusalFold("ble0")
    now_s, reports = 1000.0, []
    for gap in gaps:
        now_s += gap
        fold.add(RefusalReason.BAD_TAG, ADDRESS, at_s=now_s)
        reports += fold.collect(at(now_s))
    reports += fold.collect(at(now_s + 301.0))
    assert sum(report.count for report in reports) == len(gaps)
    assert len(reports) <= 2 + sum(gaps) / 5.0


def test_a_neighbours_thermometer_is_a_report_every_five_minutes_at_most():
    fold = RefusalFold("ble0")
    reports = []
    for second in range(0, 86_400, 10):
        fold.add(RefusalReason.UNKNOWN_NODE, "A4:C1:38:00:00:01", at_s=float(second))
        reports += fold.collect(at(float(second)))
    assert len(reports) <= 86_400 / 300 + 10


def test_a_report_names_its_source_printably_and_within_64_characters():
    fold = RefusalFold("ble0")
    fold.add(RefusalReason.BAD_TAG, "\x1b[31m" + "x" * 200, at_s=0.0)
    fold.add(RefusalReason.BAD_TAG, "y", at_s=0.0)
    (report,) = fold.collect(at(0.0))
    assert report.source.isprintable()
    assert report.source.endswith(" and others")
    assert len(report.source) <= 64


def test_the_ladder_rises_to_the_power_cycle_within_three_measures():
    assert [measure(attempt, Pauses()).rung for attempt in range(3)] == list(RUNGS)
    assert RUNGS[-1] is Rung.POWER_CYCLE


@given(attempt=st.integers(min_value=0, max_value=100_000))
def test_a_dead_dongle_is_tried_less_and_less_often_but_for_ever(attempt):
    pauses = Pauses()
    assert pauses.first_s <= measure(attempt, pauses).listen_s <= pauses.longest_s
    assert measure(attempt, pauses).listen_s <= measure(attempt + 3, pauses).listen_s


@given(counter=counters, battery=st.integers(min_value=0, max_value=100))
def test_a_press_sealed_with_another_library_is_opened(counter, battery):
    plain = objects(counter, battery_pct=battery, event=Event.PRESS)
    message = AdvertReader(Roster([tag(OLD)])).read(ADDRESS, service_data(OLD, ADDRESS, counter, plain))
    assert isinstance(message, Message)
    assert (message.counter, message.battery_pct, message.event) == (counter, battery, ButtonEvent.PRESS)


@pytest.mark.parametrize(("secret", "key_id"), [(OLD, 1), (NEW, 2)], ids=["old", "new"])
def test_during_a_rotation_both_keys_open_and_the_message_says_which(secret, key_id):
    plain = objects(1, battery_pct=None, event=Event.PRESS)
    message = AdvertReader(Roster([tag(OLD, NEW)])).read(ADDRESS, service_data(secret, ADDRESS, 1, plain))
    assert isinstance(message, Message)
    assert message.key.key_id == key_id


@pytest.mark.parametrize(
    ("event", "is_tampered", "expected"),
    [
        (None, False, ButtonEvent.ALIVE),
        (Event.NONE, False, ButtonEvent.ALIVE),
        (None, True, ButtonEvent.TAMPER),
        (Event.HOLD, False, ButtonEvent.PRESS),
        (Event.PRESS, True, ButtonEvent.PRESS),
    ],
)
def test_any_way_of_pressing_is_a_press_and_goes_before_tamper(event, is_tampered, expected):
    plain = objects(1, battery_pct=90, event=event, is_tampered=is_tampered)
    message = AdvertReader(Roster([tag(OLD)])).read(ADDRESS, service_data(OLD, ADDRESS, 1, plain))
    assert isinstance(message, Message)
    assert message.event is expected


@given(data=st.binary(max_size=40))
def test_garbage_is_refused_with_a_reason_and_never_raises(data):
    assert isinstance(AdvertReader(Roster([tag(OLD, NEW)])).read(ADDRESS, data), Refused)


@given(place=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_one_flipped_bit_anywhere_refuses_the_advert(place, bit):
    payload = bytearray(service_data(OLD, ADDRESS, 77, objects(77, battery_pct=90, event=Event.PRESS)))
    payload[place % len(payload)] ^= 1 << bit
    assert isinstance(AdvertReader(Roster([tag(OLD)])).read(ADDRESS, bytes(payload)), Refused)


def test_an_unencrypted_press_of_a_known_address_is_refused():
    refused = AdvertReader(Roster([tag(OLD)])).read(ADDRESS, bytes.fromhex("443a01"))
    assert refused == Refused(reason=RefusalReason.BAD_FRAME)


def test_a_sender_that_is_not_on_the_allow_list_is_unknown_even_with_a_known_key():
    stranger = "C3:28:40:FF:C1:95"
    payload = service_data(OLD, stranger, 1, objects(1, battery_pct=None, event=Event.PRESS))
    assert AdvertReader(Roster([tag(OLD)])).read(stranger, payload) == Refused(
        reason=RefusalReason.UNKNOWN_NODE
    )


@given(counter=counters, battery=st.integers(min_value=0, max_value=100))
def test_the_simulated_button_speaks_bthome_as_its_own_library_understands_it(counter, battery):
    payload = service_data(
        OLD, ADDRESS, counter, objects(counter, battery_pct=battery, event=Event.PRESS), info=INFO_TRIGGERED
    )
    heard = BTHomeBluetoothDeviceData(bindkey=OLD).update(
        BluetoothServiceInfoBleak(
            name="",
            address=ADDRESS,
            rssi=-60,
            manufacturer_data={},
            service_data={"0000fcd2-0000-1000-8000-00805f9b34fb": payload},
            service_uuids=[],
            source="",
            device=None,
            advertisement=None,
            connectable=False,
            time=0.0,
            tx_power=None,
        )
    )
    assert [event.event_type for event in heard.events.values()] == ["press"]
    assert battery in [value.native_value for value in heard.entity_values.values()]


def test_two_tags_on_one_address_are_refused_by_name():
    with pytest.raises(RosterError, match="btn-18 and btn-17 share the address"):
        Roster([tag(OLD), tag(NEW, device_id="btn-18")])


def test_a_key_never_reaches_a_log_through_its_text_form():
    assert OLD.hex() not in repr(tag(OLD))
    assert str(list(OLD)) not in repr(tag(OLD))
    assert repr(OLD) not in repr(tag(OLD))
