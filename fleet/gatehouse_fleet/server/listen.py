"""Listening: TLS, uvicorn without its signal handlers, and an end within seconds."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final, assert_never

import uvicorn
from starlette.types import ASGIApp

from gatehouse_events.fleet_api import KEEP_ALIVE_S
from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.pki.authority import Authority
from gatehouse_fleet.pki.tls import TlsProtocol, server_context
from gatehouse_fleet.server.ending import Ending
from gatehouse_fleet.services import Services

_BACKLOG: Final = 1024
_ANSWER_S: Final = 1.0
"""Requests under way get this long to be answered; then streams and long polls are ended."""
_GRACE_S: Final = 2
"""What is still there then is cut."""
_log = logging.getLogger(__name__)


class ListenError(FleetError):
    """The server cannot listen."""


def bind(host: str, port: int) -> socket.socket:
    """Return the listening socket; workers share it.

    Raises:
        ListenError: the address is taken or not ours.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # From here on whoever knows the address may connect; they wait until a worker takes them.
        listener.listen(_BACKLOG)
    except OSError as error:
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    listener.setblocking(False)
    return listener


def context_of(
    services: Services, authority: Authority, *, on_refused: Callable[[str], None]
) -> ssl.SSLContext | None:
    """Return the TLS context as the settings say; None behind a proxy and with TLS off."""
    server, now = services.settings.server, services.clock.now()
    match server.tls:
        case "off" | "proxy":
            return None
        case "files":
            assert server.certificate_file is not None  # noqa: S101  # checked by the settings
            assert server.private_key_file is not None  # noqa: S101  # checked by the settings
            chain, key = server.certificate_file, server.private_key_file
        case "own_ca":
            names = [*server.names, *([] if server.host in {"0.0.0.0", "::"} else [server.host])]  # noqa: S104  # compared, not bound
            chain, key = authority.server_files(names, at=now)
        case other:
            assert_never(other)
    return server_context(chain, key, client_roots_pem=authority.trusted_pem, on_refused=on_refused)


class Listener:
    """Serves one application on one socket until `stop` or cancellation."""

    def __init__(self, app: ASGIApp, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        self._sock: Final = sock
        self._ending: Final = Ending(app)
        self._tls: Final = tls
        self._server: Final = uvicorn.Server(
            uvicorn.Config(
                self._ending,
                http=TlsProtocol,
                ws="none",
                loop="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        self.is_serving: Final = asyncio.Event()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._sock.getsockname()[1])

    def stop(self) -> None:
        """Take no more connections; `run` returns when the requests under way are answered."""
        self._server.should_exit = True

    async def run(self) -> None:
        """Serve."""
        server, config = self._server, self._server.config
        config.load()
        config.ssl = self._tls
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[self._sock])
        self.is_serving.set()
        try:
            await server.main_loop()
        finally:
            asyncio.get_running_loop().call_later(_ANSWER_S, self._ending.end)
            await server.shutdown(sockets=[self._sock])
