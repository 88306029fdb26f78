"""One way out: what every channel can do, and the queue in front of it that keeps its troubles to itself."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from msgspec import Struct

from gatehouse_edge.notifier.contact import Via
from gatehouse_edge.notifier.errors import NotifierError, RefusedError, TryAgainError
from gatehouse_edge.notifier.message import Notification

QUEUE_LIMIT: Final = 128
"""Notifications waiting for one channel. A flood folds into incidents long before; beyond it the least urgent is given up."""
_JITTER: Final = 0.2
"""Two gateways behind one server that came back should not knock together."""
_log = logging.getLogger(__name__)


class Channel(Protocol):
    """A way to people."""

    @property
    def via(self) -> Via:
        """Which contacts it serves."""
        ...

    async def deliver(self, notification: Notification) -> None:
        """Return once the other side has taken the notification; bounded in time.

        Raises:
            TryAgainError: not now.
            RefusedError: never.
        """
        ...

    async def close(self) -> None:
        """Give back ports and connections; the channel may be used again afterwards."""
        ...


class Delivery(Struct, frozen=True, kw_only=True):
    """How it ended for one notification."""

    notification: Notification
    is_delivered: bool
    is_withdrawn: bool = False
    """Nobody wanted it any more: acknowledged while it waited for another try."""
    tries: int
    reason: str = ""


class Patience(Struct, frozen=True, kw_only=True):
    """How long a channel is given."""

    retry_s: float = 15.0
    give_up_after: int = 20


class _Job:
    def __init__(self, notification: Notification, done: asyncio.Future[Delivery]) -> None:
        self.notification = notification
        self.done = done
        self.tries = 0
        self.not_before_s = 0.0


class Counter:
    """One channel and its queue. Urgent first; a contact that cannot be reached delays nobody else on the channel."""

    def __init__(
        self,
        channel: Channel,
        *,
        patience: Patience,
        is_wanted: Callable[[Notification], bool],
    ) -> None:
        self._channel: Final = channel
        self._patience: Final = patience
        self._is_wanted: Final = is_wanted
        self._jobs: list[_Job] = []
        self._changed = asyncio.Event()

    def submit(self, notification: Notification) -> asyncio.Future[Delivery]:
        """Queue a notification; the future ends with what became of it, never with an error."""
        done: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(notification, done))
        if len(self._jobs) > QUEUE_LIMIT:
            least = max(
                self._jobs, key=lambda job: (job.notification.is_test, job.notification.priority.value)
            )
            self._finish(least, reason="too many notifications are waiting")
        self._changed.set()
        return done

    async def run(self) -> None:
        """Deliver until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._changed.clear()
                job, pause_s = self._next(loop.time())
                if job is None:
                    await self._wait(pause_s)
                    continue
                await self._attempt(job, loop)
        finally:
            await self._channel.close()

    def _next(self, now_s: float) -> tuple[_Job | None, float | None]:
        ready = [job for job in self._jobs if job.not_before_s <= now_s]
        if ready:
            return min(ready, key=_urgency), None
        return None, min((job.not_before_s - now_s for job in self._jobs), default=None)

    async def _wait(self, pause_s: float | None) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _attempt(self, job: _Job, loop: asyncio.AbstractEventLoop) -> None:
        if job.tries and not self._is_wanted(job.notification):
            self._finish(job, is_withdrawn=True, reason="acknowledged meanwhile")
            return
        job.tries += 1
        try:
            await self._deliver(job.notification)
        except NotifierError as error:
            _log.warning(
                "%s to %s failed, try %d: %s",
                self._channel.via,
                job.notification.contact.id,
                job.tries,
                error.reason,
            )
            if isinstance(error, RefusedError) or job.tries >= self._patience.give_up_after:
                self._finish(job, reason=error.reason)
                return
            spread = 1 + random.uniform(-_JITTER, _JITTER)  # noqa: S311  # spreads load, hides nothing
            job.not_before_s = loop.time() + self._patience.retry_s * spread
            return
        self._finish(job, is_delivered=True)

    async def _deliver(self, notification: Notification) -> None:
        try:
            await self._channel.deliver(notification)
        except NotifierError:
            raise
        except Exception as error:  # a bug of one channel or its library must not silence the others
            _log.exception("%s failed in a way nobody thought of", self._channel.via)
            raise TryAgainError(f"{type(error).__name__} in the channel itself") from error

    def _finish(
        self, job: _Job, *, is_delivered: bool = False, is_withdrawn: bool = False, reason: str = ""
    ) -> None:
        if job in self._jobs:
            self._jobs.remove(job)
        delivery = Delivery(
            notification=job.notification,
            is_delivered=is_delivered,
            is_withdrawn=is_withdrawn,
            tries=job.tries,
            reason=reason,
        )
        if not job.done.done():
            job.done.set_result(delivery)


def _urgency(job: _Job) -> tuple[str, int, datetime]:
    """Return what sorts the most urgent first; who failed before waits behind who did not."""
    return job.notification.priority.value, job.tries, job.notification.at
