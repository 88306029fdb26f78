"""What people do with cases. Each action names the revision its author saw; who has missed something is told what.

The caller has checked the right and the reach (`api.cases_api`); here the rules of the case decide. Taking a case acknowledges its
alarms at their gateways, and closing an alarm from here goes down as an order: the gateway decides, and its journal comes back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from msgspec import Struct, structs
from sqlalchemy import select

from gatehouse_events.orders import Acknowledgement, AlarmSeen, DispositionOrder, Issuer
from gatehouse_events.states import Disposition, Label
from gatehouse_fleet.cases import limits, moves, steps
from gatehouse_fleet.cases.docket import Happened, Work, append, load, refuse_stale
from gatehouse_fleet.cases.errors import RefusedError
from gatehouse_fleet.cases.merging import CaseKind, Reason
from gatehouse_fleet.cases.photos import Kept
from gatehouse_fleet.cases.policy import Stage
from gatehouse_fleet.cases.record import Case
from gatehouse_fleet.cases.steps import CaseStep, Move
from gatehouse_fleet.orders import IssuedOrder, issue
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.store.schema.cases import case_alarm, photo

ORDER_GOOD_FOR: Final = timedelta(hours=2)
"""An acknowledgement or disposition that reaches its gateway later is reported as expired."""
MAX_PHOTOS: Final = 30
"""Photos one case may carry."""
_MAX_ORDERS: Final = 50


class Act(Struct, frozen=True, kw_only=True):
    """Who does something to which case, having seen what."""

    case_id: int
    revision: int
    """The latest line of the time line that was on the screen."""
    actor: Actor


async def file(work: Work, act: Act, note: str) -> Case:
    """案件建立."""
    found = await _take_up(work, act)
    return await _forward(work, act, found, Move.FILE, {"note": note})


async def dispatch(work: Work, act: Act, *, unit: str, user_id: int | None, note: str) -> Case:
    """任务派遣 to a unit or to one person of it."""
    found = structs.replace(await _take_up(work, act), unit=unit, user_id=user_id)
    return await _forward(work, act, found, Move.DISPATCH, {"unit": unit, "user": user_id, "note": note})


async def take(work: Work, act: Act) -> Case:
    """任务处理: somebody starts; alarms nobody has acknowledged are acknowledged at their gateways."""
    found = await _forward(work, act, await _take_up(work, act), Move.TAKE, {})
    rows = await work.db.execute(
        select(case_alarm.c.alarm_id, case_alarm.c.gateway_no, case_alarm.c.seq)
        .where(case_alarm.c.case_id == found.id, case_alarm.c.is_open, case_alarm.c.acked_at.is_(None))
        .order_by(case_alarm.c.raised_at)
        .limit(_MAX_ORDERS)
    )
    for row in rows.all():
        seen = AlarmSeen(alarm_id=row.alarm_id, seq=row.seq)
        found = await _order(work, act, found, row.gateway_no, Acknowledgement(alarm=seen))
    return found


async def feedback(work: Work, act: Act, *, text: str) -> Case:
    """处理反馈: what was done."""
    return await _forward(work, act, await _take_up(work, act), Move.FEEDBACK, {"text": text})


async def verify(work: Work, act: Act, *, note: str) -> Case:
    """核查结案 by somebody who has not handled it."""
    return await _forward(work, act, await _take_up(work, act), Move.VERIFY, {"note": note})


async def evaluate(work: Work, act: Act, *, score: int, note: str) -> Case:
    """综合评价, 1 to 5."""
    found = structs.replace(await _take_up(work, act), score=score)
    return await _forward(work, act, found, Move.EVALUATE, {"score": score, "note": note})


async def send_back(work: Work, act: Act, target: CaseStep, *, reason: str) -> Case:
    """返工: back to an earlier step, with a reason."""
    found = await moves.back(work, await _take_up(work, act), target, reason=reason, actor=act.actor)
    await _record(work, act, found, "case.send_back", {"to": target.value})
    return found


async def note(work: Work, act: Act, *, text: str) -> Case:
    """Write something down; possible at every step."""
    found = await load(work, act.case_id)
    found = await append(work, found, Happened.NOTED, actor=act.actor, detail={"text": text})
    await _record(work, act, found, "case.note", {})
    return found


async def add_photo(work: Work, act: Act, kept: Kept) -> Case:
    """Attach a photo that is already in the evidence directory; it counts for this round's feedback.

    Raises:
        RefusedError: `too_many`, or `step`: nobody has begun to handle the case, or it is closed.
    """
    found = await load(work, act.case_id)
    if found.step not in {CaseStep.HANDLING, CaseStep.FEEDBACK} or not found.is_open:
        raise RefusedError(
            "step", Label("只有处理中的案件可以上传照片", "photos belong to handling and feedback")
        )
    known = (await work.db.execute(select(photo.c.sha256).where(photo.c.case_id == found.id))).scalars().all()
    if kept.sha256 in known:
        return found
    if len(known) >= MAX_PHOTOS:
        raise RefusedError(
            "too_many", Label(f"每案最多{MAX_PHOTOS}张照片", f"a case carries {MAX_PHOTOS} photos at most")
        )
    await work.db.execute(
        photo.insert().values(
            case_id=found.id,
            sha256=kept.sha256,
            media_type=kept.media_type,
            size_bytes=kept.size_bytes,
            added_at=work.now,
            actor=act.actor.name,
            round=found.rounds,
        )
    )
    found = structs.replace(found, photos=found.photos + 1)
    detail: moves.Detail = {"sha256": kept.sha256, "type": kept.media_type, "bytes": kept.size_bytes}
    found = await append(work, found, Happened.PHOTO, actor=act.actor, detail=detail)
    await _record(work, act, found, "case.photo", {"sha256": kept.sha256})
    return found


async def flag_injury(work: Work, act: Act, *, text: str) -> Case:
    """Somebody is hurt: the accident must be reported, within the hour where nothing else is said (domain row 48)."""
    found = await _take_up(work, act)
    if found.is_injury:
        raise RefusedError("done", Label("已标记人员受伤", "the injury is flagged already"))
    found = structs.replace(found, is_injury=True)
    found = await append(work, found, Happened.INJURY, actor=act.actor, detail={"text": text})
    rules = await work.rules(found.node_path)
    await limits.begin(work, found, rules, Stage.ACCIDENT_REPORT, (found.code,), work.now)
    await _record(work, act, found, "case.injury", {})
    return found


async def report_accident(work: Work, act: Act, *, to: str) -> Case:
    """The accident was reported."""
    found = await _take_up(work, act)
    if not found.is_injury:
        raise RefusedError("no_injury", Label("未标记人员受伤", "no injury is flagged"))
    await limits.meet(work, found.id, Stage.ACCIDENT_REPORT, work.now)
    found = await append(work, found, Happened.ACCIDENT_REPORTED, actor=act.actor, detail={"to": to})
    await _record(work, act, found, "case.accident_reported", {})
    return found


async def merge(work: Work, act: Act, other_id: int) -> Case:
    """Take another case in: its alarms, its duties and its tighter deadlines go on here; it stays readable.

    Raises:
        RefusedError: `merge`: not the same community and kind, or one of them is past the work.
    """
    # Always in the same order, so that two people who merge crosswise do not wait for each other for ever.
    cases = {case_id: await load(work, case_id) for case_id in sorted({act.case_id, other_id})}
    found, other = cases[act.case_id], cases[other_id]
    await refuse_stale(work, found, act.revision)
    is_fit = (
        found.id != other.id
        and (found.node_id, found.kind) == (other.node_id, other.kind)
        and found.kind is not CaseKind.PREVENTIVE
        and all(one.is_open and one.step in steps.WORKED_ON for one in (found, other))
    )
    if not is_fit:
        raise RefusedError(
            "merge",
            Label(
                "只能合并同一小区、同一类、尚未反馈的案件",
                "only cases of one community and kind, still worked on, can be merged",
            ),
        )
    moved = await work.book.links(other.id)
    for link in moved:
        work.book.put(structs.replace(link, case_id=found.id, reason=Reason.PERSON.value))
    is_graver = other.priority < found.priority
    if is_graver:
        found = structs.replace(found, priority=other.priority, code=other.code)
    found = structs.replace(
        found,
        is_injury=found.is_injury or other.is_injury,
        handlers=tuple(dict.fromkeys((*found.handlers, *other.handlers))),
    )
    gone = structs.replace(other, is_open=False, merged_into=found.id, closed_at=work.now)
    await append(work, gone, Happened.MERGED_AWAY, actor=act.actor, detail={"into": found.id})
    detail: moves.Detail = {"case": other.id, "alarms": ",".join(link.alarm_id for link in moved)}
    found = await append(work, found, Happened.MERGED, actor=act.actor, detail=detail)
    await limits.inherit(work, found, other.id)
    for code in await moves.codes_of(work, found):
        await limits.tighten(work, found, code, is_graver=is_graver)
    await _record(work, act, found, "case.merge", {"other": other.id})
    return found


async def dispose(
    work: Work, act: Act, alarm_id: str, *, alarm_seq: int, disposition: Disposition, reason: str
) -> Case:
    """Close one alarm of the case from here: an order to its gateway, which decides; the case moves when its journal says so.

    Raises:
        RefusedError: `alarm`: it is not one of this case's open alarms.
    """
    found = await _take_up(work, act)
    row = (
        await work.db.execute(
            select(case_alarm.c.gateway_no).where(
                case_alarm.c.alarm_id == alarm_id, case_alarm.c.case_id == found.id, case_alarm.c.is_open
            )
        )
    ).one_or_none()
    if row is None:
        raise RefusedError("alarm", Label("不是本案未关闭的报警", "that is no open alarm of this case"))
    seen = AlarmSeen(alarm_id=alarm_id, seq=alarm_seq)
    action = DispositionOrder(alarm=seen, disposition=disposition, reason=reason)
    found = await _order(work, act, found, row.gateway_no, action)
    await _record(work, act, found, "case.dispose", {"alarm": alarm_id, "disposition": disposition.value})
    return found


async def _take_up(work: Work, act: Act) -> Case:
    found = await load(work, act.case_id)
    if found.merged_into is not None:
        raise RefusedError(
            "merged", Label(f"案件已并入 {found.merged_into}", f"the case went into {found.merged_into}")
        )
    await refuse_stale(work, found, act.revision)
    return found


async def _forward(work: Work, act: Act, found: Case, move: Move, detail: moves.Detail) -> Case:
    said: moves.Detail = {name: value for name, value in detail.items() if value not in {"", None}}
    moved = await moves.forward(work, found, move, actor=act.actor, detail=said)
    await _record(work, act, moved, f"case.{move}", {})
    return moved


async def _order(
    work: Work, act: Act, found: Case, gateway_no: int, action: Acknowledgement | DispositionOrder
) -> Case:
    issued: IssuedOrder = await issue(
        work.db,
        gateway_no,
        action,
        issuer=Issuer(name=act.actor.name, role=act.actor.role, unit=act.actor.unit or "-"),
        expires_at=work.now + ORDER_GOOD_FOR,
        now=work.now,
    )
    work.ordered.add(issued.gateway_id)
    detail: moves.Detail = {
        "gateway": issued.gateway_id,
        "order": issued.seq,
        "what": str(type(action).__struct_config__.tag),
        "alarm": action.alarm.alarm_id,
    }
    return await append(work, found, Happened.ORDERED, actor=act.actor, detail=detail)


async def _record(work: Work, act: Act, found: Case, action: str, detail: moves.Detail) -> None:
    said = {name: value for name, value in detail.items() if not isinstance(value, float)}
    await audit.append(
        work.db,
        act.actor,
        action,
        f"case:{found.id}",
        at=work.now,
        node_id=found.node_id,
        detail=said | {"revision": found.revision},
    )
