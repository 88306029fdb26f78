"""What the console shows first: every community of one's subtree with its worst, and what a screen must know once.

Counts come from one read of the database and carry the feed's position, so that a stream that goes on behind it leaves no gap.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request
from sqlalchemy import func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.codes import CODES
from gatehouse_events.states import (
    ACK_LIMIT_S,
    STATE_LABELS,
    UNATTENDED_STATES,
    AlarmState,
    Kind,
    Label,
    Priority,
)
from gatehouse_fleet.api.stream import offset_s
from gatehouse_fleet.cases import steps
from gatehouse_fleet.cases.lights import Light
from gatehouse_fleet.cases.listing import lights_of
from gatehouse_fleet.life import SHUT_OUT
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.registry import outline
from gatehouse_fleet.registry.org import NodeKind
from gatehouse_fleet.registry.presence import SILENT_AFTER, Presence, presence
from gatehouse_fleet.services import services_of
from gatehouse_fleet.store.schema.alarms import alarm, feed_head
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_fleet.web.access import caller, entitled, within
from gatehouse_fleet.web.fields import Answer
from gatehouse_fleet.web.problems import ProblemError

router: Final = APIRouter(tags=["console"])
Reader = Annotated[Caller, Depends(entitled(Right.READ_GATEWAYS))]
HIDDEN_STATES: Final = frozenset({AlarmState.SHELVED, AlarmState.SUPPRESSED})
"""Open, but hidden by a person or by design: counted apart, never part of the worst."""

_GONE: Final = tuple(state.value for state in SHUT_OUT)


class CodeRow(Answer):
    """One alarm code in words."""

    code: str
    kind: Kind
    priority: Priority
    label: str
    label_en: str


class WordRow(Answer):
    """A token and its words."""

    name: str
    label: str
    label_en: str


class AckLimit(Answer):
    """How long an alarm may wait for somebody."""

    priority: Priority
    seconds: float | None


class ConsoleFacts(Answer):
    """What a screen must know once."""

    at: datetime
    utc_offset_s: int
    """Of `time_zone`, now."""
    time_zone: str
    """Every time on the screen is of this zone, whatever the browser's is."""
    version: str
    silent_after_s: float
    codes: list[CodeRow]
    states: list[WordRow]
    case_steps: list[WordRow]
    """In their order."""
    ack_limits: list[AckLimit]


class GatewayMark(Answer):
    """One gateway of a community."""

    id: str
    presence: Presence
    last_contact_at: datetime | None


class Place(Answer):
    """Where a community is, degrees WGS-84 (CGCS2000 is the same within half a metre)."""

    lon: float
    lat: float


class OpenCounts(Answer):
    """Open alarms; drills and what is hidden are counted apart."""

    open: dict[Priority, int]
    unattended: dict[Priority, int]
    """Of these, nobody has taken."""
    oldest_unattended_at: datetime | None
    hidden: int
    drills: int


class LightsOpen(Answer):
    """Open cases at each light."""

    green: int
    yellow: int
    red: int


class CommunityMark(Answer):
    """One community at a glance."""

    id: int
    name: str
    name_en: str
    district_id: int | None
    place: Place | None
    """Absent: no gateway has told, or told in GCJ-02, from which there is no way back."""
    gateways: list[GatewayMark]
    alarms: OpenCounts | None
    """Absent without the right to read alarms."""
    lights: LightsOpen | None
    """Absent without the right to read cases."""


class DistrictMark(Answer):
    """One district."""

    id: int
    name: str
    name_en: str
    code: str


class PresenceList(Answer):
    """Every gateway that is not online; who is not in it is."""

    at: datetime
    gateways: list[GatewayMark]


class Area(Answer):
    """One district's border."""

    code: str
    name: str
    rings: list[list[tuple[float, float]]]
    """Longitude and latitude, degrees WGS-84."""


class Outline(Answer):
    """What the map draws below its dots."""

    is_invented: bool
    """It ships for the simulated district and shows no real border."""
    areas: list[Area]


class WholeOverview(Answer):
    """Everything of one's subtree, as it stood at `at`."""

    at: datetime
    position: int
    """Of the feed: follow it from here."""
    districts: list[DistrictMark]
    communities: list[CommunityMark]


@router.get("/console")
async def console_facts(request: Request, who: Annotated[Caller, Depends(caller)]) -> ConsoleFacts:  # noqa: ARG001  # asks for a session
    """Return the server's zone, the words of codes, states and steps, and the limits that screens count down."""
    services = services_of(request)
    now = services.clock.now()
    return ConsoleFacts(
        at=now,
        utc_offset_s=offset_s(now, services.settings.time_zone),
        time_zone=services.settings.time_zone,
        version=_version(),
        silent_after_s=SILENT_AFTER.total_seconds(),
        codes=[
            CodeRow(
                code=one.name,
                kind=one.kind,
                priority=one.priority,
                label=one.label.zh,
                label_en=one.label.en,
            )
            for one in CODES.values()
        ],
        states=[
            WordRow(name=name, label=label.zh, label_en=label.en) for name, label in STATE_LABELS.items()
        ],
        case_steps=[
            WordRow(name=name, label=steps.LABELS[name].zh, label_en=steps.LABELS[name].en)
            for name in steps.CaseStep
        ],
        ack_limits=[AckLimit(priority=name, seconds=limit) for name, limit in ACK_LIMIT_S.items()],
    )


@router.get("/overview")
async def whole_overview(request: Request, who: Reader) -> WholeOverview:
    """Return every community with its gateways, open alarms and case lights; and where the feed stood before they were read."""
    services = services_of(request)
    async with services.store.read() as db:
        # First the position: what happens between the two reads is told twice, never missed.
        position = (await db.execute(select(func.max(feed_head.c.position)))).scalar_one() or 0
        now = services.clock.now()
        nodes = await _nodes(db, who)
        gateways, places = await _gateways(db, who, now)
        alarms = await _alarms(db, who) if who.may(Right.READ_ALARMS) else None
        lights = await lights_of(db, who.scope_path, now) if who.may(Right.READ_CASES) else None
    districts = {row.path: row for row in nodes if row.kind == NodeKind.DISTRICT}
    return WholeOverview(
        at=now,
        position=int(position),
        districts=[
            DistrictMark(id=row.id, name=row.name, name_en=row.name_en, code=row.code)
            for row in districts.values()
        ],
        communities=[
            CommunityMark(
                id=row.id,
                name=row.name,
                name_en=row.name_en,
                district_id=next((d.id for path, d in districts.items() if row.path.startswith(path)), None),
                place=places.get(row.id),
                gateways=gateways.get(row.id, []),
                alarms=None if alarms is None else alarms.get(row.id, _none_open()),
                lights=None if lights is None else _lights(lights.get(row.id, {})),
            )
            for row in nodes
            if row.kind == NodeKind.COMMUNITY
        ],
    )


@router.get("/presence")
async def whole_presence(request: Request, who: Reader) -> PresenceList:
    """Return the gateways that are silent, stopped or never heard, longest silent first: cheap enough to ask every few seconds."""
    services = services_of(request)
    now = services.clock.now()
    query = (
        select(gateway.c.id, gateway.c.last_contact_at, gateway.c.is_stopped)
        .join(org_node, org_node.c.id == gateway.c.node_id)
        .where(
            within(org_node.c.path, who),
            gateway.c.state.not_in(_GONE),
            or_(
                gateway.c.last_contact_at.is_(None),
                gateway.c.is_stopped,
                gateway.c.last_contact_at < now - SILENT_AFTER,
            ),
        )
        .order_by(gateway.c.last_contact_at, gateway.c.id)
    )
    async with services.store.read() as db:
        rows = (await db.execute(query)).all()
    return PresenceList(
        at=now,
        gateways=[
            GatewayMark(
                id=row.id,
                presence=presence(row.last_contact_at, is_stopped=row.is_stopped, now=now),
                last_contact_at=row.last_contact_at,
            )
            for row in rows
        ],
    )


@router.get("/outline")
async def outline_map(request: Request, who: Reader) -> Outline:  # noqa: ARG001  # asks for the right
    """Return the borders of the districts: the city's own where they were imported."""
    directory = services_of(request).settings.directory
    try:
        found = await asyncio.to_thread(outline.load, directory)
    except (outline.OutlineError, OSError) as error:
        text = Label("区划轮廓文件无法读取", "the outline file cannot be read")
        raise ProblemError(409, "outline", text, detail=str(error)) from None
    return Outline.model_validate(found)


async def _nodes(db: AsyncConnection, who: Caller) -> list[Any]:
    query = (
        select(
            org_node.c.id,
            org_node.c.kind,
            org_node.c.path,
            org_node.c.name,
            org_node.c.name_en,
            org_node.c.code,
        )
        .where(
            within(org_node.c.path, who),
            org_node.c.kind.in_([NodeKind.DISTRICT.value, NodeKind.COMMUNITY.value]),
        )
        .order_by(org_node.c.code, org_node.c.id)
    )
    return list((await db.execute(query)).all())


async def _gateways(
    db: AsyncConnection, who: Caller, now: datetime
) -> tuple[dict[int, list[GatewayMark]], dict[int, Place]]:
    query = (
        select(
            gateway.c.id,
            gateway.c.node_id,
            gateway.c.last_contact_at,
            gateway.c.is_stopped,
            gateway.c.site_card,
        )
        .join(org_node, org_node.c.id == gateway.c.node_id)
        .where(within(org_node.c.path, who), gateway.c.state.not_in(_GONE))
        .order_by(gateway.c.id)
    )
    found: dict[int, list[GatewayMark]] = {}
    places: dict[int, Place] = {}
    for row in (await db.execute(query)).all():
        stands = presence(row.last_contact_at, is_stopped=row.is_stopped, now=now)
        mark = GatewayMark(id=row.id, presence=stands, last_contact_at=row.last_contact_at)
        found.setdefault(row.node_id, []).append(mark)
        place = None if row.site_card is None else _place(row.site_card)
        if place is not None:
            places.setdefault(row.node_id, place)
    return found, places


class _Site(msgspec.Struct, frozen=True):
    position: Any = None


class _Card(msgspec.Struct, frozen=True):
    """The one part of a site card that a map needs; assets of a thousand devices are not looked at."""

    site: _Site


def _place(card: str) -> Place | None:
    point = msgspec.json.decode(card, type=_Card).site.position
    if not isinstance(point, dict) or point.get("crs") not in {"WGS84", "CGCS2000"}:
        return None
    return Place(lon=point["lon"], lat=point["lat"])


async def _alarms(db: AsyncConnection, who: Caller) -> dict[int, OpenCounts]:
    query = (
        select(
            alarm.c.node_id,
            alarm.c.priority,
            alarm.c.state,
            (alarm.c.kind == literal(Kind.TEST.value)).label("is_drill"),
            func.count().label("count"),
            func.min(alarm.c.raised_at).label("oldest"),
        )
        .join(org_node, org_node.c.id == alarm.c.node_id)
        .where(within(org_node.c.path, who), alarm.c.is_open)
        .group_by(alarm.c.node_id, alarm.c.priority, alarm.c.state, "is_drill")
    )
    rows: dict[int, list[Any]] = {}
    for row in (await db.execute(query)).all():
        rows.setdefault(row.node_id, []).append(row)
    return {node_id: _counted(mine) for node_id, mine in rows.items()}


def _counted(rows: list[Any]) -> OpenCounts:
    shown: Counter[Priority] = Counter()
    unattended: Counter[Priority] = Counter()
    oldest: datetime | None = None
    hidden = drills = 0
    for row in rows:
        state, priority = AlarmState(row.state), Priority(row.priority)
        if row.is_drill:
            drills += row.count
        elif state in HIDDEN_STATES:
            hidden += row.count
        else:
            shown[priority] += row.count
            if state in UNATTENDED_STATES:
                unattended[priority] += row.count
                oldest = row.oldest if oldest is None else min(oldest, row.oldest)
    return OpenCounts(
        open={name: shown[name] for name in Priority},
        unattended={name: unattended[name] for name in Priority},
        oldest_unattended_at=oldest,
        hidden=hidden,
        drills=drills,
    )


def _none_open() -> OpenCounts:
    return _counted([])


def _lights(counted: Mapping[Light, int]) -> LightsOpen:
    return LightsOpen(
        green=counted.get(Light.GREEN, 0),
        yellow=counted.get(Light.YELLOW, 0),
        red=counted.get(Light.RED, 0),
    )


def _version() -> str:
    try:
        return version("gatehouse")
    except PackageNotFoundError:
        return "0"
