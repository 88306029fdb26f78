"""Lifts: what a controller says, and what follows from an add-on node's few points.

- A fault is confirmed after `confirm_s` and gone after the same (domain row 31), whoever reports it; only the alarm
  button acts at once. Off-zone stop 45 s, moving with an open door 30 s.
- Inspection and fire modes suppress faults, which stay listed and logged (row 33). Never suppressed: the alarm button,
  and a trapped passenger who was there before the mode changed, pressed the button, or is named by the controller:
  rescuers themselves switch to inspection. A trap that only *we* infer inside such a mode is suppressed until the mode
  ends, for a mechanic in the car looks just like it.
- Foreign codes are shown with their code system and never guessed at (row 1).
- This module reads. There is no way from here to a lift (row 29).

Timers of less than `_RIPE_S` are not written to disk, so an ordinary trip costs no write; a restart begins them anew.
"""

from __future__ import annotations

import math
from collections.abc import Set
from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import (
    AnyObservation,
    InputReading,
    LiftReading,
    Quality,
    ServiceMode,
    Silence,
)
from gatehouse_edge.rules import node, trap
from gatehouse_edge.rules.condition import Condition
from gatehouse_edge.rules.lift_motion import Limits, derived
from gatehouse_edge.rules.lift_view import View, facts, is_mode, merge
from gatehouse_edge.rules.presence import Presence, observe, settle
from gatehouse_edge.rules.presence import Settings as PresenceSettings
from gatehouse_edge.rules.supervision import (
    Pulse,
    Status,
    Supervision,
    Watch,
    is_life,
    printable,
    supervise,
    time,
)
from gatehouse_edge.rules.supervision import begin as begin_watch
from gatehouse_edge.rules.supervision import resume as resume_watch

VOLATILE: Final = frozenset({"pulse", "view", "presence", "fresh", "said", "clearing", "ebike_gone_s"})

FAULTS: Final = frozenset(
    {
        "safety_circuit_open", "door_close_fault", "door_open_fault", "stopped_outside_unlocking_zone",
        "unintended_car_movement", "motor_run_time_limiter", "floor_position_lost", "anti_restart_fault", "overrun_top",
        "overrun_bottom", "overspeed", "door_open_while_running", "motion_door_open", "repeated_door_cycle",
        "mains_lost",
    }
)  # fmt: skip
"""Canonical names that have a code `lift.<name>`; traps, button, e-bike and modes have rules of their own."""
_SENSOR_FAULT: Final = "lift.sensor_fault"
_OWN_RULE: Final = frozenset({"alarm_button", "ebike_in_car"})
_RIPE_S: Final = 10.0
_MAX_FOREIGN: Final = 8
_FOREIGN_LENGTH: Final = 16
EBIKE: Final = "ebike"


class Settings(Struct, frozen=True, kw_only=True):
    """How one lift is judged. Defaults: domain rows 31, 32, 34."""

    supervision: Supervision = Supervision(max_silence_s=5.0)
    guard: node.Settings = node.Settings()
    presence: PresenceSettings = PresenceSettings()
    trap: trap.Settings = trap.Settings()
    confirm_s: float = 5.0
    limits: Limits = Limits()
    ebike_clear_s: float = 10.0
    button_hold_s: float = 10.0
    suppressing_modes: frozenset[ServiceMode] = frozenset(
        {
            ServiceMode.OUT_OF_SERVICE,
            ServiceMode.INSPECTION,
            ServiceMode.FIRE_RECALL,
            ServiceMode.FIREFIGHTER,
            ServiceMode.EARTHQUAKE,
        }
    )
    code_system: str = "controller"
    """Name of the dialect, shown beside codes its profile does not know."""


class Active(Struct, frozen=True, kw_only=True):
    """One confirmed thing, with the facts of that moment."""

    since_s: float
    text: str = ""
    facts: dict[str, object] = {}


class State(Struct, frozen=True, kw_only=True):
    """What stands at one lift."""

    watch: Watch
    pulse: Pulse
    guard: node.State
    view: View = View()
    is_known: bool = False
    """False from the start or a restart until the first reading; timers rest until then."""
    mode: ServiceMode = ServiceMode.UNKNOWN
    presence: Presence = Presence()
    said: frozenset[str] = frozenset()
    """Codes the last reading gave by name."""
    foreign: tuple[str, ...] = ()
    ebike_input: bool = False
    fresh: dict[str, float] = {}
    """Young timers: code -> since when it is true and not yet confirmed."""
    ripe: dict[str, float] = {}
    """Timers older than 10 s."""
    clearing: dict[str, float] = {}
    """Code -> since when a confirmed thing is no longer true."""
    active: dict[str, Active] = {}
    trap: trap.Trap | None = None
    presses: int = 0
    is_pressed: bool = False
    pressed_s: float | None = None
    """Service time of the latest press of the alarm button."""
    is_blind: bool = False
    """The last reading called its own points faulty."""
    ebike_seen: bool = False
    """The controller or camera named an e-bike in its last reading."""
    ebike: Active | None = None
    ebike_gone_s: float | None = None


def initial(settings: Settings, now: Now) -> State:
    """Return the state of a lift nobody has heard of yet: unknown, with no condition."""
    watch, pulse = begin_watch(now)
    return State(watch=watch, pulse=pulse, guard=node.initial(settings.guard, now))


def resume(state: State, now: Now, settings: Settings) -> State:
    """Return the state after a restart: what stood stands, old timers go on, all else must be seen again."""
    watch, pulse = resume_watch(state.watch, state.pulse, now)
    return structs.replace(
        state,
        watch=watch,
        pulse=pulse,
        guard=node.resume(state.guard, now, settings.guard),
        view=View(mode=state.mode),
        is_known=False,
        presence=state.presence if trap.TIMER in state.ripe else Presence(),
        fresh={},
        clearing={},
        ebike_gone_s=None,
    )


def step(
    state: State, observation: AnyObservation | None, now: Now, settings: Settings
) -> tuple[State, tuple[Condition, ...]]:
    """Return the state after one reading, e-bike contact, silence or tick, and all that is wrong now."""
    now_s = time(state.pulse, now)
    guard, refusals = node.step(state.guard, observation, now, settings.guard)
    state = _take(state, observation, now_s, settings)
    watch, pulse = supervise(
        state.watch,
        state.pulse,
        is_heard=isinstance(observation, LiftReading) and is_life(observation),
        silence=observation if isinstance(observation, Silence) else None,
        now_s=now_s,
        settings=settings.supervision,
    )
    state = structs.replace(state, watch=watch, pulse=pulse, guard=guard)
    if watch.status is Status.LOST or not state.is_known:
        # Nobody knows what the car does now: nothing is confirmed, nothing cleared, all that stands goes on standing.
        state = _rest(state)
    elif state.is_blind:
        state, due = _time(state, {_SENSOR_FAULT: settings.confirm_s}, now_s)
        state = _stand(state, frozenset(state.active), due, now_s, settings)
    else:
        state = _judge(state, now_s, settings)
    state = _ebike(state, now_s, settings)
    return state, _conditions(state, now_s, settings) + refusals


def _rest(state: State) -> State:
    trapped = None if state.trap is None else structs.replace(state.trap, free_since_s=None)
    return structs.replace(state, fresh={}, clearing={}, trap=trapped)


def _take(state: State, observation: AnyObservation | None, now_s: float, settings: Settings) -> State:
    if isinstance(observation, InputReading):
        if observation.role == EBIKE and observation.quality is Quality.GOOD:
            return structs.replace(state, ebike_input=observation.is_on)
        return state
    if not isinstance(observation, LiftReading) or not is_life(observation):
        if state.watch.status is Status.LOST:
            return state
        return structs.replace(
            state, presence=settle(state.presence, now_s=now_s, settings=settings.presence)
        )
    state = _press(state, observation, now_s)
    if observation.quality is not Quality.GOOD:
        # Its points are not believed; its button is, all the same.
        return structs.replace(state, is_blind=True, is_known=True)
    view = merge(state.view, observation, now_s)
    presence = observe(
        state.presence,
        raw=observation.passenger,
        door_closed=view.door_closed,
        now_s=now_s,
        settings=settings.presence,
    )
    return structs.replace(
        state,
        view=view,
        mode=view.mode,
        is_known=True,
        is_blind=False,
        said=_said(observation),
        foreign=tuple(printable(code, _FOREIGN_LENGTH) for code in observation.foreign_codes[:_MAX_FOREIGN]),
        ebike_seen="ebike_in_car" in observation.faults,
        presence=presence,
    )


def _press(state: State, reading: LiftReading, now_s: float) -> State:
    is_pressed = reading.is_alarm_button or "alarm_button" in reading.faults
    if not is_pressed or state.is_pressed:
        return structs.replace(state, is_pressed=is_pressed)
    return structs.replace(state, is_pressed=True, presses=state.presses + 1, pressed_s=now_s)


def _said(reading: LiftReading) -> frozenset[str]:
    said = set()
    for fault in reading.faults:
        if fault in FAULTS or fault in trap.FAULTS:
            said.add(f"lift.{fault}")
        elif fault not in _OWN_RULE and not is_mode(fault):
            said.add("lift.other_fault")
    if reading.foreign_codes:
        said.add("lift.other_fault")
    return frozenset(said)


def _judge(state: State, now_s: float, settings: Settings) -> State:
    """Return the state with every timer moved on; called only while the points of the lift are known."""
    wanted = dict.fromkeys(state.said, settings.confirm_s)
    for code, wait_s in derived(state.view, now_s, settings.limits, settings.confirm_s).items():
        wanted.setdefault(code, wait_s)
    named = next((code for code in trap.CODES if code in wanted), None)
    for code in trap.CODES:
        wanted.pop(code, None)
    if named is not None:
        wanted[trap.NAMED_TIMER] = settings.confirm_s
    if trap.is_suspected(state.view, state.presence.believed):
        wanted[trap.TIMER] = settings.trap.trapped_after_s
    state, due = _time(state, wanted, now_s)
    suspected_s = state.ripe.get(trap.TIMER, state.fresh.get(trap.TIMER))
    situation = trap.Situation(
        named=named if trap.NAMED_TIMER in due else None,
        is_named=named is not None,
        is_inferred=trap.TIMER in due,
        is_pressed=suspected_s is not None and state.pressed_s is not None and state.pressed_s >= suspected_s,
        is_mode_suppressing=state.mode in settings.suppressing_modes,
    )
    trapped = trap.step(state.trap, situation, state.view, state.presence.believed, now_s, settings.trap)
    state = structs.replace(state, trap=trapped)
    return _stand(state, state.active.keys() & wanted.keys(), due - trap.TIMERS, now_s, settings)


def _time(state: State, wanted: dict[str, float], now_s: float) -> tuple[State, set[str]]:
    """Return the state with the timers of all that is wanted, and the names of those that have run out."""
    fresh: dict[str, float] = {}
    ripe: dict[str, float] = {}
    due: set[str] = set()
    for code, wait_s in wanted.items():
        if code in state.active:
            continue
        since_s = state.ripe.get(code, state.fresh.get(code, now_s))
        if now_s - since_s >= wait_s:
            due.add(code)
        (ripe if now_s - since_s >= _RIPE_S else fresh)[code] = since_s
    return structs.replace(state, fresh=fresh, ripe=ripe), due


def _stand(state: State, held: Set[str], due: Set[str], now_s: float, settings: Settings) -> State:
    """Return the state in which what is due stands, and what is not `held` goes when it was untrue long enough."""
    active, clearing = dict(state.active), {}
    for code in sorted(state.active.keys() - held):
        since_s = state.clearing.get(code, now_s)
        if now_s - since_s >= settings.confirm_s:
            del active[code]
        else:
            clearing[code] = since_s
    for code in sorted(due):
        active[code] = _confirmed(state, code, now_s, settings)
    ripe = {code: since_s for code, since_s in state.ripe.items() if code not in active}
    fresh = {code: since_s for code, since_s in state.fresh.items() if code not in active}
    return structs.replace(state, active=active, clearing=clearing, fresh=fresh, ripe=ripe)


def _confirmed(state: State, code: str, now_s: float, settings: Settings) -> Active:
    floor = state.view.floor
    text = "" if floor is None else f"floor {floor}"
    if code == "lift.other_fault" and state.foreign:
        text = printable(f"{settings.code_system}: {', '.join(state.foreign)}")
    return Active(since_s=now_s, text=text, facts=facts(state.view, state.presence.believed))


def _ebike(state: State, now_s: float, settings: Settings) -> State:
    if state.ebike_input or state.ebike_seen:
        ebike = state.ebike or _confirmed(state, "lift.ebike_in_car", now_s, settings)
        return structs.replace(state, ebike=ebike, ebike_gone_s=None)
    if state.ebike is None:
        return state
    gone_s = state.ebike_gone_s if state.ebike_gone_s is not None else now_s
    if now_s - gone_s >= settings.ebike_clear_s:
        return structs.replace(state, ebike=None, ebike_gone_s=None)
    return structs.replace(state, ebike_gone_s=gone_s)


def _conditions(state: State, now_s: float, settings: Settings) -> tuple[Condition, ...]:
    found = []
    if state.trap is not None:
        found.append(trap.condition(state.trap, now_s, settings.trap))
    held_s = now_s - state.pressed_s if state.pressed_s is not None else math.inf
    if state.is_pressed or held_s < settings.button_hold_s:
        lift = facts(state.view, state.presence.believed)
        found.append(Condition(code="lift.alarm_button", occurrence=state.presses, facts=lift))
    if state.ebike is not None:
        found.append(Condition(code="lift.ebike_in_car", text=state.ebike.text, facts=state.ebike.facts))
    is_suppressed = state.mode in settings.suppressing_modes
    for code in sorted(state.active):
        standing = state.active[code]
        suppressed = is_suppressed and code != _SENSOR_FAULT
        found.append(Condition(code=code, text=standing.text, is_suppressed=suppressed, facts=standing.facts))
    if state.watch.status is Status.LOST:
        where = "" if state.view.floor is None else f"; last floor {state.view.floor}"
        text = printable((state.watch.reason or "silent") + where)
        found.append(
            Condition(code="lift.offline", text=text, facts=facts(state.view, state.presence.believed))
        )
    return tuple(found)
