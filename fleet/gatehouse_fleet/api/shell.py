"""Around every request: security headers, and a bound on what a peer may send."""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatehouse_fleet.cases import photos

MAX_BODY_BYTES: Final = 64 * 1024
"""The largest ordinary body, an enrolment with its request, has 20 KiB."""
LARGER: Final[tuple[tuple[re.Pattern[str], int], ...]] = (
    (re.compile(r"/api/v1/cases/\d{1,16}/photos"), photos.MAX_BYTES),
)
"""Paths whose bodies may be larger (photos, configurations): a full-match pattern and bytes, one line each."""
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "require-trusted-types-for 'script'"
)
_HEADERS: Final = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "X-Frame-Options": "DENY",
}
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
        limit = _limit(scope["path"])
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > limit:
                    # An HTTPException, because the framework turns any other error of reading into a 400.
                    raise HTTPException(413)
            return message

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                if scope.get("scheme") == "https":
                    headers.update(_TLS_HEADERS)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, bounded, dressed)


def _limit(path: str) -> int:
    return next((size for pattern, size in LARGER if pattern.fullmatch(path)), MAX_BODY_BYTES)
