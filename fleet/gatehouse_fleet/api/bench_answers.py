"""Bodies and answers of the bench's part of the API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StrictBool, StringConstraints

from gatehouse_events.bench_record import Verdict
from gatehouse_fleet.api.gateways import DeviceId, GatewayId, Kind, Place
from gatehouse_fleet.bench.records import History
from gatehouse_fleet.bench.tokens import MAX_DAYS
from gatehouse_fleet.life import LifeState
from gatehouse_fleet.web.fields import UNQUOTED, Answer, Body, Moment, Name, Reason, RowNumber
from gatehouse_fleet.web.pages import PageQuery

Serial = Annotated[str, StringConstraints(pattern="^[0-9A-Za-z][0-9A-Za-z-]{0,23}$")]


class RecordTaken(Answer):
    """The record is on disk here."""

    hash: str
    is_new: bool


class RecordQuery(PageQuery):
    """Conditions as query parameters; every one given must hold."""

    serial: Serial | None = None
    verdict: Verdict | None = None
    bench: Name | None = None
    since: Moment | None = Field(default=None, description="received at or after this instant")


class RecordRow(Answer):
    """One record; the whole of it: `GET /bench/records/{hash}`."""

    hash: str
    serial: str
    number: int
    kind: str
    verdict: Verdict
    bench: str
    is_simulated: bool
    ended_at: datetime
    received_at: datetime
    history: History


class RegistrationBody(Body):
    """Same fields as `gatehouse_events.bench_api.DeviceRegistration`, which the bench sends."""

    serial: Serial
    kind: Kind
    mac: Annotated[str, StringConstraints(pattern="^[0-9a-f]{12}$")]
    key_check: Annotated[str, StringConstraints(pattern="^[0-9a-f]{8}$")]
    key_id: Annotated[int, Field(ge=1, le=255), UNQUOTED] = 1
    wrapped_key: Annotated[str, StringConstraints(pattern="^[0-9A-Za-z+/]{102}==$")] | None = None


class DeviceTaken(Answer):
    """The device is registered."""

    serial: str
    is_new: bool
    """False: this very registration was here already and changed nothing."""
    was_at: str | None = None
    """Gateway and device id of the place it was bound to until now; bind it again."""


class StockQuery(PageQuery):
    """Conditions as query parameters; every one given must hold."""

    serial: Serial | None = None
    kind: Kind | None = None
    is_bound: bool | None = None


class StockRow(Answer):
    """One device that came from a bench."""

    serial: str
    kind: str
    mac: str
    key_check: str
    """As on its label."""
    has_key: bool
    state: LifeState
    registered_at: datetime
    gateway_id: str | None
    """Absent: in store."""
    device_id: str | None


class BindBody(Body):
    """Where the device hangs now."""

    gateway_id: GatewayId
    device_id: DeviceId | None = None
    """As in the gateway's configuration; without: the serial number. A device that the gateway has told of keeps its place."""
    building: Place = ""
    unit: Place = ""
    floor: Place = ""
    room: Place = ""
    is_personal: StrictBool = False


class WrappingKeyAnswer(Answer):
    """Same fields as `gatehouse_events.bench_api.WrappingKey`."""

    pem: str
    fingerprint: str


class TokenBody(Body):
    """A new token for a bench."""

    name: Name
    node_id: RowNumber
    key: Annotated[str, StringConstraints(pattern="^[0-9A-Za-z+/]{42}[048AEIMQUYcgkosw]=$")]
    """Raw Ed25519 public key of the bench in base64, as the field `key` of its records; nothing signed with another is taken."""
    lasts_days: Annotated[int, Field(ge=1, le=MAX_DAYS), UNQUOTED] = 365


class TokenRow(Answer):
    """One token, without the token."""

    id: int
    name: str
    node_id: int
    key: str
    issued_by: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None
    kept_bytes: int


class TokenMade(Answer):
    """Shown once: the server keeps only its hash."""

    id: int
    token: str
    expires_at: datetime


class RevokeBody(Body):
    """Why."""

    reason: Reason
