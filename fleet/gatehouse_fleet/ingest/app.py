"""The gateways' side of the server as a raw ASGI application: batches in, cursors and status.

Everything that can be refused without reading the body is refused without reading it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import select

from gatehouse_events.chain import Lane
from gatehouse_events.fleet_api import Cursor, GatewayStatus, StatusAnswer
from gatehouse_events.fleet_api import decode as decode_message
from gatehouse_events.replication import MessageError, ReplicationBatch, decode_batch, encode
from gatehouse_events.states import Label
from gatehouse_fleet.api.problems import NOT_FOUND, ProblemError, problem_response
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.ingest.body import Budget, Receive, read_body, unpacked
from gatehouse_fleet.ingest.contact import Contacts
from gatehouse_fleet.ingest.identity import GatewayIdentity, Identify, Scope
from gatehouse_fleet.ingest.sealed import LANE_NUMBERS, Sealed, seal
from gatehouse_fleet.ingest.vault import VaultFullError, VaultLostError
from gatehouse_fleet.ingest.writer import BusyError, RejectedError, Writer
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.journal import lane_cursor

Send = Callable[[Any], Awaitable[None]]
Asgi = Callable[[Any, Receive, Send], Awaitable[None]]
_T = TypeVar("_T")

_PREFIX: Final = "/api/v1/gateways/"
_LARGE_BYTES: Final = 128 * 1024
"""A body from here on is decoded in a thread: some milliseconds that the others need not wait for."""
_LANES: Final = {lane.value: lane for lane in Lane}
_FOREIGN: Final = ProblemError(
    403, "foreign_gateway", Label("证书与网关编号不符", "the certificate is another gateway's")
)
_NO_METHOD: Final = ProblemError(405, "method", Label("不支持的操作", "not possible here"))
_DIFFERS: Final = ProblemError(
    400,
    "differs",
    Label("批次与地址不符", "the batch names another gateway or lane than its path"),
)
_FULL: Final = ProblemError(
    507,
    "full",
    Label("服务器磁盘已满，数据保留在网关", "the server's disk is full: keep it"),
    retry_after_s=15,
)
_LOST: Final = ProblemError(
    503,
    "database",
    Label("数据库暂不可用，请稍后重试", "the database is away: try again"),
    retry_after_s=2,
)
_REJECTED: Final = ProblemError(
    500, "rejected", Label("服务器无法保存此批次", "this batch cannot be stored: a fault of the server")
)


class Downlink(Struct, frozen=True, kw_only=True):
    """Where the orders of a gateway stand, and which evidence files the fleet would like to have."""

    orders_epoch: str = ""
    orders_head: int = 0
    evidence_wanted: tuple[str, ...] = ()


class FindDownlink(Protocol):
    """Asked with every status report."""

    async def __call__(self, gateway_no: int) -> Downlink:
        """Return what waits for the gateway."""
        ...


class IngestApp:
    """Serves `/api/v1/gateways/{id}/journal/{lane}` and `/api/v1/gateways/{id}/status`."""

    def __init__(
        self,
        writer: Writer,
        *,
        store: Store,
        clock: Clock,
        identify: Identify,
        contacts: Contacts,
        find_downlink: FindDownlink,
        sealer: Callable[..., Sealed] = seal,
    ) -> None:
        self._writer: Final = writer
        self._store: Final = store
        self._clock: Final = clock
        self._identify: Final = identify
        self._contacts: Final = contacts
        self._find_downlink: Final = find_downlink
        self._seal: Final = sealer
        self._budget: Final = Budget()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            body = await self._answer(scope, receive)
        except ProblemError as problem:
            response = problem_response(problem)
            # What is left of the body is not worth reading.
            response.headers["connection"] = "close"
            await response(scope, receive, send)  # type: ignore[arg-type]  # a Scope by another name
            return
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> bytes:
        gateway_id, _, what = scope["path"].removeprefix(_PREFIX).partition("/")
        lane = _LANES.get(what.removeprefix("journal/")) if what.startswith("journal/") else None
        if lane is None and what != "status":
            raise NOT_FOUND
        method = scope["method"]
        if method not in (("POST", "GET") if lane else ("POST",)):
            raise _NO_METHOD
        found = await self._identify(scope)
        if not isinstance(found, GatewayIdentity):
            raise ProblemError(found.status, found.reason, found.text)
        if found.id != gateway_id:
            raise _FOREIGN
        self._contacts.seen(found.no)
        if lane is None:
            return await self._status(found, scope, receive)
        if method == "GET":
            return await self._cursor(found, lane)
        return await self._batch(found, lane, scope, receive)

    async def _batch(self, gateway: GatewayIdentity, lane: Lane, scope: Scope, receive: Receive) -> bytes:
        def sealed(raw: bytes) -> Sealed:
            batch: ReplicationBatch = decode_batch(raw)
            if batch.gateway != gateway.id or batch.lane is not lane:
                raise _DIFFERS
            return self._seal(batch, gateway_no=gateway.no, size_bytes=len(raw))

        with self._budget.hold() as take:
            batch = await _read(scope, receive, take, sealed)
            try:
                return encode(await self._writer.submit(batch))
            except BusyError as error:
                raise ProblemError(
                    503, "busy", Label("服务器繁忙，请稍后重试", "busy"), retry_after_s=error.retry_after_s
                ) from error
            except VaultFullError as error:
                raise _FULL from error
            except VaultLostError as error:
                raise _LOST from error
            except RejectedError as error:
                raise _REJECTED from error

    async def _cursor(self, gateway: GatewayIdentity, lane: Lane) -> bytes:
        where = (lane_cursor.c.gateway_no == gateway.no) & (lane_cursor.c.lane == LANE_NUMBERS[lane])
        async with self._store.read() as db:
            row = (await db.execute(select(lane_cursor.c.epoch, lane_cursor.c.seq).where(where))).first()
        cursor = Cursor(
            lane=lane, epoch="" if row is None else bytes(row.epoch).hex(), seq=0 if row is None else row.seq
        )
        return msgspec.json.encode(cursor)

    async def _status(self, gateway: GatewayIdentity, scope: Scope, receive: Receive) -> bytes:
        with self._budget.hold() as take:
            status = await _read(scope, receive, take, lambda raw: decode_message(raw, GatewayStatus))
        self._contacts.told(gateway.no, status)
        waits = await self._find_downlink(gateway.no)
        answer = StatusAnswer(
            at=self._clock.now(),
            orders_head=waits.orders_head,
            orders_epoch=waits.orders_epoch,
            evidence_wanted=waits.evidence_wanted,
        )
        return msgspec.json.encode(answer)


def front(ingest: IngestApp, rest: Asgi) -> Asgi:
    """Return the application that gives journals and status to `ingest` and all else to `rest`."""

    async def app(scope: Any, receive: Receive, send: Send) -> None:  # noqa: ANN401  # ASGI
        if scope["type"] == "http" and _is_ours(scope["path"]):
            await ingest(scope, receive, send)
        else:
            await rest(scope, receive, send)

    return app


def _is_ours(path: str) -> bool:
    if not path.startswith(_PREFIX):
        return False
    what = path.removeprefix(_PREFIX).partition("/")[2]
    return what == "status" or what.startswith("journal/")


async def _read(
    scope: Scope, receive: Receive, take: Callable[[int], None], decode: Callable[[bytes], _T]
) -> _T:
    encoding, declared = b"", None
    for name, value in scope["headers"]:
        if name == b"content-encoding":
            encoding = value.strip().lower()
        elif name == b"content-length" and value.isdigit():
            declared = int(value)
    body = await read_body(receive, declared_bytes=declared, take=take)
    try:
        if len(body) < _LARGE_BYTES and not encoding:
            return decode(body)
        if len(body) < _LARGE_BYTES // 8:
            return decode(unpacked(body, encoding))
        return await asyncio.to_thread(lambda: decode(unpacked(body, encoding)))
    except MessageError as error:
        raise ProblemError(
            400, "malformed", Label("无法理解的报文", "this is not the message it should be")
        ) from error
