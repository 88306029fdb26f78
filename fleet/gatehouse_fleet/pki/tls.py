"""TLS without a proxy: uvicorn's protocol, taught to tell the application which client certificate it saw.

OpenSSL validates the whole path (root, intermediate, validity, purpose) in the handshake; a certificate that fails ends the connection
there. A browser shows none and may log in (`CERT_OPTIONAL`). Revocation is looked up per request (`pki.identity`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gatehouse_fleet.pki.authority import PkiError

EXTENSION: Final = "tls"
"""Key in `scope["extensions"]` (the name the ASGI TLS extension uses)."""
CERT_KEY: Final = "client_cert_der"


HEADERS_WITHIN_S: Final = 15.0
"""uvicorn itself waits for ever for the first byte and for the last header; ten thousand such connections are cheap to hold open."""


class TlsProtocol(HttpToolsProtocol):
    """Adds `scope["extensions"]["tls"]["client_cert_der"]`: bytes, or None without a client certificate."""

    headers_within_s: float = HEADERS_WITHIN_S
    _patience: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Remember the certificate of this connection."""
        super().connection_made(transport)
        self._be_patient()
        tls = transport.get_extra_info("ssl_object")
        der = tls.getpeercert(binary_form=True) if tls is not None else None
        inner = self.app

        async def with_certificate(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  # uvicorn's own types
            scope.setdefault("extensions", {})[EXTENSION] = {CERT_KEY: der}
            await inner(scope, receive, send)

        self.app = with_certificate

    @override
    def on_message_begin(self) -> None:
        """A request has begun: its headers must follow soon."""
        super().on_message_begin()
        self._be_patient()

    @override
    def on_headers_complete(self) -> None:
        """Whoever has said what is wanted is no slow loris; bodies have bounds of their own."""
        self._calm_down()
        super().on_headers_complete()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._calm_down()
        super().connection_lost(exc)

    def _be_patient(self) -> None:
        self._calm_down()
        self._patience = self.loop.call_later(self.headers_within_s, self.transport.abort)

    def _calm_down(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def server_context(
    chain: Path,
    private_key: Path,
    *,
    client_roots_pem: str | None,
    on_refused: Callable[[str], None] = lambda _: None,
) -> ssl.SSLContext:
    """Return the context of the listening socket.

    Args:
        chain: certificate of this server, then the intermediate.
        private_key: its key.
        client_roots_pem: whom client certificates must lead to; None: none are asked for.
        on_refused: told why a handshake with a client certificate failed; called on the loop, must not block.

    Raises:
        PkiError: `file`: certificate or key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(chain, private_key)
    except (OSError, ssl.SSLError) as error:
        raise PkiError("file", f"{chain} and {private_key} cannot be used: {error}") from error
    if client_roots_pem is not None:
        context.load_verify_locations(cadata=client_roots_pem)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_STRICT

        class Watched(ssl.SSLObject):
            @override
            def do_handshake(self) -> None:
                try:
                    super().do_handshake()
                except ssl.SSLCertVerificationError as error:
                    # asyncio says nothing of failed handshakes, and somebody with a foreign certificate should be noticed.
                    on_refused(error.verify_message)
                    raise

        context.sslobject_class = Watched
    return context
