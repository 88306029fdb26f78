"""Issuing orders and reading a lane: gapless numbers in the caller's transaction.

The lane's row is locked while a number is taken, so numbers become visible in order and a transaction that fails leaves
no gap. A lane's epoch changes when the fleet was restored from a backup: numbers that the gateway has seen already
must never mean something else. Orders nobody has answered yet are then given out again under new numbers.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Raw, Struct
from sqlalchemy import insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.orders import (
    MAX_ORDER_BYTES,
    MAX_ORDERS,
    Action,
    AlarmSeen,
    Issuer,
    Order,
    OrderBatch,
    decode_order,
    encode,
)
from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.orders import order, order_lane

_MAX_BATCH_BYTES: Final = 512 * 1024
_REISSUE_AT_ONCE: Final = 1000
"""Unanswered orders carried over into a new epoch, newest kept; older ones have long lost their point."""


class OrderError(FleetError):
    """An order cannot be issued."""


class IssuedOrder(Struct, frozen=True, kw_only=True):
    """Where an order stands; its outcome comes back under these numbers."""

    gateway_id: str
    epoch: str
    seq: int


class LaneHead(Struct, frozen=True, kw_only=True):
    """The last order of a lane; an untouched lane has `seq` 0 and an empty epoch."""

    epoch: str
    seq: int


def orders_topic(gateway_id: str) -> str:
    """Return the wake topic of one gateway's lane: notify it after the commit."""
    return f"orders:{gateway_id}"


async def issue(
    db: AsyncConnection,
    gateway_no: int,
    action: Action,
    *,
    issuer: Issuer,
    expires_at: datetime,
    now: datetime,
) -> IssuedOrder:
    """Append an order to a gateway's lane, in the caller's transaction.

    After the commit the caller wakes the streams: `wake.notify(orders_topic(issued.gateway_id))`. A wake that is forgotten
    costs the time until the stream's next look, never the order.

    Args:
        db: a writing transaction.
        gateway_no: `gateway.no`.
        action: what to do.
        issuer: who says so, as the gateway's console will show it.
        expires_at: from here on the gateway reports it as expired instead of doing it.
        now: this instant.

    Raises:
        OrderError: no such gateway, or larger than an order may be.
    """
    name = (await db.execute(select(gateway.c.id).where(gateway.c.no == gateway_no))).scalar_one_or_none()
    if name is None:
        raise OrderError(f"there is no gateway number {gateway_no}")
    lane = await _next(db, gateway_no, now)
    given = Order(
        epoch=lane.epoch, seq=lane.seq, issued_at=now, expires_at=expires_at, issuer=issuer, action=action
    )
    body = encode(given)
    if len(body) > MAX_ORDER_BYTES:
        raise OrderError(f"{len(body)} bytes; an order has at most {MAX_ORDER_BYTES}")
    alarm = alarm_of(action)
    await db.execute(
        insert(order).values(
            gateway_no=gateway_no,
            epoch=lane.epoch,
            seq=lane.seq,
            issued_at=now,
            expires_at=expires_at,
            issuer=msgspec.json.encode(issuer).decode(),
            kind=kind_of(action),
            alarm_id=None if alarm is None else alarm.alarm_id,
            body=body.decode(),
        )
    )
    return IssuedOrder(gateway_id=name, epoch=lane.epoch, seq=lane.seq)


async def head(db: AsyncConnection, gateway_no: int, *, is_locking: bool = False) -> LaneHead:
    """Return the last order of a lane; what `StatusAnswer` says. `is_locking` keeps it as it is until the commit."""
    query = select(order_lane.c.epoch, order_lane.c.head).where(order_lane.c.gateway_no == gateway_no)
    row = (await db.execute(query.with_for_update() if is_locking else query)).one_or_none()
    return LaneHead(epoch="", seq=0) if row is None else LaneHead(epoch=row.epoch, seq=row.head)


async def read(db: AsyncConnection, gateway_no: int, epoch: str, after: int) -> OrderBatch | None:
    """Return the orders that follow a gateway's cursor; from the start of the lane when its epoch is another one.

    Returns:
        None: nothing was ever ordered of this gateway.
    """
    lane = await head(db, gateway_no)
    if not lane.epoch:
        return None
    start = after if epoch == lane.epoch else 0
    rows = (
        await db.execute(
            select(order.c.body)
            .where(order.c.gateway_no == gateway_no, order.c.epoch == lane.epoch, order.c.seq > start)
            .order_by(order.c.seq)
            .limit(MAX_ORDERS)
        )
    ).scalars()
    return OrderBatch(epoch=lane.epoch, orders=_bounded([body.encode() for body in rows]))


async def begin_epoch(db: AsyncConnection, gateway_no: int, now: datetime) -> LaneHead:
    """Give a lane a new epoch: this server was restored, and the gateway has seen numbers that are not here any more.

    Orders without an outcome that have not expired are given out again.
    """
    epoch = secrets.token_hex(16)
    before = await head(db, gateway_no, is_locking=True)
    open_orders = (
        await db.execute(
            select(order.c.body)
            .where(
                order.c.gateway_no == gateway_no,
                order.c.epoch == before.epoch,
                order.c.result.is_(None),
                order.c.expires_at > now,
            )
            .order_by(order.c.seq.desc())
            .limit(_REISSUE_AT_ONCE)
        )
    ).scalars()
    again = [found for body in open_orders if isinstance(found := decode_order(body.encode()), Order)]
    await _ensure_lane(db, gateway_no, epoch, now)
    await db.execute(
        update(order_lane)
        .where(order_lane.c.gateway_no == gateway_no)
        .values(epoch=epoch, head=0, began_at=now)
    )
    for former in reversed(again):
        await issue(
            db, gateway_no, former.action, issuer=former.issuer, expires_at=former.expires_at, now=now
        )
    return await head(db, gateway_no)


async def begin_epochs(db: AsyncConnection, now: datetime) -> int:
    """Give every lane a new epoch; `gatehouse-fleet restore` calls this. Returns how many there were."""
    numbers = (await db.execute(select(order_lane.c.gateway_no))).scalars().all()
    for number in numbers:
        await begin_epoch(db, number, now)
    return len(numbers)


def kind_of(action: Action) -> str:
    """Return the tag of an action, as the wire names it."""
    return str(type(action).__struct_config__.tag)


def alarm_of(action: Action) -> AlarmSeen | None:
    """Return the alarm an action is about."""
    return getattr(action, "alarm", None)


async def _next(db: AsyncConnection, gateway_no: int, now: datetime) -> LaneHead:
    taking = (
        update(order_lane)
        .where(order_lane.c.gateway_no == gateway_no)
        .values(head=order_lane.c.head + 1)
        .returning(order_lane.c.epoch, order_lane.c.head)
    )
    row = (await db.execute(taking)).one_or_none()
    if row is None:
        await _ensure_lane(db, gateway_no, secrets.token_hex(16), now)
        row = (await db.execute(taking)).one()
    return LaneHead(epoch=row.epoch, seq=row.head)


async def _ensure_lane(db: AsyncConnection, gateway_no: int, epoch: str, now: datetime) -> None:
    """Two workers may give a gateway its first order at one time: one of them makes the lane."""
    values = {"gateway_no": gateway_no, "epoch": epoch, "head": 0, "began_at": now}
    if db.dialect.name == "postgresql":
        await db.execute(postgresql.insert(order_lane).values(values).on_conflict_do_nothing())
    else:
        await db.execute(sqlite.insert(order_lane).values(values).on_conflict_do_nothing())


def _bounded(bodies: Sequence[bytes]) -> tuple[Raw, ...]:
    """Return as many as fit one answer, at least one."""
    taken: list[Raw] = []
    size = 0
    for body in bodies:
        size += len(body)
        if taken and size > _MAX_BATCH_BYTES:
            break
        taken.append(Raw(body))
    return tuple(taken)
