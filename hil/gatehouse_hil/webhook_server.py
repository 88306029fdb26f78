"""A server that takes notifications over HTTP or HTTPS on loopback, and can be slow, silent or unwilling."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

_MAX_BODY: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One POST as it arrived; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


class WebhookServer:
    """`async with WebhookServer() as server:`; then look at `requests` and set `statuses` or `is_silent`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.statuses: list[int] = []
        """Answers to the next requests, first one first; 200 afterwards."""
        self.is_silent = False
        """Takes requests and never answers."""
        self._tls: Final = tls
        self._news = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where to post to."""
        if self._server is None:
            raise RuntimeError("not started")
        port = self._server.sockets[0].getsockname()[1]
        return f"{'http' if self._tls is None else 'https'}://localhost:{port}/alarm"

    async def wait_for_requests(self, count: int, *, within_s: float = 10.0) -> list[Request]:
        """Return the requests once there are at least `count`.

        Raises:
            TimeoutError: they did not come.
        """
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(min(int(headers.get("content-length", "0")), _MAX_BODY))
        async with self._news:
            self.requests.append(Request(path=head[0].split(" ")[1], headers=headers, body=body))
            self._news.notify_all()
        if self.is_silent:
            await reader.read()
            return False
        status = self.statuses.pop(0) if self.statuses else 200
        location = "location: /elsewhere\r\n" if 300 <= status < 400 else ""
        writer.write(f"HTTP/1.1 {status} status\r\n{location}content-length: 0\r\n\r\n".encode("ascii"))
        await writer.drain()
        return True
