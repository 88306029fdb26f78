"""One serial port of a simulated node: a PTY behind a stable path outside, a socket into the node's process inside.

A thread of its own carries the bytes, so that a busy event loop delays nobody. The PTY outlives the node's power, like an
adapter that stays plugged in; what arrives while the node is off is lost.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import threading
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gatehouse_hil.wire_end import UartSettings, asked_baud

_READ_BYTES: Final = 4096
_STALL_S: Final = 0.5
"""A reader that has taken nothing for so long is gone; what it would have read is lost, as on a wire."""


class SerialPort:
    """One port. `open` before use, `close` at the end; all methods may be called from any thread."""

    def __init__(self, path: Path, *, on_sent: Callable[[bytes], None] | None = None) -> None:
        self.path: Final = path
        """Stable name of the outer end; absent while unplugged."""
        self.is_powered = False
        self.settings: UartSettings | None = None
        """What the node has set its end to, None: a console, whose rate nobody checks."""
        self._on_sent = on_sent
        self._random = random.Random(1)
        self._master: int | None = None
        self._slave: int | None = None
        self._stalled = False
        self._is_open = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake_r, self._wake_w = -1, -1
        self.inner: socket.socket
        """The end that the node's process gets."""
        self.outer: socket.socket
        """Our end of it: what the node sends comes out here."""

    def open(self) -> None:
        """Make the port appear and start carrying."""
        self.inner, self.outer = socket.socketpair()
        self.outer.setblocking(False)
        self._wake_r, self._wake_w = os.pipe()
        self._is_open = True
        self.plug()
        self._start()

    def close(self) -> None:
        """Stop carrying and remove the port."""
        self._is_open = False
        self._stop()
        self.unplug()
        for end in (self.inner, self.outer):
            end.close()
        os.close(self._wake_r)
        os.close(self._wake_w)

    def plug(self) -> None:
        """Put the adapter in: another device node behind the same path. Twice does nothing."""
        with self._lock:
            if self._master is not None:
                return
            self._master, self._slave = os.openpty()
            # Our own open slave keeps the pair alive while nobody has it open, and raw from the first byte.
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.path.with_name(self.path.name + ".new")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(os.ttyname(self._slave))
            fresh.replace(self.path)
        self._wake()

    def unplug(self) -> None:
        """Pull the adapter: open ports hang up and the path is gone. Twice does nothing."""
        was_carrying = self._thread is not None
        self._stop()  # a thread that waits for the PTY keeps it open: the hang-up would come late
        if self._master is not None and self._slave is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._master)
            os.close(self._slave)
            self._master = self._slave = None
        if was_carrying:
            self._start()

    def lend(self) -> socket.socket:
        """Give the wire away: bytes no longer go through the PTY but through the returned socket, until `take_back`."""
        self._stop()
        return self.outer

    def take_back(self) -> None:
        """Carry through the PTY again."""
        if self._thread is None and self._is_open:
            self._start()

    def drain(self) -> None:
        """Forget what waits on its way into the node: it was sent to a node without power."""
        with contextlib.suppress(BlockingIOError):
            self.inner.setblocking(False)
            while self.inner.recv(_READ_BYTES):
                pass

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._carry, name=f"serial {self.path.name}", daemon=True)
        self._thread.start()

    def _stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._wake()
            thread.join()

    def _wake(self) -> None:
        if self._wake_w >= 0:
            os.write(self._wake_w, b"x")

    def _carry(self) -> None:
        me = threading.current_thread()
        while self._thread is me:
            master = self._master
            sources = [self._wake_r, self.outer.fileno(), *([] if master is None else [master])]
            readable, _, _ = select.select(sources, [], [])
            if self._wake_r in readable:
                os.read(self._wake_r, 64)
            if self.outer.fileno() in readable:
                self._send_out(self.outer.recv(_READ_BYTES))
            if master in readable:
                with self._lock, contextlib.suppress(OSError):
                    if self._master is not None:
                        self._send_in(os.read(self._master, _READ_BYTES))

    def _send_in(self, octets: bytes) -> None:
        if not self.is_powered:
            return
        with contextlib.suppress(BlockingIOError):
            self.outer.send(self._as_heard(octets))

    def _send_out(self, octets: bytes) -> None:
        if self._on_sent is not None:
            self._on_sent(octets)
        octets = self._as_heard(octets)
        while octets:
            with self._lock:
                if self._master is None:
                    return
                with contextlib.suppress(BlockingIOError):
                    octets = octets[os.write(self._master, octets) :]
                    self._stalled = False
                master = self._master
            if octets:
                _, writable, _ = select.select([], [master], [], 0.0 if self._stalled else _STALL_S)
                if not writable:
                    self._stalled = True
                    return

    def _as_heard(self, octets: bytes) -> bytes:
        """Return what the other end makes of it: garbage when the two ends disagree about the rate."""
        if self.settings is None or self._slave is None:
            return octets
        outer_baud = asked_baud(self._slave)
        if outer_baud == self.settings.baud or not self._is_opened(outer_baud):
            return octets
        return self._random.randbytes(len(octets))

    @staticmethod
    def _is_opened(outer_baud: int) -> bool:
        """A fresh PTY stands at 38400 until somebody sets it; nobody of ours uses that rate."""
        return outer_baud != 38_400
