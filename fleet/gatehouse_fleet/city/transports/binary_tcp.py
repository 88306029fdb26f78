"""GB/T 26875.3 over TCP: each frame is confirmed (command 3) under its serial, or denied (command 6).

What the centre asks of us is confirmed when it is a duty check 查岗 (logged: a person must answer it, this program cannot say
that somebody is on duty), else denied.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import tzinfo
from pathlib import Path
from typing import Final

from gatehouse_fleet.city.errors import FrameError
from gatehouse_fleet.city.exchange import Message, Outcome, Receipt, Refusal, Scope, Trouble
from gatehouse_fleet.city.gbt26875 import (
    Command,
    Frame,
    Splitter,
    confirm,
    duty_check_minutes,
    encode,
    time_label,
)
from gatehouse_fleet.city.target import Gbt26875, Tcp
from gatehouse_fleet.city.transports.stream import READ_BYTES, connected
from gatehouse_fleet.clock import Clock

_log = logging.getLogger(__name__)
_SERIALS: Final = 65536


class BinaryTcp:
    """One connection to one centre."""

    def __init__(self, settings: Tcp, dialect: Gbt26875, *, beside: Path, clock: Clock, zone: tzinfo) -> None:
        self._settings: Final = settings
        self._dialect: Final = dialect
        self._beside: Final = beside
        self._clock: Final = clock
        self._zone: Final = zone

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[BinarySession]:
        """See `Transport.open`."""
        async with connected(self._settings, beside=self._beside) as (reader, writer):
            session = BinarySession(self._settings, self, writer)
            async with asyncio.TaskGroup() as tasks:
                listener = tasks.create_task(session.listen(reader), name="city frames")
                try:
                    yield session
                finally:
                    listener.cancel()

    def frame(self, serial: int, data: bytes) -> Frame:
        """Return a frame that sends `data` at this moment."""
        return Frame(
            serial=serial,
            user_version=self._dialect.user_version,
            time=time_label(self._clock.now(), self._zone),
            source=bytes.fromhex(self._dialect.source_address),
            destination=bytes.fromhex(self._dialect.center_address),
            command=Command.SEND,
            data=data,
        )


class BinarySession:
    """Sends application data; several frames may wait for their confirmations."""

    def __init__(self, settings: Tcp, transport: BinaryTcp, writer: asyncio.StreamWriter) -> None:
        self._settings: Final = settings
        self._transport: Final = transport
        self._writer: Final = writer
        self._serial = 0
        self._waiting: Final[dict[int, asyncio.Future[Frame | str]]] = {}
        self._fault = ""

    async def send(self, message: Message) -> Outcome:
        """See `Session.send`."""
        if self._fault:
            return Trouble(reason=self._fault, scope=Scope.TARGET)
        serial, self._serial = self._serial, (self._serial + 1) % _SERIALS
        waiter: asyncio.Future[Frame | str] = asyncio.get_running_loop().create_future()
        self._waiting[serial] = waiter
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                self._writer.write(encode(self._transport.frame(serial, message.body)))
                await self._writer.drain()
                answer: Frame | str = await waiter
        except TimeoutError:
            answer = f"no confirmation in {self._settings.timeout_s:g} s"
        except OSError as error:
            answer = f"the connection broke: {type(error).__name__}"
        finally:
            self._waiting.pop(serial, None)
        if isinstance(answer, str):
            self._lose(answer)
            return Trouble(reason=self._fault, scope=Scope.TARGET)
        if answer.command == Command.DENY:
            return Refusal(reason="denied (command 6)")
        return Receipt(raw=encode(answer))

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Read what the centre says until the connection ends."""
        splitter = Splitter()
        try:
            while data := await reader.read(READ_BYTES):
                for frame in splitter.feed(data):
                    self._take(frame)
            self._lose("the centre closed the connection")
        except FrameError as error:
            self._lose(f"not this protocol: {error}")
        except OSError as error:
            self._lose(f"the connection broke: {type(error).__name__}")

    def _take(self, frame: Frame) -> None:
        if frame.command in (Command.CONFIRM, Command.DENY):
            waiter = self._waiting.get(frame.serial)
            if waiter is not None and not waiter.done():
                waiter.set_result(frame)
            return
        minutes = duty_check_minutes(frame)
        answer = confirm(frame)
        if minutes is None:
            answer = Frame(
                serial=answer.serial,
                user_version=answer.user_version,
                time=answer.time,
                source=answer.source,
                destination=answer.destination,
                command=Command.DENY,
                main_version=answer.main_version,
            )
        else:
            _log.warning("duty check by the fire centre: a person must answer", extra={"within_min": minutes})
        self._writer.write(encode(answer))

    def _lose(self, fault: str) -> None:
        self._fault = self._fault or fault
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_result(fault)
