"""What holds for every rule, on any sequence of observations, with a restart anywhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import (
    BeaconReading,
    BusReading,
    ButtonEvent,
    ButtonReading,
    CameraReading,
    Car,
    Direction,
    EvidenceReading,
    Flaw,
    GasFlag,
    GasReading,
    InputReading,
    LiftReading,
    PictureState,
    Quality,
    Refusal,
    RefusalReason,
    ServiceMode,
    Silence,
    SilenceReason,
    ThrowReading,
    Unit,
)
from gatehouse_edge.rules import RULES, gas, lift, sos, throw, trap, volatile_equal
from gatehouse_edge.rules.lift_motion import Limits
from gatehouse_edge.rules.supervision import MAX_TEXT
from gatehouse_events.clock import ClockQuality
from gatehouse_events.codes import CODES
from gatehouse_events.states import Priority

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WALLS = (EPOCH, datetime(2026, 6, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def at(s: float, wall: datetime = WALLS[1], *, synced: bool = True) -> Now:
    clock = ClockQuality(synced=synced, offset_ms=None)
    return Now(wall=wall, service_s=s, boot="b" * 32, mono_ns=0, clock=clock)


NUMBERS = (
    st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 12.0, 30.0, 99.0])
)
TEXTS = st.text(max_size=20) | st.just("x" * 5000)
BOOLS = st.booleans()
MAYBE = st.none() | st.booleans()
FAULTS = sorted(
    lift.FAULTS | trap.FAULTS | {"alarm_button", "ebike_in_car", "mode_inspection", "nobody knows"}
)


def _of(kind: type, **fields: st.SearchStrategy) -> st.SearchStrategy:
    return st.fixed_dictionaries(fields).map(lambda found: (kind, found))


GAS = _of(
    GasReading,
    value=NUMBERS,
    unit=st.sampled_from(Unit),
    quality=st.sampled_from(Quality),
    flags=st.frozensets(st.sampled_from(GasFlag), max_size=4),
    low_set=NUMBERS,
    high_set=NUMBERS,
    full_scale=NUMBERS,
)
LIFT = _of(
    LiftReading,
    quality=st.sampled_from([Quality.GOOD] * 6 + list(Quality)),
    car=st.none() | st.sampled_from(Car),
    direction=st.sampled_from(Direction),
    door_zone=MAYBE,
    door_closed=MAYBE,
    passenger=MAYBE,
    floor=st.none() | TEXTS,
    speed_mps=NUMBERS,
    service_mode=st.sampled_from([ServiceMode.NORMAL] * 4 + list(ServiceMode)),
    faults=st.frozensets(st.sampled_from(FAULTS), max_size=3),
    foreign_codes=st.lists(TEXTS, max_size=12).map(tuple),
    is_alarm_button=BOOLS,
)
BUTTON = _of(
    ButtonReading,
    event=st.sampled_from(ButtonEvent),
    counter=st.integers(0, 9),
    key_id=st.integers(1, 2),
    battery_pct=NUMBERS,
)
CONTACT = _of(
    InputReading,
    role=st.sampled_from(["mains", "ups_low", "lid", "ebike", "valve_closed", "valve_open", "?"]),
    is_on=BOOLS,
    subject=TEXTS,
    quality=st.sampled_from(Quality),
)
CAMERA = _of(
    CameraReading,
    picture=st.sampled_from(PictureState),
    detail=TEXTS,
    flaws=st.dictionaries(st.sampled_from(Flaw), st.just("") | TEXTS, max_size=4),
)
FLOOR = st.none() | st.integers(-3, 60)
THROW = _of(
    ThrowReading,
    throw_id=st.sampled_from(["t1", "t2"]),
    floor_low=FLOOR,
    floor_high=FLOOR,
    column=st.none() | st.integers(1, 20),
    confidence=st.floats(allow_nan=True, allow_infinity=True),
    speed_m_s=NUMBERS,
    track_points=st.integers(0, 99),
    is_alarm=BOOLS,
    awaits_evidence=BOOLS,
    evidence=st.just(({"kind": "clip", "bytes": 12},)),
) | _of(
    EvidenceReading,
    throw_id=st.sampled_from(["t1", "t3"]),
    missing=TEXTS,
)
SILENCE = _of(Silence, reason=st.sampled_from(SilenceReason), detail=TEXTS)
REFUSAL = _of(Refusal, reason=st.sampled_from(RefusalReason), count=st.integers(0, 10**6), source=TEXTS)
BUS = _of(BusReading, is_up=BOOLS, detail=TEXTS)
BEACON = _of(BeaconReading, adapter=st.just("hci0"))
OWN = {
    "gas": GAS, "lift": LIFT | CONTACT, "button": BUTTON, "beacon": BEACON, "io": CONTACT, "camera": CAMERA | THROW,
    "bus": BUS | BEACON | BUTTON, "gateway": REFUSAL,
}  # fmt: skip
ANY = GAS | LIFT | BUTTON | CONTACT | CAMERA | THROW | SILENCE | REFUSAL | BUS | BEACON
STEPS_S = st.sampled_from([0.0, 0.1, 1.0, 1.0, 1.0, 4.0, 6.0, 11.0, 31.0, 46.0, 61.0, 400.0])


@st.composite
def traces(draw: st.DrawFn, *, size: int = 30, backwards: bool = False) -> tuple[str, list]:
    """A kind of device and a trace: mostly its own readings, some silences and ticks, some of anything."""
    kind = draw(st.sampled_from(sorted(RULES)))
    one = st.one_of(OWN[kind], OWN[kind], OWN[kind], st.none(), SILENCE, ANY)
    s = 0.0
    trace = []
    for found in draw(st.lists(one, max_size=size)):
        s += draw(STEPS_S)
        if backwards:
            s += draw(st.sampled_from([0.0, 0.0, -50.0]))
        now = at(s, draw(st.sampled_from(WALLS)), synced=draw(BOOLS))
        trace.append((None if found is None else found[0](device_id="d", at=now, **found[1]), now))
    return kind, trace


def play(kind: str, state, trace) -> tuple[object, list]:
    rule = RULES[kind]
    settings = rule.settings()
    seen = []
    for observation, now in trace:
        state, conditions = rule.step(state, observation, now, settings)
        seen.append(conditions)
    return state, seen


def start(kind: str):
    return RULES[kind].initial(RULES[kind].settings(), at(0))


def reload(kind: str, state):
    return msgspec.json.decode(msgspec.json.encode(state), type=RULES[kind].state)


def critical(conditions) -> set[str]:
    return {c.code for c in conditions if CODES[c.code].priority is Priority.P1}


@given(traces(backwards=True))
def test_no_sequence_of_observations_breaks_a_rule(case) -> None:
    kind, trace = case
    _, seen = play(kind, start(kind), trace)
    for conditions in seen:
        codes = [condition.code for condition in conditions]
        assert set(codes) <= set(CODES)
        assert len(codes) == len(set(codes)), "a code stands once for a device"
        assert all(c.text.isprintable() and len(c.text) <= MAX_TEXT for c in conditions)
        msgspec.json.encode(conditions)


@given(traces(), st.data())
def test_a_state_read_back_from_disk_goes_on_as_if_nothing_had_happened(case, data: st.DataObject) -> None:
    kind, trace = case
    cut = data.draw(st.integers(0, len(trace)))
    state, _ = play(kind, start(kind), trace[:cut])
    assert reload(kind, state) == state
    assert play(kind, reload(kind, state), trace[cut:]) == play(kind, state, trace[cut:])


@given(traces(), st.data())
def test_a_crash_at_any_moment_loses_no_critical_condition(case, data: st.DataObject) -> None:
    kind, trace = case
    rule = RULES[kind]
    settings = rule.settings()
    state = on_disk = start(kind)
    conditions = ()
    for observation, now in trace[: data.draw(st.integers(0, len(trace)))]:
        before, stood = state, conditions
        state, conditions = rule.step(state, observation, now, settings)
        if not volatile_equal(rule, before, state):
            on_disk = state
        assert on_disk is state or critical(conditions) <= critical(stood), (
            "a new danger is written with its step"
        )
    last_s = state.pulse.stepped_s if hasattr(state, "pulse") else 0.0
    now = at(last_s + data.draw(st.sampled_from([0.0, 1.0, 3600.0])))
    resumed = rule.resume(reload(kind, on_disk), now, settings)
    _, after = rule.step(resumed, None, now, settings)
    # A press of a lift's alarm button stands for seconds only; its alarm is latched on the disk by then.
    momentary = {"lift.alarm_button"} if now.service_s > last_s else set()
    assert critical(conditions) - momentary <= critical(after)


@given(traces(), st.sampled_from(SilenceReason))
def test_silence_ends_no_latched_danger(case, reason: SilenceReason) -> None:
    kind, trace = case
    state, seen = play(kind, start(kind), trace)
    lasting = {"gas.high_alarm", "lift.trapped", "lift.trapped_level", "lift.trapped_off_level"}
    before = critical(seen[-1]) & lasting if seen else set()
    s = trace[-1][1].service_s if trace else 0.0
    quiet = [(Silence(device_id="d", at=at(s + i), reason=reason), at(s + i)) for i in range(1, 100, 7)]
    _, after = play(kind, state, quiet)
    assert before <= critical(after[-1])


@given(traces())
def test_the_wall_clock_changes_nothing_but_the_life_of_a_gas_detector(case) -> None:
    kind, trace = case

    def told(wall: datetime) -> list:
        moved = [
            (
                None if o is None else structs.replace(o, at=structs.replace(n, wall=wall)),
                structs.replace(n, wall=wall),
            )
            for o, n in trace
        ]
        return play(kind, start(kind), moved)[1]

    assert told(EPOCH) == told(WALLS[1]) == told(WALLS[2])


@given(traces())
def test_what_is_not_volatile_differs_only_when_it_must_be_written(case) -> None:
    kind, trace = case
    rule = RULES[kind]
    state = start(kind)
    for observation, now in trace:
        after, _ = rule.step(state, observation, now, rule.settings())
        assert volatile_equal(rule, state, state)
        if after == state:
            assert volatile_equal(rule, state, after)
        state = after


@pytest.mark.parametrize("kind", sorted(RULES))
def test_a_quiet_device_is_not_written_to_disk_on_every_tick(kind: str) -> None:
    rule = RULES[kind]
    settings = rule.settings()
    state = rule.initial(settings, at(0))
    writes = 0
    for s in range(3600):
        after, _ = rule.step(state, None, at(s), settings)
        writes += not volatile_equal(rule, state, after)
        state = after
    assert writes <= 3


@pytest.mark.parametrize("kind", sorted(RULES))
def test_no_device_is_lost_by_the_first_step_after_a_restart(kind: str) -> None:
    rule = RULES[kind]
    settings = rule.settings()
    state = rule.initial(settings, at(0))
    state, _ = rule.step(state, None, at(1), settings)
    state = rule.resume(reload(kind, state), at(40 * 3600), settings)
    _, conditions = rule.step(state, None, at(40 * 3600), settings)
    assert conditions == ()


@pytest.mark.parametrize("kind", sorted(RULES))
def test_every_volatile_name_is_a_field(kind: str) -> None:
    rule = RULES[kind]
    assert rule.volatile <= set(rule.state.__struct_fields__)


def test_the_operators_table_names_only_conditions_that_exist(request: pytest.FixtureRequest) -> None:
    table = (request.config.rootpath / "docs" / "rules.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:gas|lift|sos|throw|gateway)\.[a-z_]+)`", table))
    assert {name for name in named - {"gateway.yaml"} if not _is_setting(name)} <= set(CODES)


def _is_setting(name: str) -> bool:
    part, _, field = name.partition(".")
    kinds = {"gas": gas.Settings, "sos": sos.Settings, "throw": throw.Settings}
    known = {
        "lift": lift.Settings.__struct_fields__ + trap.Settings.__struct_fields__ + Limits.__struct_fields__
    }
    known |= {kind: settings.__struct_fields__ for kind, settings in kinds.items()}
    return field in known.get(part, ()) or name == "lift.trapped_mode"
