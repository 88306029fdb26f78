"""What a technicians' bench and its fleet server say to each other over HTTPS.

| method and path | body -> answer |
|---|---|
| POST /api/v1/bench/records | a signed record as it lies on the bench's disk (`bench_record.SignedRecord`), at most `bench_record.MAX_FILE_BYTES` |
| POST /api/v1/bench/devices | `DeviceRegistration` |
| GET /api/v1/bench/wrapping-key | -> `WrappingKey` |

Every call carries `Authorization: Bearer` with the token that the fleet made for this bench. The same body told again changes
nothing: 201 the first time, 200 afterwards. What is refused is refused for good (4xx, a problem document by RFC 9457 with
`reason`), and the bench keeps it; after 429 and 5xx it tries again.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

RECORDS: Final = "/api/v1/bench/records"
DEVICES: Final = "/api/v1/bench/devices"
WRAPPING_KEY: Final = "/api/v1/bench/wrapping-key"


class DeviceRegistration(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the fleet is told of a device that has just been given its key."""

    serial: Annotated[str, Meta(pattern="^[0-9A-Za-z][0-9A-Za-z-]{0,23}$")]
    """At most 24 characters, as the node keeps it."""
    kind: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$")]
    mac: Annotated[str, Meta(pattern="^[0-9a-f]{12}$")]
    key_check: Annotated[str, Meta(pattern="^[0-9a-f]{8}$")]
    """`key_wrap.key_check`."""
    key_id: Annotated[int, Meta(ge=1, le=255)] = 1
    wrapped_key: Annotated[str, Meta(max_length=128)] | None = None
    """See `key_wrap`. None only for simulated boards without a fleet."""


class WrappingKey(Struct, frozen=True, kw_only=True):
    """Whom device keys are sealed for."""

    pem: str
    """X25519 public key, SubjectPublicKeyInfo."""
    fingerprint: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of the raw public key; compare it with what `gatehouse-fleet bench key` prints on the server."""
