"""Cameras: a picture that is frozen, black or gone is a fault with that name; a throw is an alarm.

The driver has already timed the picture (`frozen_after_s`), so a bad picture acts at once; a good one must last.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import AnyObservation, CameraReading, PictureState, Silence, ThrowReading
from gatehouse_edge.rules import node, throw
from gatehouse_edge.rules.condition import Condition
from gatehouse_edge.rules.supervision import Pulse, Status, Supervision, Watch, printable, supervise, time
from gatehouse_edge.rules.supervision import begin as begin_watch
from gatehouse_edge.rules.supervision import resume as resume_watch

VOLATILE: Final = frozenset({"pulse", "ok_since_s"})

_CODES: Final = {
    PictureState.FROZEN: "throw.camera_frozen",
    PictureState.BLACK: "throw.camera_black",
    PictureState.LOST: "throw.camera_lost",
}


class Settings(Struct, frozen=True, kw_only=True):
    """How one camera is judged."""

    supervision: Supervision = Supervision()
    guard: node.Settings = node.Settings()
    throw: throw.Settings = throw.Settings()
    ok_s: float = 5.0
    """A picture counts as well again after being good for this long."""


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


def initial(settings: Settings, now: Now) -> State:
    """Return the state of a camera nobody has looked at yet."""
    watch, pulse = begin_watch(now)
    guard = node.initial(settings.guard, now)
    return State(watch=watch, pulse=pulse, guard=guard, throw=throw.initial(settings.throw, now))


def resume(state: State, now: Now, settings: Settings) -> State:
    """Return the state after a restart: what was wrong is wrong until the picture proves well."""
    watch, pulse = resume_watch(state.watch, state.pulse, now)
    guard = node.resume(state.guard, now, settings.guard)
    return structs.replace(state, watch=watch, pulse=pulse, guard=guard, ok_since_s=None)


def step(
    state: State, observation: AnyObservation | None, now: Now, settings: Settings
) -> tuple[State, tuple[Condition, ...]]:
    """Return the state after one report, throw, silence or tick, and all that is wrong now."""
    now_s = time(state.pulse, now)
    guard, refusals = node.step(state.guard, observation, now, settings.guard)
    thrown, throws = throw.step(state.throw, observation, now, settings.throw)
    if isinstance(observation, CameraReading):
        state = _looked(state, observation, now_s)
    elif isinstance(observation, Silence):
        state = structs.replace(state, ok_since_s=None)
    if state.ok_since_s is not None and now_s - state.ok_since_s >= settings.ok_s:
        state = structs.replace(state, bad=None, detail="", ok_since_s=None)
    watch, pulse = supervise(
        state.watch,
        state.pulse,
        is_heard=isinstance(observation, CameraReading | ThrowReading),
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


def _conditions(state: State) -> tuple[Condition, ...]:
    """A camera that says nothing is lost, whatever its last picture was."""
    if state.watch.status is Status.LOST:
        return (Condition(code="throw.camera_lost", text=state.watch.reason),)
    return () if state.bad is None else (Condition(code=_CODES[state.bad], text=state.detail),)
