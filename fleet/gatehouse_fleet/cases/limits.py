"""The deadlines of a case: started with a step, met by the next, made tighter by a graver alarm, explained at any time.

A deadline keeps two marks (yellow, due) and how they came about; its light follows from the marks and the time. What the
announcer has told already (`told`, `rungs`, `look_at`) is its memory, so that a restart repeats nothing and forgets nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct, structs
from sqlalchemy import Row, select, update

from gatehouse_fleet.cases.deadline import Allowance, Basis, CountedDay, count_or_assume, part_way
from gatehouse_fleet.cases.docket import Happened, Work, append, load
from gatehouse_fleet.cases.ladder import look
from gatehouse_fleet.cases.lights import Light, Marks
from gatehouse_fleet.cases.policy import Stage
from gatehouse_fleet.cases.record import Case, Duty
from gatehouse_fleet.cases.shelf import Rules, city_of
from gatehouse_fleet.cases.steps import CaseStep
from gatehouse_fleet.people.roles import SYSTEM, Actor
from gatehouse_fleet.store.schema.cases import case, deadline
from gatehouse_fleet.store.schema.org import org_node

STARTED_BY: Final[dict[CaseStep, tuple[Stage, ...]]] = {
    CaseStep.COLLECTED: (Stage.FILING,),
    CaseStep.FILED: (Stage.DISPATCHING,),
    CaseStep.DISPATCHED: (Stage.TAKING, Stage.HANDLING),
    CaseStep.HANDLING: (Stage.HANDLING,),
    CaseStep.FEEDBACK: (Stage.VERIFYING,),
    CaseStep.VERIFIED_CLOSED: (Stage.EVALUATING,),
    CaseStep.EVALUATED: (),
}
"""A stage that runs already is not started again."""
MET_BY: Final[dict[CaseStep, tuple[Stage, ...]]] = {
    CaseStep.FILED: (Stage.FILING,),
    CaseStep.DISPATCHED: (Stage.DISPATCHING,),
    CaseStep.HANDLING: (Stage.TAKING,),
    CaseStep.FEEDBACK: (Stage.HANDLING,),
    CaseStep.VERIFIED_CLOSED: (Stage.VERIFYING,),
    CaseStep.EVALUATED: (Stage.EVALUATING,),
}
_DUTIES: Final = frozenset({Stage.RESCUE, Stage.ACCIDENT_REPORT})
"""They run beside the steps."""


class Explanation(Struct, frozen=True, kw_only=True):
    """How a deadline came about."""

    row: str
    """Row of the table, `match/stage`."""
    is_default: bool
    """No row names this event: the one for everything was taken."""
    basis: Basis
    amount: float
    provenance: str
    policy: str
    """Name of the table."""
    start: datetime
    yellow_from: float
    days: tuple[CountedDay, ...] = ()
    assumed_years: tuple[int, ...] = ()


class Draft(Struct, frozen=True, kw_only=True):
    """A deadline before it is written."""

    code: str
    marks: Marks
    explanation: Explanation


def draft(rules: Rules, code: str, stage: Stage, start: datetime) -> Draft | None:
    """Return the deadline of `code` for `stage`; None: there is no such duty. Pure."""
    ruling = rules.policy.ruling(code, stage)
    if ruling is None:
        return None
    working = rules.policy.working_time(rules.calendar)
    counted = count_or_assume(ruling.row.allowance, start, working)
    fraction = rules.policy.lights.yellow_from
    return Draft(
        code=code,
        marks=Marks(yellow_at=part_way(counted, fraction, working), due_at=counted.due),
        explanation=Explanation(
            row=ruling.row.name,
            is_default=ruling.is_default,
            basis=ruling.row.basis,
            amount=ruling.row.amount,
            provenance=ruling.row.provenance,
            policy=rules.policy.name,
            start=counted.start,
            yellow_from=fraction,
            days=counted.days,
            assumed_years=counted.assumed_years,
        ),
    )


async def entered(work: Work, found: Case, codes: Iterable[str]) -> None:
    """Settle the deadlines of a case that has just entered its step; without `codes` none begins."""
    for stage in MET_BY.get(found.step, ()):
        await meet(work, found.id, stage, work.now)
    rules = await work.rules(found.node_path)
    for stage in STARTED_BY[found.step]:
        if not await _running(work, found.id, (stage,)):
            await begin(work, found, rules, stage, codes, work.now)


async def begin(
    work: Work,
    found: Case,
    rules: Rules,
    stage: Stage,
    codes: Iterable[str],
    start: datetime,
    *,
    alarm_id: str | None = None,
) -> None:
    """Start a deadline: the tightest of those that the case's events have; none when there is no such duty."""
    drafts = [made for code in sorted(set(codes)) if (made := draft(rules, code, stage, start)) is not None]
    if drafts:
        tightest = min(drafts, key=lambda made: made.marks.due_at)
        await _write(work, found, rules, stage, tightest, alarm_id=alarm_id)


async def tighten(work: Work, found: Case, code: str, *, is_graver: bool) -> None:
    """An alarm has joined: no running deadline may be later than its own would be.

    A graver alarm also brings the ladder of its priority, from the first rung on.
    """
    rules = await work.rules(found.node_path)
    for duty in await work.book.duties(found.id):
        stage = Stage(duty.stage)
        made = None if stage in _DUTIES else draft(rules, code, stage, work.now)
        if made is not None and made.marks.due_at < duty.due_at:
            _void(work, duty, "tightened")
            await _write(work, found, rules, stage, made, told=Light(duty.told))
        elif is_graver:
            work.book.change(duty, rungs=0, look_at=work.now)


async def inherit(work: Work, found: Case, other_id: int) -> None:
    """A case was merged into this one: its duties go on here, and no deadline here is later than its own was."""
    mine = {duty.stage: duty for duty in await work.book.duties(found.id)}
    for duty in await work.book.duties(other_id):
        own = mine.get(duty.stage)
        if Stage(duty.stage) is Stage.RESCUE or (own is None and Stage(duty.stage) in _DUTIES):
            await work.book.hand_over(duty, found.id)
            continue
        again = structs.replace(duty, id=None, case_id=found.id, look_at=work.now)
        _void(work, duty, "merged")
        if own is not None and duty.due_at < own.due_at:
            _void(work, own, "tightened")
            await work.book.begin(again)


async def meet(work: Work, case_id: int, stage: Stage, at: datetime, *, alarm_id: str | None = None) -> None:
    """Note that what a deadline asks for is done; `alarm_id` names whose rescue it was."""
    for duty in await _running(work, case_id, (stage,)):
        if alarm_id is None or duty.alarm_id == alarm_id:
            work.book.change(duty, met_at=at, look_at=None)


async def void(
    work: Work, case_id: int, stages: Iterable[Stage], reason: str, *, alarm_id: str | None = None
) -> None:
    """End deadlines that nobody has to keep any more."""
    for duty in await _running(work, case_id, stages):
        if alarm_id is None or duty.alarm_id == alarm_id:
            _void(work, duty, reason)


async def recount(work: Work, city_id: int | None, actor: Actor = SYSTEM) -> int:
    """Settle provisional deadlines that a newly told year explains; return how many changed.

    Args:
        work: the transaction.
        city_id: whose calendar was told; None: every city's.
        actor: who told it.
    """
    rows = (
        await work.db.execute(
            select(deadline, case.c.node_id, org_node.c.path)
            .join(case, case.c.id == deadline.c.case_id)
            .join(org_node, org_node.c.id == case.c.node_id)
            .where(deadline.c.is_provisional, deadline.c.met_at.is_(None), deadline.c.voided_at.is_(None))
            .order_by(deadline.c.case_id, deadline.c.id)
        )
    ).all()
    changed = 0
    for row in rows:
        if city_id is None or city_of(row.path) == city_id:
            changed += await _recount_one(work, row, actor)
    return changed


async def _recount_one(work: Work, row: Row[Any], actor: Actor) -> int:
    before = explanation_of(row)
    document = await work.shelf.document(work.db, row.policy)
    working = document.policy.working_time(await work.shelf.calendar(work.db, city_of(row.path)))
    counted = count_or_assume(Allowance(basis=before.basis, amount=before.amount), row.started_at, working)
    if counted.assumed_years == before.assumed_years:
        return 0
    found = await load(work, row.case_id)
    after = msgspec.structs.replace(before, days=counted.days, assumed_years=counted.assumed_years)
    await work.db.execute(
        update(deadline)
        .where(deadline.c.id == row.id)
        .values(
            yellow_at=part_way(counted, before.yellow_from, working),
            due_at=counted.due,
            is_provisional=bool(counted.assumed_years),
            explanation=msgspec.json.encode(after).decode(),
            look_at=work.now,
        )
    )
    detail: dict[str, str | int | float | bool | None] = {
        "stage": row.stage,
        "was": row.due_at.isoformat(),
        "due": counted.due.isoformat(),
    }
    await append(work, found, Happened.RECOUNTED, actor=actor, detail=detail)
    return 1


def explanation_of(row: Row[Any]) -> Explanation:
    """Return how the deadline of a row came about."""
    return msgspec.json.decode(row.explanation, type=Explanation)


def marks_of(row: Row[Any]) -> Marks:
    """Return the marks of a row."""
    return Marks(yellow_at=row.yellow_at, due_at=row.due_at)


async def _running(work: Work, case_id: int, stages: Iterable[Stage]) -> list[Duty]:
    wanted = set(stages)
    return [duty for duty in await work.book.duties(case_id) if Stage(duty.stage) in wanted]


def _void(work: Work, duty: Duty, reason: str) -> None:
    work.book.change(duty, voided_at=work.now, void_reason=reason, look_at=None)


async def _write(
    work: Work,
    found: Case,
    rules: Rules,
    stage: Stage,
    made: Draft,
    *,
    told: Light = Light.GREEN,
    alarm_id: str | None = None,
) -> None:
    await work.keep(rules.document)
    start = made.explanation.start
    seen = look(rules.policy.ladder(found.priority, stage), made.marks, 0, start)
    await work.book.begin(
        Duty(
            case_id=found.id,
            stage=stage.value,
            alarm_id=alarm_id,
            code=made.code,
            started_at=start,
            yellow_at=made.marks.yellow_at,
            due_at=made.marks.due_at,
            policy=rules.document.sha256,
            explanation=msgspec.json.encode(made.explanation).decode(),
            is_provisional=bool(made.explanation.assumed_years),
            told=told.value,
            rungs=0,
            look_at=seen.next_at,
        )
    )
