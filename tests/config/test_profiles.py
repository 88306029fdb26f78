"""Profiles are data with a source; one without is refused."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_config import check, load
from gatehouse_config.profiles import CANONICAL_FAULTS, LiftProfile, parse, shipped
from gatehouse_events.codes import CODES

FOLDER = files("gatehouse_config").joinpath("profiles")
LIFTS = [profile for profile in shipped().values() if isinstance(profile, LiftProfile)]


def text_of(name):
    return FOLDER.joinpath(f"{name}.json").read_text(encoding="utf-8")


def test_every_shipped_profile_states_where_it_was_read():
    for entry in FOLDER.iterdir():
        assert len(json.loads(entry.read_text(encoding="utf-8"))["provenance"]) > 10
    assert {
        "cn6in1_unitreg",
        "unnamed_0x6000",
        "gatehouse_gas_node",
        "relay_8ch",
        "gbt24476_2017",
    } <= shipped().keys()


def test_a_contradictory_document_ships_no_gas_alarm():
    assert "dongxin_sf6_o2" not in shipped()


@pytest.mark.parametrize("key", ["provenance", "unit", "decimals", "status", "value_register", "blocks"])
def test_a_gas_profile_without_its_essentials_is_refused(key):
    raw = json.loads(text_of("cn6in1_unitreg"))
    del raw[key]
    profile, faults = parse(json.dumps(raw), where="own.json")
    assert profile is None
    assert any(key in fault.path and "own.json" in fault.path for fault in faults)


@pytest.mark.parametrize("provenance", ["", "   ", "?", "todo"])
def test_an_empty_provenance_is_none(provenance):
    raw = json.loads(text_of("cn6in1_unitreg")) | {"provenance": provenance}
    assert parse(json.dumps(raw), where="own.json")[0] is None


@pytest.mark.parametrize("profile", LIFTS, ids=lambda profile: profile.id)
def test_each_lift_dialect_is_injective_and_known(profile):
    assert len(set(profile.codes.values())) == len(profile.codes)
    for name, code in profile.codes.items():
        assert profile.canonical(code) == profile.aliases.get(name, name)
        assert profile.canonical(code) in CANONICAL_FAULTS


@pytest.mark.parametrize("profile", LIFTS, ids=lambda profile: profile.id)
@given(code=st.text(max_size=6))
def test_a_code_that_no_source_defines_is_never_guessed(profile, code):
    assert (profile.canonical(code) is None) == (code not in profile.codes.values())


@given(
    st.dictionaries(
        st.sampled_from(sorted(CANONICAL_FAULTS)), st.sampled_from("1234"), min_size=1, max_size=6
    )
)
def test_a_dialect_with_one_code_for_two_things_is_refused(codes):
    raw = {
        "kind": "lift",
        "id": "own",
        "provenance": "our own test, invented",
        "code_system": "own",
        "codes": codes,
    }
    profile, _ = parse(json.dumps(raw), where="own.json")
    assert (profile is not None) == (len(set(codes.values())) == len(codes))


def test_the_same_digit_means_other_things_in_other_dialects():
    profiles = shipped()
    assert profiles["gbt24476_2017"].canonical("06") == "motor_run_time_limiter"
    assert profiles["maixin"].canonical("6") == "stopped_outside_unlocking_zone"
    assert profiles["houqi"].canonical("6") == "overspeed"
    assert profiles["elevatorcloud_ws"].canonical("6") == "overrun_top"


def test_every_fault_that_is_no_mode_has_an_alarm_code():
    modes = {name for name in CANONICAL_FAULTS if name.startswith("mode_")}
    assert {f"lift.{name}" for name in CANONICAL_FAULTS - modes} <= CODES.keys()


def test_users_add_profiles_without_code(yard):
    (yard.folder / "own").mkdir()
    raw = json.loads(text_of("cn6in1_unitreg")) | {"id": "mine", "min_gap_ms": 0, "min_poll_ms": 100}
    (yard.folder / "own/mine.json").write_text(json.dumps(raw), encoding="utf-8")
    data = yard.data() | {"profiles_directory": "own"}
    data["devices"][0] |= {"profile": "mine", "poll_ms": 100}
    config = load(yard.write(data))
    assert config.gas_profile(config.device("gas-1")).least_poll_ms == 100


def test_a_users_faulty_profile_is_named_by_its_file(yard):
    (yard.folder / "own").mkdir()
    raw = json.loads(text_of("cn6in1_unitreg"))
    del raw["provenance"]
    (yard.folder / "own/mine.json").write_text(json.dumps(raw), encoding="utf-8")
    (yard.folder / "own/bad.json").write_text("{", encoding="utf-8")
    (yard.folder / "own/copy.json").write_text(text_of("relay_8ch"), encoding="utf-8")
    places = " ".join(str(fault) for fault in check(yard.write(yard.data() | {"profiles_directory": "own"})))
    assert "mine.json" in places
    assert "bad.json" in places
    assert "shipped; choose another id" in places


@given(st.text(max_size=200))
def test_any_text_is_answered(text):
    profile, faults = parse(text, where="x.json")
    assert (profile is None) == bool(faults)
