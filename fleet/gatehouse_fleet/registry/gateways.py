"""Gateways: making, moving, tagging, their life, and finding them by typed conditions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Row, Select, and_, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.clock import ClockQuality
from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.life import SHUT_OUT, LifeState, step
from gatehouse_fleet.pki.enrolment import revoke_all
from gatehouse_fleet.registry.org import NodeKind
from gatehouse_fleet.registry.presence import SILENT_AFTER, Presence, presence
from gatehouse_fleet.store.schema.gateways import certificate, gateway
from gatehouse_fleet.store.schema.org import org_node

MAX_TAGS: Final = 32


class GatewayError(FleetError):
    """A gateway cannot be made or changed so; `reason` is a stable token."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason: Final = reason


class Said(Struct, frozen=True):
    """The parts of a `GatewayStatus` that are shown; all absent where it has not said anything yet."""

    started_at: datetime | None = None
    disk_used: float | None = None
    devices: int | None = None
    devices_online: int | None = None
    open_alarms: int | None = None
    clock: ClockQuality | None = None


class Gateway(Struct, frozen=True, kw_only=True):
    """One gateway as the registry knows it."""

    no: int
    id: str
    node_id: int
    node_path: str
    node_name: str
    state: LifeState
    created_at: datetime
    last_contact_at: datetime | None
    is_stopped: bool
    version: str | None
    config_version: str | None
    clock_offset_ms: float | None
    alarm_backlog: int
    telemetry_backlog: int
    integrity_fault: str | None
    tags: tuple[str, ...]
    status_at: datetime | None
    status: str | None
    """Its last `GatewayStatus` as it came."""
    certificate_expires_at: datetime | None
    """Of the certificate that lasts longest and is not revoked."""

    def said(self) -> Said:
        """Return what its last status said."""
        return Said() if self.status is None else msgspec.json.decode(self.status, type=Said)

    def presence(self, now: datetime) -> Presence:
        """Return how it stands towards the fleet."""
        return presence(self.last_contact_at, is_stopped=self.is_stopped, now=now)


class GatewayFilter(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Conditions that all must hold; saved filters keep exactly this as JSON. Nothing in it is ever run as code."""

    below: int | None = None
    """Place whose subtree is meant."""
    state: LifeState | None = None
    presence: Presence | None = None
    version: str | None = None
    version_not: str | None = None
    tag: str | None = None
    id_contains: str | None = None
    has_integrity_fault: bool | None = None
    min_alarm_backlog: int | None = None
    min_clock_offset_ms: float | None = None
    """At least so far off, in either direction."""


async def find(db: AsyncConnection, gateway_id: str) -> Gateway | None:
    """Return a gateway by its id."""
    row = (await db.execute(query_gateways().where(gateway.c.id == gateway_id))).one_or_none()
    return None if row is None else gateway_of(row)


async def make(
    db: AsyncConnection, gateway_id: str, node_id: int, *, at: datetime, tags: tuple[str, ...] = ()
) -> Gateway:
    """Register a gateway of a community; it is in store until it enrols.

    Raises:
        GatewayError: `id_taken`, `community`.
    """
    if await find(db, gateway_id) is not None:
        raise GatewayError("id_taken", "there is a gateway of this id already")
    await _check_community(db, node_id)
    await db.execute(
        insert(gateway).values(
            id=gateway_id,
            node_id=node_id,
            state=LifeState.STORED.value,
            created_at=at,
            tags=msgspec.json.encode(sorted(set(tags))).decode(),
        )
    )
    made = await find(db, gateway_id)
    assert made is not None  # noqa: S101  # just inserted
    return made


async def move(db: AsyncConnection, found: Gateway, node_id: int) -> Gateway:
    """Hang a gateway under another community; its past alarms stay where they were.

    Raises:
        GatewayError: `community`.
    """
    await _check_community(db, node_id)
    await db.execute(update(gateway).where(gateway.c.no == found.no).values(node_id=node_id))
    return await _known(db, found.id)


async def set_tags(db: AsyncConnection, found: Gateway, tags: tuple[str, ...]) -> Gateway:
    """Replace a gateway's tags."""
    text = msgspec.json.encode(sorted(set(tags))).decode()
    await db.execute(update(gateway).where(gateway.c.no == found.no).values(tags=text))
    return await _known(db, found.id)


async def set_state(db: AsyncConnection, found: Gateway, new: LifeState, *, at: datetime) -> Gateway:
    """Take a gateway one step further in its life; lost or scrapped ends every certificate and key at once.

    Raises:
        LifeError: the step is not in the table.
    """
    state = step(found.state, new)
    await db.execute(update(gateway).where(gateway.c.no == found.no).values(state=state.value))
    if state in SHUT_OUT:
        await revoke_all(db, found.no, state.value, at=at, with_keys=True)
    return await _known(db, found.id)


def query_gateways() -> Select[Any]:
    """Return the SELECT whose rows `gateway_of` reads; add conditions, order and limit."""
    expires = (
        select(func.max(certificate.c.expires_at))
        .where(certificate.c.gateway_no == gateway.c.no, certificate.c.revoked_at.is_(None))
        .scalar_subquery()
    )
    return select(
        gateway,
        org_node.c.path,
        org_node.c.name.label("node_name"),
        expires.label("certificate_expires_at"),
    ).join(org_node, org_node.c.id == gateway.c.node_id)


def conditions(wanted: GatewayFilter, *, below_path: str | None, now: datetime) -> ColumnElement[bool]:
    """Return a filter as a condition on `query_gateways`.

    Args:
        wanted: the filter.
        below_path: path of `wanted.below`, looked up and checked against the caller's reach before.
        now: this instant, for presence.
    """
    g = gateway.c
    found: list[ColumnElement[bool]] = list(_equalities(wanted))
    if below_path is not None:
        found.append(org_node.c.path.startswith(below_path, autoescape=True))
    if wanted.presence is not None:
        found.append(_is_present(wanted.presence, now))
    if wanted.tag is not None:
        # Tags are kept as a JSON list of strings that hold no quotes: the quoted word is a whole tag.
        found.append(g.tags.contains(f'"{wanted.tag}"', autoescape=True))
    if wanted.id_contains is not None:
        found.append(g.id.contains(wanted.id_contains, autoescape=True))
    if wanted.has_integrity_fault is not None:
        fault = g.integrity_fault.is_not(None)
        found.append(fault if wanted.has_integrity_fault else ~fault)
    if wanted.min_alarm_backlog is not None:
        found.append(g.alarm_backlog >= wanted.min_alarm_backlog)
    if wanted.min_clock_offset_ms is not None:
        found.append(func.abs(g.clock_offset_ms) >= wanted.min_clock_offset_ms)
    return and_(True, *found)


def gateway_of(row: Row[Any]) -> Gateway:
    """Return a row of `query_gateways` as a value."""
    return Gateway(
        no=row.no,
        id=row.id,
        node_id=row.node_id,
        node_path=row.path,
        node_name=row.node_name,
        state=LifeState(row.state),
        created_at=row.created_at,
        last_contact_at=row.last_contact_at,
        is_stopped=row.is_stopped,
        version=row.version,
        config_version=row.config_version,
        clock_offset_ms=row.clock_offset_ms,
        alarm_backlog=row.alarm_backlog,
        telemetry_backlog=row.telemetry_backlog,
        integrity_fault=row.integrity_fault,
        tags=msgspec.json.decode(row.tags, type=tuple[str, ...]),
        status_at=row.status_at,
        status=row.status,
        certificate_expires_at=row.certificate_expires_at,
    )


def _equalities(wanted: GatewayFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.state is not None:
        yield gateway.c.state == wanted.state.value
    if wanted.version is not None:
        yield gateway.c.version == wanted.version
    if wanted.version_not is not None:
        yield gateway.c.version.is_distinct_from(wanted.version_not)


def _is_present(wanted: Presence, now: datetime) -> ColumnElement[bool]:
    """`registry.presence.presence`, said in SQL (a property test keeps the two together)."""
    heard, stopped = gateway.c.last_contact_at, gateway.c.is_stopped
    match wanted:
        case Presence.NEVER:
            return heard.is_(None)
        case Presence.STOPPED:
            return and_(heard.is_not(None), stopped)
        case Presence.ONLINE:
            return and_(heard >= now - SILENT_AFTER, ~stopped)
        case Presence.SILENT:
            return and_(heard < now - SILENT_AFTER, ~stopped)


async def _check_community(db: AsyncConnection, node_id: int) -> None:
    query = select(org_node.c.kind).where(org_node.c.id == node_id)
    kind = (await db.execute(query)).scalar_one_or_none()
    if kind != NodeKind.COMMUNITY:
        raise GatewayError("community", "a gateway belongs to a community")


async def _known(db: AsyncConnection, gateway_id: str) -> Gateway:
    found = await find(db, gateway_id)
    assert found is not None  # noqa: S101  # gateways are never deleted
    return found
