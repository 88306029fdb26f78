"""Alarms become cases: opened or joined at the first revision, moved by those that follow. Called for each committed revision.

A gateway never waits for this and nothing here can refuse an alarm: what fits no rule still opens a case, a doubtful alarm
opens one that says so, and a year without holidays gives a provisional deadline.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct, structs
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.alarm import Actor as GatewayActor
from gatehouse_events.alarm import Alarm, Change, DealStatus, What
from gatehouse_events.orders import OrderOutcome
from gatehouse_events.states import Disposition, Kind, Priority
from gatehouse_fleet.cases import limits, moves, prevention
from gatehouse_fleet.cases.docket import Happened, Work, append, load, open_case
from gatehouse_fleet.cases.merging import Join, Reason, Seen, choose, kind_of
from gatehouse_fleet.cases.policy import OpenRule, Stage
from gatehouse_fleet.cases.record import Case, Link
from gatehouse_fleet.cases.shelf import Shelf
from gatehouse_fleet.cases.steps import CaseStep
from gatehouse_fleet.cases.tally import Cause, Occurrence, among
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.people.roles import SYSTEM, Actor
from gatehouse_fleet.projection.feed import FeedItem
from gatehouse_fleet.projection.step import AlarmContext
from gatehouse_fleet.store.schema.cases import case_alarm
from gatehouse_fleet.store.schema.gateways import device
from gatehouse_fleet.store.schema.orders import order

_COUNTED: Final = frozenset({Kind.ALARM, Kind.FAULT, Kind.TAMPER})


class AlarmTold(Struct, frozen=True, kw_only=True):
    """One revision of an alarm as the projection has it."""

    gateway_no: int
    gateway_id: str
    node_id: int
    """Its community."""
    node_path: str
    change: Change
    building: str = ""
    unit: str = ""
    is_verified: bool = True


class CaseSteps:
    """The projection's step that makes cases of alarms (`projection.step.Step`)."""

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self._shelf: Final = shelf
        self._clock: Final = clock

    async def on_alarms(self, db: AsyncConnection, told: Sequence[AlarmContext]) -> Sequence[FeedItem]:
        """Take revisions in their order; returns what screens are to hear."""
        work = Work(db=db, now=self._clock.now(), shelf=self._shelf)
        places = await _places(db, told)
        await take_all(work, [_told_by(one, places) for one in told])
        await work.settle()
        return work.feed

    async def on_outcome(self, db: AsyncConnection, gateway_no: int, outcome: OrderOutcome) -> list[FeedItem]:
        """Write what a gateway answered into the case of the alarm it was about; returns what screens are to hear."""
        work = Work(db=db, now=self._clock.now(), shelf=self._shelf)
        await answered(work, gateway_no, outcome)
        await work.settle()
        return work.feed


async def _places(
    db: AsyncConnection, told: Sequence[AlarmContext]
) -> dict[tuple[int, str], tuple[str, str]]:
    """Return building and unit of the devices that alarms are about."""
    wanted = sorted({(one.gateway_no, one.change.alarm.device_id) for one in told})
    query = select(device.c.gateway_no, device.c.id, device.c.building, device.c.unit).where(
        among((device.c.gateway_no, device.c.id), wanted)
    )
    return {(row.gateway_no, row.id): (row.building, row.unit) for row in (await db.execute(query)).all()}


def _told_by(one: AlarmContext, places: dict[tuple[int, str], tuple[str, str]]) -> AlarmTold:
    building, unit = places.get((one.gateway_no, one.change.alarm.device_id), ("", ""))
    return AlarmTold(
        gateway_no=one.gateway_no,
        gateway_id=one.gateway_id,
        node_id=one.node_id,
        node_path=one.node_path,
        change=one.change,
        building=building,
        unit=unit,
        is_verified=one.is_verified,
    )


async def answered(work: Work, gateway_no: int, outcome: OrderOutcome) -> Case | None:
    """Take the outcome of one of our orders; None: it was about no case."""
    alarm_id = (
        await work.db.execute(
            select(order.c.alarm_id).where(
                order.c.gateway_no == gateway_no, order.c.epoch == outcome.epoch, order.c.seq == outcome.seq
            )
        )
    ).scalar_one_or_none()
    query = select(case_alarm.c.case_id).where(
        case_alarm.c.alarm_id == alarm_id, case_alarm.c.gateway_no == gateway_no
    )
    case_id = (await work.db.execute(query)).scalar_one_or_none()
    if case_id is None:
        return None
    detail: moves.Detail = {
        "alarm": alarm_id,
        "order": outcome.seq,
        "result": outcome.result.value,
        "text": outcome.detail[:500],
    }
    return await append(work, await load(work, case_id), Happened.ANSWERED, actor=SYSTEM, detail=detail)


async def take(work: Work, told: AlarmTold) -> Case | None:
    """Take one revision of one alarm; see `take_all`."""
    return (await take_all(work, (told,)))[0]


async def take_all(work: Work, told: Sequence[AlarmTold]) -> list[Case | None]:
    """Take revisions of alarms, in their order; return their cases, None where such alarms have none (drills, inhibited devices).

    Older revisions than one already taken change nothing. What all of them need is read beforehand, at once.
    """
    await _look_up(work, told)
    return [await _take(work, one) for one in told]


async def _look_up(work: Work, told: Sequence[AlarmTold]) -> None:
    """Read what the revisions will ask for: that saves statements and decides nothing."""
    await work.book.hold(one.node_id for one in told)
    await work.book.find(one.change.alarm.alarm_id for one in told)
    new = [one for one in told if work.book.known_link(one.change.alarm.alarm_id) is None]
    await work.book.survey(one.node_id for one in new)
    joins = [await _choose(work, one) for one in new]
    await work.book.read(join.case_id for join in joins if join is not None)
    causes: dict[datetime, list[Cause]] = {}
    for one in told:
        days = (await work.rules(one.node_path)).policy.prevention.days
        alarm = one.change.alarm
        causes.setdefault(work.now - timedelta(days=days), []).append(
            (one.gateway_no, alarm.device_id, alarm.code)
        )
    for since, of in causes.items():
        await work.tally.look_up((one.change.alarm.alarm_id for one in told), of, since)


async def _take(work: Work, told: AlarmTold) -> Case | None:
    known = await work.book.link(told.change.alarm.alarm_id)
    return await _begin(work, told) if known is None else await _follow(work, told, known)


async def _begin(work: Work, told: AlarmTold) -> Case | None:
    """Take the first revision of an alarm."""
    alarm = told.change.alarm
    rules = await work.rules(told.node_path)
    rule = rules.policy.opening(alarm.kind, alarm.priority, alarm.code)
    if rule is None:
        return None
    join = await _choose(work, told)
    found = await _open(work, told, rule) if join is None else await _join(work, told, join)
    _count(work, told, 1)
    await limits.begin(
        work,
        found,
        rules,
        Stage.RESCUE,
        (alarm.code,),
        min(alarm.raised_at, work.now),
        alarm_id=alarm.alarm_id,
    )
    linked = await work.book.link(alarm.alarm_id)
    assert linked is not None  # noqa: S101  # done above
    return await _effects(work, found, told, structs.replace(linked, seq=0, repeats=0))


async def _choose(work: Work, told: AlarmTold) -> Join | None:
    window = timedelta(minutes=(await work.rules(told.node_path)).policy.merging.place_window_min)
    candidates = await work.book.candidates(told.node_id, kind_of(told.change.alarm.kind))
    return choose(_seen(told), candidates, window)


async def _open(work: Work, told: AlarmTold, rule: OpenRule) -> Case:
    alarm = told.change.alarm
    made = await open_case(
        work,
        Case(
            id=0,
            node_id=told.node_id,
            node_path=told.node_path,
            kind=kind_of(alarm.kind),
            code=alarm.code,
            priority=alarm.priority,
            step=CaseStep.COLLECTED,
            revision=0,
            is_open=True,
            opened_at=work.now,
            step_at=work.now,
            chain=b"",
        ),
        actor=SYSTEM,
        detail=_alarm_detail(told),
    )
    _link(work, told, made, Reason.OPENED)
    if not rule.is_filed:
        await limits.entered(work, made, (alarm.code,))
        return made
    target = CaseStep.DISPATCHED if rule.is_dispatched else CaseStep.FILED
    return await moves.walk(work, made, target, actor=SYSTEM, detail={"by": "policy"})


async def _join(work: Work, told: AlarmTold, join: Join) -> Case:
    alarm = told.change.alarm
    found = await load(work, join.case_id)
    _link(work, told, found, join.reason)
    is_graver = _rank(alarm.priority) < _rank(found.priority)
    if is_graver:
        found = structs.replace(found, priority=alarm.priority, code=alarm.code)
    detail = _alarm_detail(told) | {"reason": join.reason.value}
    found = await append(work, found, Happened.ALARM_JOINED, actor=SYSTEM, detail=detail)
    await limits.tighten(work, found, alarm.code, is_graver=is_graver)
    rules = await work.rules(found.node_path)
    rule = rules.policy.opening(alarm.kind, alarm.priority, alarm.code)
    if (
        rule is not None and rule.is_dispatched
    ):  # a graver alarm does not wait for a dispatcher because a lesser one does
        found = await moves.walk(work, found, CaseStep.DISPATCHED, actor=SYSTEM, detail={"by": "policy"})
    return found


def _link(work: Work, told: AlarmTold, found: Case, reason: Reason) -> None:
    alarm = told.change.alarm
    work.book.put(
        Link(
            alarm_id=alarm.alarm_id,
            case_id=found.id,
            gateway_no=told.gateway_no,
            device_id=alarm.device_id,
            code=alarm.code,
            kind=alarm.kind.value,
            priority=alarm.priority.value,
            seq=0,
            incident_id=alarm.incident_id,
            building=told.building[:32],
            unit=told.unit[:32],
            raised_at=alarm.raised_at,
            joined_at=work.now,
            reason=reason.value,
            is_open=True,
            repeats=alarm.repeats,
        )
    )


async def _follow(work: Work, told: AlarmTold, known: Link) -> Case | None:
    """Take a later revision of an alarm that has a case."""
    alarm = told.change.alarm
    found = await load(work, known.case_id)
    is_back = alarm.is_open and not known.is_open
    if alarm.seq < known.seq or (alarm.seq == known.seq and not is_back):
        return found
    if alarm.is_open and not found.is_open:
        return await _leave(work, told, found)
    if alarm.repeats > known.repeats:
        _count(work, told, alarm.repeats - known.repeats)
    return await _effects(work, found, told, known)


async def _leave(work: Work, told: AlarmTold, closed: Case) -> Case | None:
    """An alarm of a closed case is open: told otherwise before, or its gateway was given up and is back. A case of its own."""
    alarm_id = told.change.alarm.alarm_id
    await append(work, closed, Happened.ALARM_LEFT, actor=SYSTEM, detail={"alarm": alarm_id})
    work.book.remove(alarm_id)
    return await _begin(work, told)


async def _effects(work: Work, found: Case, told: AlarmTold, known: Link) -> Case:
    """Let a revision do to the case what it does: taken, rescued, come back, closed."""
    alarm = told.change.alarm
    actor = actor_of(told.change.actor, told.gateway_id)
    is_closing = known.is_open and not alarm.is_open
    await _remember(work, alarm)
    if alarm.rescue is not None and alarm.rescue.deal_status.value != (
        known.deal_status or DealStatus.RAISED.value
    ):
        found = await _rescue(work, found, alarm, actor)
    if alarm.acked_by is not None and known.acked_at is None and not is_closing:
        found = await moves.walk(
            work,
            found,
            CaseStep.HANDLING,
            actor=actor,
            detail={"alarm": alarm.alarm_id, "by": "gateway"},
        )
    is_again = told.change.what is What.REPEATED or not known.is_open
    if is_again and alarm.is_open and found.step is CaseStep.FEEDBACK:
        reason = "反馈后报警再次发生 it happened again after the feedback"
        found = await moves.back(work, found, CaseStep.HANDLING, reason=reason, actor=SYSTEM)
    if is_closing:
        found = await _closed(work, found, told, actor)
    await prevention.consider(work, found, told.gateway_no, alarm.device_id, alarm.code)
    return found


async def _remember(work: Work, alarm: Alarm) -> None:
    rescue, linked = alarm.rescue, await work.book.link(alarm.alarm_id)
    assert linked is not None  # noqa: S101  # whoever comes here has a case
    work.book.put(
        structs.replace(
            linked,
            seq=alarm.seq,
            incident_id=alarm.incident_id,
            is_open=alarm.is_open,
            acked_at=alarm.acked_at,
            closed_at=alarm.closed_at,
            disposition=None if alarm.disposition is None else alarm.disposition.value,
            repeats=alarm.repeats,
            deal_status=None if rescue is None else rescue.deal_status.value,
            responded_at=None if rescue is None else rescue.responded_at,
            arrived_at=None if rescue is None else rescue.arrived_at,
            ended_at=None if rescue is None else rescue.ended_at,
        )
    )


async def _rescue(work: Work, found: Case, alarm: Alarm, actor: Actor) -> Case:
    rescue = alarm.rescue
    assert rescue is not None  # noqa: S101  # the caller has looked
    detail: moves.Detail = {"alarm": alarm.alarm_id, "deal_status": rescue.deal_status.value}
    if rescue.deal_status is DealStatus.FALSE_ALARM:
        await limits.void(work, found.id, (Stage.RESCUE,), "false_alarm", alarm_id=alarm.alarm_id)
    elif rescue.arrived_at is not None:
        detail["arrived_at"] = rescue.arrived_at.isoformat()
        await limits.meet(work, found.id, Stage.RESCUE, rescue.arrived_at, alarm_id=alarm.alarm_id)
    return await append(work, found, Happened.RESCUE, actor=actor, detail=detail)


async def _closed(work: Work, found: Case, told: AlarmTold, actor: Actor) -> Case:
    alarm = told.change.alarm
    await limits.void(work, found.id, (Stage.RESCUE,), "alarm_closed", alarm_id=alarm.alarm_id)
    disposition = alarm.disposition or Disposition.AUTO
    detail: moves.Detail = {
        "alarm": alarm.alarm_id,
        "disposition": disposition.value,
        "reason": alarm.close_reason[:500],
    }
    found = await append(work, found, Happened.ALARM_CLOSED, actor=actor, detail=detail)
    left = await work.book.links(found.id)
    if any(link.is_open for link in left):
        return found
    found = structs.replace(found, outcome=_outcome([link.disposition for link in left]))
    return await moves.walk(work, found, CaseStep.FEEDBACK, actor=actor, detail=detail | {"by": "gateway"})


def _outcome(dispositions: list[str | None]) -> Disposition:
    """A case is a false alarm only when every alarm of it was one."""
    found = {Disposition(word or Disposition.AUTO) for word in dispositions}
    for outcome in (Disposition.HANDLED, Disposition.AUTO, Disposition.FALSE_ALARM, Disposition.TEST):
        if outcome in found:
            return outcome
    return Disposition.AUTO


def _count(work: Work, told: AlarmTold, count: int) -> None:
    alarm = told.change.alarm
    if alarm.kind in _COUNTED:
        work.tally.count(
            Occurrence(
                alarm_id=alarm.alarm_id,
                seq=alarm.seq,
                gateway_no=told.gateway_no,
                device_id=alarm.device_id,
                code=alarm.code,
                at=work.now,
                count=count,
            )
        )


def actor_of(actor: GatewayActor, gateway_id: str) -> Actor:
    """Return a person at a gateway's console as the fleet writes people down."""
    return Actor(name=actor.name, role=actor.role, unit=gateway_id, station=actor.station)


def _seen(told: AlarmTold) -> Seen:
    alarm = told.change.alarm
    return Seen(
        gateway_no=told.gateway_no,
        device_id=alarm.device_id,
        code=alarm.code,
        raised_at=alarm.raised_at,
        incident_id=alarm.incident_id,
        building=told.building[:32],
        unit=told.unit[:32],
    )


def _alarm_detail(told: AlarmTold) -> moves.Detail:
    alarm = told.change.alarm
    return {
        "alarm": alarm.alarm_id,
        "code": alarm.code,
        "device": alarm.device_id,
        "gateway": told.gateway_id,
        "verified": told.is_verified,
    }


def _rank(priority: Priority) -> int:
    return list(Priority).index(priority)
