"""Inputs of the gateway's own relay board: mains, UPS, cabinet lid, valve feedback, and the board itself.

The e-bike contact of a lift is an `InputReading` whose `subject` is the lift; the lift's rule takes it. Domain
rows 26 (mains and UPS), 27 (valve), 36 (e-bike).
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import AnyObservation, InputReading, Quality, Silence
from gatehouse_edge.rules import node
from gatehouse_edge.rules.condition import Condition
from gatehouse_edge.rules.supervision import Pulse, Status, Supervision, Watch, printable, supervise, time
from gatehouse_edge.rules.supervision import begin as begin_watch
from gatehouse_edge.rules.supervision import resume as resume_watch

VOLATILE: Final = frozenset({"pulse", "pending", "raw", "feedback"})

MAINS: Final = "mains"
UPS_LOW: Final = "ups_low"
LID: Final = "lid"
VALVE_CLOSED: Final = "valve_closed"
VALVE_OPEN: Final = "valve_open"
_MAX_INPUTS: Final = 64
"""More than any relay board has; bounds what a faulty driver could make us keep."""


class Settings(Struct, frozen=True, kw_only=True):
    """How the inputs of one board are judged."""

    supervision: Supervision = Supervision(max_silence_s=5.0)
    guard: node.Settings = node.Settings()
    on_s: float = 1.0
    """A contact must say "wrong" this long: relays bounce and mains dip."""
    off_s: float = 10.0
    """And "right" this long until its condition goes."""
    valve_travel_s: float = 15.0
    """Time a gas valve may take until its feedback agrees with what was asked of it."""


class Demand(Struct, frozen=True, kw_only=True):
    """What was asked of one valve."""

    is_closed: bool
    since_s: float


class State(Struct, frozen=True, kw_only=True):
    """What the inputs of one board say."""

    watch: Watch
    pulse: Pulse
    guard: node.State
    active: dict[str, float] = {}
    """Code, or code and valve, -> since when it stands."""
    pending: dict[str, float] = {}
    """The same keys -> since when the input says the opposite of `active`."""
    raw: dict[str, bool] = {}
    """The same keys -> what the input said last; missing: not read yet."""
    feedback: dict[str, bool] = {}
    """End contact and valve -> whether the contact is made."""
    demands: dict[str, Demand] = {}


def initial(settings: Settings, now: Now) -> State:
    """Return the state of a board nobody has read yet: its inputs are unknown, not well."""
    watch, pulse = begin_watch(now)
    return State(watch=watch, pulse=pulse, guard=node.initial(settings.guard, now))


def resume(state: State, now: Now, settings: Settings) -> State:
    """Return the state after a restart: what stood stands until the input says otherwise."""
    watch, pulse = resume_watch(state.watch, state.pulse, now)
    guard = node.resume(state.guard, now, settings.guard)
    return structs.replace(state, watch=watch, pulse=pulse, guard=guard, pending={}, raw={}, feedback={})


def with_demand(state: State, valve: str, *, is_closed: bool, now: Now) -> State:
    """Return the state knowing what is asked of a valve; call it whenever the demand is (re)computed."""
    known = state.demands.get(valve)
    if known is not None and known.is_closed is is_closed:
        return state
    demand = Demand(is_closed=is_closed, since_s=now.service_s)
    return structs.replace(state, demands={**state.demands, valve: demand})


def step(
    state: State, observation: AnyObservation | None, now: Now, settings: Settings
) -> tuple[State, tuple[Condition, ...]]:
    """Return the state after one input, silence or tick, and all that is wrong now."""
    now_s = time(state.pulse, now)
    guard, refusals = node.step(state.guard, observation, now, settings.guard)
    is_heard = isinstance(observation, InputReading) and observation.quality is Quality.GOOD
    if isinstance(observation, InputReading) and is_heard:
        state = _read(state, observation)
    elif isinstance(observation, Silence):
        # What was read before the silence is no longer known: it neither raises nor clears anything.
        state = structs.replace(state, raw={}, feedback={})
    watch, pulse = supervise(
        state.watch,
        state.pulse,
        is_heard=is_heard,
        silence=observation if isinstance(observation, Silence) else None,
        now_s=now_s,
        settings=settings.supervision,
    )
    state = _settle(structs.replace(state, watch=watch, pulse=pulse, guard=guard), now_s, settings)
    return state, _conditions(state) + refusals


def _read(state: State, reading: InputReading) -> State:
    if reading.role in {VALVE_CLOSED, VALVE_OPEN}:
        key = printable(f"{reading.role} {reading.subject or reading.device_id}")
        if len(state.feedback) >= _MAX_INPUTS and key not in state.feedback:
            return state
        return structs.replace(state, feedback={**state.feedback, key: reading.is_on})
    wrong = {
        MAINS: ("gateway.mains_lost", not reading.is_on),
        UPS_LOW: ("gateway.ups_low", reading.is_on),
        LID: ("gateway.lid_open", reading.is_on),
    }.get(reading.role)
    if wrong is None:
        return state
    return structs.replace(state, raw={**state.raw, wrong[0]: wrong[1]})


def _settle(state: State, now_s: float, settings: Settings) -> State:
    """Return the state in which everything that was said long enough stands, or has gone."""
    active, pending = dict(state.active), {}
    for key, is_wrong in _wrong(state, now_s, settings).items():
        if is_wrong is (key in active):
            continue
        since_s = state.pending.get(key, now_s)
        wait_s = settings.on_s if is_wrong else settings.off_s
        if now_s - since_s < wait_s:
            pending[key] = since_s
        elif is_wrong:
            active[key] = now_s
        else:
            del active[key]
    return structs.replace(state, active=active, pending=pending)


def _wrong(state: State, now_s: float, settings: Settings) -> dict[str, bool]:
    wrong = dict(state.raw)
    for valve, demand in state.demands.items():
        expected = {VALVE_CLOSED: demand.is_closed, VALVE_OPEN: not demand.is_closed}
        # No end contact, or not read yet: unknown, so nothing changes.
        agree = [
            state.feedback[key] is is_made
            for role, is_made in expected.items()
            if (key := f"{role} {valve}") in state.feedback
        ]
        if agree:
            is_due = now_s - demand.since_s >= settings.valve_travel_s
            key = f"gateway.valve_disagrees {valve}"
            wrong[key] = not all(agree) and (is_due or key in state.active)
    return wrong


def _conditions(state: State) -> tuple[Condition, ...]:
    found = []
    valves = []
    for key in sorted(state.active):
        code, _, valve = key.partition(" ")
        if valve:
            wanted = "closed" if state.demands[valve].is_closed else "open"
            valves.append(f"{valve} should be {wanted}")
        else:
            found.append(Condition(code=code))
    if valves:
        found.append(Condition(code="gateway.valve_disagrees", text=printable(", ".join(valves))))
    if state.watch.status is Status.LOST:
        found.append(Condition(code="gateway.io_offline", text=state.watch.reason))
    return tuple(found)
