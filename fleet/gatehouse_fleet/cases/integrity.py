"""A person has looked at a gateway whose history is in doubt: its fault is over, and so are the alarms that nobody could read."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import structs
from sqlalchemy import select, update

from gatehouse_events.alarm import Actor as GatewayActor
from gatehouse_events.alarm import Alarm, Change, What, Word
from gatehouse_events.states import AlarmState, Disposition
from gatehouse_fleet.cases.docket import Work
from gatehouse_fleet.cases.intake import AlarmTold, take
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.projection.feed import FeedItem, FeedTopic
from gatehouse_fleet.projection.reading import UNREADABLE_CODE
from gatehouse_fleet.registry.gateways import Gateway
from gatehouse_fleet.store.schema.alarms import alarm as alarm_table
from gatehouse_fleet.store.schema.gateways import gateway

MAX_CLOSED: Final = 500
"""Unreadable alarms that one call closes; more stay for the next."""


async def checked(work: Work, found: Gateway, *, by: Actor, reason: str) -> int:
    """Clear a gateway's integrity fault and close what stands for its unreadable entries; return how many alarms.

    What was stored in doubt stays marked. If the gateway tells such an alarm once more, readable, that revision is shown.
    """
    await work.db.execute(
        update(gateway).where(gateway.c.no == found.no).values(integrity_fault=None, integrity_at=None)
    )
    query = (
        select(alarm_table.c.body)
        .where(
            alarm_table.c.gateway_no == found.no,
            alarm_table.c.code == UNREADABLE_CODE,
            alarm_table.c.is_verified.is_(False),
            alarm_table.c.is_open,
        )
        .order_by(alarm_table.c.raised_at)
        .limit(MAX_CLOSED)
    )
    standing = [
        msgspec.json.decode(body, type=Alarm) for body in (await work.db.execute(query)).scalars().all()
    ]
    for alarm in standing:
        await _close(work, found, alarm, by=by, reason=reason)
    work.feed.append(
        FeedItem(topic=FeedTopic.GATEWAY, subject=found.id, node_path=found.node_path, body="{}")
    )
    return len(standing)


async def _close(work: Work, found: Gateway, alarm: Alarm, *, by: Actor, reason: str) -> None:
    closed = structs.replace(
        alarm,
        seq=alarm.seq + 1,
        state=AlarmState.CLOSED,
        is_active=False,
        changed_at=work.now,
        closed_at=work.now,
        disposition=Disposition.HANDLED,
        close_reason=reason,
    )
    await work.db.execute(
        update(alarm_table)
        .where(alarm_table.c.alarm_id == alarm.alarm_id)
        .values(
            seq=closed.seq,
            state=closed.state.value,
            is_open=False,
            changed_at=work.now,
            body=msgspec.json.encode(closed).decode(),
        )
    )
    actor = GatewayActor(name=by.name, role=by.role, station=by.station)
    change = Change(alarm=closed, what=What.CLOSED, word=Word.CLEARED, actor=actor)
    await take(
        work,
        AlarmTold(
            gateway_no=found.no,
            gateway_id=found.id,
            node_id=found.node_id,
            node_path=found.node_path,
            change=change,
            is_verified=False,
        ),
    )
    line = {
        "alarm_id": alarm.alarm_id,
        "gateway": found.id,
        "state": closed.state.value,
        "revision": closed.seq,
    }
    work.feed.append(
        FeedItem(
            topic=FeedTopic.ALARM,
            subject=alarm.alarm_id,
            node_path=found.node_path,
            body=msgspec.json.encode(line).decode(),
        )
    )
