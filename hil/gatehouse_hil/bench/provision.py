"""Give a board its identity and its key.

The key is made here, written through the raw REPL, and then known to the node and, sealed, to the fleet alone: it is never
printed, logged, stored in the clear or put on a command line. What may be shown is its check value (first 4 bytes of
HMAC-SHA256, `firmware/node/README.md`), which the node computes by itself, so that a key that arrived wrong is found.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from msgspec import Struct

from gatehouse_hil.bench import node
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.key_wrap import wrap
from gatehouse_hil.bench.kind import Kind
from gatehouse_hil.bench.station import Station

KEY_BYTES: Final = 16
_CHECK_TEXT: Final = b"gatehouse key check 1"


class Registration(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the fleet is told of a new device: body of `POST /api/v1/bench/devices`."""

    serial: str
    kind: str
    mac: str
    key_check: str
    key_id: int = 1
    wrapped_key: str | None = None
    """See `key_wrap`. None only for simulated boards without a fleet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Who the board becomes."""

    kind: Kind
    serial: str
    mac: str
    node: int = 1
    """Modbus unit id (gas) or node id (lift)."""
    key_id: int = 1


def key_check(key: bytes) -> str:
    """Return the 8 hex digits by which a key may be named."""
    return hmac.digest(key, _CHECK_TEXT, "sha256")[:4].hex()


async def provision(station: Station, request: Request, fleet: X25519PublicKey | None) -> Registration:
    """Make a key, write it, compare the node's check value with ours, and return what the fleet must be told.

    Raises:
        BenchError: NO_FLEET_KEY for a real board without a fleet to seal the key for; KEY_CHECK_DIFFERS; whatever `node`
            raises, never with the key in it.
    """
    if fleet is None and not station.is_simulated:
        raise BenchError(Fault.NO_FLEET_KEY)
    key = secrets.token_bytes(KEY_BYTES)
    said = await node.provision(
        station.port,
        kind=request.kind,
        serial=request.serial,
        node=request.node,
        key_id=request.key_id,
        key=key,
    )
    if not said.ok or said.serial != request.serial or said.key_check != key_check(key):
        raise BenchError(Fault.KEY_CHECK_DIFFERS, serial=request.serial)
    return Registration(
        serial=request.serial,
        kind=request.kind.value,
        mac=request.mac,
        key_check=key_check(key),
        key_id=request.key_id,
        wrapped_key=None if fleet is None else wrap(key, serial=request.serial, fleet=fleet),
    )
