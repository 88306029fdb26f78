"""Buses and beacons: a wire that is down, a scanner that has gone deaf, a beacon that has gone quiet.

A Bluetooth scanner dies silently (field notes, issue 17), so it must hear its mains-powered beacon within
`max_silence_s` (domain: noticed in 10 s). The driver's own word (`BusReading`) acts at once. A device of kind
`beacon` reports itself; the bus it is heard on is given the same readings and those of the buttons.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import AnyObservation, BeaconReading, BusReading, ButtonReading, Silence
from gatehouse_edge.rules import node
from gatehouse_edge.rules.condition import Condition
from gatehouse_edge.rules.supervision import Pulse, Status, Supervision, Watch, printable, supervise, time
from gatehouse_edge.rules.supervision import begin as begin_watch
from gatehouse_edge.rules.supervision import resume as resume_watch

VOLATILE: Final = frozenset({"pulse", "up_since_s"})


class Settings(Struct, frozen=True, kw_only=True):
    """How one bus is judged."""

    guard: node.Settings = node.Settings()
    supervision: Supervision | None = None
    """Given for a radio: how often it must hear something. None: a wire, judged by its driver's word alone."""
    up_s: float = 3.0
    """A bus counts as back after being up for this long."""

    @property
    def is_radio(self) -> bool:
        """Whether this is a radio."""
        return self.supervision is not None


class State(Struct, frozen=True, kw_only=True):
    """What is known of one bus."""

    watch: Watch
    pulse: Pulse
    guard: node.State
    has_heard: bool = False
    """Whether a radio ever heard anything; before that only its driver can say that it is deaf."""
    is_down: bool = False
    detail: str = ""
    up_since_s: float | None = None


def initial(settings: Settings, now: Now) -> State:
    """Return the state of a bus nothing is known of: unknown, not down."""
    watch, pulse = begin_watch(now)
    return State(watch=watch, pulse=pulse, guard=node.initial(settings.guard, now))


def resume(state: State, now: Now, settings: Settings) -> State:
    """Return the state after a restart: what was down is down until its driver says otherwise."""
    watch, pulse = resume_watch(state.watch, state.pulse, now)
    guard = node.resume(state.guard, now, settings.guard)
    return structs.replace(state, watch=watch, pulse=pulse, guard=guard, up_since_s=None)


def step(
    state: State, observation: AnyObservation | None, now: Now, settings: Settings
) -> tuple[State, tuple[Condition, ...]]:
    """Return the state after one word of the driver, one thing heard, or a tick, and what is wrong now."""
    now_s = time(state.pulse, now)
    guard, refusals = node.step(state.guard, observation, now, settings.guard)
    if isinstance(observation, BusReading):
        state = _told(state, observation, now_s)
    if state.up_since_s is not None and now_s - state.up_since_s >= settings.up_s:
        state = structs.replace(state, is_down=False, detail="", up_since_s=None)
    if isinstance(observation, BeaconReading | ButtonReading):
        state = structs.replace(state, has_heard=True)
    is_watched = settings.is_radio and state.has_heard
    watch, pulse = supervise(
        state.watch,
        state.pulse,
        is_heard=isinstance(observation, BeaconReading | ButtonReading) or not is_watched,
        silence=observation if isinstance(observation, Silence) else None,
        now_s=now_s,
        settings=settings.supervision or Supervision(),
    )
    state = structs.replace(state, watch=watch, pulse=pulse, guard=guard)
    return state, _conditions(state, settings) + refusals


def _told(state: State, reading: BusReading, now_s: float) -> State:
    if not reading.is_up:
        detail = state.detail if state.is_down else printable(reading.detail)
        return structs.replace(state, is_down=True, detail=detail, up_since_s=None)
    if not state.is_down or state.up_since_s is not None:
        return state
    return structs.replace(state, up_since_s=now_s)


def _conditions(state: State, settings: Settings) -> tuple[Condition, ...]:
    if settings.is_radio:
        if state.is_down or state.watch.status is Status.LOST:
            return (Condition(code="gateway.radio_silent", text=state.detail or state.watch.reason),)
        return ()
    return (Condition(code="gateway.bus_down", text=state.detail),) if state.is_down else ()
