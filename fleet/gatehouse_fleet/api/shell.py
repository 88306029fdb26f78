"""Around every request: security headers, and a bound on what a peer may send."""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatehouse_events import bench_record
from gatehouse_fleet.cases import photos
from gatehouse_ui import SECURITY_HEADERS, bounded

MAX_BODY_BYTES: Final = 64 * 1024
"""The largest ordinary body, an enrolment with its request, has 20 KiB."""
MAX_CONFIG_BYTES: Final = 3 * 1024 * 1024
"""A configuration of 1 MiB as a JSON string: line ends and quotes take two bytes."""
LARGER: Final[tuple[tuple[re.Pattern[str], int], ...]] = (
    (re.compile(r"/api/v1/cases/\d{1,16}/photos"), photos.MAX_BYTES),
    (re.compile(r"/api/v1/gateways/[a-z0-9-]{3,63}/config-(versions|check)"), MAX_CONFIG_BYTES),
    (re.compile(r"/api/v1/config-templates/[a-z0-9-]{1,63}"), MAX_CONFIG_BYTES),
    (re.compile(r"/api/v1/bench/records"), bench_record.MAX_FILE_BYTES),
)
"""Paths whose bodies may be larger (photos, configurations): a full-match pattern and bytes, one line each."""
_TLS_HEADERS: Final = {"Strict-Transport-Security": "max-age=31536000"}


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
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                if scope.get("scheme") == "https":
                    headers.update(_TLS_HEADERS)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, bounded(receive, _limit(scope["path"])), dressed)


def _limit(path: str) -> int:
    return next((size for pattern, size in LARGER if pattern.fullmatch(path)), MAX_BODY_BYTES)
