"""Power off, on, and test again, many times: what fails once in a hundred starts fails in somebody's flat."""

from __future__ import annotations

from msgspec import Struct

from gatehouse_hil.bench import runs
from gatehouse_hil.bench.progress import Silent
from gatehouse_hil.bench.record import StepName
from gatehouse_hil.bench.runs import BoardDone, Wish
from gatehouse_hil.bench.workplace import Workplace


class Soaked(Struct, frozen=True, kw_only=True):
    """What came of all rounds."""

    ok: bool
    rounds: int
    failed: int
    """Rounds in which a board failed."""
    failures: tuple[BoardDone, ...]
    """The first hundred of them."""


_FAILURES_SHOWN = 100


async def soak(place: Workplace, wish: Wish, *, rounds: int) -> Soaked:
    """Identify and test the chosen boards `rounds` times; each round is a record, and a broken rig ends it.

    Raises:
        BenchError: as `runs.run`.
    """
    failures: list[BoardDone] = []
    failed = done = 0
    for _ in range(rounds):
        ended = await runs.run(place, _round(wish), Silent())
        done += 1
        failed += not ended.ok
        failures += [board for board in ended.boards if board.fault][: _FAILURES_SHOWN - len(failures)]
        if place.memory.broken():
            break
    return Soaked(ok=not failed, rounds=done, failed=failed, failures=tuple(failures))


def _round(wish: Wish) -> Wish:
    return Wish(steps=(StepName.IDENTIFY, StepName.TEST), boards=wish.boards, plan=wish.plan)
