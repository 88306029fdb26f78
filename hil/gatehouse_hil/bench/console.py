"""What a board says at its console, line by line. Only listens: nothing is sent, the program is not interrupted."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Final

import serial

from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.raw_repl import open_port
from gatehouse_hil.bench.watching import BEAT_S, Tell
from gatehouse_hil.bench.workplace import Workplace

LINE_MARKS: Final = 2000
"""Longest line shown; a board that never ends one is cut here."""
_READ_S: Final = 0.1
_AGAIN_S: Final = 0.5
_UNFINISHED_S: Final = 0.5
"""A line without an end is shown after so long: a prompt, a panic."""
_CHUNK: Final = 4096


async def listen(place: Workplace, board: str, tell: Tell) -> None:
    """Tell every line until cancelled; a port that goes away is waited for.

    Findings: `{"line": text}`, `{"event": "open" | "gone" | "beat", "port": path}`.

    Raises:
        BenchError: NO_SUCH_BOARD; PORT_BUSY, PORT_FORBIDDEN.
    """
    async with place.stations((board,)) as (station,):
        ear = Ear(station.port, tell)
        try:
            await asyncio.to_thread(ear.listen)
        finally:
            ear.stop()


class Ear:
    """Reads one port in a thread."""

    def __init__(self, port: str, tell: Tell) -> None:
        self._port: Final = port
        self._tell: Final = tell
        self._stopped: Final = threading.Event()
        self._rest = b""
        self._rest_s = 0.0
        self._told_s = time.monotonic()

    def stop(self) -> None:
        """End `listen` within a tenth of a second."""
        self._stopped.set()

    def listen(self) -> None:
        """Read until stopped.

        Raises:
            BenchError: PORT_BUSY, PORT_FORBIDDEN.
        """
        while not self._stopped.is_set():
            try:
                with open_port(self._port, timeout_s=_READ_S, patience_s=_AGAIN_S) as device:
                    self._say({"event": "open", "port": self._port}, f"— {self._port}")
                    self._read(device)
            except BenchError as error:
                if error.fault is not Fault.PORT_GONE:
                    raise
                self._stopped.wait(_AGAIN_S)
            self._beat()

    def _read(self, device: serial.SerialBase) -> None:
        while not self._stopped.is_set():
            try:
                fresh = device.read(max(1, min(device.in_waiting, _CHUNK)))
            except (OSError, TypeError, serial.SerialException):
                if self._stopped.is_set():  # the simulated board went first
                    return
                self._say({"event": "gone", "port": self._port}, f"— {self._port} ✗")
                return
            self.take(fresh)
            self._beat()

    def take(self, fresh: bytes) -> None:
        """Split what came into lines and tell them."""
        now_s = time.monotonic()
        if fresh:
            self._rest_s = now_s
        *lines, self._rest = (self._rest + fresh).split(b"\n")
        if self._rest and (now_s - self._rest_s > _UNFINISHED_S or len(self._rest) > LINE_MARKS):
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._line(line)

    def _line(self, raw: bytes) -> None:
        text = visible(raw.rstrip(b"\r").decode("utf-8", "replace"))
        self._say({"line": text}, text)

    def _beat(self) -> None:
        if time.monotonic() - self._told_s >= BEAT_S:
            self._say({"event": "beat"}, "")

    def _say(self, finding: dict[str, str], text: str) -> None:
        self._told_s = time.monotonic()
        self._tell(finding, text)


def visible(text: str) -> str:
    """Return `text` with every control character as its picture (␛ for ESC): what a board says must not steer a terminal."""
    shown = "".join(chr(0x2400 + ord(mark)) if ord(mark) < 0x20 and mark != "\t" else mark for mark in text)
    shown = shown.replace("\x7f", "␡").replace("\t", "    ")
    shown = "".join(mark if mark.isprintable() else "�" for mark in shown)
    return shown if len(shown) <= LINE_MARKS else shown[: LINE_MARKS - 1] + "…"
