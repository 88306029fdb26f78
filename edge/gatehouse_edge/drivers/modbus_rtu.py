"""One RS-485 port, owned by one task: writes a request, keeps the silences, finds the answer.

Why not pymodbus's own client: `docs/decisions/`, "Modbus client". Its frame and PDU classes are used in `modbus_query`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import serial
from msgspec import Struct

from gatehouse_edge.drivers.modbus_pause import Pause
from gatehouse_edge.drivers.modbus_query import (
    CoilOrder,
    Evidence,
    Hunt,
    PortBusyError,
    PortLostError,
    Query,
    RefusedError,
    UpdateOrder,
    accept,
    reply_bytes,
    request_frame,
    silence_error,
)

_SHORT_SILENCE_BAUD: Final = 19_200
_FIXED_SILENCE_S: Final = 1.75e-3
"""Above 19200 baud the silence between frames is fixed (Modbus serial line V1.02 §2.5.1.1)."""
_BABBLE_LIMIT_S: Final = 0.1
"""A line that never falls silent is spoken on after this long; whoever babbles must not stop the neighbours."""
_READ_BYTES: Final = 1024
_BUSY: Final = frozenset({errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK})


class SerialSettings(Struct, frozen=True, kw_only=True):
    """How the port is set."""

    path: Path
    """A by-id path, so that another USB socket or another order of plugging changes nothing."""
    baud: int
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    response_timeout_s: float = 0.2
    """How long after its request a unit may think before its first byte."""

    @property
    def char_s(self) -> float:
        """Return how long one character is on the line."""
        return (1 + 8 + (self.parity != "N") + self.stop_bits) / self.baud

    @property
    def silence_s(self) -> float:
        """Return the silence between two frames: 3.5 characters."""
        return _FIXED_SILENCE_S if self.baud > _SHORT_SILENCE_BAUD else 3.5 * self.char_s


class RtuPort:
    """An exclusive RTU master. `exchange` is for one task at a time; it may be cancelled at any point."""

    def __init__(self, settings: SerialSettings, *, on_lost: Callable[[], None]) -> None:
        self.settings: Final = settings
        self.timeout_s: Final = settings.response_timeout_s
        self._on_lost: Final = on_lost
        self._serial: serial.Serial | None = None
        self._pause: Pause | None = None
        self._hunt: Hunt | None = None
        self._answer: asyncio.Future[bool] | None = None
        self._last_byte_s = 0.0
        self._has_echo = False
        self._owed_until_s = 0.0
        """A request was cancelled; its answer may still come until then."""
        self._owed: Query | None = None
        self._late: dict[int, Query] = {}
        """Unit -> question whose answer did not come in time and may come yet."""
        self._requests: dict[Query, bytes] = {}
        """Request frames already built; as many as there are blocks and coils on this bus."""

    @property
    def is_open(self) -> bool:
        """Return whether the port is there."""
        return self._serial is not None

    async def open(self) -> None:
        """Open and lock the port.

        Raises:
            PortBusyError: another program holds it.
            PortLostError: it is not there or cannot be set.
        """
        path = str(self.settings.path)
        try:
            port = serial.Serial(
                path,
                baudrate=self.settings.baud,
                parity=self.settings.parity,
                stopbits=self.settings.stop_bits,
                timeout=0,
                exclusive=True,
            )
        except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
            number = getattr(error, "errno", None)
            if number in _BUSY:
                raise PortBusyError(f"{path} is held by another program") from error
            raise PortLostError(
                f"{path} cannot be opened: {os.strerror(number) if number else error}"
            ) from error
        with contextlib.suppress(OSError):
            # The lock keeps out who asks for it (pyserial, ourselves); this keeps out everybody but root.
            fcntl.ioctl(port.fd, termios.TIOCEXCL)
        self._serial = port
        self._pause = Pause()
        self._late.clear()
        self._owed_until_s = 0.0
        asyncio.get_running_loop().add_reader(port.fd, self._readable)

    def close(self) -> None:
        """Close the port; harmless when it is closed."""
        port, self._serial = self._serial, None
        if port is None:
            return
        asyncio.get_running_loop().remove_reader(port.fd)
        with contextlib.suppress(OSError):
            fcntl.ioctl(port.fd, termios.TIOCNXCL)
        with contextlib.suppress(OSError, termios.error):
            port.close()
        if self._pause is not None:
            self._pause.close()
            self._pause = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(False)

    async def exchange(self, query: Query) -> tuple[int, ...]:
        """Ask and return the answer's values.

        Raises:
            ModbusError: no believable answer; the subclass says why. `PortLostError`: the port has been closed.
        """
        owed = self._late.get(query.unit_id)
        if owed is not None and owed != query:
            # A late answer to that question could pass for an answer to this one, RTU frames carry no number.
            # Asked again, whatever comes is an answer to it, and then the unit is in step.
            with contextlib.suppress(RefusedError):
                await self._exchange(owed)
        return await self._exchange(query)

    async def _exchange(self, query: Query) -> tuple[int, ...]:
        loop = asyncio.get_running_loop()
        await self._settle(loop)
        if isinstance(query, UpdateOrder):  # each is sent once or twice: not worth keeping
            request = request_frame(query)
        elif (known := self._requests.get(query)) is None:
            request = self._requests[query] = request_frame(query)
        else:
            request = known
        settings = self.settings
        hunt = Hunt(query, request, is_echo_known=self._has_echo)
        self._send(request)
        first_s = loop.time() + len(request) * settings.char_s + settings.response_timeout_s
        if self._has_echo:
            first_s += settings.silence_s
        last_s = first_s + reply_bytes(query) * settings.char_s + settings.response_timeout_s / 2
        is_heard = await self._listen(query, hunt, first_s, last_s)
        self._has_echo |= hunt.is_echo_seen
        if not is_heard:
            evidence = hunt.evidence()
            if evidence is not Evidence.GARBAGE or hunt.heard_bytes < reply_bytes(query) // 2:
                self._note_late(query)
            raise silence_error(evidence)
        if query.unit_id in self._late:
            hunt = await self._second_answer(query, request, hunt)
        assert hunt.pdu is not None  # noqa: S101  # for the type checker: a heard hunt has its frame
        return accept(query, hunt.pdu)

    async def _second_answer(self, query: Query, request: bytes, first: Hunt) -> Hunt:
        """Return the later of two answers: after a silence the first may belong to the request before."""
        again = Hunt(query, request, is_echo_known=True)
        until_s = asyncio.get_running_loop().time() + self.settings.response_timeout_s
        last_s = until_s + reply_bytes(query) * self.settings.char_s
        is_heard = await self._listen(query, again, until_s, last_s)
        self._late.pop(query.unit_id, None)
        return again if is_heard else first

    def _note_late(self, query: Query) -> None:
        # An order is not asked again to get into step: it may be out of date. Its confirmation names its coil, an update's
        # answer the next byte it wants, and neither can pass for an answer to a read.
        if not isinstance(query, CoilOrder | UpdateOrder):
            self._late[query.unit_id] = query

    async def _settle(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait out what a cancelled request may still bring, then for silence, then forget what was heard."""
        if self._owed_until_s:
            if self._owed_until_s > loop.time() and self._pause is not None:
                await self._pause.until(self._owed_until_s)
            self._owed_until_s = 0.0
            if self._owed is not None:
                self._note_late(self._owed)
        self._hunt = None
        give_up_s = loop.time() + _BABBLE_LIMIT_S
        while True:
            port, pause, now_s = self._serial, self._pause, loop.time()
            if port is None or pause is None:
                raise PortLostError(f"{self.settings.path} is lost")
            quiet_s = self._last_byte_s + self.settings.silence_s
            if quiet_s <= now_s or now_s >= give_up_s:
                return
            await pause.until(min(quiet_s, give_up_s))

    def _send(self, request: bytes) -> None:
        port = self._serial
        if port is None:
            raise PortLostError(f"{self.settings.path} is lost")
        try:
            sent = os.write(port.fd, request)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose()
            raise PortLostError(f"{self.settings.path} is lost") from error
        if sent != len(request):
            self._lose()
            raise PortLostError(f"{self.settings.path} takes no more bytes")

    async def _listen(self, query: Query, hunt: Hunt, first_s: float, last_s: float) -> bool:
        """Return whether `hunt` finds its frame: first byte by `first_s`, all of it by `last_s`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()
        self._hunt, self._answer = hunt, answer

        def expire() -> None:
            if answer.done():
                return
            if hunt.is_begun and loop.time() < last_s:
                timers.append(loop.call_at(last_s, expire))
            else:
                answer.set_result(False)

        timers = [loop.call_at(first_s, expire)]
        try:
            is_heard = await answer
        except asyncio.CancelledError:
            self._owed_until_s, self._owed = last_s, query
            raise
        finally:
            timers[-1].cancel()
            self._answer = None
        self._hunt = None
        if self._serial is None:
            raise PortLostError(f"{self.settings.path} is lost")
        return is_heard

    def _readable(self) -> None:
        port = self._serial
        if port is None:
            return
        try:
            content = os.read(port.fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if not content:  # hang-up: the adapter has been pulled
            self._lose()
            return
        self._last_byte_s = asyncio.get_running_loop().time()
        hunt, answer = self._hunt, self._answer
        if hunt is None or hunt.pdu is not None or not hunt.feed(content):
            return
        if answer is not None and not answer.done():
            answer.set_result(True)
        elif self._owed_until_s:
            self._owed = None  # the cancelled request's answer has come
            self._owed_until_s = self._last_byte_s

    def _lose(self) -> None:
        self.close()
        self._on_lost()
