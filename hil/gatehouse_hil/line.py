"""A simulated RS-485 line: one host PTY, any number of slaves, every byte paced at the line rate.

A PTY stores the baud rate and ignores it (960 bytes "at 9600" arrive in 4 ms), so one thread per line gives
each byte its time: it hears a talker, holds the bytes for as long as they would have been on the wire and hands
them to everybody else. Slaves in this process are called at the end of a frame (3.5 characters of silence, Modbus
serial line V1.02 §2.5.1.1); programs outside (a pymodbus server, a simulated node) get a PTY tap of their own.

The host opens `line.port`, a symbolic link that keeps its name over unplugging, like /dev/serial/by-id/.
"""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import os
import pty
import random
import select
import tempfile
import termios
import threading
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

_FIFO_CHARS: Final = 16
"""Bytes are handed over this many at a time, as a 16550 UART would."""
_PR_SET_TIMERSLACK: Final = 29
_FRAME_LIMIT_BYTES: Final = 512
"""Twice a Modbus frame; what is longer without a silence is babble."""
_SHORT_SILENCE_BAUD: Final = 19_200
_FIXED_SILENCE_S: Final = 1.75e-3
"""Above 19200 baud the silence between frames is fixed (Modbus serial line V1.02 §2.5.1.1)."""

_SPEEDS: Final = {
    getattr(termios, name): int(name[1:]) for name in dir(termios) if name[1:].isdigit() and name[0] == "B"
}


@dataclass(frozen=True, slots=True)
class Emission:
    """Bytes that a slave puts on the line, so long after the request ended (or after its previous emission)."""

    after_s: float
    content: bytes


class LineSlave(Protocol):
    """Somebody on the line who answers whole frames."""

    def hear(self, frame: bytes, at_s: float) -> list[Emission]:
        """Return what this slave says to `frame` (with CRC, unchecked), heard at monotonic `at_s`. Empty: nothing."""
        ...


@dataclass(slots=True)
class LineFaults:
    """What is wrong with the wire now; set the fields at any time."""

    drop: float = 0.0
    """Chance that a byte is lost."""
    flip: float = 0.0
    """Chance that one bit of a byte turns over."""
    noise: float = 0.0
    """Chance that a random byte follows a byte."""
    is_echo: bool = False
    """The host hears its own bytes (two-wire adapter without receiver control)."""
    is_stuck: bool = False
    """Nothing passes; the driver chip holds the line."""
    is_deaf: bool = False
    """Half open: the host's bytes reach nobody."""
    is_mute: bool = False
    """Half open: nobody's bytes reach the host."""


@dataclass(eq=False, slots=True)
class _Tap:
    """One PTY on the line. We keep its slave side open so that the master never reads EIO."""

    master: int
    slave: int
    is_host: bool
    free_at_s: float = 0.0

    def baud(self) -> int:
        """Return the rate that the program at the other end has asked for."""
        return _SPEEDS.get(termios.tcgetattr(self.slave)[5], 0)

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


@dataclass(eq=False, slots=True)
class _Burst:
    """Bytes of one talker, being sent. `is_hurt`: another talker began before it ended."""

    talker: object
    began_s: float
    ends_s: float
    is_hurt: bool = False


@dataclass(slots=True)
class _Ear:
    """What the slaves in this process have heard since the last silence."""

    heard: bytearray = field(default_factory=bytearray)
    last_s: float = 0.0
    is_request: bool = True
    """False: a slave spoke in this frame, so it is no request, however good its CRC."""


class Line:
    """The line; a context manager. All methods may be called from any thread."""

    def __init__(
        self,
        *,
        baud: int = 9600,
        bits_per_char: int = 10,
        directory: Path | None = None,
        name: str = "rs485",
        seed: int = 1,
    ) -> None:
        self.baud: Final = baud
        self.char_s: Final = bits_per_char / baud
        self.silence_s: Final = _FIXED_SILENCE_S if baud > _SHORT_SILENCE_BAUD else 3.5 * self.char_s
        self.faults = LineFaults()
        self.is_lenient = False
        """True: slaves also take a request that follows an answer without the silence the standard wants between."""
        self.bytes_carried = 0
        self._home = tempfile.TemporaryDirectory(prefix="gatehouse-line-") if directory is None else None
        self.port: Final = Path(self._home.name if self._home else directory or ".") / f"usb-{name}-if00"
        self._random = random.Random(seed)
        self._slaves: list[LineSlave] = []
        self._taps: dict[int, _Tap] = {}
        self._ear = _Ear()
        self._burst = _Burst(talker=None, began_s=0.0, ends_s=0.0)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._orders: list[tuple[Callable[[], None], threading.Event]] = []
        self._wake_r, self._wake_w = os.pipe()
        self._is_running = True
        self._thread = threading.Thread(target=self._run, name=f"line-{name}", daemon=True)

    def __enter__(self) -> Self:
        self._plug_host()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def attach(self, slave: LineSlave) -> None:
        """Put a slave on the line."""
        self._slaves.append(slave)

    def detach(self, slave: LineSlave) -> None:
        """Take a slave off the line."""
        self._slaves.remove(slave)

    def open_tap(self) -> str:
        """Return the path of a further PTY on this line, for a slave that is a program of its own."""
        tap = _open_tap(is_host=False)
        self._order(lambda: self._taps.update({tap.master: tap}))
        return os.ttyname(tap.slave)

    def inject(self, content: bytes) -> None:
        """Let an unknown talker say `content` now: foreign frames, noise bursts."""
        self._order(lambda: self._say(self.inject, content, time.monotonic()))

    def unplug(self) -> None:
        """Pull the host's adapter: its open port hangs up and the path is gone."""
        self._order(self._unplug_host)

    def replug(self) -> None:
        """Put the adapter back: another device node behind the same path."""
        self._order(self._plug_host)

    def close(self) -> None:
        """Stop the line and remove its port."""
        if self._is_running:
            self._is_running = False
            os.write(self._wake_w, b"x")
            self._thread.join()
        self._unplug_host()
        for tap in self._taps.values():
            tap.close()
        self._taps.clear()
        os.close(self._wake_r)
        os.close(self._wake_w)
        if self._home:
            self._home.cleanup()

    def _order(self, action: Callable[[], None]) -> None:
        done = threading.Event()
        self._orders.append((action, done))
        os.write(self._wake_w, b"x")
        done.wait(5)

    def _plug_host(self) -> None:
        if any(tap.is_host for tap in self._taps.values()):
            return
        tap = _open_tap(is_host=True)
        self._taps[tap.master] = tap
        self.port.symlink_to(os.ttyname(tap.slave))

    def _unplug_host(self) -> None:
        for tap in [tap for tap in self._taps.values() if tap.is_host]:
            self.port.unlink(missing_ok=True)
            del self._taps[tap.master]
            tap.close()

    def _run(self) -> None:
        # Waits end on time instead of up to 50 µs late: prctl(2), PR_SET_TIMERSLACK, of this thread alone.
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
        while self._is_running:
            wait_s = max(0.0, self._events[0][0] - time.monotonic()) if self._events else None
            readable, _, _ = select.select([self._wake_r, *self._taps], [], [], wait_s)
            now_s = time.monotonic()
            while self._events and self._events[0][0] <= now_s:
                heapq.heappop(self._events)[2]()
            for fd in readable:
                if fd == self._wake_r:
                    os.read(fd, 64)
                elif tap := self._taps.get(fd):
                    self._say(tap, os.read(fd, 4096), now_s)
            while self._orders:
                action, done = self._orders.pop(0)
                action()
                done.set()

    def _at(self, at_s: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (at_s, self._count, action))

    def _say(self, talker: object, content: bytes, now_s: float) -> None:
        """Start sending: cut into pieces, each handed over when its last bit would have passed."""
        if isinstance(talker, _Tap):
            if talker.baud() != self.baud:
                content = self._random.randbytes(len(content))
            if talker.is_host and self.faults.is_deaf:
                return
        burst = self._burst
        if burst.talker is talker and burst.ends_s >= now_s:
            start_s = burst.ends_s
        else:
            start_s = now_s
            is_collision = burst.ends_s > now_s
            burst.is_hurt |= is_collision
            burst = self._burst = _Burst(talker=talker, began_s=now_s, ends_s=now_s, is_hurt=is_collision)
        burst.ends_s = start_s + len(content) * self.char_s
        for at in range(0, len(content), _FIFO_CHARS):
            piece = content[at : at + _FIFO_CHARS]
            end_s = start_s + (at + len(piece)) * self.char_s
            self._at(end_s, partial(self._hand_over, burst, piece, end_s))

    def _hand_over(self, burst: _Burst, piece: bytes, end_s: float) -> None:
        if burst.is_hurt:
            piece = self._random.randbytes(len(piece))
        piece = self._spoil(piece)
        if self.faults.is_stuck or not piece:
            return
        self.bytes_carried += len(piece)
        for tap in self._taps.values():
            if (tap is burst.talker and not self.faults.is_echo) or (tap.is_host and self.faults.is_mute):
                continue
            heard = piece if tap.baud() == self.baud else self._random.randbytes(len(piece))
            with contextlib.suppress(BlockingIOError):
                os.write(tap.master, heard)
        ear = self._ear
        is_host = isinstance(burst.talker, _Tap) and burst.talker.is_host
        if self.is_lenient and is_host and not ear.is_request:
            ear = self._ear = _Ear()
        ear.heard += piece
        del ear.heard[:-_FRAME_LIMIT_BYTES]
        ear.last_s = end_s
        ear.is_request &= is_host
        self._at(end_s + self.silence_s, lambda: self._end_frame(end_s))

    def _end_frame(self, last_s: float) -> None:
        ear, burst = self._ear, self._burst
        if ear.last_s != last_s or (burst.ends_s > last_s and burst.began_s < last_s + self.silence_s):
            return  # somebody has gone on, or has begun, before the silence was long enough to end a frame
        frame, is_request = bytes(ear.heard), ear.is_request
        self._ear = _Ear()
        if not is_request:
            return
        for slave in self._slaves:
            at_s = last_s + self.silence_s
            for emission in slave.hear(frame, at_s):
                at_s += emission.after_s
                self._at(at_s, partial(self._say, slave, emission.content, at_s))
                at_s += len(emission.content) * self.char_s

    def _spoil(self, piece: bytes) -> bytes:
        faults = self.faults
        if not (faults.drop or faults.flip or faults.noise):
            return piece
        spoilt = bytearray()
        for octet in piece:
            if self._random.random() < faults.drop:
                continue
            spoilt.append(
                octet ^ (1 << self._random.randrange(8)) if self._random.random() < faults.flip else octet
            )
            if self._random.random() < faults.noise:
                spoilt.append(self._random.randrange(256))
        return bytes(spoilt)


def _open_tap(*, is_host: bool) -> _Tap:
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    return _Tap(master=master, slave=slave, is_host=is_host)
