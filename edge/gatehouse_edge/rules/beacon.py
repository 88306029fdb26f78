"""Beacons: the mains-powered transmitter by which a Bluetooth scanner proves that it still hears."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import AnyObservation, BeaconReading, Silence
from gatehouse_edge.rules import node
from gatehouse_edge.rules.condition import Condition
from gatehouse_edge.rules.supervision import Pulse, Status, Supervision, Watch, supervise, time
from gatehouse_edge.rules.supervision import begin as begin_watch
from gatehouse_edge.rules.supervision import resume as resume_watch

VOLATILE: Final = frozenset({"pulse"})


class Settings(Struct, frozen=True, kw_only=True):
    """How one beacon is judged."""

    supervision: Supervision = Supervision(max_silence_s=8.0)
    guard: node.Settings = node.Settings()


class State(Struct, frozen=True, kw_only=True):
    """When one beacon was heard."""

    watch: Watch
    pulse: Pulse
    guard: node.State


def initial(settings: Settings, now: Now) -> State:
    """Return the state of a beacon not heard yet."""
    watch, pulse = begin_watch(now)
    return State(watch=watch, pulse=pulse, guard=node.initial(settings.guard, now))


def resume(state: State, now: Now, settings: Settings) -> State:
    """Return the state after a restart."""
    watch, pulse = resume_watch(state.watch, state.pulse, now)
    return State(watch=watch, pulse=pulse, guard=node.resume(state.guard, now, settings.guard))


def step(
    state: State, observation: AnyObservation | None, now: Now, settings: Settings
) -> tuple[State, tuple[Condition, ...]]:
    """Return the state after one advert, silence or tick, and whether the beacon is lost."""
    guard, refusals = node.step(state.guard, observation, now, settings.guard)
    watch, pulse = supervise(
        state.watch,
        state.pulse,
        is_heard=isinstance(observation, BeaconReading),
        silence=observation if isinstance(observation, Silence) else None,
        now_s=time(state.pulse, now),
        settings=settings.supervision,
    )
    state = State(watch=watch, pulse=pulse, guard=guard)
    if watch.status is not Status.LOST:
        return state, refusals
    return state, (Condition(code="gateway.beacon_lost", text=watch.reason), *refusals)
