"""What became of an order: read from the gateway's journal, written beside the order. A step of the projection."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.orders import OrderOutcome, decode_outcome
from gatehouse_events.replication import MessageError
from gatehouse_fleet.store.schema.orders import order


async def take_outcome(db: AsyncConnection, gateway_no: int, body: bytes | None) -> OrderOutcome | None:
    """Take the body of one `outcome` entry; the reader that calls this commits its cursor with it.

    Entries of that kind also tell what became of commands given at the gateway's own console: those are stepped over. The
    first outcome stands: a second one about the same order changes nothing.

    Returns:
        The outcome when it answered one of our orders, else None.
    """
    if body is None:
        return None
    try:
        outcome = decode_outcome(body)
    except MessageError:
        return None
    answered = await db.execute(
        update(order)
        .where(
            order.c.gateway_no == gateway_no,
            order.c.epoch == outcome.epoch,
            order.c.seq == outcome.seq,
            order.c.result.is_(None),
        )
        .values(
            result=outcome.result.value,
            result_at=outcome.at,
            result_detail=outcome.detail,
            result_alarm_seq=None if outcome.alarm is None else outcome.alarm.seq,
        )
    )
    return outcome if answered.rowcount else None
