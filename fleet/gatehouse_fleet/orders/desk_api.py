"""People at the fleet's console act on alarms from afar: each act is an order with the revision they saw."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, select

from gatehouse_events.chain import ChainError, microseconds, moment
from gatehouse_events.orders import (
    Acknowledgement,
    Action,
    AlarmSeen,
    DispositionOrder,
    Issuer,
    OrderResult,
)
from gatehouse_events.states import Disposition, Label
from gatehouse_fleet.api.access import entitled, require_reach
from gatehouse_fleet.api.pages import After, Limit, Page, key_of, mark
from gatehouse_fleet.api.problems import NOT_FOUND, ProblemError
from gatehouse_fleet.orders import lane
from gatehouse_fleet.people.roles import Actor, Caller, Right
from gatehouse_fleet.services import Services, services_of
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.orders import order
from gatehouse_fleet.store.schema.org import org_node

router: Final = APIRouter(tags=["orders"])
ACT_WITHIN: Final = timedelta(hours=2)
"""An acknowledgement that reaches its gateway later than this is reported as expired: nobody remembers giving it."""
AlarmId = Annotated[str, Path(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$", description="ULID of the alarm")]
GatewayId = Annotated[str, Path(max_length=64, description="name of the gateway")]
Shared = Annotated[Services, Depends(services_of)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AcknowledgeBody(_Body):
    """I take this alarm."""

    seq: Annotated[int, Field(ge=1, le=2**53, description="revision of the alarm on the screen")]
    note: Annotated[str, Field(max_length=500)] = ""


class CloseBody(_Body):
    """End this alarm with a finding."""

    seq: Annotated[int, Field(ge=1, le=2**53, description="revision of the alarm on the screen")]
    disposition: Literal["handled", "false_alarm"]
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class OrderReference(BaseModel):
    """Where the order stands; its outcome appears in the gateway's order history."""

    gateway_id: str
    epoch: str
    seq: int


class IssuerView(BaseModel):
    """Who gave an order."""

    name: str
    role: str
    unit: str


class OrderView(BaseModel):
    """One order and what became of it."""

    epoch: str
    seq: int
    kind: str
    alarm_id: str | None
    issued_at: datetime
    expires_at: datetime
    issuer: IssuerView
    result: OrderResult | None
    """Absent: the gateway has not answered yet."""
    result_at: datetime | None
    result_detail: str | None
    result_alarm_seq: int | None


@router.post("/alarms/{alarm_id}/acknowledge", status_code=202)
async def acknowledge(
    alarm_id: AlarmId,
    body: AcknowledgeBody,
    services: Shared,
    who: Annotated[Caller, Depends(entitled(Right.ACT_ON_ALARMS))],
) -> OrderReference:
    """Order a gateway to take note that somebody has the alarm. Whoever was first wins; a later one is recorded."""
    action = Acknowledgement(alarm=AlarmSeen(alarm_id=alarm_id, seq=body.seq), note=body.note)
    return await _order(services, who, alarm_id, action)


@router.post("/alarms/{alarm_id}/close", status_code=202)
async def close(
    alarm_id: AlarmId,
    body: CloseBody,
    services: Shared,
    who: Annotated[Caller, Depends(entitled(Right.ACT_ON_ALARMS))],
) -> OrderReference:
    """Order a gateway to close an alarm. The gateway refuses what the people on site could not do either."""
    action = DispositionOrder(
        alarm=AlarmSeen(alarm_id=alarm_id, seq=body.seq),
        disposition=Disposition(body.disposition),
        reason=body.reason,
    )
    return await _order(services, who, alarm_id, action)


@router.get("/gateways/{gateway_id}/order-history")
async def order_history(
    gateway_id: GatewayId,
    services: Shared,
    who: Annotated[Caller, Depends(entitled(Right.READ_GATEWAYS))],
    after: After = None,
    limit: Limit = 100,
) -> Page[OrderView]:
    """Return what was ordered of a gateway and what became of it, newest first."""
    start = key_of(after, tuple[int, str, int])
    async with services.store.read() as db:
        found = (
            await db.execute(
                select(gateway.c.no, org_node.c.path)
                .join(org_node, org_node.c.id == gateway.c.node_id)
                .where(gateway.c.id == gateway_id)
            )
        ).one_or_none()
        require_reach(who, None if found is None else found.path)
        assert found is not None  # noqa: S101  # require_reach has refused
        key = (order.c.issued_at, order.c.epoch, order.c.seq)
        query = select(order).where(order.c.gateway_no == found.no)
        if start is not None:
            query = query.where(_before(start))
        rows = (await db.execute(query.order_by(*(part.desc() for part in key)).limit(limit + 1))).all()
    items = [_view(row) for row in rows[:limit]]
    last = items[-1] if len(rows) > limit else None
    return Page(
        items=items,
        next=None if last is None else mark(microseconds(last.issued_at), last.epoch, last.seq),
    )


def issuer_of(actor: Actor) -> Issuer:
    """Return a person of this server as orders name them."""
    return Issuer(name=actor.name, role=actor.role, unit=actor.unit or "-")


async def _order(services: Services, who: Caller, alarm_id: str, action: Action) -> OrderReference:
    now = services.clock.now()
    async with services.store.begin() as db:
        found = (
            await db.execute(
                select(alarm.c.gateway_no, alarm.c.is_open, org_node.c.path)
                .join(org_node, org_node.c.id == alarm.c.node_id)
                .where(alarm.c.alarm_id == alarm_id)
            )
        ).one_or_none()
        if found is None:
            raise NOT_FOUND
        require_reach(who, found.path)
        if not found.is_open:
            text = Label("报警已关闭", "this alarm is not open any more")
            raise ProblemError(409, "not_open", text)
        issued = await lane.issue(
            db, found.gateway_no, action, issuer=issuer_of(who.actor), expires_at=now + ACT_WITHIN, now=now
        )
    services.wake.notify(lane.orders_topic(issued.gateway_id))
    return OrderReference(gateway_id=issued.gateway_id, epoch=issued.epoch, seq=issued.seq)


def _before(start: tuple[int, str, int]) -> Any:  # noqa: ANN401  # a condition of SQLAlchemy
    try:
        at, epoch, seq = moment(start[0]), start[1], start[2]
    except ChainError:
        raise ProblemError(422, "page", Label("翻页标记无效", "this page mark is not one of ours")) from None
    return (order.c.issued_at < at) | (
        (order.c.issued_at == at)
        & ((order.c.epoch < epoch) | ((order.c.epoch == epoch) & (order.c.seq < seq)))
    )


def _view(row: Row[Any]) -> OrderView:
    return OrderView(
        epoch=row.epoch,
        seq=row.seq,
        kind=row.kind,
        alarm_id=row.alarm_id,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        issuer=IssuerView(**msgspec.json.decode(row.issuer, type=dict[str, str])),
        result=row.result,
        result_at=row.result_at,
        result_detail=row.result_detail,
        result_alarm_seq=row.result_alarm_seq,
    )
