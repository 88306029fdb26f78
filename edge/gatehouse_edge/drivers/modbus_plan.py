"""Who is asked next on one Modbus bus: a schedule without I/O and without a clock (times are monotonic seconds).

Alarm registers first, then whoever is due longest. A unit's vendor gap holds for that unit alone; while it rests the
others are asked. A unit that does not answer is put aside and probed when the line has nothing better to do, or when
the little line time set aside for the dead allows it, so that it costs its neighbours next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from gatehouse_edge.drivers.modbus_query import (
    MOST_BITS,
    MOST_REGISTERS,
    BitFunction,
    BitQuery,
    RegisterFunction,
    RegisterQuery,
)

FAILURES_TO_QUARANTINE: Final = 2
"""One lost answer is noise, two in a row are a dead unit."""
_PROBE_SHARE: Final = 12
"""Dead units together may take one part in this many of a busy line: the others keep more than 90 %."""
_FIRST_BACKOFF_S: Final = 0.5
_STARVED_PERIODS: Final = 3.0
"""An ordinary block that is overdue by this many of its periods goes before alarm blocks."""


class Span(Struct, frozen=True, kw_only=True):
    """Registers or bits that a profile wants: an inclusive start and a count."""

    function: RegisterFunction | BitFunction
    address: int
    count: int
    is_alarm: bool = False


class Block(Struct, frozen=True, kw_only=True):
    """One read: neighbouring spans in one request."""

    function: RegisterFunction | BitFunction
    address: int
    count: int
    is_alarm: bool

    def query(self, unit_id: int) -> RegisterQuery | BitQuery:
        """Return the request for one unit."""
        if isinstance(self.function, RegisterFunction):
            return RegisterQuery(
                unit_id=unit_id, function=self.function, address=self.address, count=self.count
            )
        return BitQuery(unit_id=unit_id, function=self.function, address=self.address, count=self.count)


def batch(spans: Iterable[Span]) -> tuple[Block, ...]:
    """Return the fewest reads that cover `spans`, alarm blocks first.

    Only touching or overlapping spans are joined: a register that no profile names may be an illegal address, and one
    such register would cost the whole read.
    """
    blocks: list[Block] = []
    for span in sorted(spans, key=lambda one: (one.function.__class__.__name__, one.function, one.address)):
        last = blocks[-1] if blocks else None
        limit = MOST_REGISTERS if isinstance(span.function, RegisterFunction) else MOST_BITS
        if last is not None and last.function is span.function and span.address <= last.address + last.count:
            end = max(last.address + last.count, span.address + span.count)
            if end - last.address <= limit:
                blocks[-1] = Block(
                    function=last.function,
                    address=last.address,
                    count=end - last.address,
                    is_alarm=last.is_alarm or span.is_alarm,
                )
                continue
        blocks.append(
            Block(function=span.function, address=span.address, count=span.count, is_alarm=span.is_alarm)
        )
    return tuple(sorted(blocks, key=lambda block: not block.is_alarm))


class Target(Struct, frozen=True, kw_only=True):
    """One unit on the bus."""

    unit_id: int
    blocks: tuple[Block, ...]
    poll_s: float
    min_gap_s: float = 0.0
    """The vendor's shortest time between two requests to this unit."""


class Job(Struct, frozen=True, kw_only=True):
    """Ask this block of this unit now."""

    unit_id: int
    block: int
    """Index into the target's blocks."""
    is_probe: bool
    """True: the unit is in quarantine or has been silent from the start."""


class Rest(Struct, frozen=True, kw_only=True):
    """Nothing is due before `until_s`."""

    until_s: float


class _Unit:
    """How one unit stands."""

    def __init__(self, target: Target, start_s: float) -> None:
        self.target = target
        self.due_s = [start_s] * len(target.blocks)
        self.free_s = start_s
        self.failures = 0.0
        self.backoff_s = 0.0
        self.is_proven = False
        """Has answered since the port was opened."""

    @property
    def is_quarantined(self) -> bool:
        return self.failures >= FAILURES_TO_QUARANTINE

    @property
    def is_doubted(self) -> bool:
        """Whether asking it may well cost a whole timeout."""
        return self.is_quarantined or (self.failures > 0 and not self.is_proven)


class Schedule:
    """The schedule of one bus. `next` says what to do, `done` how it went."""

    def __init__(self, targets: Sequence[Target], *, start_s: float, timeout_s: float) -> None:
        spread = len(targets) or 1
        self._units: Final = {
            # Spread over one period: fifty devices that start together would otherwise always come in one burst.
            target.unit_id: _Unit(target, start_s + target.poll_s * at / spread)
            for at, target in enumerate(targets)
        }
        self._timeout_s: Final = timeout_s
        self._probe_from_s = start_s
        """Before this a probe may only use time that nobody else wants."""

    def is_quarantined(self, unit_id: int) -> bool:
        """Return whether this unit has been put aside."""
        return self._units[unit_id].is_quarantined

    def free_s(self, unit_id: int) -> float:
        """Return from when this unit may be asked again (vendor gap, back-off)."""
        return self._units[unit_id].free_s

    def asked(self, unit_id: int, now_s: float) -> None:
        """Take note that something outside the schedule has been asked of this unit: its gap starts anew."""
        unit = self._units[unit_id]
        unit.free_s = now_s + unit.target.min_gap_s

    def hurry(self, unit_id: int, at_s: float) -> None:
        """Ask all blocks of a unit again no later than `at_s`."""
        unit = self._units[unit_id]
        unit.due_s = [min(due_s, at_s) for due_s in unit.due_s]

    def next(self, now_s: float) -> Job | Rest:
        """Return the next read, or until when there is none."""
        best: tuple[tuple[bool, float], Job] | None = None
        probe: tuple[float, Job] | None = None
        wake_s = now_s + 3600.0
        healthy_s = wake_s
        for unit_id, unit in self._units.items():
            at = self._first_block(unit, now_s)
            ready_s = max(unit.due_s[at], unit.free_s)
            if unit.is_doubted:
                if ready_s <= now_s:
                    if probe is None or ready_s < probe[0]:
                        probe = (ready_s, Job(unit_id=unit_id, block=at, is_probe=True))
                else:
                    wake_s = min(wake_s, ready_s)
                continue
            healthy_s = min(healthy_s, ready_s)
            if ready_s > now_s:
                wake_s = min(wake_s, ready_s)
                continue
            rank = (not self._is_urgent(unit, at, now_s), ready_s)
            if best is None or rank < best[0]:
                best = (rank, Job(unit_id=unit_id, block=at, is_probe=False))
        if probe is not None:
            if now_s >= self._probe_from_s or healthy_s >= now_s + self._timeout_s:
                return probe[1]
            wake_s = min(wake_s, self._probe_from_s)
        return best[1] if best is not None else Rest(until_s=wake_s)

    def done(self, job: Job, *, began_s: float, ended_s: float, blame: float) -> None:
        """Take note of how a job went.

        `blame` is 0 for an answer, however unwelcome (an exception: the unit lives), 1 for silence, less for a frame
        that noise may have spoilt.
        """
        unit = self._units[job.unit_id]
        target = unit.target
        unit.free_s = ended_s + target.min_gap_s
        # From the due time, not from now: polling keeps its rhythm. Missed periods are not made up for.
        unit.due_s[job.block] = max(unit.due_s[job.block] + target.poll_s, ended_s)
        if not blame:
            unit.is_proven = True
            unit.failures = 0.0
            unit.backoff_s = 0.0
            return
        unit.failures += blame
        if not unit.is_doubted:
            return
        self._probe_from_s = ended_s + (ended_s - began_s) * (_PROBE_SHARE - 1)
        if not unit.is_quarantined:
            return
        longest_s = max(_FIRST_BACKOFF_S, 2 * target.poll_s + 1.0 - self._timeout_s)
        unit.backoff_s = min(longest_s, max(_FIRST_BACKOFF_S, 2 * unit.backoff_s))
        unit.free_s = max(unit.free_s, ended_s + unit.backoff_s)

    def forget_failures(self, now_s: float) -> None:
        """Start afresh after the port came back: everybody is due, nobody is in quarantine."""
        for unit in self._units.values():
            unit.is_proven = False
            unit.failures = 0.0
            unit.backoff_s = 0.0
            unit.free_s = now_s
            unit.due_s = [now_s] * len(unit.due_s)
        self._probe_from_s = now_s

    def _first_block(self, unit: _Unit, now_s: float) -> int:
        """Return the block to ask of this unit: the alarm block when due, else the one due longest."""
        return min(
            range(len(unit.due_s)),
            key=lambda at: (unit.due_s[at] > now_s, not self._is_urgent(unit, at, now_s), unit.due_s[at]),
        )

    def _is_urgent(self, unit: _Unit, at: int, now_s: float) -> bool:
        if unit.target.blocks[at].is_alarm:
            return True
        return now_s - unit.due_s[at] > _STARVED_PERIODS * unit.target.poll_s
