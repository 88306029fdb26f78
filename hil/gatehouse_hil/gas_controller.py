"""A simulated gas controller: Modbus TCP server in front of several units, with the manners of a bad one."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from gatehouse_hil.modbus_slave import Slave

_HEADER: Final = struct.Struct(">HHHB")
_LONGEST_PDU_BYTES: Final = 253
_GATEWAY_TARGET_FAILED: Final = 11


class GasController:
    """Serves `units` on 127.0.0.1; an async context manager. `port` is given by the system unless set."""

    def __init__(self, units: Iterable[Slave], *, port: int = 0) -> None:
        self.units: Final = {unit.unit_id: unit for unit in units}
        self.port = port
        self.tid_shift = 0
        """Added to the transaction id of replies: answers that belong to nothing."""
        self.answers_missing = True
        """True: exception 11 for a unit that does not exist or is dead; False: silence."""
        self.connections = 0
        """Connections accepted so far."""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Go away: drop every connection and stop listening, as a power cut does. `start()` brings it back."""
        if self._server is not None:
            self._server.close()
            self.drop_connections()
            while self._writers:  # noqa: ASYNC110  # each server coroutine leaves as soon as it sees its connection gone
                await asyncio.sleep(0)
            await self._server.wait_closed()
            self._server = None

    def drop_connections(self) -> None:
        """Reset every open connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        try:
            while True:
                head = await reader.readexactly(_HEADER.size)
                tid, protocol, length, unit_id = _HEADER.unpack(head)
                if protocol or not 2 <= length <= _LONGEST_PDU_BYTES + 1:
                    return
                request = await reader.readexactly(length - 1)
                await self._answer(writer, tid, unit_id, request)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, tid: int, unit_id: int, request: bytes) -> None:
        unit = self.units.get(unit_id)
        reply = unit.reply(request, time.monotonic()) if unit else None
        if reply is None:
            if not self.answers_missing:
                return
            reply = bytes([request[0] | 0x80, _GATEWAY_TARGET_FAILED])
        manners = unit.manners if unit else None
        said_unit = manners.as_unit if manners and manners.as_unit is not None else unit_id
        whole = _HEADER.pack((tid + self.tid_shift) & 0xFFFF, 0, len(reply) + 1, said_unit) + reply
        if manners and manners.mangle:
            whole = manners.mangle(whole)
        if manners and manners.late_s:
            await asyncio.sleep(manners.late_s)
        if manners and manners.byte_gap_s is not None:
            for at in range(len(whole)):
                writer.write(whole[at : at + 1])
                await writer.drain()
                await asyncio.sleep(manners.byte_gap_s)
            return
        writer.write(whole)
        await writer.drain()
