"""Rate limits of the people's interface: a token bucket per address and one per session, in bounded memory.

Gateways with a certificate do not pass here (`ingest` stands in front); what they may send is bounded there. Counted per worker.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from http.cookies import CookieError, SimpleCookie
from typing import Final

from msgspec import Struct
from starlette.types import ASGIApp, Receive, Scope, Send

from gatehouse_events.states import Label
from gatehouse_fleet.api.problems import ProblemError, problem_response
from gatehouse_fleet.api.session import cookie_name, network_of, station
from gatehouse_fleet.people.sessions import token_hash
from gatehouse_fleet.services import Services

MAX_KEYS: Final = 4096
"""Addresses and sessions remembered; whoever was quiet longest gives way, and would have had a full bucket anyhow."""


class Allowance(Struct, frozen=True, kw_only=True):
    """How much one key may ask."""

    burst: int
    per_s: float


ADDRESS: Final = Allowance(burst=400, per_s=80.0)
"""A whole office stands behind one address."""
SESSION: Final = Allowance(burst=150, per_s=30.0)
"""A page that loads everything at once, then one event after the other."""


class Buckets:
    """Token buckets of one kind."""

    def __init__(self, allowance: Allowance, *, max_keys: int = MAX_KEYS) -> None:
        self._allowance: Final = allowance
        self._max_keys: Final = max_keys
        self._levels: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: bytes, now_s: float) -> float:
        """Take one token and return 0; with none left return how long to wait for it."""
        allowance = self._allowance
        level, at_s = self._levels.get(key, (float(allowance.burst), now_s))
        level = min(float(allowance.burst), level + max(0.0, now_s - at_s) * allowance.per_s)
        is_enough = level >= 1.0
        self._levels[key] = (level - is_enough, now_s)
        self._levels.move_to_end(key)
        while len(self._levels) > self._max_keys:
            self._levels.popitem(last=False)
        return 0.0 if is_enough else (1.0 - level) / allowance.per_s

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._levels)


class Rates:
    """Pure ASGI, so that streams pass through it untouched."""

    def __init__(
        self,
        app: ASGIApp,
        services: Services,
        *,
        address: Allowance = ADDRESS,
        session: Allowance = SESSION,
    ) -> None:
        self._app: Final = app
        self._services: Final = services
        self._by_address: Final = Buckets(address)
        self._by_session: Final = Buckets(session)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it before anything is looked up."""
        if scope["type"] == "http" and scope["path"].startswith("/api/"):
            wait_s = self._wait_s(scope)
            if wait_s > 0:
                words = Label("请求过于频繁", "too many requests")
                problem = ProblemError(429, "too_many_requests", words, retry_after_s=wait_s)
                await problem_response(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _wait_s(self, scope: Scope) -> float:
        now_s = asyncio.get_running_loop().time()
        address = network_of(station(scope, self._services.settings.server))
        wait_s = self._by_address.wait_s(address.encode(), now_s)
        token = _token(scope, cookie_name(self._services))
        # Whoever invents session tokens still has only one address.
        return wait_s or (self._by_session.wait_s(token_hash(token), now_s) if token else 0.0)


def _token(scope: Scope, name: str) -> str:
    for header, value in scope["headers"]:
        if header == b"cookie":
            cookie = SimpleCookie()
            try:
                cookie.load(value.decode("latin-1"))
            except CookieError:
                return ""
            return cookie[name].value if name in cookie else ""
    return ""
