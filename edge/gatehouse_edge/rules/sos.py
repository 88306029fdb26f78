"""Help buttons: a press is an alarm at once; silence is a fault; two days of it are a visit.

- `occurrence` of a press is the button's own counter: the same advert heard twice is one press, a second press on an
  open alarm is a repeat.
- Low battery also rides inside the alarm advert (domain row 39) and has hysteresis, for a cell recovers at rest.
- Supervision: nothing heard for `max_silence_s` (three missed heartbeats).
- 48 h without a sign of life at a resident who lives alone: a visit is due (Weihai elder-care law Art 22, domain row
  40). Time without power counts: nobody looked after the resident then either. A declared absence suppresses it,
  and the 48 h begin anew when it ends.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import AnyObservation, ButtonEvent, ButtonReading, Silence
from gatehouse_edge.rules import node
from gatehouse_edge.rules.condition import Condition
from gatehouse_edge.rules.supervision import Pulse, Status, Supervision, Watch, finite, supervise, time
from gatehouse_edge.rules.supervision import begin as begin_watch
from gatehouse_edge.rules.supervision import resume as resume_watch

VOLATILE: Final = frozenset({"pulse"})


class Settings(Struct, frozen=True, kw_only=True):
    """How one button is judged."""

    supervision: Supervision = Supervision(max_silence_s=64800.0, recover_count=1)
    guard: node.Settings = node.Settings()
    press_hold_s: float = 30.0
    """A press stands this long; the alarm it raised is latched and stays until a person ends it."""
    low_battery_pct: float = 15.0
    battery_ok_pct: float = 25.0
    tamper_hold_s: float = 60.0
    lives_alone: bool = False
    visit_after_s: float = 48 * 3600.0
    heartbeat_is_life: bool = True
    """False: only a press counts as a sign of the resident's life, the button's own heartbeat does not."""


class State(Struct, frozen=True, kw_only=True):
    """What one button has said."""

    watch: Watch
    pulse: Pulse
    guard: node.State
    life_s: float
    """Service time of the last sign of life, at first the start of listening."""
    press: int = 0
    """Counter of the latest press."""
    press_key: int = 0
    pressed_until_s: float | None = None
    """None: no press stands."""
    battery_pct: float | None = None
    is_battery_low: bool = False
    tampered_s: float | None = None
    """Since when it counts as tampered with."""
    absent_until_s: float | None = None


def initial(settings: Settings, now: Now) -> State:
    """Return the state of a button not heard yet: unknown; the 48 h run from now."""
    watch, pulse = begin_watch(now)
    return State(watch=watch, pulse=pulse, guard=node.initial(settings.guard, now), life_s=now.service_s)


def resume(state: State, now: Now, settings: Settings) -> State:
    """Return the state after a restart; a standing press stands its full time again, so that it is seen."""
    watch, pulse = resume_watch(state.watch, state.pulse, now)
    guard = node.resume(state.guard, now, settings.guard)
    until_s = None if state.pressed_until_s is None else now.service_s + settings.press_hold_s
    return structs.replace(state, watch=watch, pulse=pulse, guard=guard, pressed_until_s=until_s)


def with_absence(state: State, until_s: float | None) -> State:
    """Return the state with the resident away until that service time; None: back home.

    Coming home early counts the 48 h from the last step, not from the last sign of life.
    """
    if until_s is None and state.absent_until_s is not None:
        back_s = min(state.absent_until_s, state.pulse.stepped_s)
        return structs.replace(state, absent_until_s=None, life_s=max(state.life_s, back_s))
    return structs.replace(state, absent_until_s=until_s)


def step(
    state: State, observation: AnyObservation | None, now: Now, settings: Settings
) -> tuple[State, tuple[Condition, ...]]:
    """Return the state after one advert, silence or tick, and all that is true of the button now."""
    now_s = time(state.pulse, now)
    guard, refusals = node.step(state.guard, observation, now, settings.guard)
    if isinstance(observation, ButtonReading):
        state = _heard(state, observation, now_s, settings)
    if state.pressed_until_s is not None and now_s >= state.pressed_until_s:
        state = structs.replace(state, pressed_until_s=None)
    if state.absent_until_s is not None and now_s >= state.absent_until_s:
        state = structs.replace(state, life_s=max(state.life_s, state.absent_until_s), absent_until_s=None)
    watch, pulse = supervise(
        state.watch,
        state.pulse,
        is_heard=isinstance(observation, ButtonReading),
        silence=observation if isinstance(observation, Silence) else None,
        now_s=now_s,
        settings=settings.supervision,
    )
    state = structs.replace(state, watch=watch, pulse=pulse, guard=guard)
    return state, _conditions(state, now_s, settings) + refusals


def _heard(state: State, reading: ButtonReading, now_s: float, settings: Settings) -> State:
    state = _battery(state, finite(reading.battery_pct), settings)
    is_press = reading.event is ButtonEvent.PRESS
    if is_press or settings.heartbeat_is_life:
        state = structs.replace(state, life_s=now_s)
    if is_press:
        if (reading.counter, reading.key_id) == (state.press, state.press_key):
            return state
        return structs.replace(
            state,
            press=reading.counter,
            press_key=reading.key_id,
            pressed_until_s=now_s + settings.press_hold_s,
        )
    if reading.event is ButtonEvent.TAMPER:
        return structs.replace(state, tampered_s=now_s)
    # Only the button's own calm heartbeat says that its case is shut again; a press says nothing of it.
    if state.tampered_s is not None and now_s - state.tampered_s >= settings.tamper_hold_s:
        return structs.replace(state, tampered_s=None)
    return state


def _battery(state: State, battery_pct: float | None, settings: Settings) -> State:
    if battery_pct is None:
        return state
    is_low = battery_pct < (settings.battery_ok_pct if state.is_battery_low else settings.low_battery_pct)
    return structs.replace(state, battery_pct=battery_pct, is_battery_low=is_low)


def _conditions(state: State, now_s: float, settings: Settings) -> tuple[Condition, ...]:
    found = []
    if state.pressed_until_s is not None:
        text = "battery low" if state.is_battery_low else ""
        found.append(Condition(code="sos.pressed", occurrence=state.press, text=text))
    if state.is_battery_low:
        found.append(
            Condition(
                code="sos.low_battery",
                value=state.battery_pct,
                unit="pct",
                threshold=settings.low_battery_pct,
            )
        )
    if state.watch.status is Status.LOST:
        found.append(Condition(code="sos.supervision_lost", text=state.watch.reason))
    if state.tampered_s is not None:
        found.append(Condition(code="sos.tamper"))
    if settings.lives_alone and now_s - state.life_s >= settings.visit_after_s:
        found.append(Condition(code="sos.visit_due", is_suppressed=state.absent_until_s is not None))
    return tuple(found)
