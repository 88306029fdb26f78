"""未诉先办: a cause that keeps coming back opens a case of its own before anybody complains.

A cause is one code of one device. True occurrences and false alarms are counted apart: the first ask for a repair, the second for
a look at the detector. Each city says how many, within how many days.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from sqlalchemy import func, select

from gatehouse_events.states import Priority
from gatehouse_fleet.cases import moves
from gatehouse_fleet.cases.docket import Work, open_case
from gatehouse_fleet.cases.merging import CaseKind
from gatehouse_fleet.cases.policy import PREVENTIVE
from gatehouse_fleet.cases.record import Case
from gatehouse_fleet.cases.steps import CaseStep
from gatehouse_fleet.people.roles import SYSTEM
from gatehouse_fleet.store.schema.cases import case


class Cause(StrEnum):
    """Why a preventive case was opened."""

    REPEATS = "repeats"
    FALSE_ALARMS = "false_alarms"


async def consider(work: Work, of: Case, gateway_no: int, device_id: str, code: str) -> Case | None:
    """Open a preventive case when this cause has come often enough; one at a time, and not again within the same days."""
    prevention = (await work.rules(of.node_path)).policy.prevention
    since = work.now - timedelta(days=prevention.days)
    cause = (gateway_no, device_id, code)
    await work.tally.look_up((), (cause,), since)
    links = [link for one in work.tally.alarm_ids if (link := work.book.known_link(one)) is not None]
    false = work.tally.false(cause, since, links)
    true = work.tally.true(cause, since, links)
    if true >= prevention.repeats:
        why, count = Cause.REPEATS, true
    elif false >= prevention.false_alarms:
        why, count = Cause.FALSE_ALARMS, false
    else:
        return None
    recent = (
        select(func.count())
        .select_from(case)
        .where(
            case.c.kind == CaseKind.PREVENTIVE.value,
            case.c.gateway_no == gateway_no,
            case.c.device_id == device_id,
            case.c.cause_code == code,
            case.c.is_open | (case.c.opened_at > since),
        )
    )
    if (await work.db.execute(recent)).scalar_one():
        return None
    made = await open_case(
        work,
        Case(
            id=0,
            node_id=of.node_id,
            node_path=of.node_path,
            kind=CaseKind.PREVENTIVE,
            code=PREVENTIVE,
            priority=Priority.P3,
            step=CaseStep.COLLECTED,
            revision=0,
            is_open=True,
            opened_at=work.now,
            step_at=work.now,
            chain=b"",
            gateway_no=gateway_no,
            device_id=device_id,
            cause_code=code,
        ),
        actor=SYSTEM,
        detail={"why": why.value, "count": count, "days": prevention.days, "device": device_id, "code": code},
    )
    return await moves.walk(work, made, CaseStep.FILED, actor=SYSTEM, detail={"by": "policy"})
