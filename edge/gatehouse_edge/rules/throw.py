"""Throws: a proven throw is a moment, not a state; it stands long enough to be seen and its files go with it."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import AnyObservation, ThrowReading
from gatehouse_edge.rules.condition import Condition

VOLATILE: Final[frozenset[str]] = frozenset()


class Settings(Struct, frozen=True, kw_only=True):
    """How long one throw stands."""

    hold_s: float = 30.0


class State(Struct, frozen=True, kw_only=True):
    """The latest throw of one camera."""

    count: int = 0
    """Throws so far; the number of the latest is its `occurrence`."""
    until_s: float = 0.0
    latest: Condition | None = None
    """None: no throw stands."""


def initial(settings: Settings, now: Now) -> State:  # noqa: ARG001  # one shape for every rule
    """Return the state of a camera that has seen nothing fall."""
    return State()


def resume(state: State, now: Now, settings: Settings) -> State:  # noqa: ARG001  # one shape for every rule
    """Return the state after a restart: unchanged, a throw stands as long as it would have."""
    return state


def step(
    state: State, observation: AnyObservation | None, now: Now, settings: Settings
) -> tuple[State, tuple[Condition, ...]]:
    """Return the throw that stands, if any. A second throw while one stands is a repeat with its own files."""
    if isinstance(observation, ThrowReading):
        state = State(
            count=state.count + 1,
            until_s=now.service_s + settings.hold_s,
            latest=_condition(observation, state.count + 1),
        )
    elif state.latest is not None and now.service_s >= state.until_s:
        state = State(count=state.count)
    return state, () if state.latest is None else (state.latest,)


def _condition(reading: ThrowReading, occurrence: int) -> Condition:
    facts: dict[str, object] = {
        "floor_low": reading.floor_low,
        "floor_high": reading.floor_high,
        "confidence": reading.confidence,
        "track_points": reading.track_points,
    }
    if reading.model_sha256 is not None:
        facts["model_sha256"] = reading.model_sha256
    floors = f"floors {reading.floor_low}-{reading.floor_high}"
    return Condition(
        code="throw.object_falling",
        occurrence=occurrence,
        text=floors,
        evidence=reading.evidence,
        facts={"throw": facts},
    )
