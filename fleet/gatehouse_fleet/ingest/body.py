"""Reading a request's body when the sender may be slow, large or a bomb: every size and time has a limit."""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import zstandard

from gatehouse_events.replication import MAX_MESSAGE_BYTES
from gatehouse_events.states import Label
from gatehouse_fleet.api.problems import ProblemError

READ_LIMIT_S: Final = 20.0
"""A whole body arrives within this: 8 MiB at 3.4 Mbit/s; a gateway on a slower line sends smaller batches."""
MAX_HELD_BYTES: Final = 128 * 1024 * 1024
"""Bodies being received or decoded, all requests together."""
_GZIP: Final = 31
"""zlib: a gzip header, window of 32 KiB."""

Receive = Callable[[], Awaitable[Any]]

TOO_LARGE: Final = ProblemError(413, "too_large", Label("请求过大", "more than a message may have"))
TOO_SLOW: Final = ProblemError(408, "too_slow", Label("请求发送过慢", "the body did not arrive in time"))
BROKEN_OFF: Final = ProblemError(400, "broken_off", Label("请求中断", "the body broke off"))
UNKNOWN_ENCODING: Final = ProblemError(
    415, "encoding", Label("不支持的压缩方式", "send zstd, gzip or no content encoding")
)
NOT_COMPRESSED: Final = ProblemError(
    400, "encoding", Label("压缩数据损坏", "the body is not what its content encoding says")
)
TOO_BUSY: Final = ProblemError(
    503, "busy", Label("服务器繁忙，请稍后重试", "too much is being received; try again"), retry_after_s=2
)


class Budget:
    """Bytes that all requests together may hold."""

    def __init__(self, limit_bytes: int = MAX_HELD_BYTES) -> None:
        self._limit_bytes: Final = limit_bytes
        self._held_bytes = 0

    @contextmanager
    def hold(self) -> Iterator[Callable[[int], None]]:
        """Give a function that takes more bytes for one request; all are given back at the end of the block."""
        mine = 0

        def take(size_bytes: int) -> None:
            nonlocal mine
            if self._held_bytes + size_bytes > self._limit_bytes:
                raise TOO_BUSY
            mine += size_bytes
            self._held_bytes += size_bytes

        try:
            yield take
        finally:
            self._held_bytes -= mine


async def read_body(receive: Receive, *, declared_bytes: int | None, take: Callable[[int], None]) -> bytes:
    """Return the body as it was sent.

    Args:
        receive: ASGI.
        declared_bytes: its Content-Length, None when it says none.
        take: from `Budget.hold`.

    Raises:
        ProblemError: too large, too slow, broken off, or too much is being received.
    """
    if declared_bytes is not None and declared_bytes > MAX_MESSAGE_BYTES:
        raise TOO_LARGE
    message = await _next(receive)
    body: bytes = message.get("body", b"")
    take(len(body))
    if not message.get("more_body", False):
        return body
    parts, size_bytes = [body], len(body)
    try:
        async with asyncio.timeout(READ_LIMIT_S):
            while message.get("more_body", False):
                message = await _next(receive)
                part = message.get("body", b"")
                size_bytes += len(part)
                if size_bytes > MAX_MESSAGE_BYTES:
                    raise TOO_LARGE
                take(len(part))
                parts.append(part)
    except TimeoutError:
        raise TOO_SLOW from None
    return b"".join(parts)


def unpacked(body: bytes, encoding: bytes) -> bytes:
    """Return a body without its content encoding; never more than a message may have.

    Raises:
        ProblemError: unknown encoding, damaged, or larger than a message once unpacked.
    """
    match encoding:
        case b"" | b"identity":
            return body
        case b"zstd":
            plain = _zstd(body)
        case b"gzip":
            plain = _gzip(body)
        case _:
            raise UNKNOWN_ENCODING
    if len(plain) > MAX_MESSAGE_BYTES:
        raise TOO_LARGE
    return plain


async def _next(receive: Receive) -> dict[str, Any]:
    try:
        async with asyncio.timeout(READ_LIMIT_S):
            message: dict[str, Any] = await receive()
    except TimeoutError:
        raise TOO_SLOW from None
    if message["type"] != "http.request":
        raise BROKEN_OFF
    return message


def _zstd(body: bytes) -> bytes:
    try:
        with zstandard.ZstdDecompressor(max_window_size=MAX_MESSAGE_BYTES).stream_reader(
            io.BytesIO(body)
        ) as reader:
            return reader.read(MAX_MESSAGE_BYTES + 1)
    except zstandard.ZstdError as error:
        raise NOT_COMPRESSED from error


def _gzip(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        plain = unpacker.decompress(body, MAX_MESSAGE_BYTES + 1)
    except zlib.error as error:
        raise NOT_COMPRESSED from error
    if not unpacker.eof and len(plain) <= MAX_MESSAGE_BYTES:
        raise NOT_COMPRESSED
    return plain
