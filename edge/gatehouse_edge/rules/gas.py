"""Gas detectors: what a detector says becomes conditions, several at once, and never a safe-looking zero.

- An alarm bit acts on the reading that carries it (domain row 21). It goes only after `normal_count` readings over at
  least `normal_s` in which the detector *measures* and does not say so. Silence, warm-up, over-range, a fault or
  an implausible number never clear an alarm: a detector that lost power in a leak warms up in gas.
- Over-range is a fault with its own name (row 23). While a low or high alarm stands it means "more than I can
  measure", so the high alarm stands with it; alone it raises no alarm, for a poisoned sensor reads so too.
- Warm-up is a state, not a measurement; one that outlasts `warm_up_limit_s` is a sensor fault.
- A second opinion: a believed value at or above the detector's own set point for `own_confirm_s` raises the alarm the
  detector did not. 15 s is the shortest time in which the revised GB 15322 lets a household detector alarm (domain
  §2.1, grade S), so we never alarm on the cooking vapour that a detector may rightly wait out. Not in %VOL: oxygen
  detectors alarm downwards.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import AnyObservation, GasFlag, GasReading, Quality, Silence, SilenceReason, Unit
from gatehouse_edge.rules import node
from gatehouse_edge.rules.condition import Condition
from gatehouse_edge.rules.gas_plausibility import Sample, doubt, is_measuring
from gatehouse_edge.rules.life import credible_day, life_conditions
from gatehouse_edge.rules.supervision import (
    Pulse,
    Status,
    Supervision,
    Watch,
    describe,
    finite,
    is_life,
    printable,
    supervise,
    time,
)
from gatehouse_edge.rules.supervision import begin as begin_watch
from gatehouse_edge.rules.supervision import resume as resume_watch

VOLATILE: Final = frozenset({"pulse", "last", "set_points", "peaks", "clearing", "own_since", "unit_since_s"})

FLAG_CODES: Final[dict[GasFlag, str]] = {
    GasFlag.WARMING_UP: "gas.warming_up",
    GasFlag.PRE_WARNING: "gas.pre_warning",
    GasFlag.LOW_ALARM: "gas.low_alarm",
    GasFlag.HIGH_ALARM: "gas.high_alarm",
    GasFlag.STEL_ALARM: "gas.stel_alarm",
    GasFlag.TWA_ALARM: "gas.twa_alarm",
    GasFlag.OVER_RANGE: "gas.over_range",
    GasFlag.DATA_FAULT: "gas.data_fault",
    GasFlag.SENSOR_FAULT: "gas.sensor_fault",
    GasFlag.ACCESS_FAULT: "gas.comm_fault",
    GasFlag.CALIBRATION_DUE: "gas.calibration_due",
    GasFlag.TIMEOUT: "gas.comm_fault",
    GasFlag.COMM_FAULT: "gas.comm_fault",
}
_QUALITY_CODES: Final = {
    Quality.WARMING_UP: "gas.warming_up",
    Quality.OVER_RANGE: "gas.over_range",
    Quality.FAULT: "gas.sensor_fault",
}
_ALARMS: Final = frozenset(
    {"gas.high_alarm", "gas.low_alarm", "gas.stel_alarm", "gas.twa_alarm", "gas.pre_warning"}
)
_LEVELS: Final = frozenset({"gas.low_alarm", "gas.high_alarm"})
_UNIT_ACCEPT_S: Final = 3600.0
"""A detector exchanged for one with another unit is believed after this long, and reported until then."""
_OWN_TEXT: Final = "by value; the detector gives no alarm bit"


class Settings(Struct, frozen=True, kw_only=True):
    """How one gas detector is judged."""

    supervision: Supervision = Supervision()
    guard: node.Settings = node.Settings()
    warm_up_limit_s: float = 180.0
    normal_s: float = 5.0
    normal_count: int = 3
    own_confirm_s: float = 15.0
    checks_thresholds: bool = True
    """False for detectors that alarm on a falling value (oxygen)."""
    unit: Unit | None = None
    """The unit this detector must report; None: the first one it reports."""
    max_rate_fs_per_s: float = 0.5
    """Fastest believable change, in parts of full scale per second."""
    installed_on: date | None = None
    life_years: float = 5.0


class Active(Struct, frozen=True, kw_only=True):
    """One thing that stands."""

    since_s: float
    text: str = ""


class Run(Struct, frozen=True, kw_only=True):
    """Readings in a row in which a standing thing was not said."""

    since_s: float
    count: int


class SetPoints(Struct, frozen=True, kw_only=True):
    """The detector's own thresholds, as last read; in `unit`."""

    unit: Unit
    low: float | None = None
    high: float | None = None


class State(Struct, frozen=True, kw_only=True):
    """What stands at one detector."""

    watch: Watch
    pulse: Pulse
    guard: node.State
    active: dict[str, Active] = {}
    clearing: dict[str, Run] = {}
    own_since: dict[str, float] = {}
    """Code -> since when the believed value lies at or above that set point."""
    peaks: dict[str, float] = {}
    """Code -> highest value since it stands."""
    last: Sample | None = None
    set_points: SetPoints | None = None
    unit: Unit | None = None
    unit_since_s: float | None = None
    warm_up_since_s: float | None = None
    day: int | None = None
    """Latest credible calendar day (proleptic ordinal)."""


def initial(settings: Settings, now: Now) -> State:
    """Return the state of a detector nobody has read yet: unknown, with no condition."""
    watch, pulse = begin_watch(now)
    return State(watch=watch, pulse=pulse, guard=node.initial(settings.guard, now))


def resume(state: State, now: Now, settings: Settings) -> State:
    """Return the state after a restart: everything stands as it stood, runs of good readings begin anew."""
    watch, pulse = resume_watch(state.watch, state.pulse, now)
    guard = node.resume(state.guard, now, settings.guard)
    return structs.replace(state, watch=watch, pulse=pulse, guard=guard, clearing={}, own_since={}, last=None)


def step(
    state: State, observation: AnyObservation | None, now: Now, settings: Settings
) -> tuple[State, tuple[Condition, ...]]:
    """Return the state after one reading, silence or tick, and everything that is wrong with the detector now."""
    now_s = time(state.pulse, now)
    guard, refusals = node.step(state.guard, observation, now, settings.guard)
    if isinstance(observation, GasReading):
        state = _read(state, observation, now_s, settings)
    elif isinstance(observation, Silence):
        state = _silent(state, observation, now_s)
    watch, pulse = supervise(
        state.watch,
        state.pulse,
        is_heard=isinstance(observation, GasReading) and is_life(observation),
        silence=observation if isinstance(observation, Silence) else None,
        now_s=now_s,
        settings=settings.supervision,
    )
    state = structs.replace(state, watch=watch, pulse=pulse, guard=guard, day=credible_day(state.day, now))
    state = _warm_up(state, now_s, settings)
    return state, _conditions(state, settings) + refusals


def _read(state: State, reading: GasReading, now_s: float, settings: Settings) -> State:
    state = _learn_unit(state, reading, now_s, settings)
    why = doubt(
        reading, state.last, unit=settings.unit or state.unit, max_rate_fs_per_s=settings.max_rate_fs_per_s
    )
    measuring = is_measuring(reading)
    own = _own_opinion(state, reading, now_s, settings) if measuring and not why else {}
    said = _said(reading)
    if why:
        said["gas.implausible"] = why
    for code, since_s in own.items():
        if now_s - since_s >= settings.own_confirm_s:
            said.setdefault(code, _OWN_TEXT)
    if "gas.over_range" in said and not _LEVELS.isdisjoint(state.active.keys() | said.keys()):
        said.setdefault("gas.high_alarm", "over range")
    late = _late(state, now_s, settings)
    if late and "gas.warming_up" in said:
        said.setdefault("gas.sensor_fault", late)
    held = frozenset(own) if measuring and not why else _ALARMS
    state = _advance(state, said, held if is_life(reading) else frozenset(state.active), now_s, settings)
    value = finite(reading.value)
    return structs.replace(
        state,
        own_since=own,
        last=Sample(value=value, unit=reading.unit, at_s=reading.at.service_s)
        if measuring and value is not None
        else state.last,
        set_points=SetPoints(unit=reading.unit, low=finite(reading.low_set), high=finite(reading.high_set)),
        peaks=_peaks(state, value if measuring and not why else None),
        warm_up_since_s=(state.warm_up_since_s if state.warm_up_since_s is not None else now_s)
        if "gas.warming_up" in said
        else None,
    )


def _said(reading: GasReading) -> dict[str, str]:
    """Return what the detector says of itself, as code -> text."""
    said = {FLAG_CODES[flag]: "" for flag in reading.flags}
    for flag in sorted(reading.flags & {GasFlag.ACCESS_FAULT, GasFlag.TIMEOUT}):
        said["gas.comm_fault"] = flag.value
    has_fault = not said.keys() <= _ALARMS
    code = _QUALITY_CODES.get(reading.quality)
    # A detector that names its fault is taken at its word; a bare "fault" is called a sensor fault.
    if code is not None and (reading.quality is not Quality.FAULT or not has_fault):
        said.setdefault(code, "")
    elif reading.quality is Quality.GOOD and reading.value is None and not has_fault:
        said["gas.data_fault"] = "no value"
    return said


def _own_opinion(state: State, reading: GasReading, now_s: float, settings: Settings) -> dict[str, float]:
    low, high, value = finite(reading.low_set), finite(reading.high_set), finite(reading.value)
    if not settings.checks_thresholds or reading.unit is Unit.PCT_VOL or value is None:
        return {}
    if low is None or high is None or not 0 < low <= high:
        return {}
    reached = {"gas.low_alarm": value >= low, "gas.high_alarm": value >= high}
    return {code: state.own_since.get(code, now_s) for code, is_reached in reached.items() if is_reached}


def _advance(
    state: State, said: dict[str, str], held: frozenset[str], now_s: float, settings: Settings
) -> State:
    """Return the state in which all that was said stands, and what was not said long enough has gone.

    `held` are codes that this reading cannot clear, whatever it does not say.
    """
    active = {code: Active(since_s=now_s, text=text) for code, text in said.items()}
    clearing: dict[str, Run] = {}
    for code, standing in state.active.items():
        if code in said or code in held:
            active[code] = standing
            continue
        before = state.clearing.get(code)
        run = (
            Run(since_s=now_s, count=1)
            if before is None
            else Run(since_s=before.since_s, count=before.count + 1)
        )
        if run.count < settings.normal_count or now_s - run.since_s < settings.normal_s:
            active[code] = standing
            clearing[code] = run
    return structs.replace(state, active=active, clearing=clearing)


def _peaks(state: State, value: float | None) -> dict[str, float]:
    peaks = {code: state.peaks[code] for code in state.active if code in state.peaks}
    if value is not None:
        peaks |= {code: max(value, peaks.get(code, value)) for code in state.active if code in _ALARMS}
    return peaks


def _learn_unit(state: State, reading: GasReading, now_s: float, settings: Settings) -> State:
    if settings.unit is not None or not is_measuring(reading):
        return state
    if state.unit is None or state.unit is reading.unit:
        return structs.replace(state, unit=reading.unit, unit_since_s=None)
    since_s = state.unit_since_s if state.unit_since_s is not None else now_s
    if now_s - since_s >= _UNIT_ACCEPT_S:
        return structs.replace(state, unit=reading.unit, unit_since_s=None, last=None)
    return structs.replace(state, unit_since_s=since_s)


def _silent(state: State, silence: Silence, now_s: float) -> State:
    """A gap breaks every run of good readings; an answer that cannot be true is a fault with a name at once."""
    state = structs.replace(state, clearing={}, own_since={})
    if silence.reason is SilenceReason.WRONG_ANSWER and "gas.data_fault" not in state.active:
        wrong = Active(since_s=now_s, text=describe(silence))
        state = structs.replace(state, active={**state.active, "gas.data_fault": wrong})
    return state


def _late(state: State, now_s: float, settings: Settings) -> str:
    since_s = state.warm_up_since_s
    if since_s is None or now_s - since_s <= settings.warm_up_limit_s:
        return ""
    return f"warming up for more than {settings.warm_up_limit_s:g} s"


def _warm_up(state: State, now_s: float, settings: Settings) -> State:
    late = _late(state, now_s, settings)
    if not late or "gas.sensor_fault" in state.active:
        return state
    fault = Active(since_s=now_s, text=late)
    return structs.replace(state, active={**state.active, "gas.sensor_fault": fault})


def _conditions(state: State, settings: Settings) -> tuple[Condition, ...]:
    found = [_condition(state, code) for code in sorted(state.active)]
    found.extend(life_conditions(settings.installed_on, settings.life_years, state.day))
    if state.watch.status is Status.LOST:
        last = "" if state.last is None else f"; last {state.last.value:g} {state.last.unit.value}"
        found.append(Condition(code="gas.offline", text=printable((state.watch.reason or "silent") + last)))
    return tuple(found)


def _condition(state: State, code: str) -> Condition:
    text = state.active[code].text
    if code not in _ALARMS:
        return Condition(code=code, text=text)
    points = state.set_points
    unit = points.unit.value if points is not None else None
    threshold = None
    if points is not None:
        threshold = {"gas.low_alarm": points.low, "gas.high_alarm": points.high}.get(code)
    return Condition(code=code, value=state.peaks.get(code), unit=unit, threshold=threshold, text=text)
