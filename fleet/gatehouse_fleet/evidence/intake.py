"""`PUT /api/v1/gateways/{id}/evidence/{sha256}`: pieces of a file, from the gateway whose certificate it is.

| request | answer (`EvidenceAnswer`) |
|---|---|
| `Content-Range: bytes */TOTAL`, no body | how much is here |
| `Content-Range: bytes START-END/TOTAL`, body | the piece is added when START is how much is here; else nothing changes and the answer says where to go on |

404: no alarm of this gateway names the file. 409 `not_wanted`: nobody has asked for it, or its time is over. 413: too large. 422
`damaged`: the whole is not what the hash says. 503: another piece of it is being written, or the store is away. 507: the disk is full.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol

import msgspec

from gatehouse_events.fleet_api import EvidenceAnswer
from gatehouse_events.states import Label
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.evidence import clips
from gatehouse_fleet.evidence.clips import Clip, ClipState
from gatehouse_fleet.evidence.errors import DamagedError, SpoolBusyError, VaultError
from gatehouse_fleet.evidence.spool import Piece, Spool
from gatehouse_fleet.evidence.vault import Vault
from gatehouse_fleet.store import Store
from gatehouse_fleet.web.problems import NOT_FOUND, ProblemError, problem_response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_log = logging.getLogger(__name__)
MAX_PIECE_BYTES: Final = 1024 * 1024
"""Our gateways send 128 KiB at a time."""
_PATH: Final = re.compile(r"/api/v1/gateways/([a-z0-9][a-z0-9-]{2,62})/evidence/([0-9a-f]{64})")
_RANGE: Final = re.compile(rb"bytes (?:\*|(\d{1,18})-(\d{1,18}))/(\d{1,18})")
_BAD_RANGE: Final = ProblemError(400, "range", Label("范围无效", "Content-Range does not fit the body"))
_TOO_LARGE: Final = ProblemError(
    413, "too_large", Label("文件过大", "the file is larger than this server takes")
)
_NOT_WANTED: Final = ProblemError(409, "not_wanted", Label("未请求该文件", "nobody has asked for this file"))
_DAMAGED: Final = ProblemError(422, "damaged", Label("文件与哈希不符", "the file is not what its hash says"))
_BUSY: Final = ProblemError(503, "busy", Label("正在写入", "a piece of it is being written"), retry_after_s=2)
_AWAY: Final = ProblemError(503, "store", Label("存储暂不可用", "the store is away"), retry_after_s=30)
_FULL: Final = ProblemError(
    507, "full", Label("服务器磁盘已满", "the disk is full: keep it"), retry_after_s=300
)


class Gateway(Protocol):
    """Who a request comes from."""

    @property
    def no(self) -> int:
        """`gateway.no`."""
        ...


class EvidenceIntake:
    """A raw ASGI application for the one path; `wants` says whether a request is its own."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        authenticate: Callable[[Scope, str], Awaitable[Gateway]],
        *,
        spool: Spool,
        vault: Vault,
        max_bytes: int,
    ) -> None:
        self._store: Final = store
        self._clock: Final = clock
        self._authenticate: Final = authenticate
        self._spool: Final = spool
        self._vault: Final = vault
        self._max_bytes: Final = max_bytes

    @staticmethod
    def wants(scope: Scope) -> bool:
        """Return whether a request is an upload."""
        return (
            scope["type"] == "http"
            and scope["method"] == "PUT"
            and _PATH.fullmatch(scope["path"]) is not None
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(scope, receive)
        except ProblemError as problem:
            response = problem_response(problem)
            response.headers["connection"] = "close"  # what is left of the body is not worth reading
            await response(scope, receive, send)
            return
        body = msgspec.json.encode(answer)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> EvidenceAnswer:
        found = _PATH.fullmatch(scope["path"])
        assert found is not None  # noqa: S101  # wants() has said so
        gateway_id, sha256 = found[1], found[2]
        gateway = await self._authenticate(scope, gateway_id)
        async with self._store.read() as db:
            clip = await clips.get(db, gateway.no, sha256)
        if clip is None:
            raise NOT_FOUND
        if clip.state is ClipState.HERE:
            return EvidenceAnswer(sha256=sha256, received_bytes=clip.size_bytes or 0, is_complete=True)
        if clip.state is not ClipState.WANTED:
            raise _NOT_WANTED
        piece = await _piece(scope, receive, self._max_bytes)
        name = f"{gateway.no}-{sha256}"
        try:
            here = await asyncio.to_thread(self._spool.add, name, piece)
            if here == piece.total:
                await self._finish(clip, name, here)
        except SpoolBusyError as error:
            raise _BUSY from error
        except DamagedError as error:
            _log.warning("evidence of gateway %d is damaged: %s", gateway.no, error)
            raise _DAMAGED from error
        except VaultError as error:
            _log.warning("evidence cannot be kept: %s", error)
            raise _AWAY from error
        except OSError as error:
            raise (_FULL if error.errno == errno.ENOSPC else _AWAY) from error
        return EvidenceAnswer(sha256=sha256, received_bytes=here, is_complete=here == piece.total)

    async def _finish(self, clip: Clip, name: str, size_bytes: int) -> None:
        path = await asyncio.to_thread(self._spool.whole, name, clip.sha256)
        await asyncio.to_thread(self._vault.put, clip.sha256, path)
        async with self._store.begin() as db:
            await clips.arrived(
                db, clip.gateway_no, clip.sha256, size_bytes=size_bytes, now=self._clock.now()
            )


async def _piece(scope: Scope, receive: Receive, max_bytes: int) -> Piece:
    value = next((value for name, value in scope["headers"] if name == b"content-range"), b"")
    found = _RANGE.fullmatch(value)
    if found is None:
        raise _BAD_RANGE
    total = int(found[3])
    if not 0 < total <= max_bytes:
        raise _TOO_LARGE
    content = await _body(receive)
    if found[1] is None:
        if content:
            raise _BAD_RANGE
        return Piece(start=0, content=b"", total=total)
    start, end = int(found[1]), int(found[2])
    if not start <= end < total or len(content) != end - start + 1:
        raise _BAD_RANGE
    return Piece(start=start, content=content, total=total)


async def _body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _BAD_RANGE  # it went away
        body += message.get("body", b"")
        if len(body) > MAX_PIECE_BYTES:
            raise _TOO_LARGE
        if not message.get("more_body", False):
            return body
