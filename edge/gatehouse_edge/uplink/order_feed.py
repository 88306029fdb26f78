"""Reads the lane of orders: a stream that stands open, or long polls where a proxy holds a stream back.

The cursor is the ledger's: it moves when an order is settled. A stream that dies silently is found by its missing heartbeat, or
because the answer to a status says that there are orders it did not bring.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol

from gatehouse_edge.clock import Clock
from gatehouse_edge.ledger import OrderPlace
from gatehouse_edge.uplink.backoff import Backoff
from gatehouse_edge.uplink.errors import AnswerError, RefusedError, UnreachableError, UplinkError
from gatehouse_edge.uplink.link import Link
from gatehouse_edge.uplink.sse import EventParser
from gatehouse_events.orders import Order, OrderBatch, UnknownOrder, decode_order, orders_of
from gatehouse_events.replication import MessageError

FIRST_BYTES_S: Final = 10.0
"""A stream says hello at once; nothing by then means that somebody on the way collects before passing on."""
IDLE_S: Final = 50.0
"""Two heartbeats of 20 s missed."""
_GRACE_S: Final = 2.0
"""What a status knows and the stream has not brought by then, it will not bring."""
_HASTY_S: Final = 1.0
_HASTY_PAUSE_S: Final = 5.0
"""A server that does not hold a poll is asked every five seconds, not as fast as it answers."""
_REOPEN_S: Final = 2.0
"""Streams that ended in order (a server restarts) are opened again within this, not all at once."""
POLL_FOR_S: Final = 3600.0
"""How long to poll before a stream is tried again."""

_log = logging.getLogger(__name__)
Found = Order | UnknownOrder
Carry = Callable[[Found], Awaitable[None]]
"""Carries an order out and returns once its outcome is on disk."""


class OrderSource(Protocol):
    """What the feed needs of the fleet."""

    async def orders(self, epoch: str, after: int) -> OrderBatch | None:
        """Return the orders after the cursor, waiting for one."""
        ...

    def order_stream(
        self, epoch: str, after: int
    ) -> contextlib.AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open the stream."""
        ...


class BufferedStreamError(UplinkError):
    """Somebody on the way holds the stream back."""


class OrderFeed:
    """Brings every order to `carry`, in order, one at a time."""

    def __init__(
        self,
        source: OrderSource,
        place: Callable[[], OrderPlace],
        carry: Carry,
        *,
        link: Link,
        clock: Clock,
        rng: random.Random,
        may_stream: bool = True,
    ) -> None:
        self._source: Final = source
        self._place: Final = place
        self._carry: Final = carry
        self._link: Final = link
        self._clock: Final = clock
        self._rng: Final = rng
        self._may_stream: Final = may_stream
        self._poll_until_s = float("-inf")
        self._limit: asyncio.Timeout | None = None
        self._told: OrderPlace | None = None
        """Where the lane stands according to a status, while the stream has not brought that far."""

    @property
    def is_polling(self) -> bool:
        """Polls are used, by choice or because a stream did not come through."""
        return not self._may_stream or self._clock.now().service_s < self._poll_until_s

    async def run(self) -> None:
        """Read until cancelled."""
        backoff = Backoff(rng=self._rng, most_s=20.0)
        while True:
            try:
                await (self._poll() if self.is_polling else self._follow())
            except BufferedStreamError as error:
                _log.warning("orders are polled for an hour: %s", error)
                self._poll_until_s = self._clock.now().service_s + POLL_FOR_S
            except UplinkError as error:
                self._link.failed(error)
                retry_s = error.retry_after_s if isinstance(error, RefusedError) else None
                await self._link.rest(backoff.next_s(at_least_s=retry_s or 0.0))
            else:
                backoff.reset()

    def compare(self, epoch: str, head: int) -> None:
        """Hear from a status where the lane stands: if a stream did not bring that, it is dead and opened again."""
        self._told = OrderPlace(epoch=epoch, seq=head) if epoch else None
        if self._is_behind() and self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + _GRACE_S)

    def _is_behind(self) -> bool:
        told, place = self._told, self._place()
        return told is not None and (told.epoch != place.epoch or told.seq > place.seq)

    async def _poll(self) -> None:
        place, began_s = self._place(), self._clock.now().service_s
        batch = await self._source.orders(place.epoch, place.seq)
        self._link.answered()
        if batch is None or not batch.orders:
            if self._clock.now().service_s - began_s < _HASTY_S:
                await asyncio.sleep(_HASTY_PAUSE_S)
            return
        try:
            found = orders_of(batch)
        except MessageError as error:
            raise AnswerError(f"not orders: {error}"[:200]) from error
        for order in found:
            await self._bring(order)

    async def _follow(self) -> None:
        """Read one stream until it ends."""
        place, parser, has_spoken = self._place(), EventParser(), False
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(FIRST_BYTES_S) as limit:
                async with self._source.order_stream(place.epoch, place.seq) as chunks:
                    self._limit = limit
                    async for chunk in chunks:
                        if not has_spoken:
                            self._link.answered()
                        has_spoken = True
                        for event in parser.feed(chunk):
                            limit.reschedule(None)  # carrying orders out takes as long as the disk takes
                            await self._bring(_decoded(event.data))
                        # A heartbeat gives a stream that brings too little no longer life.
                        if not self._is_behind():
                            limit.reschedule(loop.time() + IDLE_S)
                        elif limit.when() is None:
                            limit.reschedule(loop.time() + _GRACE_S)
        except TimeoutError:
            if not has_spoken:
                raise BufferedStreamError(f"no byte of the stream within {FIRST_BYTES_S:g} s") from None
            raise UnreachableError("the stream of orders fell silent") from None
        finally:
            self._limit = self._told = None
        if not has_spoken:
            raise BufferedStreamError("the stream ended without a byte")
        await asyncio.sleep(self._rng.uniform(0.0, _REOPEN_S))

    async def _bring(self, found: Found) -> None:
        """Carry the next order out; step over what is settled.

        Raises:
            AnswerError: one is missing before it.
        """
        place = self._place()
        expected = place.seq + 1 if found.epoch == place.epoch else 1
        if found.seq < expected:
            return
        if found.seq > expected:
            raise AnswerError(f"order {found.seq} came before {expected}")
        await self._carry(found)


def _decoded(data: bytes) -> Found:
    try:
        return decode_order(data)
    except MessageError as error:
        raise AnswerError(f"not an order: {error}"[:200]) from error
