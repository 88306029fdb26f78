"""Registers become samples; what is not measuring has no value."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_config import ProfileError, decode
from gatehouse_config.profiles import GasProfile, shipped
from gatehouse_edge.reading import GasFlag, Quality, Unit
from gatehouse_wire import gas_registers

PROFILES = shipped()
CN = PROFILES["cn6in1_unitreg"]
BARE = PROFILES["unnamed_0x6000"].settled(unit="%LEL", decimals=1)
OWN = PROFILES["gatehouse_gas_node"]
VECTORS = Path(__file__).parents[1] / "vectors" / "gas_profile_answers.txt"


def vectors():
    lines = VECTORS.read_text(encoding="utf-8").splitlines()
    return [[part.strip() for part in line.split("|")] for line in lines if line and not line.startswith("#")]


def registers(text):
    start, words = text.split(":")
    return {int(start, 16) + at: int(word, 16) for at, word in enumerate(words.split())}


def number(text):
    return None if text in {"-", "None"} else float(text)


@pytest.mark.parametrize(("name", "answer", "meaning"), vectors())
def test_an_answer_means_what_its_document_says(name, answer, meaning):
    value, unit, quality, flags, low, high, full = meaning.split()
    sample = decode({"cn6in1_unitreg": CN, "unnamed_0x6000": BARE}[name], registers(answer))
    assert sample.value == number(value)
    assert (sample.unit, sample.quality) == (unit, quality)
    assert sample.flags == (frozenset() if flags == "-" else frozenset(flags.split(",")))
    assert (sample.low_set, sample.high_set, sample.full_scale) == (number(low), number(high), number(full))


def test_temperature_and_humidity_follow_the_documents_formulas():
    sample = decode(CN, registers("0:0 d1 64 12c 7d0 1 0 fe 500 260"))
    assert (sample.temperature_c, sample.humidity_pct) == (-24.6, 60.8)


STATUS = {
    0: ("warming_up", "warming_up"), 1: ("good", None), 2: ("fault", "data_fault"), 3: ("fault", "sensor_fault"),
    4: ("good", "pre_warning"), 5: ("good", "low_alarm"), 6: ("good", "high_alarm"), 7: ("fault", "access_fault"),
    8: ("over_range", "over_range"), 9: ("fault", "calibration_due"), 10: ("fault", "timeout"),
    11: ("good", "stel_alarm"), 12: ("good", "twa_alarm"), 13: None, 14: None, 15: ("fault", "comm_fault"),
}  # fmt: skip


@pytest.mark.parametrize("code", range(16))
def test_each_of_the_sixteen_status_codes_is_a_named_outcome(code):
    words = dict.fromkeys(range(10), 0) | {0: 0x2400, 1: 55, 5: code}
    if STATUS[code] is None:
        with pytest.raises(ProfileError, match=f"status code {code}"):
            decode(CN, words)
        return
    quality, flag = STATUS[code]
    sample = decode(CN, words)
    assert sample.quality == quality
    assert sample.flags == (frozenset() if flag is None else {flag})
    assert sample.value == (5.5 if quality == "good" else None)


@pytest.mark.parametrize("code", [1, 3, 5, 7, 9, 10, 11, 12, 13, 14, 15])
def test_an_unknown_unit_is_refused(code):
    words = dict.fromkeys(range(10), 0) | {0: code << 12, 5: 1}
    with pytest.raises(ProfileError, match="unit code"):
        decode(CN, words)


def test_an_unknown_decimal_point_is_refused():
    with pytest.raises(ProfileError, match="decimals code"):
        decode(CN, dict.fromkeys(range(10), 0) | {0: 0x2100, 5: 1})


def test_a_detector_that_tells_no_unit_needs_one_from_the_installer():
    with pytest.raises(ProfileError, match="must be stated"):
        decode(PROFILES["unnamed_0x6000"], {0x6000: 0x8000, 0x6001: 1, 0x6006: 1})


def test_remaining_warm_up_is_told():
    assert decode(BARE, {0x6000: 600, 0x6001: 0, 0x6006: 0}).warm_up_left_s == 60.0


def test_a_missing_register_is_refused():
    with pytest.raises(ProfileError, match="missing"):
        decode(CN, {0: 0, 1: 0})


def test_a_dead_register_bank_is_no_gas_node():
    with pytest.raises(ProfileError, match="identity"):
        decode(OWN, dict.fromkeys(range(16), 0))


def block(**changes):
    row = dict(  # noqa: C408  # named like the arguments they become
        status=gas_registers.MEASURING, unit=gas_registers.PCT_LEL, decimals=1, value=4.2, low_set=8.0, high_set=20.0,
        full_scale=100.0, heartbeat=7, temperature_c=-3.5, humidity_pct=41.0,
    )  # fmt: skip
    return dict(enumerate(gas_registers.encode(gas_registers.Block(**(row | changes)))))


def test_our_own_node_is_read_as_its_byte_table_says():
    sample = decode(OWN, block())
    assert (sample.value, sample.unit, sample.quality, sample.heartbeat) == (4.2, "%LEL", "good", 7)
    assert (sample.temperature_c, sample.humidity_pct, sample.high_set) == (-3.5, 41.0, 20.0)
    unknown = decode(OWN, block(temperature_c=None, humidity_pct=None))
    assert (unknown.temperature_c, unknown.humidity_pct) == (None, None)


def test_our_own_node_in_self_test_has_no_value_and_is_a_fault():
    sample = decode(OWN, block(status=gas_registers.SELF_TEST, value=None))
    assert (sample.value, sample.quality, sample.flags) == (None, "fault", {"data_fault"})


def test_our_own_node_warming_up_says_how_long():
    sample = decode(OWN, block(status=gas_registers.WARMING_UP, value=None, warm_up_left_s=12.5))
    assert (sample.value, sample.quality, sample.warm_up_left_s) == (None, "warming_up", 12.5)


@given(st.dictionaries(st.sampled_from([*range(16), 0x6000, 0x6001, 0x6006]), st.integers(-1, 0x10000)))
def test_any_registers_give_a_sample_or_a_named_refusal(words):
    for profile in (CN, BARE, OWN):
        try:
            sample = decode(profile, words)
        except ProfileError:
            continue
        assert Unit(sample.unit)
        assert Quality(sample.quality)
        assert sample.flags <= {flag.value for flag in GasFlag}
        assert (sample.value is None) == (sample.quality != "good")


@given(st.lists(st.integers(0, 0xFFFF), min_size=16, max_size=16))
def test_any_well_formed_answer_is_never_a_value_while_the_detector_says_it_does_not_measure(words):
    answer = dict(enumerate(words)) | {0: words[0] & 0x6C00 if words[0] & 0x6000 != 0x6000 else 0x6000}
    answer[5] = words[5] & 0xFF0F
    try:
        sample = decode(CN, answer)
    except ProfileError:
        return
    if answer[5] & 0xFF in {0, 2, 3, 7, 8, 9, 10, 15}:
        assert sample.value is None


def test_the_alarm_registers_are_read_first():
    for profile in PROFILES.values():
        if isinstance(profile, GasProfile):
            assert profile.status[0].register_ in profile.blocks[0].registers
