"""Taking a case from step to step in the database: the rules of `steps`, the line in the time line, the deadlines."""

from __future__ import annotations

from typing import Final

from msgspec import structs

from gatehouse_fleet.cases import limits, steps
from gatehouse_fleet.cases.docket import Happened, Work, append, progress_of
from gatehouse_fleet.cases.merging import CaseKind
from gatehouse_fleet.cases.policy import PREVENTIVE, STEP_STAGES
from gatehouse_fleet.cases.record import Case
from gatehouse_fleet.cases.steps import CaseStep, Move
from gatehouse_fleet.people.roles import Actor

_TELLS: Final[dict[Move, Happened]] = {
    Move.FILE: Happened.FILED,
    Move.DISPATCH: Happened.DISPATCHED,
    Move.TAKE: Happened.TAKEN,
    Move.FEEDBACK: Happened.FEEDBACK,
    Move.VERIFY: Happened.VERIFIED,
    Move.EVALUATE: Happened.EVALUATED,
}
Detail = dict[str, str | int | float | bool | None]


async def forward(
    work: Work,
    found: Case,
    move: Move,
    *,
    actor: Actor,
    detail: Detail | None = None,
    is_passing: bool = False,
) -> Case:
    """Take a case one step on; `is_passing`: it leaves that step at once, so no deadline of it begins.

    Raises:
        RefusedError: the rules of the steps forbid it.
    """
    is_closing = move is Move.VERIFY
    progress = steps.advance(await progress_of(work, found, is_closing=is_closing), move, actor.name)
    moved = structs.replace(
        found,
        step=progress.step,
        step_at=work.now,
        handlers=progress.handlers,
        is_open=progress.step in steps.OPEN,
        closed_at=work.now if is_closing else found.closed_at,
    )
    moved = await append(work, moved, _TELLS[move], actor=actor, detail=detail)
    await limits.entered(work, moved, [] if is_passing else await codes_of(work, moved))
    return moved


async def walk(work: Work, found: Case, target: CaseStep, *, actor: Actor, detail: Detail) -> Case:
    """Take a case through every step up to `target`, each with a line of its own; nothing when it is there or past it."""
    moves = steps.path(found.step, target)
    for move in moves:
        if move is Move.DISPATCH and not found.unit:
            found = structs.replace(found, unit=await community_name(work, found))
        said = detail | ({"unit": found.unit} if move is Move.DISPATCH else {})
        is_passing = move is not moves[-1]
        found = await forward(work, found, move, actor=actor, detail=said, is_passing=is_passing)
    return found


async def back(work: Work, found: Case, target: CaseStep, *, reason: str, actor: Actor) -> Case:
    """Send a case back for more work: its deadlines end, those of the step it returns to start anew.

    Raises:
        RefusedError: it cannot go there, or no reason is given.
    """
    progress = steps.send_back(await progress_of(work, found, is_closing=False), target, reason)
    was = found.step
    found = structs.replace(
        found,
        step=target,
        step_at=work.now,
        photos=progress.photos,
        rounds=found.rounds + 1,
        unit="" if target is CaseStep.FILED else found.unit,
        user_id=None if target is CaseStep.FILED else found.user_id,
    )
    detail: Detail = {"from": was.value, "to": target.value, "reason": reason}
    found = await append(work, found, Happened.SENT_BACK, actor=actor, detail=detail)
    await limits.void(work, found.id, STEP_STAGES, "sent_back")
    await limits.entered(work, found, await codes_of(work, found))
    return found


async def codes_of(work: Work, found: Case) -> list[str]:
    """Return the events whose deadlines a case has: its open alarms', else all it ever had."""
    if found.kind is CaseKind.PREVENTIVE:
        return [PREVENTIVE]
    links = await work.book.links(found.id)
    return [link.code for link in links if link.is_open] or [link.code for link in links] or [found.code]


async def community_name(work: Work, found: Case) -> str:
    """Return the name of the community a case belongs to: its guards are who gets it without a dispatcher."""
    return f"{(await work.book.place(found.node_id)).name}值守"[:128]
