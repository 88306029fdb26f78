"""Messages that were not let in: a flood of ten thousand is one alarm, and it ends by itself after a quiet time.

Domain rows 15 (only authorised nodes), 17 (anti-replay) and 18 (forged data filtered). A wrong tag under a known
address is a forger or a wrong key, so it counts as an unauthorised node; one is enough, for the wire's CRC has
already ruled out noise. Bad frames are ordinary noise until they come in numbers.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import AnyObservation, Refusal, RefusalReason
from gatehouse_edge.rules.condition import Condition
from gatehouse_edge.rules.supervision import printable

VOLATILE: Final = frozenset({"tallies", "frames", "frames_s"})

_CODES: Final = {
    RefusalReason.UNKNOWN_NODE: "gateway.node_refused",
    RefusalReason.BAD_TAG: "gateway.node_refused",
    RefusalReason.REPLAY: "gateway.replay_refused",
    RefusalReason.BAD_FRAME: "gateway.frames_refused",
}
_MAX_SOURCE: Final = 64


class Settings(Struct, frozen=True, kw_only=True):
    """When refusals become an alarm and when it ends."""

    quiet_s: float = 300.0
    """Seconds without a refusal of that kind after which its alarm goes."""
    frame_limit: int = 50
    """Bad frames within `frame_window_s` that are no longer noise."""
    frame_window_s: float = 60.0


class Tally(Struct, frozen=True, kw_only=True):
    """What was refused under one code since its alarm came."""

    count: int
    latest_s: float


class State(Struct, frozen=True, kw_only=True):
    """Which refusals are an alarm now."""

    active: dict[str, str] = {}
    """Code -> first source, as the wire names it."""
    tallies: dict[str, Tally] = {}
    frames: float = 0.0
    """Bad frames not yet forgotten; they leak away over `frame_window_s`."""
    frames_s: float = 0.0


def initial(settings: Settings, now: Now) -> State:  # noqa: ARG001  # one shape for every rule
    """Return the state in which nothing was refused."""
    return State(frames_s=now.service_s)


def resume(state: State, now: Now, settings: Settings) -> State:  # noqa: ARG001  # one shape for every rule
    """Return the state after a restart: the quiet time of a standing alarm begins anew."""
    tallies = {code: Tally(count=_count(state, code), latest_s=now.service_s) for code in state.active}
    return structs.replace(state, tallies=tallies)


def step(
    state: State, observation: AnyObservation | None, now: Now, settings: Settings
) -> tuple[State, tuple[Condition, ...]]:
    """Return the refusals that are an alarm now. Works for a bus, a device, or the gateway as a whole."""
    if isinstance(observation, Refusal):
        state = _refused(state, observation, now.service_s, settings)
    gone = [
        code
        for code, tally in state.tallies.items()
        if code in state.active and now.service_s - tally.latest_s >= settings.quiet_s
    ]
    if gone:
        state = structs.replace(
            state,
            active={code: source for code, source in state.active.items() if code not in gone},
            tallies={code: tally for code, tally in state.tallies.items() if code not in gone},
        )
    return state, tuple(_condition(state, code) for code in sorted(state.active))


def _refused(state: State, refusal: Refusal, now_s: float, settings: Settings) -> State:
    code = _CODES[refusal.reason]
    count = max(0, refusal.count)
    if refusal.reason is RefusalReason.BAD_FRAME:
        leak = max(0.0, now_s - state.frames_s) * settings.frame_limit / settings.frame_window_s
        # Capped, so that a flood of an hour is forgotten in one window and not in an hour.
        frames = min(max(0.0, state.frames - leak) + count, 2.0 * settings.frame_limit)
        state = structs.replace(state, frames=frames, frames_s=max(now_s, state.frames_s))
        if frames < settings.frame_limit:
            return state
    if count == 0:
        return state
    active = state.active
    if code not in active:
        active = {**active, code: printable(refusal.source, _MAX_SOURCE)}
    tally = Tally(count=_count(state, code) + count, latest_s=now_s)
    return structs.replace(state, active=active, tallies={**state.tallies, code: tally})


def _count(state: State, code: str) -> int:
    tally = state.tallies.get(code)
    return 0 if tally is None else tally.count


def _condition(state: State, code: str) -> Condition:
    # Only the order of magnitude is told: a text that changes with each message would itself be a flood.
    count = _count(state, code)
    size = "" if count < 10 else f"{10 ** (len(str(count)) - 1)}+ messages, first from "  # noqa: PLR2004  # one digit
    return Condition(code=code, text=printable(f"{size}{state.active[code]}"))
