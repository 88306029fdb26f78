"""The gateways' side of the orders lane: server-sent events, and long polls for those behind a proxy that buffers.

| request | answer |
|---|---|
| `GET …/orders?epoch=&after=&wait_s=` | `OrderBatch`, at once when there is something, else after `wait_s`; 204 when nothing was ever ordered |
| `GET …/orders/stream?epoch=&after=` | `id: EPOCH.SEQ` and one order as `data:`; a comment every 20 s |

Raw ASGI: ten thousand streams stand open, each costs one task and no framework. A stream writes at once, so that a gateway
behind a buffering proxy notices; it looks into the database when woken and every minute. A gateway that has seen more than
this server knows of (a restored backup) starts the lane's next epoch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

from msgspec import Struct

from gatehouse_events.fleet_api import MAX_WAIT_S
from gatehouse_events.orders import Order, OrderBatch, decode_order, encode
from gatehouse_events.states import Label
from gatehouse_fleet.api.problems import ProblemError, problem_response
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.orders import lane
from gatehouse_fleet.store import Store, Wake

HEARTBEAT_S: Final = 20.0
LOOK_EVERY: Final = 3
"""Heartbeats between two looks into the database without a wake: a wake that was lost costs a minute."""
MAX_STREAMS: Final = 20_000
"""More than any one worker is given; beyond it gateways are told to poll."""
_PREFIX: Final = "/api/v1/gateways/"
_EPOCH_LENGTH: Final = 32
_MAX_AFTER: Final = 2**63 - 1
_HELLO: Final = b"retry: 1000\n: gatehouse orders\n\n"
_BEAT: Final = b":\n\n"
_STREAM_HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Peer(Protocol):
    """The gateway at the other end, known by its certificate."""

    @property
    def no(self) -> int:
        """`gateway.no`."""
        ...

    @property
    def id(self) -> str:
        """Name."""
        ...


Authenticate = Callable[[Scope, str], Awaitable[Peer]]
"""Returns who asks, given the gateway id in the path; raises `ProblemError` for a stranger, a revoked certificate, another id."""


class OrderDownlink:
    """An ASGI application for the two paths; `wants` says which requests are its own."""

    def __init__(
        self,
        store: Store,
        wake: Wake,
        clock: Clock,
        authenticate: Authenticate,
        *,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self.streams = 0
        """Open now."""
        self._store: Final = store
        self._wake: Final = wake
        self._clock: Final = clock
        self._authenticate: Final = authenticate
        self._heartbeat_s: Final = heartbeat_s
        self._is_closing = False

    def close(self) -> None:
        """End every stream in order: the server stops, and gateways come back to the next one."""
        self._is_closing = True
        self._wake.hear_all()

    @staticmethod
    def wants(path: str) -> bool:
        """Return whether a path is one of the two."""
        return path.startswith(_PREFIX) and path.endswith(("/orders", "/orders/stream"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            peer, cursor, is_stream = await self._admit(scope)
        except ProblemError as problem:
            await problem_response(problem)(scope, receive, send)
            return
        if not is_stream:
            await self._poll(peer, cursor, send)
            return
        self.streams += 1
        try:
            await self._stream(peer, cursor, receive, send)
        finally:
            self.streams -= 1

    async def _admit(self, scope: Scope) -> tuple[Peer, _Cursor, bool]:
        if scope["method"] != "GET":
            raise ProblemError(405, "http_405", Label("不支持的操作", "not possible here"))
        name, _, what = scope["path"].removeprefix(_PREFIX).partition("/")
        peer = await self._authenticate(scope, name)
        cursor = _cursor(scope)
        is_stream = what == "orders/stream"
        if is_stream and self.streams >= MAX_STREAMS:
            text = Label("打开的订阅过多，请轮询", "too many streams are open; poll instead")
            raise ProblemError(503, "too_many_streams", text, retry_after_s=60)
        await self._settle_epoch(peer, cursor)
        return peer, cursor, is_stream

    async def _settle_epoch(self, peer: Peer, cursor: _Cursor) -> None:
        """A gateway ahead of us has seen orders that a restored backup does not hold."""
        async with self._store.read() as db:
            known = await lane.head(db, peer.no)
        if known.epoch == cursor.epoch and cursor.after > known.seq:
            async with self._store.begin() as db:
                if await lane.head(db, peer.no, is_locking=True) == known:
                    await lane.begin_epoch(db, peer.no, self._clock.now())

    async def _look(self, peer: Peer, cursor: _Cursor) -> OrderBatch | None:
        async with self._store.read() as db:
            return await lane.read(db, peer.no, cursor.epoch, cursor.after)

    async def _poll(self, peer: Peer, cursor: _Cursor, send: Send) -> None:
        topic = lane.orders_topic(peer.id)
        until_s = self._clock.elapsed_s() + cursor.wait_s
        is_over = cursor.wait_s <= 0
        while True:
            seen = self._wake.count(topic)
            batch = await self._look(peer, cursor)
            if (batch is not None and batch.orders) or is_over:
                break
            left_s = max(0.0, until_s - self._clock.elapsed_s())
            is_over = not await self._wake.wait(topic, seen, timeout_s=left_s) or self._is_closing
        status = HTTPStatus.NO_CONTENT if batch is None else HTTPStatus.OK
        body = b"" if batch is None else encode(batch)
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        if batch is not None:
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, peer: Peer, cursor: _Cursor, receive: Receive, send: Send) -> None:
        topic, loop = lane.orders_topic(peer.id), asyncio.get_running_loop()
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
        await send({"type": "http.response.body", "body": _HELLO, "more_body": True})
        beats = 0
        while True:
            seen = self._wake.count(topic)
            if beats % LOOK_EVERY == 0:
                while (batch := await self._look(peer, cursor)) is not None and batch.orders:
                    for event, place in _events(batch):
                        await send({"type": "http.response.body", "body": event, "more_body": True})
                        cursor = place
            # By hand, not `Wake.wait`: a coroutine and a time-out less for each of ten thousand streams.
            waiter = self._wake.waiter(topic)
            timer = loop.call_later(self._heartbeat_s, _end, waiter)
            try:
                if self._wake.count(topic) == seen and not self._is_closing:
                    await waiter
            finally:
                timer.cancel()
                self._wake.forget(topic, waiter)
            if self._is_closing:
                await send({"type": "http.response.body", "body": b""})
                return
            if self._wake.count(topic) != seen:
                beats = 0
                continue
            if await _has_left(receive):
                return
            beats += 1
            await send({"type": "http.response.body", "body": _BEAT, "more_body": True})


class _Cursor(Struct, frozen=True, kw_only=True):
    epoch: str
    after: int
    wait_s: float = 0.0


def _cursor(scope: Scope) -> _Cursor:
    fields = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=8)
    epoch = fields.get("epoch", [""])[0]
    try:
        after = int(fields.get("after", ["0"])[0])
        wait_s = float(fields.get("wait_s", ["0"])[0])
    except ValueError:
        raise _MISPLACED from None
    is_epoch = not epoch or (len(epoch) == _EPOCH_LENGTH and all(c in "0123456789abcdef" for c in epoch))
    if not is_epoch or not 0 <= after <= _MAX_AFTER or not wait_s >= 0:  # NaN is refused too
        raise _MISPLACED
    return _Cursor(epoch=epoch, after=after, wait_s=min(wait_s, MAX_WAIT_S))


_MISPLACED: Final = ProblemError(
    422, "cursor", Label("游标不正确", "epoch, after or wait_s is not what it should be")
)


def _events(batch: OrderBatch) -> list[tuple[bytes, _Cursor]]:
    events = []
    for raw in batch.orders:
        found = decode_order(raw)
        place = _Cursor(epoch=found.epoch, after=found.seq)
        kind = b"" if isinstance(found, Order) else b"event: unknown\n"
        events.append(
            (b"%sid: %s.%d\ndata: %s\n\n" % (kind, found.epoch.encode(), found.seq, bytes(raw)), place)
        )
    return events


def _end(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _has_left(receive: Receive) -> bool:
    """Return whether the gateway has gone, without waiting for it: a task that waits would double a stream's memory."""
    try:
        async with asyncio.timeout(0):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return True
    except TimeoutError:
        return False
