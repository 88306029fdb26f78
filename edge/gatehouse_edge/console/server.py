"""Serving the console: TLS, uvicorn without its signal handlers, and an end within a second."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from gatehouse_config.model import GatewayConfig
from gatehouse_edge.clock import Clock
from gatehouse_edge.console.state import ConsoleState
from gatehouse_edge.console.tls import TlsFiles, ensure_own

FOLDER: Final = "console"
"""Below the storage directory: users, CA, certificate."""
_BACKLOG: Final = 64
_log = logging.getLogger(__name__)


class ConsoleError(Exception):
    """The console cannot be served."""


def console_directory(config: GatewayConfig) -> Path:
    """Return the folder of the console's own files."""
    return config.resolve(config.storage.directory) / FOLDER


def tls_files(config: GatewayConfig, clock: Clock) -> TlsFiles | None:
    """Return certificate and key as the configuration says, None with TLS off. Makes the own CA at first start."""
    console = config.console
    match console.tls:
        case "off":
            return None
        case "files":
            if console.certificate_file is None or console.private_key_file is None:
                raise ConsoleError("tls: files without files")
            return TlsFiles(
                certificate=config.resolve(console.certificate_file),
                private_key=config.resolve(console.private_key_file),
                ca=None,
                ca_fingerprint="",
            )
        case "own_ca":
            names = [*console.names, *([] if console.host in {"0.0.0.0", "::"} else [console.host])]  # noqa: S104  # compared, not bound
            return ensure_own(
                console_directory(config), gateway_id=config.gateway.id, names=names, at=clock.now().wall
            )


class ConsoleServer:
    """Runs the application and its stream until cancelled."""

    def __init__(self, app: FastAPI, *, host: str, port: int, tls: TlsFiles | None) -> None:
        self._state: Final[ConsoleState] = app.state.console
        self._tls: Final = tls
        self._server: Final = uvicorn.Server(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                http="httptools",
                ws="none",
                loop="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                limit_concurrency=200,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=1,
                h11_max_incomplete_event_size=16 * 1024,
            )
        )
        self.is_serving: Final = asyncio.Event()

    @property
    def port(self) -> int:
        """The port it listens on; known once `is_serving` is set."""
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            ConsoleError: the address is taken or the certificate unusable.
        """
        server, config = self._server, self._server.config
        config.load()
        if self._tls is not None:
            config.ssl = _context(self._tls)
        server.lifespan = config.lifespan_class(config)
        try:
            await server.startup()
        except SystemExit:
            # uvicorn exits the process when it cannot bind; here that is a fault with a name.
            raise ConsoleError(f"cannot listen on {config.host}:{config.port}") from None
        self.is_serving.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._state.stream.run(), name="console stream")
                tasks.create_task(self._state.attendance.run(), name="console attendance")
                tasks.create_task(self._state.drills.run(), name="console drills")
                tasks.create_task(server.main_loop(), name="console server")
        finally:
            self._state.stream.close()
            await server.shutdown()


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(files.certificate, files.private_key)
    except (OSError, ssl.SSLError) as error:
        raise ConsoleError(f"{files.certificate} cannot be used: {error}") from None
    return context
