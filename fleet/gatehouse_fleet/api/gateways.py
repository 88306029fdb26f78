"""Gateways and the devices behind them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field, StrictBool, StringConstraints
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.states import Label
from gatehouse_fleet.api.org import reachable as reachable_node
from gatehouse_fleet.cases import integrity
from gatehouse_fleet.cases.office import office_of
from gatehouse_fleet.life import LifeError, LifeState
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.registry import devices, filters, gateways
from gatehouse_fleet.registry.devices import Device, DeviceError, NewDevice
from gatehouse_fleet.registry.filters import FilterError, SavedFilter
from gatehouse_fleet.registry.gateways import MAX_TAGS, Gateway, GatewayError, GatewayFilter
from gatehouse_fleet.registry.presence import LABELS, Presence, presence
from gatehouse_fleet.services import services_of
from gatehouse_fleet.store.schema.gateways import device, gateway
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_fleet.web.access import entitled, require_reach, within
from gatehouse_fleet.web.fields import (
    UNQUOTED,
    Answer,
    Body,
    Done,
    GatewayIdPath,
    Name,
    Note,
    Number,
    Reason,
    RowNumber,
    Tag,
)
from gatehouse_fleet.web.pages import After, Limit, Page, PageQuery, key_of, mark
from gatehouse_fleet.web.problems import NOT_FOUND, ProblemError

router: Final = APIRouter(tags=["gateways"])
Reader = Annotated[Caller, Depends(entitled(Right.READ_GATEWAYS))]
Manager = Annotated[Caller, Depends(entitled(Right.MANAGE_GATEWAYS))]
Registrar = Annotated[Caller, Depends(entitled(Right.SUBMIT_BENCH))]
Tags = Annotated[tuple[Tag, ...], Field(max_length=MAX_TAGS)]
GatewayId = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9-]{2,62}$")]
DeviceId = Annotated[str, StringConstraints(pattern="^[0-9A-Za-z][0-9A-Za-z_.:-]{0,63}$")]
DeviceIdPath = Annotated[str, Path(pattern="^[0-9A-Za-z][0-9A-Za-z_.:-]{0,63}$")]
Kind = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]{0,31}$")]
Place = Annotated[Note, Field(max_length=32)]
FilterName = Annotated[
    str, Path(min_length=1, max_length=64, pattern="^[^\\x00-\\x20\\x7f/][^\\x00-\\x1f\\x7f/]*$")
]

_ID_TAKEN: Final = ProblemError(409, "id_taken", Label("编号已存在", "there is one of this id already"))
_COMMUNITY: Final = ProblemError(
    409, "community", Label("网关须属于小区", "a gateway belongs to a community")
)
_LIFE: Final = Label("状态变更不允许", "this step is not possible")


class GatewayRow(Answer):
    """One gateway."""

    id: str
    node_id: int
    node_name: str
    state: LifeState
    presence: Presence
    presence_label: str
    created_at: datetime
    last_contact_at: datetime | None
    version: str | None
    config_version: str | None
    clock_offset_ms: float | None
    """Gateway minus fleet."""
    alarm_backlog: int
    telemetry_backlog: int
    integrity_fault: str | None
    tags: tuple[str, ...]
    status_at: datetime | None
    """When it last told how it is; what follows is as it was then."""
    started_at: datetime | None
    disk_used: float | None
    """0 to 1."""
    devices: int | None
    devices_online: int | None
    open_alarms: int | None
    clock_synced: bool | None
    certificate_expires_at: datetime | None
    """Of the certificate that lasts longest; absent: it has none that is good."""


class NewGatewayBody(Body):
    """A new gateway of a community; enrol it with a one-time code."""

    id: GatewayId
    node_id: RowNumber
    tags: Tags = ()


class GatewayChangeBody(Body):
    """What changes; what is left out stays."""

    node_id: RowNumber | None = None
    tags: Tags | None = None
    state: LifeState | None = None


class FilterBody(Body):
    """Conditions that all must hold."""

    below: RowNumber | None = None
    state: LifeState | None = None
    presence: Presence | None = None
    version: Name | None = None
    version_not: Name | None = None
    tag: Tag | None = None
    id_contains: Annotated[str, StringConstraints(pattern="^[a-z0-9-]{1,63}$")] | None = None
    has_integrity_fault: StrictBool | None = None
    min_alarm_backlog: Annotated[int, Field(ge=0, le=2**53), UNQUOTED] | None = None
    min_clock_offset_ms: Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False), UNQUOTED] | None = None


class GatewayQuery(PageQuery):
    """Conditions as query parameters; all of them stand in `FilterBody` too."""

    below: Number | None = Field(default=None, description="place whose subtree is meant")
    state: LifeState | None = None
    presence: Presence | None = None
    version: Name | None = None
    tag: Tag | None = None
    id_contains: Annotated[str, StringConstraints(pattern="^[a-z0-9-]{1,63}$")] | None = None
    has_integrity_fault: bool | None = None


class DeviceQuery(PageQuery):
    """Conditions as query parameters."""

    gateway_id: GatewayId | None = None
    kind: Kind | None = None
    state: LifeState | None = None
    online: Literal["yes", "no", "unknown"] | None = None
    tag: Tag | None = None


class IntegrityCheckedBody(Body):
    """What was found at the gateway."""

    reason: Reason


class IntegrityChecked(Answer):
    """What was closed with it."""

    closed_alarms: int
    """Alarms that stood for entries nobody could read."""


class SavedFilterRow(Answer):
    """One of one's own saved filters."""

    name: str
    filter: FilterBody


class SavedFilterList(Answer):
    """One's own saved filters by name."""

    items: list[SavedFilterRow]


class PresenceCount(Answer):
    """How many gateways stand so."""

    presence: Presence
    gateways: int


class VersionRow(Answer):
    """How many gateways run a version."""

    version: str | None
    gateways: int


class Overview(Answer):
    """The fleet at a glance."""

    gateways: int
    by_presence: list[PresenceCount]
    by_version: list[VersionRow]
    alarm_backlog: int
    clocks_off: int
    """Gateways in use whose clock is more than a second off."""
    integrity_faults: int


class DeviceRow(Answer):
    """One device; the room of a person's home only for those who may read personal data."""

    id: str
    gateway_id: str
    kind: str
    state: LifeState
    building: str
    unit: str
    floor: str
    room: str | None
    is_online: bool | None
    seen_at: datetime | None
    tags: tuple[str, ...]


class NewDeviceBody(Body):
    """A device that lies in store for a gateway."""

    id: DeviceId
    kind: Kind
    building: Place = ""
    unit: Place = ""
    floor: Place = ""
    room: Place = ""
    is_personal: StrictBool = False
    tags: Tags = ()


class DeviceChangeBody(Body):
    """What changes; what is left out stays."""

    state: LifeState | None = None
    tags: Tags | None = None


@router.get("/gateways")
async def list_gateways(
    request: Request, who: Reader, asked: Annotated[GatewayQuery, Query()]
) -> Page[GatewayRow]:
    """Return the gateways of one's subtree by id; every condition given must hold."""
    wanted = msgspec.convert(asked.model_dump(exclude={"limit", "after"}), GatewayFilter)
    return await _page(request, who, wanted, asked.limit, asked.after)


@router.post("/gateways/search")
async def search_gateways(
    request: Request, body: FilterBody, who: Reader, limit: Limit = 100, after: After = None
) -> Page[GatewayRow]:
    """Return the gateways that a filter describes."""
    return await _page(request, who, _filter(body), limit, after)


@router.get("/gateways/overview")
async def overview(request: Request, who: Reader) -> Overview:
    """Return presence, version spread, backlog and clocks of one's subtree."""
    services = services_of(request)
    now = services.clock.now()
    mine = gateways.query_gateways().where(within(org_node.c.path, who)).subquery()
    counts: dict[Presence, int] = dict.fromkeys(Presence, 0)
    async with services.store.read() as db:
        for row in (await db.execute(select(mine.c.last_contact_at, mine.c.is_stopped))).all():
            counts[presence(row.last_contact_at, is_stopped=row.is_stopped, now=now)] += 1
        versions = (
            await db.execute(
                select(mine.c.version, func.count()).group_by(mine.c.version).order_by(func.count().desc())
            )
        ).all()
        sums = (
            await db.execute(
                select(
                    func.coalesce(func.sum(mine.c.alarm_backlog), 0),
                    func.count().filter(func.abs(mine.c.clock_offset_ms) > _CLOCK_OFF_MS),
                    func.count().filter(mine.c.integrity_fault.is_not(None)),
                )
            )
        ).one()
    return Overview(
        gateways=sum(counts.values()),
        by_presence=[PresenceCount(presence=one, gateways=count) for one, count in counts.items()],
        by_version=[VersionRow(version=row[0], gateways=row[1]) for row in versions],
        alarm_backlog=int(sums[0]),
        clocks_off=int(sums[1]),
        integrity_faults=int(sums[2]),
    )


@router.post("/gateways", status_code=201)
async def make_gateway(request: Request, body: NewGatewayBody, who: Manager) -> GatewayRow:
    """Register a gateway."""
    services = services_of(request)
    now = services.clock.now()
    try:
        async with services.store.begin() as db:
            await reachable_node(db, who, body.node_id)
            made = await gateways.make(db, body.id, body.node_id, at=now, tags=body.tags)
            await audit.append(db, who.actor, "gateway.make", made.id, at=now, node_id=made.node_id)
    except GatewayError as error:
        raise _ID_TAKEN if error.reason == "id_taken" else _COMMUNITY from None
    return _row(made, now)


@router.get("/gateways/{gateway_id}")
async def one_gateway(request: Request, gateway_id: GatewayIdPath, who: Reader) -> GatewayRow:
    """Return one gateway."""
    services = services_of(request)
    async with services.store.read() as db:
        return _row(await _reachable(db, who, gateway_id), services.clock.now())


@router.patch("/gateways/{gateway_id}")
async def change_gateway(
    request: Request, gateway_id: GatewayIdPath, body: GatewayChangeBody, who: Manager
) -> GatewayRow:
    """Move a gateway to another community, tag it, or take it a step further in its life."""
    services = services_of(request)
    now = services.clock.now()
    try:
        async with services.store.begin() as db:
            found = await _reachable(db, who, gateway_id)
            if body.node_id is not None:
                await reachable_node(db, who, body.node_id)
                found = await gateways.move(db, found, body.node_id)
            if body.tags is not None:
                found = await gateways.set_tags(db, found, body.tags)
            if body.state is not None:
                found = await gateways.set_state(db, found, body.state, at=now)
            await audit.append(
                db,
                who.actor,
                "gateway.change",
                gateway_id,
                at=now,
                node_id=found.node_id,
                detail={"fields": " ".join(sorted(body.model_fields_set)), "state": found.state.value},
            )
    except GatewayError:
        raise _COMMUNITY from None
    except LifeError as error:
        raise ProblemError(409, "life", _LIFE, detail=str(error)) from None
    return _row(found, now)


@router.post("/gateways/{gateway_id}/integrity-checked")
async def integrity_checked(
    request: Request, gateway_id: GatewayIdPath, body: IntegrityCheckedBody, who: Manager
) -> IntegrityChecked:
    """Say that somebody has looked at a gateway whose history was in doubt: its fault and its unreadable alarms are closed."""
    async with office_of(request).work() as work:
        found = await _reachable(work.db, who, gateway_id)
        closed = await integrity.checked(work, found, by=who.actor, reason=body.reason)
        await audit.append(
            work.db,
            who.actor,
            "gateway.integrity_checked",
            gateway_id,
            at=work.now,
            node_id=found.node_id,
            detail={"reason": body.reason, "fault": found.integrity_fault, "alarms": closed},
        )
    return IntegrityChecked(closed_alarms=closed)


@router.get("/filters")
async def saved_filters(request: Request, who: Reader) -> SavedFilterList:
    """Return one's own saved filters."""
    async with services_of(request).store.read() as db:
        found = await filters.of_user(db, who.user_id)
    return SavedFilterList(
        items=[
            SavedFilterRow(
                name=one.name, filter=FilterBody.model_validate(msgspec.structs.asdict(one.filter))
            )
            for one in found
        ]
    )


@router.put("/filters/{name}")
async def save_filter(request: Request, name: FilterName, body: FilterBody, who: Reader) -> Done:
    """Keep a filter under a name; one of the same name is replaced."""
    try:
        async with services_of(request).store.begin() as db:
            await filters.save(db, who.user_id, SavedFilter(name=name, filter=_filter(body)))
    except FilterError as error:
        raise ProblemError(
            409, "too_many", Label("筛选条件过多", "too many filters"), detail=str(error)
        ) from None
    return Done()


@router.delete("/filters/{name}")
async def forget_filter(request: Request, name: FilterName, who: Reader) -> Done:
    """Delete a saved filter."""
    async with services_of(request).store.begin() as db:
        if not await filters.forget(db, who.user_id, name):
            raise NOT_FOUND
    return Done()


@router.get("/devices")
async def list_devices(
    request: Request, who: Reader, asked: Annotated[DeviceQuery, Query()]
) -> Page[DeviceRow]:
    """Return the devices of one's subtree; every condition given must hold."""
    limit = asked.limit
    query = devices.query_devices().where(within(org_node.c.path, who)).order_by(device.c.no).limit(limit + 1)
    for column, wanted in (
        (gateway.c.id, asked.gateway_id),
        (device.c.kind, asked.kind),
        (device.c.state, asked.state),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if asked.online is not None:
        query = query.where(device.c.online.is_(_ONLINE[asked.online]))
    if asked.tag is not None:
        query = query.where(device.c.tags.contains(f'"{asked.tag}"', autoescape=True))
    behind = key_of(asked.after, tuple[int])
    if behind is not None:
        query = query.where(device.c.no > behind[0])
    async with services_of(request).store.read() as db:
        rows = [devices.device_of(row) for row in (await db.execute(query)).all()]
    more = mark(rows[limit - 1].no) if len(rows) > limit else None
    return Page(items=[_device_row(one, who) for one in rows[:limit]], next=more)


@router.post("/gateways/{gateway_id}/devices", status_code=201)
async def make_device(
    request: Request, gateway_id: GatewayIdPath, body: NewDeviceBody, who: Registrar
) -> DeviceRow:
    """Register a device that lies in store for a gateway."""
    services = services_of(request)
    try:
        async with services.store.begin() as db:
            found = await _reachable(db, who, gateway_id)
            made = await devices.make(db, found.no, gateway_id, NewDevice(**body.model_dump()))
            await audit.append(
                db,
                who.actor,
                "device.make",
                f"{gateway_id} {made.id}",
                at=services.clock.now(),
                node_id=found.node_id,
                detail={"kind": made.kind},
            )
    except DeviceError:
        raise _ID_TAKEN from None
    return _device_row(made, who)


@router.get("/gateways/{gateway_id}/devices/{device_id}")
async def one_device(
    request: Request, gateway_id: GatewayIdPath, device_id: DeviceIdPath, who: Reader
) -> DeviceRow:
    """Return one device."""
    async with services_of(request).store.read() as db:
        return _device_row(await _reachable_device(db, who, gateway_id, device_id), who)


@router.patch("/gateways/{gateway_id}/devices/{device_id}")
async def change_device(
    request: Request,
    gateway_id: GatewayIdPath,
    device_id: DeviceIdPath,
    body: DeviceChangeBody,
    who: Manager,
) -> DeviceRow:
    """Tag a device or take it a step further in its life."""
    services = services_of(request)
    try:
        async with services.store.begin() as db:
            found = await _reachable_device(db, who, gateway_id, device_id)
            old = found.state
            if body.state is not None:
                found = await devices.set_state(db, found, body.state)
            if body.tags is not None:
                found = await devices.set_tags(db, found, body.tags)
            await audit.append(
                db,
                who.actor,
                "device.change",
                f"{gateway_id} {device_id}",
                at=services.clock.now(),
                node_id=found.node_id,
                detail={"from": old.value, "to": found.state.value},
            )
    except LifeError as error:
        raise ProblemError(409, "life", _LIFE, detail=str(error)) from None
    return _device_row(found, who)


_CLOCK_OFF_MS: Final = 1000.0
_ONLINE: Final[dict[str, bool | None]] = {"yes": True, "no": False, "unknown": None}


async def _page(
    request: Request, who: Caller, wanted: GatewayFilter, limit: int, after: str | None
) -> Page[GatewayRow]:
    services = services_of(request)
    now = services.clock.now()
    behind = key_of(after, tuple[str])
    async with services.store.read() as db:
        below = None if wanted.below is None else (await reachable_node(db, who, wanted.below)).path
        query = (
            gateways.query_gateways()
            .where(within(org_node.c.path, who), gateways.conditions(wanted, below_path=below, now=now))
            .order_by(gateway.c.id)
            .limit(limit + 1)
        )
        if behind is not None:
            query = query.where(gateway.c.id > behind[0])
        rows = [gateways.gateway_of(row) for row in (await db.execute(query)).all()]
    more = mark(rows[limit - 1].id) if len(rows) > limit else None
    return Page(items=[_row(one, now) for one in rows[:limit]], next=more)


def _filter(body: FilterBody) -> GatewayFilter:
    return GatewayFilter(**body.model_dump())


async def _reachable(db: AsyncConnection, who: Caller, gateway_id: str) -> Gateway:
    found = await gateways.find(db, gateway_id)
    require_reach(who, None if found is None else found.node_path)
    assert found is not None  # noqa: S101  # require_reach refuses None
    return found


async def _reachable_device(db: AsyncConnection, who: Caller, gateway_id: str, device_id: str) -> Device:
    found = await devices.find(db, gateway_id, device_id)
    require_reach(who, None if found is None else found.node_path)
    assert found is not None  # noqa: S101  # require_reach refuses None
    return found


def _row(one: Gateway, now: datetime) -> GatewayRow:
    stands, said = one.presence(now), one.said()
    return GatewayRow(
        id=one.id,
        node_id=one.node_id,
        node_name=one.node_name,
        state=one.state,
        presence=stands,
        presence_label=LABELS[stands].zh,
        created_at=one.created_at,
        last_contact_at=one.last_contact_at,
        version=one.version,
        config_version=one.config_version,
        clock_offset_ms=one.clock_offset_ms,
        alarm_backlog=one.alarm_backlog,
        telemetry_backlog=one.telemetry_backlog,
        integrity_fault=one.integrity_fault,
        tags=one.tags,
        status_at=one.status_at,
        started_at=said.started_at,
        disk_used=said.disk_used,
        devices=said.devices,
        devices_online=said.devices_online,
        open_alarms=said.open_alarms,
        clock_synced=None if said.clock is None else said.clock.synced,
        certificate_expires_at=one.certificate_expires_at,
    )


def _device_row(one: Device, who: Caller) -> DeviceRow:
    may_see = not one.is_personal or who.may(Right.READ_PERSONAL)
    return DeviceRow(
        id=one.id,
        gateway_id=one.gateway_id,
        kind=one.kind,
        state=one.state,
        building=one.building,
        unit=one.unit,
        floor=one.floor,
        room=one.room if may_see else None,
        is_online=one.is_online,
        seen_at=one.seen_at,
        tags=one.tags,
    )
