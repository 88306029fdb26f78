"""Configurations put together: gateways fetch their version, rollouts are moved on."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol

from gatehouse_fleet.api.problems import NOT_FOUND, ProblemError, problem_response
from gatehouse_fleet.configs import rollout, versions
from gatehouse_fleet.ingest.app import Asgi
from gatehouse_fleet.orders import orders_topic
from gatehouse_fleet.orders.service import OUTCOMES_TOPIC
from gatehouse_fleet.services import Services

LOOK_EVERY_S: Final = 15.0
"""Soak times end and gateways fall silent without anybody saying so."""
_PATH: Final = re.compile(r"/api/v1/gateways/([a-z0-9][a-z0-9-]{2,62})/configs/([0-9a-z-]{1,128})")
_log = logging.getLogger(__name__)


class Gateway(Protocol):
    """Who a request comes from."""

    @property
    def no(self) -> int:
        """`gateway.no`."""
        ...


class Configs:
    """One worker's part. `run` moves rollouts on."""

    def __init__(
        self,
        services: Services,
        authenticate: Callable[[MutableMapping[str, Any], str], Awaitable[Gateway]],
    ) -> None:
        self._services: Final = services
        self._authenticate: Final = authenticate

    def front(self, rest: Asgi) -> Asgi:
        """Return the application that gives gateways their configurations and all else to `rest`."""

        async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  # ASGI
            is_ours = (
                scope["type"] == "http"
                and scope["method"] == "GET"
                and _PATH.fullmatch(scope["path"]) is not None
            )
            await (self._give if is_ours else rest)(scope, receive, send)

        return app

    async def run(self) -> None:
        """Move rollouts on until cancelled: woken by outcomes, and every 15 s for what time does."""
        while True:
            seen = self._services.wake.count(OUTCOMES_TOPIC)
            await self.advance()
            await self._services.wake.wait(OUTCOMES_TOPIC, seen, timeout_s=LOOK_EVERY_S)

    async def advance(self) -> None:
        """Move every open rollout on once, each in a transaction of its own."""
        services = self._services
        async with services.store.read() as db:
            found = await rollout.open_rollouts(db)
        for rollout_id in found:
            async with services.store.begin() as db:
                issued = await rollout.advance(db, rollout_id, now=services.clock.now())
            for given in issued:
                services.wake.notify(orders_topic(given.gateway_id))

    async def _give(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  # ASGI
        try:
            body = await self._bytes(scope)
        except ProblemError as problem:
            await problem_response(problem)(scope, receive, send)
            return
        headers = [
            (b"content-type", b"application/yaml"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _bytes(self, scope: Any) -> bytes:  # noqa: ANN401  # ASGI
        found = _PATH.fullmatch(scope["path"])
        assert found is not None  # noqa: S101  # matched before
        asking = await self._authenticate(scope, found[1])
        async with self._services.store.read() as db:
            version = await versions.named(db, asking.no, found[2])
        if version is None:
            raise NOT_FOUND
        return version.text.encode()
