"""MicroPython's raw REPL over a serial port: code in, what it printed out.

Ctrl-C twice stops a running program, Ctrl-A enters (`raw REPL; CTRL-B to exit` answers), Ctrl-D runs what was sent;
the answer is `OK`, output, 0x04, traceback, 0x04, `>`. Source: MicroPython manual, "The interactive interpreter mode".

Keys go this way and no other: not on a command line, not through a file. Nothing that passes here is logged.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import serial

from gatehouse_hil.bench.fault import BenchError, Fault

BAUD: Final = 115_200
_ANSWER_LIMIT: Final = 65_536
_CHUNK: Final = 256
"""Longest write without a pause: the receive buffer of the runtime's console."""
PATIENCE_S: Final = 4.0
_LOOK_AGAIN_S: Final = 0.1
_WRITE_S: Final = 5.0
_CHUNK_PAUSE_S: Final = 0.01
_KNOCK_S: Final = 0.3
_QUIET_S: Final = 0.1
_BANNER: Final = b"raw REPL; CTRL-B to exit\r\n>"


class RawRepl:
    """One conversation; use `opened`. Blocking: run it in a thread."""

    def __init__(self, port: serial.SerialBase, name: str) -> None:
        self._port: Final = port
        self._name: Final = name

    def enter(self, *, within_s: float) -> None:
        """Stop whatever runs and enter the raw REPL.

        Raises:
            BenchError: NO_ANSWER; PORT_GONE.
        """
        deadline_s = time.monotonic() + within_s
        while True:
            self._write(b"\r\x03\x03\r\x01")
            # Often, so that one falls into the short time in which a button is awake after it got power.
            if _BANNER in self._until(_BANNER, min(deadline_s, time.monotonic() + _KNOCK_S)):
                self._quiet()  # the banners of earlier tries come late from a slow board: start clean
                return
            if time.monotonic() >= deadline_s:
                raise BenchError(Fault.NO_ANSWER, port=self._name)

    def execute(self, code: str, *, within_s: float) -> str:
        """Run `code`; return what it printed.

        Raises:
            BenchError: NO_ANSWER; PORT_GONE; NODE_REFUSED with the last line of the traceback.
        """
        self.send(code)
        deadline_s = time.monotonic() + within_s
        answer = self._until(b"\x04>", deadline_s)
        head, ok, rest = answer.partition(b"OK")
        if not ok or not rest.endswith(b"\x04>") or head.strip(b"\r\n>"):
            raise BenchError(Fault.NO_ANSWER, port=self._name)
        printed, _, trouble = rest[: -len(b"\x04>")].partition(b"\x04")
        if trouble.strip():
            last = trouble.decode("utf-8", "replace").strip().splitlines()[-1]
            raise BenchError(Fault.NODE_REFUSED, said=last)
        return printed.decode("utf-8", "replace")

    def send(self, code: str) -> None:
        """Run `code` without waiting for an answer: a reset gives none.

        Raises:
            BenchError: PORT_GONE.
        """
        sent = code.encode()
        for at in range(0, len(sent), _CHUNK):
            self._write(sent[at : at + _CHUNK])
            if at + _CHUNK < len(sent):
                time.sleep(_CHUNK_PAUSE_S)
        self._write(b"\x04")

    def leave(self) -> None:
        """Leave the raw REPL for the friendly one."""
        with contextlib.suppress(BenchError):
            self._write(b"\x02")
            self._port.flush()

    def restart(self, until: bytes, *, within_s: float) -> bool:
        """Let the runtime start anew and run main.py; return whether it said `until` in time.

        Raises:
            BenchError: PORT_GONE.
        """
        self._write(b"\x02\x04")
        heard = b""
        deadline_s = time.monotonic() + within_s
        while until not in heard and time.monotonic() < deadline_s:
            # A line ends with a newline; more may have come in the same piece.
            heard = heard[-len(until) :] + self._until(b"\n", min(deadline_s, time.monotonic() + _KNOCK_S))
        return until in heard

    def _quiet(self) -> None:
        while self._until(b"", time.monotonic() + _QUIET_S):
            pass

    def _write(self, content: bytes) -> None:
        try:
            self._port.write(content)
        except (OSError, serial.SerialException) as error:
            raise BenchError(Fault.PORT_GONE, port=self._name) from error

    def _until(self, ending: bytes, deadline_s: float) -> bytes:
        heard = bytearray()
        while time.monotonic() < deadline_s and len(heard) < _ANSWER_LIMIT:
            try:
                heard += self._port.read(max(1, self._port.in_waiting))
            except (OSError, TypeError, serial.SerialException) as error:
                raise BenchError(Fault.PORT_GONE, port=self._name) from error
            if ending and heard.endswith(ending):
                break
        return bytes(heard)


@contextlib.contextmanager
def opened(port: str, *, within_s: float = 5.0) -> Iterator[RawRepl]:
    """Open `port` for us alone, enter the raw REPL, leave it at the end.

    Raises:
        BenchError: PORT_BUSY; PORT_GONE; NO_ANSWER.
    """
    with open_port(port) as device:
        repl = RawRepl(device, port)
        repl.enter(within_s=within_s)
        try:
            yield repl
        finally:
            repl.leave()


class ExclusivePort:
    """A serial port that is ours alone while the block runs."""

    def __init__(self, device: serial.SerialBase) -> None:
        self._device: Final = device

    def __enter__(self) -> serial.SerialBase:
        return self._device

    def __exit__(self, *_: object) -> None:
        self._device.close()


def open_port(
    port: str, *, baud: int = BAUD, timeout_s: float = 0.05, patience_s: float = PATIENCE_S
) -> ExclusivePort:
    """Open a serial port (a path or a pyserial URL) exclusively.

    A port that is not there is awaited for `patience_s`: a board that was reset or got its power back takes about a second
    until its USB is there again, and udev a moment more until we may open it.

    Raises:
        BenchError: PORT_BUSY; PORT_GONE; PORT_FORBIDDEN.
    """
    options: dict[str, object] = {} if "://" in port else {"exclusive": True}
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            return ExclusivePort(
                serial.serial_for_url(
                    port, baudrate=baud, timeout=timeout_s, write_timeout=_WRITE_S, **options
                )
            )
        except serial.SerialException as error:
            fault = _fault_of(error)
            if fault is Fault.PORT_BUSY or time.monotonic() >= deadline_s:
                raise BenchError(fault, port=port) from error
        time.sleep(_LOOK_AGAIN_S)


def _fault_of(error: serial.SerialException) -> Fault:
    if error.errno in (errno.EBUSY, errno.EAGAIN) or "lock" in str(error):
        return Fault.PORT_BUSY
    return Fault.PORT_FORBIDDEN if error.errno == errno.EACCES else Fault.PORT_GONE


def is_gone(port: str) -> bool:
    """Whether the device node of a local port has vanished; a URL is never known to."""
    return "://" not in port and not Path(port).exists()
