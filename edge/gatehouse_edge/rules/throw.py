"""Throws: a throw is a moment, not a state; it stands long enough to be seen, and its files follow.

The alarm is raised at once and the clip comes when it is whole, five seconds later at least. A clip that was promised and does not
come is a fault with a name: a throw whose proof is missing must not look like one that is proven.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import AnyObservation, EvidenceReading, ThrowReading
from gatehouse_edge.rules.condition import Condition
from gatehouse_edge.rules.supervision import finite, printable

VOLATILE: Final[frozenset[str]] = frozenset()
_MAX_AWAITED: Final = 32
"""Promised clips remembered at once; more throws than that within a minute are one long event."""


class Settings(Struct, frozen=True, kw_only=True):
    """How long one throw stands."""

    hold_s: float = 30.0
    evidence_s: float = 60.0
    """Files that have not come by then are missing: the process that promised them is gone."""
    missing_s: float = 300.0
    """So long a missing clip stands as a fault."""


class State(Struct, frozen=True, kw_only=True):
    """The latest throw of one camera, and the files that are still to come."""

    count: int = 0
    """Throws so far; the number of the latest is its `occurrence`."""
    until_s: float = 0.0
    latest: Condition | None = None
    """None: no throw stands."""
    awaited: dict[str, float] = {}
    """Throw -> service time at which its files are missing."""
    missing: str = ""
    """What is not there and why; empty: nothing is missing."""
    missing_until_s: float = 0.0


def initial(settings: Settings, now: Now) -> State:  # noqa: ARG001  # one shape for every rule
    """Return the state of a camera that has seen nothing fall."""
    return State()


def resume(state: State, now: Now, settings: Settings) -> State:  # noqa: ARG001  # one shape for every rule
    """Return the state after a restart: a throw stands as long as it would have; files still awaited are waited for."""
    return state


def step(
    state: State, observation: AnyObservation | None, now: Now, settings: Settings
) -> tuple[State, tuple[Condition, ...]]:
    """Return the throw that stands, if any. A second throw while one stands is a repeat with its own files."""
    if isinstance(observation, ThrowReading) and observation.is_alarm:
        state = _thrown(state, observation, now, settings)
    elif isinstance(observation, EvidenceReading):
        state = _kept(state, observation, now, settings)
    elif state.latest is not None and now.service_s >= state.until_s:
        state = structs.replace(state, latest=None)
    late = [name for name, due_s in state.awaited.items() if now.service_s >= due_s]
    if late:
        awaited = {name: due_s for name, due_s in state.awaited.items() if name not in late}
        why = "录制进程已中断，片段未写完 the camera's process ended before the clip was whole"
        state = _missed(structs.replace(state, awaited=awaited), why, now, settings)
    if state.missing and now.service_s >= state.missing_until_s:
        state = structs.replace(state, missing="")
    found = () if state.latest is None else (state.latest,)
    if state.missing:
        found = (*found, Condition(code="throw.evidence_missing", text=state.missing))
    return state, found


def _thrown(state: State, reading: ThrowReading, now: Now, settings: Settings) -> State:
    awaited = dict(list(state.awaited.items())[-(_MAX_AWAITED - 1) :])
    if reading.awaits_evidence:
        awaited[reading.throw_id] = now.service_s + settings.evidence_s
    return structs.replace(
        state,
        count=state.count + 1,
        until_s=now.service_s + settings.hold_s,
        latest=_condition(reading, state.count + 1),
        awaited=awaited,
    )


def _kept(state: State, reading: EvidenceReading, now: Now, settings: Settings) -> State:
    """What lies on the disk has been entered into the journal and named in the alarm before this is said."""
    awaited = {name: due_s for name, due_s in state.awaited.items() if name != reading.throw_id}
    state = structs.replace(state, awaited=awaited)
    return _missed(state, printable(reading.missing), now, settings) if reading.missing else state


def _missed(state: State, why: str, now: Now, settings: Settings) -> State:
    return structs.replace(state, missing=why, missing_until_s=now.service_s + settings.missing_s)


def _condition(reading: ThrowReading, occurrence: int) -> Condition:
    facts: dict[str, object] = {
        "confidence": finite(reading.confidence) or 0.0,
        "track_points": reading.track_points,
    }
    floors = ""
    if reading.floor_low is not None and reading.floor_high is not None:
        facts |= {"floor_low": reading.floor_low, "floor_high": reading.floor_high}
        span = (
            str(reading.floor_low)
            if reading.floor_low == reading.floor_high
            else f"{reading.floor_low}–{reading.floor_high}"
        )
        column = "" if reading.column is None else f" 第{reading.column}列"
        column_en = "" if reading.column is None else f", column {reading.column}"
        floors = f"{span}层{column} floor {span}{column_en}"
    if reading.model_sha256 is not None:
        facts["model_sha256"] = reading.model_sha256
    return Condition(
        code="throw.object_falling",
        occurrence=occurrence,
        text=floors or "未标定楼层 floors not drawn",
        evidence=reading.evidence,
        facts={"throw": facts, "fall": _fall(reading)},
    )


def _fall(reading: ThrowReading) -> dict[str, object]:
    """Return what the city's schema has no place for: where and when exactly, by which clock."""
    told: dict[str, object | None] = {
        "throw_id": reading.throw_id or None,
        "floor_probability": finite(reading.floor_probability),
        "column": reading.column,
        "landing_px": None if reading.landing_px is None else list(reading.landing_px),
        "fall_s": finite(reading.fall_s),
        "speed_m_s": finite(reading.speed_m_s),
        "began_at": None if reading.began_at is None else reading.began_at.isoformat(),
        "ended_at": None if reading.ended_at is None else reading.ended_at.isoformat(),
        "clock": reading.clock.value,
    }
    return {name: value for name, value in told.items() if value is not None}
