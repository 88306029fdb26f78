"""`#10#{json}#13#` frames over TCP: login, signs of life, and the only proof of arrival the dialect has.

Behind each info frame goes a `ping`; the `cping` that answers it was sent by somebody who had read what came before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from gatehouse_config.secret_files import read_secret
from gatehouse_fleet.city.envelopes.text_frames import Splitter, encode
from gatehouse_fleet.city.errors import FrameError
from gatehouse_fleet.city.exchange import Message, Outcome, Receipt, Scope, Trouble, printable
from gatehouse_fleet.city.target import Tcp, TextFrames
from gatehouse_fleet.city.transports.stream import READ_BYTES, connected

_RECEIPT: Final = b"cping"


class TextTcp:
    """One login at one platform."""

    def __init__(self, settings: Tcp, dialect: TextFrames, *, beside: Path) -> None:
        self._settings: Final = settings
        self._dialect: Final = dialect
        self._beside: Final = beside
        self._login: Final[dict[str, Any]] = {dialect.type_field: "login", **dialect.login}
        if dialect.password_file is not None:
            self._login[dialect.password_field] = read_secret(beside / dialect.password_file)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[TextSession]:
        """See `Transport.open`: connected and logged in. A login that is refused shows as the trouble of the first message."""
        async with connected(self._settings, beside=self._beside) as (reader, writer):
            session = TextSession(self._settings, self._dialect.type_field, writer)
            async with asyncio.TaskGroup() as tasks:
                listener = tasks.create_task(session.listen(reader), name="city frames")
                beat = tasks.create_task(session.stay_alive(), name="city signs of life")
                try:
                    await session.log_in(self._login)
                    yield session
                finally:
                    listener.cancel()
                    beat.cancel()


class TextSession:
    """One message at a time: the dialect names nothing by which two answers could be told apart."""

    def __init__(self, settings: Tcp, type_field: str, writer: asyncio.StreamWriter) -> None:
        self._settings: Final = settings
        self._type_field: Final = type_field
        self._writer: Final = writer
        self._turn: Final = asyncio.Lock()
        self._answer: asyncio.Future[str] | None = None
        self._fault = ""

    async def log_in(self, login: dict[str, Any]) -> None:
        """Say who we are and wait for an answer; what goes wrong is the outcome of every send."""
        await self._exchange(encode(login))

    async def send(self, message: Message) -> Outcome:
        """See `Session.send`."""
        trouble = await self._exchange(message.body)
        return Trouble(reason=trouble, scope=Scope.TARGET) if trouble else Receipt(raw=_RECEIPT)

    async def stay_alive(self) -> None:
        """Exchange a sign of life whenever the connection has been idle; without answer it is lost."""
        while not self._fault:
            await asyncio.sleep(self._settings.idle_s)
            await self._exchange(b"")

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Read what the platform says until the connection ends."""
        splitter = Splitter()
        try:
            while data := await reader.read(READ_BYTES):
                for document in splitter.feed(data):
                    self._take(document)
            self._lose("the platform closed the connection")
        except FrameError as error:
            self._lose(f"not this dialect: {error}")
        except OSError as error:
            self._lose(f"the connection broke: {type(error).__name__}")

    def _take(self, document: dict[str, Any]) -> None:
        match document.get(self._type_field):
            case "cping":
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result("")
            case "ping":
                self._writer.write(encode({self._type_field: "cping"}))
            case "need_login":
                self._lose("the platform wants a login it accepts")
            case "kick":
                self._lose(f"sent away, code {printable(str(document.get('code')).encode(), 16)}")
            case _:
                pass  # a newer frame: nothing here depends on it

    def _lose(self, fault: str) -> None:
        self._fault = self._fault or fault
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(fault)

    async def _exchange(self, frame: bytes) -> str:
        """Write a frame and a ping and wait for the answer; returns what went wrong, empty when nothing did."""
        async with self._turn:
            if self._fault:
                return self._fault
            self._answer = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(self._settings.timeout_s):
                    self._writer.write(frame + encode({self._type_field: "ping"}))
                    await self._writer.drain()
                    await self._answer
            except TimeoutError:
                self._lose(f"no answer in {self._settings.timeout_s:g} s")
            except OSError as error:
                self._lose(f"the connection broke: {type(error).__name__}")
            finally:
                self._answer = None
            return self._fault
