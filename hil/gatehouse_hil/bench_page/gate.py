"""Around every request: who asks, from where, and how much.

A page on the internet can make the technician's browser send requests to 127.0.0.1, and can point a name of its own at it
(DNS rebinding). So the `Host` must be one of ours, the `Origin` too where there is one, a change must carry a header that no
foreign page can set, and nothing but the style sheets is handed out without a session.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from http.cookies import CookieError, SimpleCookie
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatehouse_hil.bench_page.door import Door
from gatehouse_hil.bench_page.problems import problem
from gatehouse_ui import SECURITY_HEADERS, bounded

GUARD: Final = "x-gatehouse"
"""The header a foreign page cannot send without a preflight that we do not answer."""
MAX_BODY_BYTES: Final = 64 * 1024
_OPEN_PATHS: Final = ("/open", "/ui/", "/favicon.ico")
_LOCKED: Final = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>调试台 · Bench</title><link rel="stylesheet" href="/ui/tokens.css"><link rel="stylesheet" href="/ui/base.css">
<main class="empty"><b>此地址需要一次性口令</b><p>请在终端运行 <code>gatehouse-bench page</code>，打开它打印的地址。</p>
<p lang="en">This page opens with the one-time address that <code>gatehouse-bench page</code> prints. Run it again for a fresh one.</p></main></html>"""


class Gate:
    """Pure ASGI, so that streams pass through it untouched."""

    def __init__(
        self, app: ASGIApp, *, door: Door, hosts: frozenset[str], cookie: str, now: Callable[[], datetime]
    ) -> None:
        self._app: Final = app
        self._door: Final = door
        self._hosts: Final = hosts
        self._origins: Final = frozenset(f"http://{host}" for host in hosts)
        self._cookie: Final = cookie
        self._now: Final = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            return  # closes it: there are none here
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, dressed)
            return
        await self._app(scope, bounded(receive, MAX_BODY_BYTES), dressed)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self._hosts:
            return problem(421, "foreign_host")
        is_change = scope["method"] not in {"GET", "HEAD"}
        origin = headers.get("origin")
        if (origin is not None and origin not in self._origins) or (is_change and origin is None):
            return problem(403, "foreign_origin")
        is_api = scope["path"].startswith("/api/")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") and is_api:
            return problem(403, "foreign_origin")
        if is_change and GUARD not in headers:
            return problem(403, "foreign_origin")
        if any(scope["path"].startswith(path) for path in _OPEN_PATHS):
            return None
        if not self._door.knows(_cookie_in(headers, self._cookie), self._now()):
            return problem(401, "no_session") if is_api else HTMLResponse(_LOCKED, 401)
        return None


def _cookie_in(headers: Headers, name: str) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value
