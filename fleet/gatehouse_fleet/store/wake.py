"""Telling waiting tasks that something was committed: within the process at once, to other workers by LISTEN/NOTIFY.

A wake says "look again", never what is new: who is woken reads the database after its own cursor, so a wake too many
costs a query and a wake lost costs the waiter's time-out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from typing import Final

_MAX_OUTGOING: Final = 100_000
"""Topics kept while the connection to the other workers is broken; beyond, they find out by their time-outs."""


class Wake:
    """Counts what happened under each topic (`alarm`, `orders:wh-371002-0007-gw1`, `feed`, …)."""

    def __init__(self) -> None:
        self._counts: Final[defaultdict[str, int]] = defaultdict(int)
        self._waiting: Final[defaultdict[str, set[asyncio.Future[None]]]] = defaultdict(set)
        self._outgoing: dict[str, None] | None = None
        self._has_outgoing: Final = asyncio.Event()

    def notify(self, topic: str) -> None:
        """Wake everybody who waits for `topic`: in this process at once, in other workers soon."""
        self.hear(topic)
        if self._outgoing is not None and len(self._outgoing) < _MAX_OUTGOING:
            self._outgoing[topic] = None
            self._has_outgoing.set()

    def hear(self, topic: str) -> None:
        """Wake everybody who waits for `topic` in this process only."""
        self._counts[topic] += 1
        for waiter in self._waiting.pop(topic, ()):
            if not waiter.done():
                waiter.set_result(None)

    def hear_all(self) -> None:
        """Wake everybody in this process: something may have been missed."""
        for topic in list(self._waiting):
            self.hear(topic)

    async def outgoing(self, *, timeout_s: float) -> list[str]:
        """Return the topics notified here since the last call, for `store.relay`; empty after `timeout_s`."""
        if self._outgoing is None:
            self._outgoing = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._has_outgoing.wait()
        self._has_outgoing.clear()
        topics, self._outgoing = list(self._outgoing), {}
        return topics

    def count(self, topic: str) -> int:
        """Return a mark to pass to `wait`; take it BEFORE looking into the database."""
        return self._counts[topic]

    def waiter(self, topic: str) -> asyncio.Future[None]:
        """Return a future that the next notification of `topic` ends: for tens of thousands who wait; `forget` it afterwards."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[topic].add(waiter)
        return waiter

    def forget(self, topic: str, waiter: asyncio.Future[None]) -> None:
        """Take back what `waiter` gave."""
        known = self._waiting.get(topic)
        if known is not None:
            known.discard(waiter)
            if not known:
                del self._waiting[topic]

    async def wait(self, topic: str, seen: int, *, timeout_s: float) -> bool:
        """Wait until `topic` was notified after `seen`; False when `timeout_s` passed without."""
        if self._counts[topic] != seen:
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[topic].add(waiter)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await waiter
        finally:
            self._waiting[topic].discard(waiter)
            if not self._waiting[topic]:
                del self._waiting[topic]
        return self._counts[topic] != seen
