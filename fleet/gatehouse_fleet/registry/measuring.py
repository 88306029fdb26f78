"""From the tables to the facts that coverage is reckoned from, and the samples that make up-time."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from sqlalchemy import case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.states import Kind
from gatehouse_fleet.registry.coverage import CAMERA, CommunityFacts, DeviceFact
from gatehouse_fleet.registry.life import LifeState
from gatehouse_fleet.registry.org import NodeFacts, NodeKind
from gatehouse_fleet.registry.presence import Presence, presence
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.gateways import coverage_day, device, gateway
from gatehouse_fleet.store.schema.org import org_node

MAX_COMMUNITIES: Final = 5_000
"""In one answer; a city has some thousands. Beyond, ask district by district."""
SAMPLE_EVERY_S: Final = 600.0


class Measured(Struct, frozen=True, kw_only=True):
    """One community and what is known of it."""

    node_id: int
    path: str
    code: str
    name: str
    facts: CommunityFacts


class Month(Struct, frozen=True, kw_only=True):
    """A calendar month in the zone of the people who read the report."""

    year: int
    month: int
    zone: str

    @property
    def label(self) -> str:
        """Year and month: `2026-11`."""
        return f"{self.year:04}-{self.month:02}"

    @property
    def begin(self) -> datetime:
        """First instant."""
        return datetime(self.year, self.month, 1, tzinfo=ZoneInfo(self.zone))

    @property
    def end(self) -> datetime:
        """First instant that is no longer in it."""
        year, month = divmod(self.year * 12 + self.month, 12)
        return datetime(year, month + 1, 1, tzinfo=ZoneInfo(self.zone))


def month_of(at: datetime, zone: str) -> Month:
    """Return the month an instant is in."""
    local = at.astimezone(ZoneInfo(zone))
    return Month(year=local.year, month=local.month, zone=zone)


async def measure(db: AsyncConnection, below: str, *, month: Month, now: datetime) -> list[Measured]:
    """Return every community below a path (itself included) in the order of their codes, at most 5 000."""
    query = (
        select(org_node)
        .where(
            org_node.c.path.startswith(below, autoescape=True), org_node.c.kind == NodeKind.COMMUNITY.value
        )
        .order_by(org_node.c.code, org_node.c.id)
        .limit(MAX_COMMUNITIES)
    )
    nodes = (await db.execute(query)).all()
    devices = await _devices(db, below, now)
    samples = await _samples(db, below, month)
    alarms = await _alarms(db, below, month)
    found = []
    for node in nodes:
        taken, online = samples.get(node.id, (0, 0))
        raised, handled = alarms.get(node.id, (0, 0))
        facts = CommunityFacts(
            devices=tuple(devices.get(node.id, ())),
            camera_points=msgspec.json.decode(node.facts, type=NodeFacts).camera_points,
            camera_samples=taken,
            camera_online_samples=online,
            alarms_raised=raised,
            alarms_handled=handled,
        )
        found.append(Measured(node_id=node.id, path=node.path, code=node.code, name=node.name, facts=facts))
    return found


async def sample(db: AsyncConnection, *, now: datetime, zone: str) -> None:
    """Count, for every community, its deployed cameras and those online now, into the day's sums."""
    day = now.astimezone(ZoneInfo(zone)).date().isoformat()
    for node_id, devices in (await _devices(db, "/", now)).items():
        cameras = [one for one in devices if one.kind == CAMERA]
        if not cameras:
            continue
        online = sum(one.is_online for one in cameras)
        here = (coverage_day.c.node_id == node_id) & (coverage_day.c.day == day)
        done = await db.execute(
            update(coverage_day)
            .where(here)
            .values(
                camera_samples=coverage_day.c.camera_samples + len(cameras),
                camera_online_samples=coverage_day.c.camera_online_samples + online,
            )
        )
        if done.rowcount == 0:
            await db.execute(
                insert(coverage_day).values(
                    node_id=node_id,
                    day=day,
                    camera_samples=len(cameras),
                    camera_online_samples=online,
                )
            )


async def _devices(db: AsyncConnection, below: str, now: datetime) -> dict[int, list[DeviceFact]]:
    faulty = (
        select(alarm.c.gateway_no, alarm.c.device_id)
        .where(alarm.c.is_open, alarm.c.kind.in_((Kind.FAULT.value, Kind.TAMPER.value)))
        .distinct()
        .subquery()
    )
    query = (
        select(
            gateway.c.node_id,
            gateway.c.last_contact_at,
            gateway.c.is_stopped,
            device.c.kind,
            device.c.online,
            faulty.c.device_id.is_not(None).label("has_fault"),
        )
        .select_from(device.join(gateway, gateway.c.no == device.c.gateway_no))
        .join(org_node, org_node.c.id == gateway.c.node_id)
        .outerjoin(faulty, (faulty.c.gateway_no == device.c.gateway_no) & (faulty.c.device_id == device.c.id))
        .where(org_node.c.path.startswith(below, autoescape=True), device.c.state == LifeState.DEPLOYED.value)
    )
    found: defaultdict[int, list[DeviceFact]] = defaultdict(list)
    for row in (await db.execute(query)).all():
        lives = presence(row.last_contact_at, is_stopped=row.is_stopped, now=now) is Presence.ONLINE
        found[row.node_id].append(
            DeviceFact(kind=row.kind, is_online=lives and row.online is True, has_fault=bool(row.has_fault))
        )
    return found


async def _samples(db: AsyncConnection, below: str, month: Month) -> dict[int, tuple[int, int]]:
    query = (
        select(
            coverage_day.c.node_id,
            func.sum(coverage_day.c.camera_samples),
            func.sum(coverage_day.c.camera_online_samples),
        )
        .join(org_node, org_node.c.id == coverage_day.c.node_id)
        .where(
            org_node.c.path.startswith(below, autoescape=True),
            coverage_day.c.day.between(f"{month.label}-01", f"{month.label}-31"),
        )
        .group_by(coverage_day.c.node_id)
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in (await db.execute(query)).all()}


async def _alarms(db: AsyncConnection, below: str, month: Month) -> dict[int, tuple[int, int]]:
    closed = func.sum(case((~alarm.c.is_open, 1), else_=0))
    query = (
        select(alarm.c.node_id, func.count(), closed)
        .join(org_node, org_node.c.id == alarm.c.node_id)
        .where(
            org_node.c.path.startswith(below, autoescape=True),
            alarm.c.kind == Kind.ALARM.value,
            alarm.c.raised_at >= month.begin,
            alarm.c.raised_at < month.end,
        )
        .group_by(alarm.c.node_id)
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in (await db.execute(query)).all()}
