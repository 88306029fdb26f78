"""The fleet's HTTP interface as calls: bounded answers, bounded time, one kind of error. Table: `gatehouse_events.fleet_api`."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final, TypeVar

import httpx
import msgspec
import zstandard

from gatehouse_edge.uplink.errors import AnswerError, RefusedError, UnreachableError, UplinkError
from gatehouse_events import orders, replication
from gatehouse_events.chain import Lane, canonical
from gatehouse_events.fleet_api import (
    ENROL_PATH,
    KEEP_ALIVE_S,
    MAX_WAIT_S,
    Cursor,
    EnrolAnswer,
    EnrolRequest,
    EvidenceAnswer,
    GatewayStatus,
    RenewRequest,
    StatusAnswer,
    decode,
    gateway_path,
    journal_path,
)
from gatehouse_events.orders import MAX_ORDER_BYTES, MAX_ORDERS, OrderBatch
from gatehouse_events.replication import Answer, MessageError, ReplicationBatch

CONNECT_S: Final = 10.0
ANSWER_S: Final = 30.0
"""Longest wait for an answer that needs a commit over there."""
UPLOAD_S: Final = 120.0
"""A batch of 8 MiB over a line of 64 KiB/s takes this long; less would never get through."""
_MAX_ANSWER: Final = 256 * 1024
_CONNECTIONS: Final = 5
"""Alarms, telemetry, orders, status and evidence: none stands behind another."""
_ZSTD_LEVEL: Final = 3
_T = TypeVar("_T")


class Problem(msgspec.Struct, frozen=True):
    """What is read of a problem document (RFC 9457)."""

    reason: str = ""


class FleetClient:
    """One gateway's connections to its fleet. Use within `async with`."""

    def __init__(
        self, url: str, gateway_id: str, *, tls: ssl.SSLContext | None, proxy: str | None = None
    ) -> None:
        self._gateway_id: Final = gateway_id
        # No proxies and no credentials out of the environment: destinations are the configuration's (domain row 16).
        self._web: Final = httpx.AsyncClient(
            base_url=url,
            verify=tls if tls is not None else True,
            proxy=proxy,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            limits=httpx.Limits(
                max_connections=_CONNECTIONS,
                max_keepalive_connections=_CONNECTIONS,
                # Given up before the server does, else a request races the close.
                keepalive_expiry=KEEP_ALIVE_S - 20,
            ),
        )

    async def __aenter__(self) -> FleetClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._web.aclose()

    async def cursor(self, lane: Lane) -> Cursor:
        """Return where the fleet stands in `lane`."""
        return await self._ask("GET", journal_path(self._gateway_id, lane), Cursor)

    async def post(self, batch: ReplicationBatch) -> Answer:
        """Send a batch and return the fleet's answer; it is committed there then."""
        packed = await asyncio.to_thread(_packed, batch)
        raw = await self._send(
            "POST",
            journal_path(self._gateway_id, batch.lane),
            content=packed,
            headers={"content-encoding": "zstd", "content-type": "application/json"},
            limit_s=UPLOAD_S,
        )
        with _named():
            return replication.decode_answer(raw)

    async def status(self, status: GatewayStatus) -> StatusAnswer:
        """Say how this gateway is."""
        return await self._ask(
            "POST", gateway_path(self._gateway_id, "status"), StatusAnswer, content=canonical(status)
        )

    async def orders(self, epoch: str, after: int, *, wait_s: float = MAX_WAIT_S) -> OrderBatch | None:
        """Return the orders that follow the cursor, waiting `wait_s` for one; None: none was ever given."""
        raw = await self._send(
            "GET",
            gateway_path(self._gateway_id, "orders"),
            params={"epoch": epoch, "after": str(after), "wait_s": f"{wait_s:g}"},
            limit_s=wait_s + ANSWER_S,
            limit_bytes=MAX_ORDERS * MAX_ORDER_BYTES,
        )
        if not raw:
            return None
        with _named():
            return orders.decode_batch(raw)

    @contextlib.asynccontextmanager
    async def order_stream(self, epoch: str, after: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open the stream of orders; the caller bounds how long it waits for the next bytes."""
        path = gateway_path(self._gateway_id, "orders/stream")
        params = {"epoch": epoch, "after": str(after)}
        headers = {"accept": "text/event-stream", "cache-control": "no-cache"}
        timeout = httpx.Timeout(None, connect=CONNECT_S, write=ANSWER_S, pool=ANSWER_S)
        try:
            async with self._web.stream(
                "GET", path, params=params, headers=headers, timeout=timeout
            ) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise _refusal(answer, await _body(answer, _MAX_ANSWER))
                yield answer.aiter_bytes()
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise _unreachable(error) from error

    async def config(self, version: str, size_bytes: int) -> bytes:
        """Return a configuration; at most `size_bytes` are read."""
        path = gateway_path(self._gateway_id, f"configs/{version}")
        return await self._send("GET", path, limit_s=UPLOAD_S, limit_bytes=size_bytes)

    async def put_evidence(self, sha256: str, content: bytes, content_range: str) -> EvidenceAnswer:
        """Send a piece of a file, or ask how much is there (`bytes */TOTAL` and no content)."""
        return await self._ask(
            "PUT",
            gateway_path(self._gateway_id, f"evidence/{sha256}"),
            EvidenceAnswer,
            content=content,
            headers={"content-range": content_range, "content-type": "application/octet-stream"},
            limit_s=UPLOAD_S,
        )

    async def enrol(self, request: EnrolRequest) -> EnrolAnswer:
        """Trade a one-time code for the first certificate."""
        return await self._ask("POST", ENROL_PATH, EnrolAnswer, content=canonical(request))

    async def renew(self, request: RenewRequest) -> EnrolAnswer:
        """Ask for the next certificate over the present one."""
        path = gateway_path(self._gateway_id, "certificate")
        return await self._ask("POST", path, EnrolAnswer, content=canonical(request))

    async def _ask(self, method: str, path: str, kind: type[_T], **options: Any) -> _T:  # noqa: ANN401  # of `_send`
        raw = await self._send(method, path, **options)
        with _named():
            return decode(raw, kind)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        limit_s: float = ANSWER_S,
        limit_bytes: int = _MAX_ANSWER,
    ) -> bytes:
        """Return the body of a good answer.

        Raises:
            UplinkError: no answer, a refusal, or more than `limit_bytes`.
        """
        given = {"content-type": "application/json", **(headers or {})} if content is not None else headers
        timeout = httpx.Timeout(limit_s, connect=CONNECT_S)
        try:
            async with (
                asyncio.timeout(limit_s + CONNECT_S),
                self._web.stream(
                    method, path, content=content, headers=given, params=params, timeout=timeout
                ) as answer,
            ):
                is_good = answer.is_success
                body = await _body(answer, limit_bytes if is_good else _MAX_ANSWER)
                if not is_good:
                    raise _refusal(answer, body)
                return body
        except TimeoutError:
            raise UnreachableError(f"no answer within {limit_s:g} s") from None
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise _unreachable(error) from error


async def _body(answer: httpx.Response, limit_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > limit_bytes:
            raise AnswerError(f"the answer has more than {limit_bytes} bytes")
    return bytes(body)


def _packed(batch: ReplicationBatch) -> bytes:
    """Encode and compress. A compressor of its own each time: both lanes send at once, and one must not serve two threads."""
    return zstandard.compress(replication.encode(batch), level=_ZSTD_LEVEL)


def _refusal(answer: httpx.Response, body: bytes) -> UplinkError:
    try:
        reason = msgspec.json.decode(body, type=Problem).reason
    except (msgspec.DecodeError, ValueError, RecursionError):
        reason = ""
    safe = "".join(c for c in reason if c.isascii() and (c.isalnum() or c in "_-."))[:64]
    try:
        retry_after_s = float(answer.headers.get("retry-after", ""))
    except ValueError:
        retry_after_s = None
    return RefusedError(answer.status_code, safe, retry_after_s=retry_after_s)


def _unreachable(error: Exception) -> UnreachableError:
    return UnreachableError(f"{type(error).__name__}: {error}"[:200])


@contextlib.contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except MessageError as error:
        raise AnswerError(f"not an answer of a fleet: {error}"[:200]) from error
