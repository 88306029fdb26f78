"""Who is at the other end: what ingest needs to know of a gateway, and how it asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from gatehouse_events.states import Label

Scope = Mapping[str, Any]
"""An ASGI scope; whoever proves identity finds certificate and peer address in it."""


class GatewayIdentity(Struct, frozen=True, kw_only=True):
    """A gateway that has proven who it is."""

    no: int
    """`gateway.no`."""
    id: str
    node_id: int
    node_path: str
    """Path of its community in the tree of places: `/1/5/9/`."""


class Refusal(Struct, frozen=True, kw_only=True):
    """Nobody we know, or no longer: the request ends here."""

    status: int
    """401 without a certificate, 403 for one that is revoked, expired or foreign."""
    reason: str
    text: Label


class Identify(Protocol):
    """Proves the peer of a request; asked before a byte of the body is read."""

    async def __call__(self, scope: Scope) -> GatewayIdentity | Refusal:
        """Return who it is, or why it is refused. Revocation counts from the next call on."""
        ...
