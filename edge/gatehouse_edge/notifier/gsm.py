"""An opened GSM modem: commands out, lines in, every wait bounded (3GPP TS 27.007 §4, V.250 §5)."""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import Sequence
from typing import Final

import serial

_MAX_LINE: Final = 512
"""A line of a modem has some 200 characters at most; what is longer is noise."""
_MAX_LINES: Final = 64
_WAKE_TRIES: Final = 3
_ESCAPE: Final = b"\x1b"
"""Ends a message prompt that an earlier owner of the port may have left open."""
_FINAL_ERRORS: Final = ("ERROR", "+CME ERROR", "+CMS ERROR", "NO CARRIER", "BUSY", "NO DIALTONE", "NO ANSWER")


class ModemError(Exception):
    """The modem said no. `line` is what it said, printable."""

    def __init__(self, line: str) -> None:
        self.line = line[:80]
        super().__init__(self.line)

    @property
    def cms_number(self) -> int | None:
        """The number of a +CMS ERROR, None for other errors."""
        found = re.fullmatch(r"\+CMS ERROR: ?(\d{1,5})", self.line)
        return None if found is None else int(found[1])


class AtPort:
    """Use from one task. After any error: close it and open another."""

    def __init__(self, port: serial.Serial) -> None:
        self._serial: Final = port
        self._fd: Final = port.fileno()
        self._held = b""
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)
        self._arrived = asyncio.Event()
        self._error: OSError | None = None
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    @classmethod
    async def open(cls, name: str, baud: int) -> AtPort:
        """Open a serial port.

        Raises:
            OSError: not there, not permitted, or somebody else has it.
        """
        # In a thread: a USB driver may take seconds to answer.
        port = await asyncio.to_thread(serial.Serial, name, baud, timeout=0, write_timeout=0, exclusive=True)
        return cls(port)

    def close(self) -> None:
        """Give the port back."""
        asyncio.get_running_loop().remove_reader(self._fd)
        self._serial.close()

    async def wake(self, *, timeout_s: float) -> None:
        """Return once the modem answers `AT`.

        Raises:
            TimeoutError: it never does.
            OSError: the port is gone.
        """
        self._send(_ESCAPE)
        for last in range(_WAKE_TRIES, 0, -1):
            try:
                await self.command("AT", timeout_s=timeout_s / _WAKE_TRIES)
            except (TimeoutError, ModemError):
                if last == 1:
                    raise TimeoutError from None
            else:
                return

    async def command(self, text: str, *, timeout_s: float, end: str = "\r") -> list[str]:
        """Return the lines before `OK`; the echo and foreign lines may be among them.

        Raises:
            ModemError: it said no.
            TimeoutError: it said nothing final in time.
            OSError: the port is gone.
        """
        self._lines.clear()
        self._send((text + end).encode("ascii"))
        said: list[str] = []
        async with asyncio.timeout(timeout_s):
            while True:
                line = await self._line()
                if line == "OK":
                    return said
                if line.startswith(_FINAL_ERRORS):
                    raise ModemError(line)
                if len(said) < _MAX_LINES:
                    said.append(line)

    async def prompt(self, text: str, *, timeout_s: float) -> None:
        """Send a command that is answered by `>`; then the modem waits for the message.

        Raises: as `command`.
        """
        self._lines.clear()
        self._send(text.encode("ascii") + b"\r")
        async with asyncio.timeout(timeout_s):
            while True:
                line = await self._line()
                if line == ">":
                    return
                if line.startswith(_FINAL_ERRORS):
                    raise ModemError(line)

    async def wait_for(self, starts: Sequence[str], *, timeout_s: float) -> str:
        """Return the next line that begins with one of `starts`.

        Raises:
            TimeoutError: none came.
            OSError: the port is gone.
        """
        async with asyncio.timeout(timeout_s):
            while True:
                line = await self._line()
                if line.startswith(tuple(starts)):
                    return line

    async def _line(self) -> str:
        while not self._lines:
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()
        return self._lines.popleft()

    def _send(self, octets: bytes) -> None:
        if self._error is not None:
            raise self._error
        if os.write(self._fd, octets) != len(octets):
            raise OSError("the modem takes no bytes")

    def _read(self) -> None:
        try:
            octets = os.read(self._fd, 1024)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        if not octets:
            self._lose(OSError("the port hung up"))
            return
        *whole, rest = (self._held + octets).replace(b"\r", b"\n").split(b"\n")
        self._held = rest[-_MAX_LINE:]
        for line in whole:
            self._take(line)
        if self._held.strip() == b">":  # the prompt has no line end
            self._held = b""
            self._take(b">")

    def _take(self, line: bytes) -> None:
        text = "".join(chr(octet) if 0x20 <= octet < 0x7F else "?" for octet in line[:_MAX_LINE]).strip()  # noqa: PLR2004  # ASCII
        if text:
            self._lines.append(text)
            self._arrived.set()

    def _lose(self, error: OSError) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        self._error = error
        self._arrived.set()
