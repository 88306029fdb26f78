"""Ending requests that would never end: streams and long polls, when the worker stops."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatehouse_events.states import Label
from gatehouse_fleet.api.problems import ProblemError, problem_response

_STOPPING: Final = ProblemError(
    503, "stopping", Label("服务器正在停止，请重试", "this server is stopping; try again"), retry_after_s=1
)


class Ending:
    """Around the whole application: `end` lets every request under way end as if the time for it were over."""

    def __init__(self, app: ASGIApp) -> None:
        self._app: Final = app
        self._open: Final[set[asyncio.Timeout]] = set()

    def end(self) -> None:
        """End what is under way: a stream with its last chunk, anything else with 503."""
        now_s = asyncio.get_running_loop().time()
        for limit in self._open:
            if not limit.expired():
                limit.reschedule(now_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        has_started = False

        async def noted(message: Message) -> None:
            nonlocal has_started
            has_started = has_started or message["type"] == "http.response.start"
            await send(message)

        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._open.add(limit)
                await self._app(scope, receive, noted)
        except TimeoutError:
            if not limit.expired():
                raise
            if has_started:
                await send({"type": "http.response.body", "body": b""})
            else:
                await problem_response(_STOPPING)(scope, receive, send)
        finally:
            self._open.discard(limit)
