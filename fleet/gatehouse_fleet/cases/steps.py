"""The seven steps of a case and who may take which: none is skipped, and who handled a case does not verify it. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct, structs

from gatehouse_events.states import Label
from gatehouse_fleet.cases.errors import RefusedError


class CaseStep(StrEnum):
    """Where a case is (domain notes, vocabulary; row 47)."""

    COLLECTED = "collected"
    FILED = "filed"
    DISPATCHED = "dispatched"
    HANDLING = "handling"
    FEEDBACK = "feedback"
    VERIFIED_CLOSED = "verified_closed"
    EVALUATED = "evaluated"


LABELS: Final[dict[CaseStep, Label]] = {
    CaseStep.COLLECTED: Label("信息采集", "collected"),
    CaseStep.FILED: Label("案件建立", "filed"),
    CaseStep.DISPATCHED: Label("任务派遣", "dispatched"),
    CaseStep.HANDLING: Label("任务处理", "handling"),
    CaseStep.FEEDBACK: Label("处理反馈", "feedback"),
    CaseStep.VERIFIED_CLOSED: Label("核查结案", "verified and closed"),
    CaseStep.EVALUATED: Label("综合评价", "evaluated"),
}
ORDER: Final = tuple(CaseStep)
WORKED_ON: Final = ORDER[: ORDER.index(CaseStep.FEEDBACK)]
"""Somebody still has to act at the place: a new alarm may join."""
OPEN: Final = ORDER[: ORDER.index(CaseStep.VERIFIED_CLOSED)]


class Move(StrEnum):
    """What takes a case from one step to another."""

    FILE = "file"
    DISPATCH = "dispatch"
    TAKE = "take"
    FEEDBACK = "feedback"
    VERIFY = "verify"
    EVALUATE = "evaluate"
    SEND_BACK = "send_back"


TARGET: Final[dict[Move, CaseStep]] = {
    Move.FILE: CaseStep.FILED,
    Move.DISPATCH: CaseStep.DISPATCHED,
    Move.TAKE: CaseStep.HANDLING,
    Move.FEEDBACK: CaseStep.FEEDBACK,
    Move.VERIFY: CaseStep.VERIFIED_CLOSED,
    Move.EVALUATE: CaseStep.EVALUATED,
}
"""Each move forward leads exactly one step on."""
BACK: Final[dict[CaseStep, frozenset[CaseStep]]] = {
    CaseStep.DISPATCHED: frozenset({CaseStep.FILED}),
    CaseStep.HANDLING: frozenset({CaseStep.FILED, CaseStep.DISPATCHED}),
    CaseStep.FEEDBACK: frozenset({CaseStep.FILED, CaseStep.DISPATCHED, CaseStep.HANDLING}),
}
"""Where 返工 may lead: a wrong unit gives a case back, a poor feedback is worked on again. A closed case stays closed."""
_NOT_BY_HANDLERS: Final = frozenset({Move.VERIFY, Move.EVALUATE})


class Progress(Struct, frozen=True, kw_only=True):
    """What the rules need to know of a case."""

    step: CaseStep
    handlers: tuple[str, ...] = ()
    """Names of everybody who has handled it, in every round."""
    photos: int = 0
    """Feedback photos of this round."""
    needs_photo: bool = True
    open_alarms: int = 0


def advance(progress: Progress, move: Move, by: str) -> Progress:
    """Return the case one step on.

    Raises:
        RefusedError: `step`, `photo`, `alarm_open` or `same_person`.
    """
    if move is Move.SEND_BACK:
        raise ValueError("send_back has a target and a reason: use `send_back`")
    target = TARGET[move]
    if ORDER.index(target) != ORDER.index(progress.step) + 1:
        raise _wrong_step(progress.step, target)
    if move in _NOT_BY_HANDLERS and by in progress.handlers:
        raise RefusedError(
            "same_person",
            Label("经办人不能核查或评价自己的案件", "who handled the case may not verify or evaluate it"),
        )
    if move is Move.VERIFY and progress.open_alarms:
        raise RefusedError(
            "alarm_open",
            Label(
                f"还有 {progress.open_alarms} 条报警未关闭",
                f"{progress.open_alarms} alarms of it are still open",
            ),
        )
    if move is Move.VERIFY and progress.needs_photo and not progress.photos:
        raise RefusedError(
            "photo", Label("核查结案前须有反馈照片", "a feedback photo is needed before closing")
        )
    handlers = progress.handlers
    if move in {Move.TAKE, Move.FEEDBACK} and by not in handlers:
        handlers = (*handlers, by)
    return structs.replace(progress, step=target, handlers=handlers)


def send_back(progress: Progress, target: CaseStep, reason: str) -> Progress:
    """Return the case sent back for more work; its photos do not count for the next round.

    Raises:
        RefusedError: `step` or `reason`.
    """
    if target not in BACK.get(progress.step, frozenset()):
        raise _wrong_step(progress.step, target)
    if not reason.strip():
        raise RefusedError("reason", Label("返工须写明原因", "say why it is sent back"))
    return structs.replace(progress, step=target, photos=0)


def path(step: CaseStep, target: CaseStep) -> tuple[Move, ...]:
    """Return the moves that lead from `step` to `target`, one per step; none when it is there or past it."""
    wanted = ORDER[ORDER.index(step) + 1 : ORDER.index(target) + 1]
    return tuple(move for move, to in TARGET.items() if to in wanted)


def _wrong_step(step: CaseStep, target: CaseStep) -> RefusedError:
    here, there = LABELS[step], LABELS[target]
    return RefusedError(
        "step",
        Label(
            f"案件在“{here.zh}”,不能直接到“{there.zh}”", f"the case is at {here.en}; {there.en} cannot follow"
        ),
    )
