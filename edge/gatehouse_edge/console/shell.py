"""Around every request: security headers, and a bound on what a peer may send."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatehouse_ui import SECURITY_HEADERS, bounded

MAX_BODY_BYTES: Final = 64 * 1024
"""The largest order, 200 receipts, has 20 KiB."""


class Shell:
    """Pure ASGI, so that streams pass through it untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app: Final = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        await self._app(scope, bounded(receive, MAX_BODY_BYTES), dressed)
