"""One Modbus TCP connection, owned by one task. Transaction ids tell late answers from the one asked for."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from typing_extensions import override

from gatehouse_edge.drivers.modbus_query import (
    BadFrameError,
    NoAnswerError,
    PortLostError,
    Query,
    WrongAnswerError,
    accept,
    request_pdu,
)

_HEADER: Final = struct.Struct(">HHHB")
_SHORTEST_LENGTH: Final = 3
"""Unit, function, and one byte: an exception (messaging on TCP/IP V1.0b §3.1.3)."""
_LONGEST_LENGTH: Final = 254
_CONNECT_S: Final = 3.0


class TcpSettings(Struct, frozen=True, kw_only=True):
    """Where the controller is."""

    host: str
    port: int
    response_timeout_s: float = 0.5


class _Wire(asyncio.Protocol):
    """Cuts the stream into frames. Buffers at most one frame beyond what is complete."""

    def __init__(self, port: TcpPort) -> None:
        self._port: Final = port
        self._heard = bytearray()

    @override
    def data_received(self, data: bytes) -> None:
        heard = self._heard
        heard += data
        while len(heard) >= _HEADER.size:
            tid, protocol, length, unit_id = _HEADER.unpack_from(heard)
            if protocol or not _SHORTEST_LENGTH <= length <= _LONGEST_LENGTH:
                # There is no way back into step on a byte stream: the connection is given up.
                heard.clear()
                self._port.fail("a frame with an impossible header")
                return
            end = _HEADER.size - 1 + length
            if len(heard) < end:
                return
            pdu = bytes(heard[_HEADER.size : end])
            del heard[:end]
            self._port.take(tid, unit_id, pdu)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._port.drop(self)


class TcpPort:
    """A Modbus TCP master. `exchange` is for one task at a time; it may be cancelled at any point."""

    def __init__(self, settings: TcpSettings, *, on_lost: Callable[[], None]) -> None:
        self.settings: Final = settings
        self.timeout_s: Final = settings.response_timeout_s
        self._on_lost: Final = on_lost
        self._transport: asyncio.Transport | None = None
        self._wire: _Wire | None = None
        self._tid = 0
        self._unit_id = 0
        self._answer: asyncio.Future[bytes | None] | None = None
        self._oddity = ""
        """What came during this exchange and did not fit, for the report."""

    @property
    def is_open(self) -> bool:
        """Return whether the connection stands."""
        return self._transport is not None

    async def open(self) -> None:
        """Connect.

        Raises:
            PortLostError: nobody listens there, or not within 3 s.
        """
        where = f"{self.settings.host}:{self.settings.port}"
        try:
            async with asyncio.timeout(_CONNECT_S):
                transport, wire = await asyncio.get_running_loop().create_connection(
                    lambda: _Wire(self), self.settings.host, self.settings.port
                )
        except TimeoutError as error:
            raise PortLostError(f"{where} does not answer") from error
        except OSError as error:
            raise PortLostError(f"{where}: {error.strerror or error}") from error
        self._transport, self._wire = transport, wire

    def close(self) -> None:
        """Close the connection; harmless when it is closed."""
        transport, self._transport = self._transport, None
        self._wire = None
        if transport is not None:
            transport.abort()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)

    async def exchange(self, query: Query) -> tuple[int, ...]:
        """Ask and return the answer's values.

        Raises:
            ModbusError: no believable answer; the subclass says why. `PortLostError`: the connection is gone.
        """
        if self._transport is None:
            raise PortLostError("connection lost")
        loop = asyncio.get_running_loop()
        self._tid = self._tid % 0xFFFF + 1
        self._unit_id = query.unit_id
        self._oddity = ""
        pdu = request_pdu(query)
        self._transport.write(_HEADER.pack(self._tid, 0, len(pdu) + 1, query.unit_id) + pdu)
        answer: asyncio.Future[bytes | None] = loop.create_future()
        self._answer = answer
        timer = loop.call_later(self.settings.response_timeout_s, self._expire)
        try:
            reply = await answer
        finally:
            timer.cancel()
            self._answer = None
        if reply is not None:
            return accept(query, reply)
        if self._transport is None:
            raise BadFrameError(self._oddity) if self._oddity else PortLostError("connection lost")
        raise WrongAnswerError(self._oddity) if self._oddity else NoAnswerError("no answer")

    def take(self, tid: int, unit_id: int, pdu: bytes) -> None:
        """Take one frame from the wire; only the answer to the request now open is kept."""
        answer = self._answer
        if answer is None or answer.done() or tid != self._tid:
            self._oddity = self._oddity or "an answer to another transaction"
        elif unit_id != self._unit_id:
            self._oddity = f"unit {unit_id} answered"
        else:
            answer.set_result(pdu)

    def fail(self, oddity: str) -> None:
        """Give up a connection that is out of step."""
        self._oddity = oddity
        self.close()
        self._on_lost()

    def drop(self, wire: _Wire) -> None:
        """Take note that the peer has gone."""
        if wire is self._wire:
            self._oddity = ""
            self.close()
            self._on_lost()

    def _expire(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)
