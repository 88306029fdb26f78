"""A simulated serial line: one host PTY, any number of others on it, every byte paced at the line rate.

A PTY stores the baud rate and ignores it (960 bytes "at 9600" arrive in 4 ms), so one thread per line gives
each byte its time: it hears a talker, holds the bytes for as long as they would have been on the wire and hands
them to everybody else. Slaves in this process are called at the end of a frame (3.5 characters of silence, Modbus
serial line V1.02 §2.5.1.1); programs outside (a pymodbus server) get a PTY tap of their own, simulated nodes and real
serial ports `join`. Two-wire (RS-485) unless `is_duplex`: then both ends may speak at once, as over RS-232.

The host opens `line.port`, a symbolic link that keeps its name over unplugging, like /dev/serial/by-id/.
"""

from __future__ import annotations

import ctypes
import heapq
import os
import random
import select
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from gatehouse_hil.wire_end import DeviceEnd, NodeEnd, NodePort, PtyEnd, UartSettings, WireEnd
from gatehouse_hil.wire_trace import Recorder

_FIFO_CHARS: Final = 16
"""Bytes are handed over this many at a time, as a 16550 UART would."""
_PR_SET_TIMERSLACK: Final = 29
_FRAME_LIMIT_BYTES: Final = 512
"""Twice a Modbus frame; what is longer without a silence is babble."""
_SHORT_SILENCE_BAUD: Final = 19_200
_FIXED_SILENCE_S: Final = 1.75e-3
"""Above 19200 baud the silence between frames is fixed (Modbus serial line V1.02 §2.5.1.1)."""

_ENDS: Final = (PtyEnd, NodeEnd, DeviceEnd)


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
        parity: int | None = None,
        is_duplex: bool = False,
        is_paced: bool = True,
        directory: Path | None = None,
        name: str = "rs485",
        seed: int = 1,
    ) -> None:
        self.settings: Final = UartSettings(baud=baud, parity=parity)
        """What everybody on it has to be set to; who is not says and hears garbage."""
        self.baud: Final = baud
        self.char_s: Final = self.settings.bits_per_char / baud if is_paced else 0.0
        self.silence_s: Final = _FIXED_SILENCE_S if baud > _SHORT_SILENCE_BAUD else 35 / baud
        self.faults = LineFaults()
        self.is_lenient = False
        """True: slaves also take a request that follows an answer without the silence the standard wants between."""
        self.bytes_carried = 0
        self._home = tempfile.TemporaryDirectory(prefix="gatehouse-line-") if directory is None else None
        self.port: Final = Path(self._home.name if self._home else directory or ".") / f"usb-{name}-if00"
        self._random = random.Random(seed)
        self._slaves: list[LineSlave] = []
        self._is_duplex: Final = is_duplex
        self._recorders: list[Recorder] = []
        self._ends: dict[int, WireEnd] = {}
        self._ear = _Ear()
        self._burst = _Burst(talker=None, began_s=0.0, ends_s=0.0)
        self._duplex_bursts: dict[object, _Burst] = {}
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

    def open_tap(self, *, name: str = "tap") -> str:
        """Return the path of a further PTY on this line, for a slave that is a program of its own."""
        end = PtyEnd(is_host=False, name=name)
        self._join(end)
        return end.path

    def join(self, port: NodePort) -> None:
        """Put a simulated node's UART on the line; its own PTY is out of use meanwhile."""
        self._join(NodeEnd(port))

    def join_device(self, path: Path, *, name: str = "device") -> None:
        """Put a real serial port on the line (`is_paced` False: the real wire paces already).

        Raises:
            serial.SerialException: it cannot be opened.
        """
        self._join(DeviceEnd(path, self.settings, name=name))

    def part(self, port: NodePort) -> None:
        """Take a simulated node off the line."""

        def leave() -> None:
            for end in [end for end in self._ends.values() if isinstance(end, NodeEnd) and end.port is port]:
                self._leave(end)

        self._order(leave)

    def record(self, recorder: Recorder) -> None:
        """Let `recorder` hear all that passes from now on."""
        self._recorders.append(recorder)

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
        for end in list(self._ends.values()):
            self._leave(end)
        os.close(self._wake_r)
        os.close(self._wake_w)
        if self._home:
            self._home.cleanup()

    def _order(self, action: Callable[[], None]) -> None:
        done = threading.Event()
        self._orders.append((action, done))
        os.write(self._wake_w, b"x")
        done.wait(5)

    def _join(self, end: WireEnd) -> None:
        self._order(lambda: self._ends.update({end.fileno(): end}))

    def _leave(self, end: WireEnd) -> None:
        del self._ends[end.fileno()]
        end.close()

    def _plug_host(self) -> None:
        if any(end.is_host for end in self._ends.values()):
            return
        end = PtyEnd(is_host=True, name="host")
        self._ends[end.fileno()] = end
        self.port.symlink_to(end.path)

    def _unplug_host(self) -> None:
        for end in [end for end in self._ends.values() if end.is_host]:
            self.port.unlink(missing_ok=True)
            self._leave(end)

    def _run(self) -> None:
        # Waits end on time instead of up to 50 µs late: prctl(2), PR_SET_TIMERSLACK, of this thread alone.
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
        while self._is_running:
            wait_s = max(0.0, self._events[0][0] - time.monotonic()) if self._events else None
            readable, _, _ = select.select([self._wake_r, *self._ends], [], [], wait_s)
            now_s = time.monotonic()
            while self._events and self._events[0][0] <= now_s:
                heapq.heappop(self._events)[2]()
            for fd in readable:
                if fd == self._wake_r:
                    os.read(fd, 64)
                elif end := self._ends.get(fd):
                    self._hear(end, now_s)
            while self._orders:
                action, done = self._orders.pop(0)
                action()
                done.set()

    def _hear(self, end: WireEnd, now_s: float) -> None:
        if content := end.read():
            self._say(end, content, now_s)
        else:
            self._leave(end)

    def _at(self, at_s: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (at_s, self._count, action))

    def _say(self, talker: object, content: bytes, now_s: float) -> None:
        """Start sending: cut into pieces, each handed over when its last bit would have passed."""
        if isinstance(talker, _ENDS):
            if not talker.agrees(self.settings):
                content = self._random.randbytes(len(content))
            if talker.is_host and self.faults.is_deaf:
                return
        burst = self._duplex_bursts.get(talker, self._burst) if self._is_duplex else self._burst
        if burst.talker is talker and burst.ends_s >= now_s:
            start_s = burst.ends_s
        else:
            start_s = now_s
            is_collision = burst.ends_s > now_s and not self._is_duplex
            burst.is_hurt |= is_collision
            burst = self._burst = _Burst(talker=talker, began_s=now_s, ends_s=now_s, is_hurt=is_collision)
            if self._is_duplex:
                self._duplex_bursts[talker] = burst
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
        for recorder in self._recorders:
            recorder.heard(end_s, _name_of(burst.talker), piece)
        for end in self._ends.values():
            if (end is burst.talker and not self.faults.is_echo) or (end.is_host and self.faults.is_mute):
                continue
            end.write(piece if end.agrees(self.settings) else self._random.randbytes(len(piece)))
        ear = self._ear
        is_host = isinstance(burst.talker, _ENDS) and burst.talker.is_host
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


def _name_of(talker: object) -> str:
    return talker.name if isinstance(talker, _ENDS) else str(getattr(talker, "name", "line"))
