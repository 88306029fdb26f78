"""The city over HTTP: how each target stands, what is parked there, and the trace of an alarm in one call."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Path
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.states import Label
from gatehouse_fleet.city import parking, progress, switch, trace
from gatehouse_fleet.city.courier import look_topic
from gatehouse_fleet.city.switch import TargetState
from gatehouse_fleet.city.trace import EntryTrace, Leg
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.projection.readers import source_of
from gatehouse_fleet.services import Services, services_of
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.city import city_parked, city_receipt, city_target
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.web.access import entitled, require_reach
from gatehouse_fleet.web.fields import Answer, Body, GatewayIdPath, Reason
from gatehouse_fleet.web.pages import After, Limit, Page, key_of, mark
from gatehouse_fleet.web.problems import NOT_FOUND, ProblemError

router: Final = APIRouter(tags=["city"])
Shared = Annotated[Services, Depends(services_of)]
Keeper = Annotated[Caller, Depends(entitled(Right.MANAGE_CITY))]
Reader = Annotated[Caller, Depends(entitled(Right.READ_ALARMS))]
TargetIdPath = Annotated[
    str, Path(pattern="^[a-z0-9][a-z0-9-]{1,39}$", description="`id` of the target's file")
]
AlarmIdPath = Annotated[str, Path(pattern="^[0-9A-HJKMNP-TV-Z]{26}$", description="ULID of the alarm")]
EpochPath = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="life of the gateway's journal")]
SeqPath = Annotated[int, Path(ge=1, le=2**53, description="sequence number in the alarm lane")]
EventIdPath = Annotated[str, Path(pattern="^[0-9A-Za-z-]{1,64}$", description="id of the parked event")]
_NOT_PARKED: Final = ProblemError(409, "not_parked", Label("该事件未搁置", "this event is not parked there"))


class TargetView(Answer):
    """How one target stands."""

    id: str
    title: str
    state: TargetState
    state_reason: str
    state_by: str
    state_at: datetime
    trouble: str | None
    """What keeps it from receiving; absent: nothing."""
    trouble_since: datetime | None
    refusals_in_a_row: int
    gateways_behind: int
    entries_behind: int
    """Journal entries not yet looked at for this target."""
    parked: int
    received: int
    last_receipt_at: datetime | None


class ParkedView(Answer):
    """One event that stands aside."""

    event_id: str
    gateway_id: str
    alarm_id: str
    alarm_seq: int
    epoch: str
    seq: int
    parked_at: datetime
    reason: str
    detail: str
    tries: int
    retry_wanted: bool


class LegView(Answer):
    """One platform's part of a trace."""

    target: str
    title: str
    leg: Leg
    event_id: str | None = None
    sent_at: datetime | None = None
    receipt_at: datetime | None = None
    receipt: str | None = None
    receipt_sha256: str | None = None
    tries: int | None = None
    parked_at: datetime | None = None
    parked_reason: str | None = None
    parked_detail: str | None = None
    resolution: str | None = None


class TraceView(Answer):
    """One journal entry: gateway, this server, each platform, with times."""

    gateway: str
    epoch: str
    seq: int
    kind: str
    alarm_id: str | None
    revision: int | None
    what: str | None
    written_at: datetime
    committed_at: datetime
    body_hash: str
    prev_hash: str
    is_verified: bool
    doubt: str | None
    targets: tuple[LegView, ...]


class AlarmTraceView(Answer):
    """Every revision of one alarm, oldest first."""

    alarm_id: str
    clock_offset_ms: float | None
    """Gateway minus fleet, as its last status said: by so much the gateway's times are off."""
    revisions: tuple[TraceView, ...]


class SwitchBody(Body):
    """Why somebody switches a target."""

    reason: Reason


class RetryAnswer(Answer):
    """How many events will be tried again."""

    wanted: int


@router.get("/city/targets")
async def targets(services: Shared, who: Keeper) -> list[TargetView]:  # noqa: ARG001  # asks for the right
    """Return how every target stands that this server has ever started."""
    async with services.store.read() as db:
        rows = (await db.execute(select(city_target.c.id).order_by(city_target.c.id))).scalars().all()
        return [await view(db, target_id) for target_id in rows]


@router.get("/city/targets/{target_id}/parked")
async def parked(
    target_id: TargetIdPath,
    services: Shared,
    who: Keeper,  # noqa: ARG001  # asks for the right
    after: After = None,
    limit: Limit = 100,
) -> Page[ParkedView]:
    """Return what stands aside at a target, oldest first."""
    behind = key_of(after, tuple[int, str])
    query = (
        select(city_parked, gateway.c.id.label("gateway_id"))
        .join(gateway, gateway.c.no == city_parked.c.gateway_no)
        .where(city_parked.c.target == target_id, city_parked.c.resolved_at.is_(None))
    )
    if behind is not None:
        query = query.where(
            (city_parked.c.gateway_no > behind[0])
            | ((city_parked.c.gateway_no == behind[0]) & (city_parked.c.event_id > behind[1]))
        )
    query = query.order_by(city_parked.c.gateway_no, city_parked.c.event_id).limit(limit + 1)
    async with services.store.read() as db:
        rows = (await db.execute(query)).all()
    more = mark(rows[limit - 1].gateway_no, rows[limit - 1].event_id) if len(rows) > limit else None
    return Page(
        items=[ParkedView.model_validate(row, from_attributes=True) for row in rows[:limit]], next=more
    )


@router.post("/city/targets/{target_id}/pause")
async def pause(target_id: TargetIdPath, body: SwitchBody, services: Shared, who: Keeper) -> TargetView:
    """Stop telling a target; what happens meanwhile is told when it is resumed."""
    return await _turn(services, who, target_id, TargetState.PAUSED, body.reason)


@router.post("/city/targets/{target_id}/resume")
async def resume(target_id: TargetIdPath, body: SwitchBody, services: Shared, who: Keeper) -> TargetView:
    """Let a paused or stopped target go on where it stood."""
    return await _turn(services, who, target_id, TargetState.RUNNING, body.reason)


@router.post("/city/targets/{target_id}/retry", status_code=202)
async def retry_all(target_id: TargetIdPath, services: Shared, who: Keeper) -> RetryAnswer:
    """Try everything again that stands aside at a target."""
    return RetryAnswer(wanted=await _retry(services, who, target_id, None))


@router.post("/city/targets/{target_id}/parked/{event_id}/retry", status_code=202)
async def retry_one(
    target_id: TargetIdPath, event_id: EventIdPath, services: Shared, who: Keeper
) -> RetryAnswer:
    """Try one parked event again. When the platform has a later revision of that alarm, it is closed as superseded."""
    wanted = await _retry(services, who, target_id, event_id)
    if wanted == 0:
        raise _NOT_PARKED
    return RetryAnswer(wanted=wanted)


@router.post("/city/targets/{target_id}/parked/{event_id}/give-up")
async def give_up(
    target_id: TargetIdPath, event_id: EventIdPath, body: SwitchBody, services: Shared, who: Keeper
) -> TargetView:
    """Take a parked event off the list for good; it stays in the trace with who gave it up."""
    now = services.clock.now()
    async with services.store.begin() as db:
        if await parking.give_up(db, target_id, event_id, by=who.actor.name, now=now) == 0:
            raise _NOT_PARKED
        answer = await view(db, target_id)
        await audit.append(
            db, who.actor, "city.give_up", f"{target_id} {event_id}", at=now, detail={"reason": body.reason}
        )
    return answer


@router.get("/trace/{gateway_id}/{epoch}/{seq}")
async def entry_trace(
    gateway_id: GatewayIdPath, epoch: EpochPath, seq: SeqPath, services: Shared, who: Reader
) -> TraceView:
    """Return where one journal entry is: the gateway's number, this server's commit, each platform's receipt."""
    async with services.store.read() as db:
        number = (
            await db.execute(select(gateway.c.no).where(gateway.c.id == gateway_id))
        ).scalar_one_or_none()
        source = None if number is None else await source_of(db, number)
        require_reach(who, None if source is None else source.node_path)
        assert source is not None  # noqa: S101  # require_reach has refused
        found = await trace.of_entry(db, source.no, source.id, epoch, seq)
    if found is None:
        raise NOT_FOUND
    return _trace_view(found)


@router.get("/alarms/{alarm_id}/trace")
async def alarm_trace(alarm_id: AlarmIdPath, services: Shared, who: Reader) -> AlarmTraceView:
    """Return the trace of every revision of an alarm."""
    found = await traced_alarm(services, who, alarm_id)
    async with services.store.read() as db:
        query = select(gateway.c.clock_offset_ms).join(alarm, alarm.c.gateway_no == gateway.c.no)
        offset = (await db.execute(query.where(alarm.c.alarm_id == alarm_id))).scalar_one()
    return AlarmTraceView(
        alarm_id=alarm_id, clock_offset_ms=offset, revisions=tuple(_trace_view(one) for one in found)
    )


async def traced_alarm(services: Services, who: Caller, alarm_id: str) -> list[EntryTrace]:
    """Return the trace of an alarm within the caller's reach.

    Raises:
        ProblemError: 404.
    """
    async with services.store.read() as db:
        number = await trace.gateway_of_alarm(db, alarm_id)
        source = None if number is None else await source_of(db, number)
        require_reach(who, None if source is None else source.node_path)
        assert source is not None  # noqa: S101  # require_reach has refused
        return await trace.of_alarm(db, source.no, source.id, alarm_id)


async def view(db: AsyncConnection, target_id: str) -> TargetView:
    """Return how a target stands.

    Raises:
        ProblemError: 404: never started here.
    """
    standing = await switch.standing(db, target_id)
    if standing is None:
        raise NOT_FOUND
    title = (await db.execute(select(city_target.c.title).where(city_target.c.id == target_id))).scalar_one()
    behind = await progress.backlog(db, f"city:{target_id}")
    waiting = select(func.count()).where(
        city_parked.c.target == target_id, city_parked.c.resolved_at.is_(None)
    )
    received = select(func.count(), func.max(city_receipt.c.receipt_at)).where(
        city_receipt.c.target == target_id
    )
    count, last = (await db.execute(received)).one()
    return TargetView(
        id=target_id,
        title=title,
        state=standing.state,
        state_reason=standing.reason,
        state_by=standing.by,
        state_at=standing.at,
        trouble=standing.trouble,
        trouble_since=standing.trouble_since,
        refusals_in_a_row=standing.refusals,
        gateways_behind=behind.gateways,
        entries_behind=behind.entries,
        parked=(await db.execute(waiting)).scalar_one(),
        received=count,
        last_receipt_at=last,
    )


async def _turn(
    services: Services, who: Caller, target_id: str, state: TargetState, reason: str
) -> TargetView:
    now = services.clock.now()
    async with services.store.begin() as db:
        if not await switch.turn(db, target_id, state, reason=reason, by=who.actor.name, now=now):
            raise NOT_FOUND
        answer = await view(db, target_id)
        await audit.append(db, who.actor, f"city.{state}", target_id, at=now, detail={"reason": reason})
    services.wake.notify(look_topic(target_id))
    return answer


async def _retry(services: Services, who: Caller, target_id: str, event_id: str | None) -> int:
    now = services.clock.now()
    async with services.store.begin() as db:
        if await switch.standing(db, target_id) is None:
            raise NOT_FOUND
        wanted = await parking.ask_again(db, target_id, event_id, by=who.actor.name)
        await audit.append(
            db, who.actor, "city.retry", f"{target_id} {event_id or 'all'}", at=now, detail={"events": wanted}
        )
    services.wake.notify(look_topic(target_id))
    return wanted


def _trace_view(found: EntryTrace) -> TraceView:
    return TraceView.model_validate(msgspec.to_builtins(found, builtin_types=(datetime,)))
