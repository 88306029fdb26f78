"""What a rollout does next. Pure: steps, time and who may not be touched in; a decision out.

pilots -> all confirmed -> soak -> batch after batch -> done.     One failure too many: paused, and nobody else is touched.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct


class RolloutState(StrEnum):
    """Where a rollout is."""

    RUNNING = "running"
    PAUSED = "paused"
    """By a person, or by too many failures."""
    ROLLING_BACK = "rolling_back"
    DONE = "done"
    ROLLED_BACK = "rolled_back"


class StepState(StrEnum):
    """Where one gateway is in a rollout."""

    WAITING = "waiting"
    ORDERED = "ordered"
    DONE = "done"
    """The gateway runs it and has found its fleet with it."""
    FAILED = "failed"
    """It has taken it back, refused it, or said nothing in time."""
    BACK_ORDERED = "back_ordered"
    BACK = "back"
    STUCK = "stuck"
    """Could not be brought back from here: somebody goes there."""


_SETTLED = frozenset({StepState.DONE, StepState.FAILED})


class Step(Struct, frozen=True, kw_only=True):
    """One gateway's place in a rollout."""

    gateway_no: int
    position: int
    is_pilot: bool
    state: StepState
    before: int | None
    settled_at: datetime | None = None


class Rules(Struct, frozen=True, kw_only=True):
    """How carefully."""

    batch: int
    max_failures: int
    soak: timedelta


class Next(Struct, frozen=True, kw_only=True):
    """What to do now."""

    order: tuple[int, ...] = ()
    """Gateways to give their version to."""
    bring_back: tuple[int, ...] = ()
    state: RolloutState = RolloutState.RUNNING
    why: str = ""


def next_step(
    steps: Sequence[Step], rules: Rules, *, state: RolloutState, untouchable: Collection[int], now: datetime
) -> Next:
    """Return what a rollout does now.

    Args:
        steps: every gateway of it.
        rules: how carefully.
        state: as it stands.
        untouchable: gateways that must be left alone just now (an open alarm in their community).
        now: this instant.
    """
    if state is RolloutState.ROLLING_BACK:
        return _back(steps, untouchable)
    if state is not RolloutState.RUNNING:
        return Next(state=state)
    failed = [step for step in steps if step.state is StepState.FAILED]
    if len(failed) > rules.max_failures:
        return Next(state=RolloutState.PAUSED, why=f"{len(failed)} failed, {rules.max_failures} are allowed")
    if all(step.state in _SETTLED for step in steps):
        return Next(state=RolloutState.DONE)
    free = [step for step in steps if step.state is StepState.WAITING and step.gateway_no not in untouchable]
    pilots = [step for step in steps if step.is_pilot]
    if not all(step.state in _SETTLED for step in pilots):
        return Next(order=tuple(step.gateway_no for step in free if step.is_pilot))
    soaked_at = max((step.settled_at for step in pilots if step.settled_at is not None), default=now)
    if pilots and now < soaked_at + rules.soak:
        return Next()
    under_way = sum(step.state is StepState.ORDERED for step in steps)
    return Next(order=tuple(step.gateway_no for step in free[: max(0, rules.batch - under_way)]))


def _back(steps: Sequence[Step], untouchable: Collection[int]) -> Next:
    changed = [step for step in steps if step.state is StepState.DONE]
    back = tuple(
        step.gateway_no for step in changed if step.before is not None and step.gateway_no not in untouchable
    )
    is_over = not back and all(
        step.state not in (StepState.ORDERED, StepState.BACK_ORDERED)
        and not (step.state is StepState.DONE and step.before is not None)
        for step in steps
    )
    return Next(bring_back=back, state=RolloutState.ROLLED_BACK if is_over else RolloutState.ROLLING_BACK)
