"""Time passes: lights that changed are announced, and the ladder is climbed. Driven by a clock that is passed in.

Nothing is kept in memory: each deadline says itself when to look at it again. After an outage everything that came due
meanwhile is taken at the first look, in order, once.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from gatehouse_events.states import Label
from gatehouse_fleet.cases import inbox, lights, limits
from gatehouse_fleet.cases.docket import Happened, Work, append, load, number_of
from gatehouse_fleet.cases.errors import PolicyError
from gatehouse_fleet.cases.ladder import Look, look
from gatehouse_fleet.cases.lights import Light
from gatehouse_fleet.cases.office import Office
from gatehouse_fleet.cases.policy import Policy, Rung, Stage
from gatehouse_fleet.cases.record import Case
from gatehouse_fleet.people.roles import SYSTEM
from gatehouse_fleet.store.schema.cases import deadline

MAX_CASES: Final = 200
"""Looked at in one go; the rest follows at once."""
TOPIC: Final = "cases"
_PUT_OFF: Final = timedelta(minutes=1)
_log = logging.getLogger(__name__)
_STAGES: Final[dict[Stage, Label]] = {
    Stage.FILING: Label("立案", "filing"),
    Stage.DISPATCHING: Label("派遣", "dispatching"),
    Stage.TAKING: Label("接单", "taking"),
    Stage.HANDLING: Label("处置", "handling"),
    Stage.VERIFYING: Label("核查", "verifying"),
    Stage.EVALUATING: Label("评价", "evaluating"),
    Stage.RESCUE: Label("救援到达", "arrival of the rescue"),
    Stage.ACCIDENT_REPORT: Label("事故上报", "accident report"),
}


async def run(office: Office, *, period_s: float = 5.0) -> None:
    """Look after the deadlines until cancelled; at most `period_s` late."""
    while True:
        seen = office.wake.count(TOPIC)
        if await tick(office) < MAX_CASES:
            await office.wake.wait(TOPIC, seen, timeout_s=period_s)


async def tick(office: Office) -> int:
    """Look at every case whose time has come, each in a transaction of its own; return how many there were.

    Raises:
        SQLAlchemyError: the database is away.
    """
    now = office.clock.now()
    async with office.store.read() as db:
        waiting = (
            await db.execute(
                select(deadline.c.case_id, deadline.c.look_at)
                .where(deadline.c.look_at <= now)
                .order_by(deadline.c.look_at)
                .limit(MAX_CASES)
            )
        ).all()
    for case_id in dict.fromkeys(row.case_id for row in waiting):
        try:
            async with office.work() as work:
                await _look_at(work, case_id)
        except (SQLAlchemyError, OSError):
            raise
        except Exception:  # noqa: BLE001  # whatever is wrong with one case, the others' time passes too
            _log.exception("case %d cannot be looked at; again in %s", case_id, _PUT_OFF)
            async with office.store.begin() as db:
                await db.execute(
                    update(deadline)
                    .where(deadline.c.case_id == case_id, deadline.c.look_at <= now)
                    .values(look_at=now + _PUT_OFF)
                )
    return len(waiting)


async def _look_at(work: Work, case_id: int) -> None:
    found = await load(work, case_id)
    rows = (
        await work.db.execute(
            select(deadline)
            .where(deadline.c.case_id == case_id, deadline.c.look_at <= work.now)
            .order_by(deadline.c.due_at, deadline.c.id)
        )
    ).all()
    for row in rows:
        stage, marks = Stage(row.stage), limits.marks_of(row)
        policy = await _policy(work, found, row.policy)
        seen = look(policy.ladder(found.priority, stage), marks, row.rungs, work.now)
        told = lights.worst((Light(row.told), seen.light)) or seen.light
        if told is not Light(row.told):
            detail: dict[str, str | int | float | bool | None] = {
                "stage": stage.value,
                "light": told.value,
                "due": row.due_at.isoformat(),
            }
            found = await append(
                work, found, Happened.LIGHT_CHANGED, actor=SYSTEM, detail=detail, light=told, stage=stage
            )
        found = await _climb(work, found, stage, seen)
        await work.db.execute(
            update(deadline)
            .where(deadline.c.id == row.id)
            .values(told=told.value, rungs=seen.taken, look_at=seen.next_at)
        )


async def _climb(work: Work, found: Case, stage: Stage, seen: Look) -> Case:
    for rung in seen.due:
        text = _text(found, stage, rung)
        await inbox.tell(work, found, rung.tell, light=rung.light, stage=stage, text=text)
        detail: dict[str, str | int | float | bool | None] = {
            "stage": stage.value,
            "light": rung.light.value,
            "after_min": rung.after_min,
            "tell": ",".join(rung.tell),
        }
        found = await append(
            work, found, Happened.TOLD, actor=SYSTEM, detail=detail, light=rung.light, stage=stage
        )
    return found


async def _policy(work: Work, found: Case, sha256: str) -> Policy:
    try:
        return (await work.shelf.document(work.db, sha256)).policy
    except (
        PolicyError
    ):  # nobody may go untold because a text is missing: who is told now is told by today's policy
        return (await work.rules(found.node_path)).policy


def _text(found: Case, stage: Stage, rung: Rung) -> Label:
    number, what, light = number_of(found.opened_at, found.id), _STAGES[stage], lights.LABELS[rung.light]
    late = f"已超时{rung.after_min}分钟" if rung.after_min else ""
    return Label(
        f"{light.zh} 案件{number}（{found.priority}）{what.zh}{late}",
        f"{light.en}: case {number} ({found.priority}), {what.en}"
        + (f", {rung.after_min} min after" if rung.after_min else ""),
    )
