"""One city platform as a YAML file: where it is, what it speaks, what it is told. Nothing about a vendor is in code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, field_validator, model_validator

from gatehouse_config import yaml_source
from gatehouse_config.part import FilePath, Part, Port, Text
from gatehouse_config.yaml_source import written
from gatehouse_events.event import Crs
from gatehouse_events.states import Kind
from gatehouse_fleet.city.errors import TargetFileError
from gatehouse_fleet.city.signing import SignatureKind
from gatehouse_fleet.city.times import TimeFormat

_MAX_FAULTS: Final = 100
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1", "[::1]")
TargetId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,39}$")]
Header = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
_Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{12}$")]
Byte = Annotated[int, Field(ge=0, le=255)]


class What(Part):
    """Which alarms this platform is told of. Nothing is assumed: both lists must be given."""

    categories: tuple[Literal["gas", "lift", "sos", "throw", "gateway"], ...] = Field(min_length=1)
    kinds: tuple[Kind, ...] = Field(
        min_length=1, description="alarm, fault, tamper, inhibited, test (drills)"
    )
    communities: tuple[Text, ...] = Field(default=(), description="`community_id`s; empty: all")


class Codes(Part):
    """The platform's own names for our alarms."""

    map: FilePath = Field(description="a shipped table, or a .json file beside this one")
    unmapped: Literal["park", "leave_out"] = Field(
        default="park",
        description="a code without a row: park it where people see it, or send without the word",
    )


class AssetWords(Part):
    """What the platform calls one device; it hands these out when a site is registered."""

    words: dict[_Word, Text] = Field(max_length=32)


class CloudEvents(Part):
    """CloudEvents 1.0 JSON, structured mode: our own events, as `docs/integrators.md` shows them."""

    kind: Literal["cloudevents"]
    prefix: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,62}$")] = Field(
        default="scg", description="of the event type: the buyer's reverse domain"
    )


class OneHot(Part):
    """HTTP dialect with one Y/N map per message; keys and paths come from a dialect table."""

    kind: Literal["one_hot"]
    dialect: FilePath = Field(description="a shipped dialect, or a .json file beside this one")
    project_id: Text
    project_name: Text
    assets: dict[Text, AssetWords] = Field(
        default={}, description="our device id: words deviceNo, locationeCode, liftNo (and buildNo, address)"
    )


class TextFrames(Part):
    """`#10#{json}#13#` frames after a login; one connection, one message at a time."""

    kind: Literal["text_frames"]
    type_field: _Word = Field(
        description="name of the field that says what a frame is, as the platform told you"
    )
    login: dict[_Word, Text] = Field(
        default={}, max_length=16, description="further fields of the login frame"
    )
    password_file: FilePath | None = Field(default=None, description="its content goes into `password_field`")
    password_field: _Word = "password"  # noqa: S105  # the name of a field, not its content
    values: dict[_Word, dict[_Word, str | int | bool]] = Field(
        default={},
        description="field of an info frame: our word and what the platform writes for it; a field without is not sent",
    )
    assets: dict[Text, AssetWords] = Field(default={}, description="our device id: fields that name the lift")


class Gbt26875(Part):
    """GB/T 26875.3 component status (type 2)."""

    kind: Literal["gbt26875"]
    source_address: _Hex = Field(description="6 bytes of this transmitter, in wire order")
    center_address: _Hex = Field(description="6 bytes of the centre, in wire order")
    user_version: Byte = 1
    system_type: Byte
    system_address: Byte
    component_type: Byte = Field(description="Table 5: 10 combustible gas, 11 point, 12 stand-alone, 13 line")
    components: dict[Text, Annotated[int, Field(ge=0, le=2**32 - 1)]] = Field(
        description="our device id: component address at the centre"
    )


class ClientCertificate(Part):
    """Shown to the platform when it asks."""

    certificate_file: FilePath
    key_file: FilePath


class Accept(Part):
    """Where the platform's answer says yes; many answer 200 and put the truth into the body."""

    field: _Word
    values: tuple[_Word, ...] = Field(min_length=1, max_length=16)


class Http(Part):
    """POST over HTTP."""

    kind: Literal["http"]
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$", max_length=512)]
    timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    ca_file: FilePath | None = None
    client_certificate: ClientCertificate | None = None
    bearer_file: FilePath | None = Field(default=None, description="a token, sent as Authorization: Bearer")
    headers: dict[Header, Text] = Field(default={}, max_length=16)
    accept: Accept | None = None

    @field_validator("url")
    @classmethod
    def _plain_only_nearby(cls, url: str) -> str:
        host = url.partition("://")[2].partition("/")[0].rpartition("@")[2].rsplit(":", 1)[0]
        if url.startswith("http://") and host not in LOOPBACK:
            raise ValueError("alarms tell of people: use https (http only to this machine)")
        if "@" in url:
            raise ValueError("no credentials in the address: use bearer_file or client_certificate")
        return url


class Mqtt(Part):
    """MQTT 5, QoS 1; done with the platform's receipt on `receipt_topic`, never with the broker's PUBACK."""

    kind: Literal["mqtt"]
    host: Text
    port: Port = 8883
    tls: bool = True
    topic: Annotated[str, StringConstraints(pattern=r"^[^#+\x00]{1,200}$")]
    receipt_topic: Annotated[str, StringConstraints(pattern=r"^[^#+\x00]{1,200}$")]
    client_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    username: Text | None = None
    password_file: FilePath | None = None
    ca_file: FilePath | None = None
    client_certificate: ClientCertificate | None = None
    timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    accept: Accept | None = None

    @model_validator(mode="after")
    def _plain_only_nearby(self) -> Self:
        if not self.tls and self.host not in LOOPBACK:
            raise ValueError("alarms tell of people: use tls (without only to this machine)")
        return self


class Tcp(Part):
    """One TCP connection for frames of text or bytes."""

    kind: Literal["tcp"]
    host: Text
    port: Port
    tls: bool = False
    ca_file: FilePath | None = None
    timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    idle_s: Annotated[float, Field(ge=1, le=600, description="a sign of life this often")] = 30.0


class Time(Part):
    """How this platform writes times."""

    format: TimeFormat
    zone: str = "Asia/Shanghai"

    @field_validator("zone")
    @classmethod
    def _exists(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (OSError, ValueError, ZoneInfoNotFoundError) as error:
            raise ValueError(f"{zone} is no time zone") from error
        return zone


class Signature(Part):
    """How messages are signed; HTTP and MQTT only."""

    kind: SignatureKind
    key_file: FilePath
    header: Header = "X-Gatehouse-Signature"
    timestamp_header: Header = "X-Gatehouse-Timestamp"


class Retry(Part):
    """Patience: twice as long after each failure, with jitter, up to `most_s`."""

    first_s: Annotated[float, Field(ge=0.05, le=60)] = 1.0
    most_s: Annotated[float, Field(ge=0.05, le=3600)] = 60.0
    tries_per_event: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=12,
        description="answered failures of one event before it is parked, if others got through meanwhile",
    )
    stop_after_refusals: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=20,
        description="refusals in a row after which the target stops itself instead of parking the world",
    )


class Target(Part):
    """One platform."""

    id: TargetId
    title: Text
    send: What
    start: Literal["now", "beginning"] = Field(
        default="now", description="at first sight of this file: only what comes, or everything the fleet has"
    )
    envelope: CloudEvents | OneHot | TextFrames | Gbt26875 = Field(discriminator="kind")
    transport: Http | Mqtt | Tcp = Field(discriminator="kind")
    time: Time = Time(format=TimeFormat.RFC3339)
    codes: Codes | None = None
    crs: Crs | None = Field(default=None, description="datum of positions; absent: as the gateway says it")
    signature: Signature | None = None
    retry: Retry = Retry()
    parallel: Annotated[int, Field(ge=1, le=64, description="gateways served at the same time")] = 8

    @property
    def reader(self) -> str:
        """Name of its cursors."""
        return f"city:{self.id}"


_CARRIED_BY: Final[dict[str, tuple[str, ...]]] = {
    "cloudevents": ("http", "mqtt"),
    "one_hot": ("http",),
    "text_frames": ("tcp",),
    "gbt26875": ("tcp",),
}
_TARGET: Final = TypeAdapter(Target)


def parse(text: str, *, name: str) -> Target:
    """Return the target in a YAML text.

    Raises:
        TargetFileError: with every fault and its place.
    """
    source = yaml_source.parse(text)
    if source.faults:
        raise TargetFileError(name, tuple(str(fault) for fault in source.faults))
    try:
        target = _TARGET.validate_python(source.data)
    except ValidationError as error:
        faults = []
        for item in error.errors()[:_MAX_FAULTS]:
            path = tuple(step for step in item["loc"] if step != item.get("ctx", {}).get("discriminator"))
            line = source.line(path)
            faults.append(f"line {line}: {written(path)}: {item['msg']}")
        raise TargetFileError(name, tuple(faults)) from error
    faults = _cross_faults(target)
    if faults:
        raise TargetFileError(name, tuple(faults))
    return target


def read(path: Path) -> Target:
    """Return the target in the file at `path`; see `parse`."""
    try:
        raw = path.read_bytes()
        if len(raw) > yaml_source.MAX_BYTES:
            raise TargetFileError(path.name, (f"larger than {yaml_source.MAX_BYTES} bytes",))
        return parse(raw.decode("utf-8"), name=path.name)
    except OSError as error:
        raise TargetFileError(path.name, (f"cannot be read: {type(error).__name__}",)) from error
    except UnicodeDecodeError as error:
        raise TargetFileError(path.name, ("is not UTF-8 text",)) from error


def _cross_faults(target: Target) -> list[str]:
    faults = []
    if target.envelope.kind == "cloudevents" and target.time.format is not TimeFormat.RFC3339:
        faults.append("time.format: CloudEvents are RFC 3339")
    carriers = _CARRIED_BY[target.envelope.kind]
    if target.transport.kind not in carriers:
        faults.append(f"transport: {target.envelope.kind} goes over {' or '.join(carriers)}")
    if target.codes is None and target.envelope.kind != "cloudevents":
        faults.append(f"codes: {target.envelope.kind} needs a code map")
    if target.signature is not None and target.transport.kind == "tcp":
        faults.append("signature: this dialect has no place for one")
    return faults
