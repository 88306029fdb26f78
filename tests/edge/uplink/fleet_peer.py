"""A fleet that speaks the wire over real HTTP and remembers everything: for the gateway's end of the contract, and its faults."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable, MutableMapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs

import msgspec
import uvicorn
import zstandard

from gatehouse_events.chain import Lane
from gatehouse_events.fleet_api import Cursor, EvidenceAnswer, GatewayStatus, StatusAnswer
from gatehouse_events.fleet_api import decode as decode_message
from gatehouse_events.orders import Action, ConfigVersion, Issuer, Order, OrderBatch, encode
from gatehouse_events.replication import Accepted, Answer, ReplicationBatch, WireEntry, decode_batch
from gatehouse_events.replication import encode as encode_answer

PREFIX = "/api/v1/gateways/gw-test/"
ISSUER = Issuer(name="示例乙", role="city_operator", unit="示例市")
Reply = tuple[int, bytes]


def wall() -> datetime:
    from gatehouse_edge.clock import SystemClock

    return SystemClock().now().wall


class FleetPeer:
    """Takes whatever follows; tests replace `judge` or `fault` to make it difficult."""

    def __init__(self) -> None:
        self.url = ""
        self.entries: dict[tuple[Lane, str, int], WireEntry] = {}
        self.cursors: dict[Lane, tuple[str, int]] = dict.fromkeys(Lane, ("", 0))
        self.requests: list[tuple[str, str]] = []
        self.batches: list[ReplicationBatch] = []
        self.statuses: list[GatewayStatus] = []
        self.orders_epoch = secrets.token_hex(16)
        self.orders: list[bytes] = []
        self.configs: dict[str, bytes] = {}
        self.evidence: dict[str, bytearray] = {}
        self.pieces: list[str] = []
        self.wanted: tuple[str, ...] = ()
        self.holds_stream_back = False
        self.hangs = False
        self.fault: Callable[[str, str], Reply | None] = lambda method, what: None
        self.judge: Callable[[ReplicationBatch], Answer | None] = lambda batch: None
        self.news = asyncio.Event()
        self.ends = asyncio.Event()

    # --- what tests ask

    def seqs(self, lane: Lane = Lane.ALARM) -> list[tuple[str, int]]:
        return [(epoch, seq) for found, epoch, seq in self.entries if found is lane]

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        return [
            msgspec.json.decode(entry.body)
            for (lane, _, _), entry in self.entries.items()
            if lane is Lane.ALARM and entry.kind == kind and entry.body
        ]

    def give(self, action: Action, *, lasts_s: float = 600, expires_at: datetime | None = None) -> int:
        now = wall()
        order = Order(
            epoch=self.orders_epoch,
            seq=len(self.orders) + 1,
            issued_at=now,
            expires_at=expires_at or now + timedelta(seconds=lasts_s),
            issuer=ISSUER,
            action=action,
        )
        self.orders.append(encode(order))
        self.news.set()
        return order.seq

    def give_config(self, version: str, raw: bytes, *, confirm_within_s: float = 3.0) -> int:
        self.configs[version] = raw
        return self.give(
            ConfigVersion(
                version=version,
                sha256=sha256(raw).hexdigest(),
                size_bytes=len(raw),
                confirm_within_s=confirm_within_s,
            )
        )

    def results(self) -> list[tuple[int, str]]:
        """Every outcome that has come, as (order, result)."""
        return [
            (body["seq"], body["result"])
            for body in self.bodies("outcome")
            if "result" in body and "epoch" in body
        ]

    def result(self, seq: int) -> str:
        return next((result for found, result in self.results() if found == seq), "")

    # --- HTTP

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        method, what = scope["method"], scope["path"].removeprefix(PREFIX)
        self.requests.append((method, what))
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if self.hangs:
            await self.ends.wait()
            return
        reply = self.fault(method, what)
        if reply is None and what == "orders/stream":
            await self._stream(scope, send)
            return
        if reply is None:
            reply = await self._reply(method, what, scope, body)
        await send(
            {
                "type": "http.response.start",
                "status": reply[0],
                "headers": [(b"content-length", b"%d" % len(reply[1]))],
            }
        )
        await send({"type": "http.response.body", "body": reply[1]})

    async def _reply(self, method: str, what: str, scope: MutableMapping[str, Any], body: bytes) -> Reply:
        name, _, rest = what.partition("/")
        match method, name:
            case "GET", "journal":
                epoch, seq = self.cursors[Lane(rest)]
                return 200, msgspec.json.encode(Cursor(lane=Lane(rest), epoch=epoch, seq=seq))
            case "POST", "journal":
                raw = zstandard.ZstdDecompressor().decompress(body, max_output_size=16 * 2**20)
                return 200, encode_answer(self._take(decode_batch(raw)))
            case "POST", "status":
                self.statuses.append(decode_message(body, GatewayStatus))
                answer = StatusAnswer(
                    at=datetime.now(UTC),  # noqa: TID251  # another machine's clock
                    orders_head=len(self.orders),
                    orders_epoch=self.orders_epoch if self.orders else "",
                    evidence_wanted=self.wanted,
                )
                return 200, msgspec.json.encode(answer)
            case "GET", "orders":
                return await self._poll(scope)
            case "GET", "configs" if rest in self.configs:
                return 200, self.configs[rest]
            case "PUT", "evidence":
                return 200, self._piece(rest, dict(scope["headers"])[b"content-range"].decode(), body)
            case _:
                return 404, b'{"reason":"not_found"}'

    def _take(self, batch: ReplicationBatch) -> Answer:
        self.batches.append(batch)
        answer = self.judge(batch)
        if answer is not None:
            return answer
        for entry in batch.entries:
            self.entries.setdefault((batch.lane, batch.epoch, entry.seq), entry)
        self.cursors[batch.lane] = (batch.epoch, batch.entries[-1].seq)
        return Accepted(epoch=batch.epoch, lane=batch.lane, cursor=batch.entries[-1].seq)

    def _after(self, scope: MutableMapping[str, Any]) -> list[bytes]:
        query = parse_qs(scope["query_string"].decode())
        after = int(query["after"][0]) if query.get("epoch", [""])[0] == self.orders_epoch else 0
        return self.orders[after:]

    async def _poll(self, scope: MutableMapping[str, Any]) -> Reply:
        if not self._after(scope):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.news.wait()
        found = self._after(scope)[:3]
        return 200, encode(OrderBatch(epoch=self.orders_epoch, orders=tuple(map(msgspec.Raw, found))))

    async def _stream(self, scope: MutableMapping[str, Any], send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if self.holds_stream_back:
            await self.ends.wait()
            return
        await send({"type": "http.response.body", "body": b": hello\n\n", "more_body": True})
        sent = len(self.orders) - len(self._after(scope))
        while not self.ends.is_set():
            for order in self.orders[sent:]:
                await send({"type": "http.response.body", "body": b"data: %s\n\n" % order, "more_body": True})
            sent = len(self.orders)
            if not self.ends.is_set():
                self.news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.news.wait()
            await send({"type": "http.response.body", "body": b":\n\n", "more_body": True})

    def _piece(self, digest: str, content_range: str, body: bytes) -> bytes:
        self.pieces.append(content_range)
        span, _, total = content_range.removeprefix("bytes ").partition("/")
        kept = self.evidence.setdefault(digest, bytearray())
        if span != "*" and int(span.partition("-")[0]) == len(kept):
            kept += body
        is_complete = len(kept) == int(total)
        return msgspec.json.encode(
            EvidenceAnswer(sha256=digest, received_bytes=len(kept), is_complete=is_complete)
        )


async def _bound(port: int) -> socket.socket:
    """Listen on a port that was ours before: somebody else's connection may have it for a moment."""
    async with asyncio.timeout(30):
        while True:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                listener.close()
                await asyncio.sleep(0.1)
            else:
                return listener


@contextlib.asynccontextmanager
async def peer_server(peer: FleetPeer, port: int = 0) -> AsyncIterator[FleetPeer]:
    """Serve the peer on loopback."""
    config = uvicorn.Config(
        peer, host="127.0.0.1", port=port, http="httptools", loop="none", lifespan="off", log_config=None,
        access_log=False, ws="none", timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    listener = await _bound(port)
    await server.startup(sockets=[listener])
    peer.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        async with asyncio.TaskGroup() as tasks:
            loop = tasks.create_task(server.main_loop(), name="peer")
            yield peer
            peer.ends.set()
            peer.news.set()
            server.should_exit = True
            await loop
    finally:
        server.force_exit = True
        await server.shutdown()
        # What was accepted or answered while the server went is closed as well: a line that flaps leaves such behind.
        for connection in list(server.server_state.connections):
            connection.transport.close()
        await asyncio.gather(*server.server_state.tasks, return_exceptions=True)
        await asyncio.sleep(0)
