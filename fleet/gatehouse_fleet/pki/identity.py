"""Which gateway stands at the other end of a connection: asked anew for every request, so that a revocation counts at once.

Nothing is cached. On SQLite the question is one indexed read on a connection of its own (16 µs of CPU, docs/fleet.md), cheaper than any
cache would be to get right: the command line revokes from another process.
"""

from __future__ import annotations

import sqlite3
import threading
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote, unquote

from msgspec import Struct
from sqlalchemy import select, text
from starlette.types import Scope

from gatehouse_events.chain import microseconds
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.pki.authority import Authority, PkiError
from gatehouse_fleet.pki.tls import CERT_KEY, EXTENSION
from gatehouse_fleet.registry.life import SHUT_OUT, LifeState
from gatehouse_fleet.settings import ServerSettings
from gatehouse_fleet.store import Store

_QUERY: Final = """
SELECT c.gateway_no, c.expires_at, c.revoked_at, g.id, g.state, g.node_id, n.path
FROM certificate c JOIN gateway g ON g.no = c.gateway_no JOIN org_node n ON n.id = g.node_id
WHERE c.fingerprint = :fingerprint
"""
_MAX_HEADER: Final = 16 * 1024


class GatewayIdentity(Struct, frozen=True, kw_only=True):
    """A gateway that has proved who it is."""

    no: int
    id: str
    node_id: int
    """Its community."""
    node_path: str
    fingerprint: bytes
    """SHA-256 of the certificate it showed."""


class IdentityError(FleetError):
    """The request comes from no gateway of ours.

    Attributes:
        status: 401 without a certificate, else 403.
        reason: `no_certificate`, `certificate`, `chain`, `unknown_certificate`, `revoked`, `expired`, `shut_out`, `wrong_gateway`.
        claimed: the gateway's id as far as it is known, for the audit log.
    """

    def __init__(self, status: int, reason: str, *, claimed: str = "") -> None:
        super().__init__(f"the client certificate is refused: {reason}")
        self.status: Final = status
        self.reason: Final = reason
        self.claimed: Final = claimed


class Identifier:
    """Finds the gateway behind an ASGI scope. One per worker; `close` at the end."""

    def __init__(self, store: Store, authority: Authority, clock: Clock, server: ServerSettings) -> None:
        self._store: Final = store
        self._authority: Final = authority
        self._clock: Final = clock
        self._is_behind_proxy: Final = server.tls == "proxy"
        self._proxy_address: Final = server.proxy_address
        self._proxy_header: Final = server.proxy_header.lower().encode("ascii")
        self._sqlite: sqlite3.Connection | None = None
        self._lock: Final = threading.Lock()

    async def identify(self, scope: Scope, gateway_id: str | None = None) -> GatewayIdentity:
        """Return whose certificate a request was made with.

        Args:
            scope: of the request.
            gateway_id: the id in its path, which must be the same.

        Raises:
            IdentityError: nobody's, or no longer good, or another gateway's.
        """
        der = self._certificate(scope)
        now = self._clock.now()
        if self._is_behind_proxy:
            # The proxy has checked it too, but a path that was validated here needs no trust in its configuration.
            try:
                self._authority.check_client(der, at=now)
            except PkiError as error:
                raise IdentityError(403, error.reason) from error
        fingerprint = sha256(der).digest()
        row = await self._row(fingerprint)
        if row is None:
            raise IdentityError(403, "unknown_certificate")
        gateway_no, expires_us, revoked_us, found_id, state, node_id, path = row
        if revoked_us is not None:
            raise IdentityError(403, "revoked", claimed=found_id)
        # A connection may outlive its certificate.
        if expires_us <= microseconds(now):
            raise IdentityError(403, "expired", claimed=found_id)
        if LifeState(state) in SHUT_OUT:
            raise IdentityError(403, "shut_out", claimed=found_id)
        if gateway_id is not None and gateway_id != found_id:
            raise IdentityError(403, "wrong_gateway", claimed=found_id)
        return GatewayIdentity(
            no=gateway_no, id=found_id, node_id=node_id, node_path=path, fingerprint=fingerprint
        )

    def close(self) -> None:
        """Close the reading connection."""
        with self._lock:
            if self._sqlite is not None:
                self._sqlite.close()
                self._sqlite = None

    def _certificate(self, scope: Scope) -> bytes:
        if not self._is_behind_proxy:
            der = scope.get("extensions", {}).get(EXTENSION, {}).get(CERT_KEY)
            if not der:
                raise IdentityError(401, "no_certificate")
            return bytes(der)
        client = scope.get("client")
        if client is None or client[0] != self._proxy_address:
            raise IdentityError(401, "no_certificate")
        given = [value for name, value in scope["headers"] if name == self._proxy_header]
        # Two of them: one came through the proxy from outside.
        if len(given) != 1 or not given[0]:
            raise IdentityError(401, "no_certificate")
        return _der_of(given[0])

    async def _row(self, fingerprint: bytes) -> tuple[int, int, int | None, str, str, int, str] | None:
        if self._store.is_sqlite:
            with self._lock:
                row = self._connection().execute(_QUERY, {"fingerprint": fingerprint}).fetchone()
            return None if row is None else tuple(row)
        async with self._store.read() as db:
            found: Any = (await db.execute(text(_QUERY), {"fingerprint": fingerprint})).one_or_none()
        return None if found is None else tuple(found)

    def _connection(self) -> sqlite3.Connection:
        if self._sqlite is None:
            self._sqlite = sqlite3.connect(
                f"file:{quote(self._store.url.database or '')}?mode=ro",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=1.0,
            )
        return self._sqlite


async def expiries(store: Store, *, before: datetime) -> list[tuple[str, datetime]]:
    """Return the gateways whose newest certificate ends before `before`, soonest first: their rotation is stuck."""
    from sqlalchemy import func

    from gatehouse_fleet.store.schema.gateways import certificate, gateway

    newest = func.max(certificate.c.expires_at)
    query = (
        select(gateway.c.id, newest)
        .join(certificate, certificate.c.gateway_no == gateway.c.no)
        .where(certificate.c.revoked_at.is_(None))
        .group_by(gateway.c.id)
        .having(newest < before)
        .order_by(newest)
    )
    async with store.read() as db:
        return [(row[0], row[1]) for row in (await db.execute(query)).all()]


def _der_of(header: bytes) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    if len(header) > _MAX_HEADER:
        raise IdentityError(403, "certificate")
    try:
        pem = unquote(header.decode("ascii")).encode("ascii")
        return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    except ValueError as error:
        raise IdentityError(403, "certificate") from error
