"""The event that goes to a city platform: CloudEvents 1.0 JSON, structured mode, with our alarm data.

Field meanings and their provenance stand in `schema/event.data.schema.json`. Sending is strict (`encode` checks
the whole document against the schema); receiving keeps what it does not know (`decode` then `encode` loses
nothing), so an older fleet passes on what a newer gateway says.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from gatehouse_events.chain import canonical
from gatehouse_events.clock import ClockQuality
from gatehouse_events.overlay import merged, unknown_part
from gatehouse_events.states import Kind

MAX_EVENT_BYTES: Final = 64 * 1024
"""The four examples are 1.1 to 1.6 KB; evidence is referred to, never inside."""
DATA_SCHEMA: Final = "urn:scg:schema:alarm:1"

Moment = Annotated[datetime, Meta(tz=True)]
"""RFC 3339 with its offset; a naive time is refused."""
Text = Annotated[str, Meta(max_length=512)]


class EventError(Exception):
    """A document is not an event."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults
        """Each with the path of the field."""


class EventState(StrEnum):
    """What happened to the alarm."""

    RAISED = "raised"
    UPDATED = "updated"
    ACKNOWLEDGED = "acknowledged"
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    CLEARED = "cleared"
    FALSE_ALARM = "false_alarm"
    TEST = "test"


class Crs(StrEnum):
    """Coordinate reference system; never defaulted: the wrong one is 461 m off in Weihai (domain notes §0.4)."""

    CGCS2000 = "CGCS2000"
    WGS84 = "WGS84"
    GCJ02 = "GCJ02"


class Point(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A place on the map, degrees."""

    lon: float
    lat: float
    crs: Crs
    accuracy_m: float | None = None


class EventSite(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the alarm is."""

    division_code: Text
    community_id: Text
    division_standard: str | None = None
    """`gbt2260` or `stats_gov`: the same digits may mean different things."""
    estate: Text | None = None
    building: Text | None = None
    unit: Text | None = None
    floor: Text | None = None
    room: Text | None = None
    address: Text | None = None
    position: Point | None = None


class Asset(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The thing that raised the alarm."""

    id: Text
    kind: Text
    name: Text | None = None
    vendor: Text | None = None
    model: Text | None = None
    lift_registration_code: Text | None = None
    lift_rescue_code: Text | None = None
    gb28181_id: Text | None = None


class Measure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was measured; a value never travels without its unit."""

    value: float | None = None
    unit: str | None = None
    threshold: float | None = None
    status: Text | None = None


class LiftState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The lift as it was; null: the source does not report that point."""

    service_mode: str | None = None
    car: str | None = None
    direction: str | None = None
    door_zone: bool | None = None
    door_closed: bool | None = None
    passenger: bool | None = None
    floor: Text | None = None
    speed_mps: float | None = None


class ThrowFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the picture proves."""

    floor_low: int | None = None
    floor_high: int | None = None
    confidence: float | None = None
    track_points: int | None = None
    model_sha256: Text | None = None
    masked: bool | None = None


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The sentence a person reads."""

    zh: Annotated[str, Meta(max_length=200)]
    en: Text | None = None


class Evidence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file, named by its hash."""

    kind: str
    sha256: Text
    captured_at: Moment
    retention_until: Moment
    url: Annotated[str, Meta(max_length=2048)] | None = None
    sm3: Text | None = None
    bytes: int | None = None
    pre_s: float | None = None
    post_s: float | None = None
    legal_hold: bool | None = None
    privacy_masked: bool | None = None


class CaseFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The case a platform made of it."""

    case_id: Text | None = None
    step: str | None = None
    deadline: Moment | None = None
    light: str | None = None
    time_basis: str | None = None


class AlarmData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One revision of one alarm."""

    alarm_id: Annotated[str, Meta(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$")]
    seq: Annotated[int, Meta(ge=1)]
    state: EventState
    category: Text
    code: Text
    severity: Text
    raised_at: Moment
    reported_at: Moment
    clock: ClockQuality
    site: EventSite
    asset: Asset
    message: Message
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=64)]
    codes: Annotated[dict[str, Text], Meta(max_length=16)] = {}
    kind: Kind | None = None
    incident_id: Text | None = None
    cleared_at: Moment | None = None
    buffered: bool | None = None
    doubtful: bool | None = None
    measure: Measure | None = None
    lift: LiftState | None = None
    throw: ThrowFacts | None = None
    case: CaseFacts | None = None
    personal: bool | None = None


class Event(Struct, frozen=True, kw_only=True):
    """An envelope and its alarm. Made by `event_for` or `decode`."""

    id: str
    source: Text
    type: Text
    subject: Text
    time: Moment
    partitionkey: Text
    sequence: Text
    divisioncode: Text
    severity: Text
    data: AlarmData
    specversion: str = "1.0"
    datacontenttype: str = "application/json"
    dataschema: str = DATA_SCHEMA


class Received(Struct, frozen=True, kw_only=True):
    """An event from outside together with what this version does not know of it."""

    event: Event
    unknown: dict[str, Any]
    """Fields without a name here, in place (see `overlay`); `encode` puts them back."""


def event_for(data: AlarmData, *, gateway_id: str, prefix: str = "scg") -> Event:
    """Return the envelope for one revision of an alarm.

    Args:
        data: the revision.
        gateway_id: who sends.
        prefix: of the event type; a buyer's reverse domain goes here.
    """
    return Event(
        id=f"{data.alarm_id}-{data.seq}",
        source=f"urn:{prefix.partition('.')[0]}:gateway:{gateway_id}",
        type=f"{prefix}.alarm.{data.category}.v1",
        subject=data.asset.id,
        time=data.raised_at if data.seq == 1 else data.reported_at,
        partitionkey=data.asset.id,
        sequence=str(data.seq),
        divisioncode=data.site.division_code,
        severity=data.severity,
        data=data,
    )


def to_document(event: Event, *, unknown: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return `event` as a JSON document, with fields kept from the sender put back."""
    return merged(_plain(event), unknown or {})


def encode(event: Event) -> bytes:
    """Return `event` for sending.

    Raises:
        EventError: it does not satisfy the schema, or its envelope and its data disagree.
    """
    # Here, not at the top: jsonschema costs 30 ms and 10 MB that a gateway without an uplink never needs.
    from gatehouse_events.validation import validate

    document = to_document(event)
    validate(document)
    return canonical(document)


def forward(received: Received) -> bytes:
    """Return a received event for passing on: nothing lost, nothing judged."""
    return canonical(to_document(received.event, unknown=received.unknown))


def decode(raw: bytes) -> Received:
    """Return the event in `raw`. Unknown fields are kept, known ones must have their type.

    Raises:
        EventError: too large, not JSON, a mandatory field missing or of the wrong type.
    """
    if len(raw) > MAX_EVENT_BYTES:
        raise EventError((f"{len(raw)} bytes; an event has at most {MAX_EVENT_BYTES}",))
    try:
        document = msgspec.json.decode(raw)
        event = msgspec.convert(document, Event)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise EventError((str(error),)) from error
    return Received(event=event, unknown=unknown_part(document, _plain(event)))


def _plain(event: Event) -> dict[str, Any]:
    """Return what a JSON reader will see: lists, not tuples; text, not times."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
    return document
