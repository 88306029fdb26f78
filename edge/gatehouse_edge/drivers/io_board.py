"""Relays and inputs of an I/O board: what is demanded, what was written, what the board says it does. No I/O here.

Outputs are levels: the desk states what each output should be, and the board is compared with that on every poll, so a
board that lost its supply, or a gateway that was restarted, is put right without anybody asking. A valve and an
announcement take a pulse; a closing pulse is given again after the board has been away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

_TRIES_TO_FAULT: Final = 2
"""A relay that reads back wrong twice is stuck; once may be a switching relay."""
_RETRY_S: Final = 0.5
"""An order that was not obeyed is given again after this, then after twice as long, and so on."""
_LONGEST_RETRY_S: Final = 4.0
_NEVER_S: Final = float("inf")


class Drive(StrEnum):
    """How a relay is meant to be moved."""

    LEVEL = "level"
    PULSE = "pulse"


class Relay(Struct, frozen=True, kw_only=True):
    """One output and the relay (or two) that drive it."""

    output_id: str
    unit_id: int
    point: int
    drive: Drive = Drive.LEVEL
    pulse_s: float = 0.5
    repeat_s: float | None = None
    """A pulse is given again after this while the demand stands; None: once."""
    release_point: int | None = None
    """Relay that is pulsed when the demand ends (a valve's opening contact); never at start."""


class Order(Struct, frozen=True, kw_only=True):
    """Switch this relay of this board."""

    unit_id: int
    point: int
    is_on: bool


class Outcome(Struct, frozen=True, kw_only=True):
    """A change in how well one output obeys, or the first proof that it does what was demanded last."""

    output_id: str
    wanted: bool
    is_ok: bool
    is_on: bool | None
    """What the relay reads back; None: the board does not say."""
    detail: str = ""


class _State:
    """One output's demand and the pulse under way."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.wanted: bool | None = None
        self.pulse_ends_s = -_NEVER_S
        self.pulse_point = relay.point
        self.next_pulse_s = _NEVER_S
        self.misses = 0
        self.retry_s = -_NEVER_S
        self.is_ok: bool | None = None
        """None: not judged since the start; the first verdict is told, for the last run may have left another."""
        self.proven: bool | None = None
        """The demand that a read-back has proven last: a drill counts what came back, not what was sent."""

    def levels(self, now_s: float) -> dict[int, bool]:
        """Return what the relays of this output should be now. Empty: nothing was ever demanded."""
        if self.wanted is None:
            return {}
        relay = self.relay
        if relay.drive is Drive.LEVEL:
            return {relay.point: self.wanted}
        levels = {relay.point: False}
        if relay.release_point is not None:
            levels[relay.release_point] = False
        if now_s < self.pulse_ends_s:
            levels[self.pulse_point] = True
        return levels


class RelayWriter:
    """Turns demands into orders for the boards of one bus, and judges what is read back."""

    def __init__(self, relays: Iterable[Relay]) -> None:
        self._states: Final = {relay.output_id: _State(relay) for relay in relays}
        self._seen: dict[tuple[int, int], bool] = {}
        """(unit, point) -> what the relay last read back; absent: not known, so it is written."""

    @property
    def output_ids(self) -> frozenset[str]:
        """Return the outputs this writer drives."""
        return frozenset(self._states)

    def set_demand(self, output_id: str, *, is_on: bool, now_s: float) -> None:
        """State what an output should be from now on. Idempotent.

        Raises:
            KeyError: no such output on this bus.
        """
        state = self._states[output_id]
        if state.wanted is is_on:
            return
        was, state.wanted = state.wanted, is_on
        state.misses = 0
        state.retry_s = now_s
        if state.relay.drive is Drive.LEVEL:
            return
        if is_on:
            self._begin_pulse(state, state.relay.point, now_s)
            return
        state.next_pulse_s = _NEVER_S
        # Only the end of a demand we have seen opens a valve; a gateway that has just started never does.
        if was and state.relay.release_point is not None:
            self._begin_pulse(state, state.relay.release_point, now_s)

    def next_order(self, now_s: float) -> Order | None:
        """Return the next order to send, None when every relay is as it should be (or its board rests)."""
        for state in self._states.values():
            unit_id = state.relay.unit_id
            if state.retry_s > now_s:
                continue
            if now_s >= state.next_pulse_s and state.wanted:
                self._begin_pulse(state, state.relay.point, now_s)
            # Off before on: two relays of one valve are never closed together.
            for point, level in sorted(state.levels(now_s).items(), key=lambda one: one[1]):
                if self._seen.get((unit_id, point)) is not level:
                    return Order(unit_id=unit_id, point=point, is_on=level)
        return None

    def wake_s(self, now_s: float) -> float:
        """Return when a pulse next ends or begins, or an order is to be given again; inf: never."""
        return min(
            (
                at_s
                for state in self._states.values()
                if state.wanted is not None
                for at_s in (state.pulse_ends_s, state.next_pulse_s, state.retry_s)
                if at_s > now_s
            ),
            default=_NEVER_S,
        )

    def written(self, order: Order) -> None:
        """Take note that the board has confirmed an order; the read-back decides whether it is true."""
        self._seen[order.unit_id, order.point] = order.is_on

    def refused(self, order: Order, now_s: float, detail: str) -> list[Outcome]:
        """Take note that the board did not confirm an order."""
        return [
            outcome
            for state in self._states.values()
            if state.relay.unit_id == order.unit_id
            and order.point in {state.relay.point, state.relay.release_point}
            for outcome in self._judge(state, now_s, is_right=False, is_on=None, detail=detail)
        ]

    def read_back(self, unit_id: int, coils: Sequence[int], now_s: float) -> list[Outcome]:
        """Compare all relays of a board (from relay 0) with the demands; return the changes in obedience."""
        outcomes: list[Outcome] = []
        for state in self._states.values():
            if state.relay.unit_id != unit_id:
                continue
            is_right, is_on, is_due = True, None, False
            for point, level in state.levels(now_s).items():
                if point >= len(coils):
                    continue
                is_seen = bool(coils[point])
                # A demand that came while this read was under way: the order is still to be given, so not disobeyed.
                is_due |= self._seen.get((unit_id, point)) is not level
                self._seen[unit_id, point] = is_seen
                is_right &= is_seen is level
                if point == state.relay.point:
                    is_on = is_seen
            if state.wanted is not None and (is_right or not is_due):
                outcomes += self._judge(
                    state,
                    now_s,
                    is_right=is_right,
                    is_on=is_on,
                    detail="" if is_right else "reads back wrong",
                )
        return outcomes

    def forget(self, unit_id: int, now_s: float) -> None:
        """Forget what a board's relays were: it has been away and may have lost its supply."""
        for key in [key for key in self._seen if key[0] == unit_id]:
            del self._seen[key]
        for state in self._states.values():
            if state.relay.unit_id != unit_id:
                continue
            state.retry_s = now_s
            if state.relay.drive is Drive.PULSE and state.wanted:
                self._begin_pulse(state, state.relay.point, now_s)

    def _begin_pulse(self, state: _State, point: int, now_s: float) -> None:
        relay = state.relay
        state.pulse_point = point
        state.pulse_ends_s = now_s + relay.pulse_s
        is_repeated = relay.repeat_s is not None and point == relay.point
        state.next_pulse_s = state.pulse_ends_s + (relay.repeat_s or 0.0) if is_repeated else _NEVER_S

    def _judge(
        self, state: _State, now_s: float, *, is_right: bool, is_on: bool | None, detail: str
    ) -> list[Outcome]:
        if is_right:
            state.misses = 0
            state.retry_s = now_s
            if state.is_ok and state.proven is state.wanted:
                return []
            state.is_ok, state.proven = True, state.wanted
        else:
            if now_s < state.retry_s:
                return []  # no order has been given since the last miss, so this is the same one
            state.misses += 1
            if state.misses < _TRIES_TO_FAULT:
                return []
            state.retry_s = now_s + min(
                _RETRY_S * 2 ** min(state.misses - _TRIES_TO_FAULT, 8), _LONGEST_RETRY_S
            )
            if state.is_ok is False:
                return []
            state.is_ok, state.proven = False, None
        return [
            Outcome(
                output_id=state.relay.output_id,
                wanted=bool(state.wanted),
                is_ok=state.is_ok,
                is_on=is_on,
                detail=detail,
            )
        ]
