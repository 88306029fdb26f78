"""What a gateway and its fleet server say to each other over HTTPS, beside batches and orders: paths, enrolment, status.

| who calls | method and path | body -> answer |
|---|---|---|
| new gateway | POST /api/v1/enrol | `EnrolRequest` -> `EnrolAnswer` (no client certificate yet) |
| gateway | POST /api/v1/gateways/{id}/certificate | `RenewRequest` -> `EnrolAnswer` |
| gateway | POST /api/v1/gateways/{id}/journal/{lane} | `replication.ReplicationBatch` -> `replication.Answer` |
| gateway | GET  /api/v1/gateways/{id}/journal/{lane} | -> `Cursor` |
| gateway | POST /api/v1/gateways/{id}/status | `GatewayStatus` -> `StatusAnswer` |
| gateway | GET  /api/v1/gateways/{id}/orders?epoch=&after=&wait_s= | -> `orders.OrderBatch` (long poll) |
| gateway | GET  /api/v1/gateways/{id}/orders/stream?epoch=&after= | -> server-sent events, one order each |
| gateway | GET  /api/v1/gateways/{id}/configs/{version} | -> the configuration, bytes |
| gateway | PUT  /api/v1/gateways/{id}/evidence/{sha256} | bytes with `Content-Range` -> `EvidenceAnswer` |

Every call but the first is authenticated by the client certificate whose common name is the gateway's id.
Refusals are problem documents (RFC 9457) with `reason`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from gatehouse_events.chain import Lane
from gatehouse_events.clock import ClockQuality
from gatehouse_events.replication import MAX_MESSAGE_BYTES, MessageError

ENROL_PATH: Final = "/api/v1/enrol"
ENCODINGS: Final = ("zstd", "gzip")
"""Content encodings of a batch, best first; none at all is also understood."""
STATUS_EVERY_S: Final = 30.0
"""A gateway says how it is this often, also when its journal is quiet."""
SILENT_AFTER_S: Final = 90.0
"""Without contact for longer a gateway is lost 失联 (console brief §1): three reports missed."""
MAX_WAIT_S: Final = 55.0
"""Longest long poll; below the 60 s at which common proxies give up."""
KEEP_ALIVE_S: Final = 120
"""Idle connections are kept at least this long by the server: longer than any posting period, else requests race the close."""

GatewayId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{2,62}$")]
_Epoch = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
_Hex32 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
_Pem = Annotated[str, Meta(max_length=16 * 1024)]
_Name = Annotated[str, Meta(min_length=1, max_length=128)]
_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_T = TypeVar("_T")


class EnrolRequest(Struct, frozen=True, kw_only=True):
    """A gateway asks for its first certificate with a one-time code that a person has typed in."""

    gateway_id: GatewayId
    code: Annotated[str, Meta(min_length=8, max_length=64)]
    csr: _Pem
    """PKCS #10, PEM; the key is made on the gateway and never leaves it."""
    journal_key: _Hex32
    """Ed25519 public key of its journal."""
    version: _Name


class RenewRequest(Struct, frozen=True, kw_only=True):
    """A gateway asks for the next certificate over its present one."""

    csr: _Pem
    journal_keys: tuple[_Hex32, ...] = ()
    """Every public key its journal has had, oldest first; at most 16."""


class EnrolAnswer(Struct, frozen=True, kw_only=True):
    """The certificate with its chain, and whom to trust from here on."""

    certificate: _Pem
    """Leaf first, then the intermediate."""
    ca: _Pem
    """Root: the gateway trusts servers signed below it."""
    renew_at: Annotated[datetime, Meta(tz=True)]
    """From here on the gateway asks for the next one; two thirds of the lifetime."""


class LaneStatus(Struct, frozen=True, kw_only=True):
    """How far one lane has come at the gateway."""

    head: _Count
    acknowledged: _Count
    """The cursor the fleet last gave."""


class GatewayStatus(Struct, frozen=True, kw_only=True):
    """How a gateway is; the fleet takes presence, versions, clock and backlog from here."""

    sent_at: Annotated[datetime, Meta(tz=True)]
    version: _Name
    boot: _Name
    epoch: _Epoch
    started_at: Annotated[datetime, Meta(tz=True)]
    alarm: LaneStatus
    telemetry: LaneStatus
    clock: ClockQuality
    config_version: Annotated[str, Meta(max_length=128)] = ""
    """Version the fleet gave; empty: a local file."""
    config_sha256: Annotated[str, Meta(max_length=64)] = ""
    disk_used: Annotated[float, Meta(ge=0, le=1)] | None = None
    devices: _Count = 0
    devices_online: _Count = 0
    open_alarms: _Count = 0
    is_stopping: bool = False
    """Said once before an orderly end: the silence that follows is expected."""


class StatusAnswer(Struct, frozen=True, kw_only=True):
    """What the fleet answers."""

    at: Annotated[datetime, Meta(tz=True)]
    """Clock of the fleet."""
    orders_head: _Count
    """Last order of this gateway's lane: a gateway whose stream died silently notices here."""
    orders_epoch: str
    evidence_wanted: tuple[_Hex32, ...] = ()
    """SHA-256 of the files the fleet would like to have; at most 64."""


class Cursor(Struct, frozen=True, kw_only=True):
    """Where the fleet stands in one lane; an unknown gateway has `seq` 0 and no epoch."""

    lane: Lane
    epoch: Annotated[str, Meta(pattern="^([0-9a-f]{32})?$")]
    seq: _Count


class EvidenceAnswer(Struct, frozen=True, kw_only=True):
    """How much of a file the fleet has."""

    sha256: _Hex32
    received_bytes: _Count
    is_complete: bool


def journal_path(gateway_id: str, lane: Lane) -> str:
    """Return the path for batches of one lane."""
    return f"/api/v1/gateways/{gateway_id}/journal/{lane.value}"


def gateway_path(gateway_id: str, what: str) -> str:
    """Return the path of `what` (`status`, `orders`, `orders/stream`, `certificate`, …) of one gateway."""
    return f"/api/v1/gateways/{gateway_id}/{what}"


def decode(raw: bytes, kind: type[_T]) -> _T:
    """Return `raw` as a `kind`; unknown fields are stepped over.

    Raises:
        MessageError: too large, not JSON, or out of range.
    """
    if len(raw) > MAX_MESSAGE_BYTES:
        raise MessageError(f"{len(raw)} bytes; a message has at most {MAX_MESSAGE_BYTES}")
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise MessageError(str(error)) from error
