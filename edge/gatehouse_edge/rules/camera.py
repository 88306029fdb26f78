"""Cameras: a picture that is frozen, black or gone is a fault with that name, and so is each flaw; a throw is an alarm.

The driver has already timed the picture (`frozen_after_s`), so a bad picture acts at once; a good one must last. Flaws stand beside one
another; one that is not judged (no picture, just started) stays as it was.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import (
    AnyObservation,
    CameraReading,
    EvidenceReading,
    Flaw,
    PictureState,
    Silence,
    ThrowReading,
)
from gatehouse_edge.rules import node, throw
from gatehouse_edge.rules.condition import Condition
from gatehouse_edge.rules.supervision import Pulse, Status, Supervision, Watch, printable, supervise, time
from gatehouse_edge.rules.supervision import begin as begin_watch
from gatehouse_edge.rules.supervision import resume as resume_watch

VOLATILE: Final = frozenset({"pulse", "ok_since_s", "well_since_s"})

_CODES: Final = {
    PictureState.FROZEN: "throw.camera_frozen",
    PictureState.BLACK: "throw.camera_black",
    PictureState.LOST: "throw.camera_lost",
}
_FLAWS: Final = {flaw: f"throw.camera_{flaw}" for flaw in Flaw if flaw is not Flaw.DETECTOR} | {
    Flaw.DETECTOR: "throw.detector_failed"
}


class Settings(Struct, frozen=True, kw_only=True):
    """How one camera is judged."""

    supervision: Supervision = Supervision()
    guard: node.Settings = node.Settings()
    throw: throw.Settings = throw.Settings()
    ok_s: float = 5.0
    """A picture counts as well again after being good for this long; so does each flaw."""


class State(Struct, frozen=True, kw_only=True):
    """What is wrong with one camera's picture, and its latest throw."""

    watch: Watch
    pulse: Pulse
    guard: node.State
    throw: throw.State
    bad: PictureState | None = None
    """The fault that stands; None: the picture is well, or not known."""
    detail: str = ""
    ok_since_s: float | None = None
    flaws: dict[Flaw, str] = {}
    """Those that stand, in words."""
    well_since_s: dict[Flaw, float] = {}
    """Since when one that stands has not been found any more."""


def initial(settings: Settings, now: Now) -> State:
    """Return the state of a camera nobody has looked at yet."""
    watch, pulse = begin_watch(now)
    guard = node.initial(settings.guard, now)
    return State(watch=watch, pulse=pulse, guard=guard, throw=throw.initial(settings.throw, now))


def resume(state: State, now: Now, settings: Settings) -> State:
    """Return the state after a restart: what was wrong is wrong until the picture proves well."""
    watch, pulse = resume_watch(state.watch, state.pulse, now)
    guard = node.resume(state.guard, now, settings.guard)
    return structs.replace(state, watch=watch, pulse=pulse, guard=guard, ok_since_s=None, well_since_s={})


def step(
    state: State, observation: AnyObservation | None, now: Now, settings: Settings
) -> tuple[State, tuple[Condition, ...]]:
    """Return the state after one report, throw, silence or tick, and all that is wrong now."""
    now_s = time(state.pulse, now)
    guard, refusals = node.step(state.guard, observation, now, settings.guard)
    thrown, throws = throw.step(state.throw, observation, now, settings.throw)
    if isinstance(observation, CameraReading):
        state = _weighed(_looked(state, observation, now_s), observation, now_s)
    elif isinstance(observation, Silence):
        state = structs.replace(state, ok_since_s=None)
    if state.ok_since_s is not None and now_s - state.ok_since_s >= settings.ok_s:
        state = structs.replace(state, bad=None, detail="", ok_since_s=None)
    gone = [flaw for flaw, since_s in state.well_since_s.items() if now_s - since_s >= settings.ok_s]
    if gone:
        state = structs.replace(
            state,
            flaws={flaw: text for flaw, text in state.flaws.items() if flaw not in gone},
            well_since_s={flaw: s for flaw, s in state.well_since_s.items() if flaw not in gone},
        )
    watch, pulse = supervise(
        state.watch,
        state.pulse,
        is_heard=isinstance(observation, CameraReading | ThrowReading | EvidenceReading),
        silence=observation if isinstance(observation, Silence) else None,
        now_s=now_s,
        settings=settings.supervision,
    )
    state = structs.replace(state, watch=watch, pulse=pulse, guard=guard, throw=thrown)
    return state, _conditions(state) + throws + refusals


def _looked(state: State, reading: CameraReading, now_s: float) -> State:
    if reading.picture is not PictureState.OK:
        if state.bad is reading.picture:
            return structs.replace(state, ok_since_s=None)
        return structs.replace(state, bad=reading.picture, detail=printable(reading.detail), ok_since_s=None)
    if state.bad is None or state.ok_since_s is not None:
        return state
    return structs.replace(state, ok_since_s=now_s)


def _weighed(state: State, reading: CameraReading, now_s: float) -> State:
    """Return the state after a look at the flaws; the first words of one that stands are kept, figures in them change."""
    if not reading.flaws:
        return state
    found = {flaw: printable(text) for flaw, text in reading.flaws.items() if text}
    well = [flaw for flaw, text in reading.flaws.items() if not text and flaw in state.flaws]
    if found.keys() <= state.flaws.keys() and not well and not state.well_since_s:
        return state
    since_s = {flaw: s for flaw, s in state.well_since_s.items() if flaw not in found}
    since_s |= {flaw: now_s for flaw in well if flaw not in since_s}
    return structs.replace(state, flaws=found | state.flaws, well_since_s=since_s)


def _conditions(state: State) -> tuple[Condition, ...]:
    """A camera that says nothing is lost, whatever its last picture was."""
    if state.watch.status is Status.LOST:
        bad: tuple[Condition, ...] = (Condition(code="throw.camera_lost", text=state.watch.reason),)
    else:
        bad = () if state.bad is None else (Condition(code=_CODES[state.bad], text=state.detail),)
    return bad + tuple(Condition(code=_FLAWS[flaw], text=state.flaws[flaw]) for flaw in sorted(state.flaws))
