"""A console cable: full duplex, paced at its line rate, with a plug at the board's end that can be moved.

The bench opens `path`, a symbolic link that keeps its name over unplugging like /dev/serial/by-id/. Behind it sits
whatever the board is just now: the ROM loader (a function of bytes), a running node (the PTY of its console), or
nothing. A PTY has no rate of its own, so one thread gives each byte its time, as `line.Line` does for RS-485.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import threading
import time
import tty
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

BITS_PER_CHAR: Final = 10
_PIECE_BYTES: Final = 32
"""Handed over this many at a time: half a packet of a USB adapter."""
_BACKLOG_BYTES: Final = 4096
"""What an adapter buffers; beyond it the host's writes wait in the kernel."""
_IDLE_S: Final = 0.5

Respond = Callable[[bytes], bytes]


@dataclass(slots=True)
class _Lane:
    """One direction: pieces and when their last bit has passed."""

    char_s: float
    free_at_s: float = 0.0
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    backlog: int = 0

    def put(self, content: bytes, now_s: float) -> None:
        self.free_at_s = max(self.free_at_s, now_s)
        for at in range(0, len(content), _PIECE_BYTES):
            piece = content[at : at + _PIECE_BYTES]
            self.free_at_s += len(piece) * self.char_s
            self.waiting.append((self.free_at_s, piece))
        self.backlog += len(content)

    def due(self, now_s: float) -> bytes:
        ready = b""
        while self.waiting and self.waiting[0][0] <= now_s:
            ready += self.waiting.popleft()[1]
        self.backlog -= len(ready)
        return ready

    def clear(self) -> None:
        self.waiting.clear()
        self.backlog = 0


class SerialCable:
    """The cable; a context manager, plugged in on entry. All methods may be called from any thread."""

    def __init__(self, path: Path, *, baud: int = 115_200) -> None:
        self.path: Final = path
        self.bytes_carried = 0
        char_s = BITS_PER_CHAR / baud
        self._to_board = _Lane(char_s)
        self._to_host = _Lane(char_s)
        self._master: int | None = None
        self._slave: int | None = None
        self._respond: Respond | None = None
        self._console: int | None = None
        self._bytes_left: int | None = None
        self._orders: deque[tuple[Callable[[], None], threading.Event]] = deque()
        self._wake_r, self._wake_w = os.pipe()
        self._is_running = True
        self._thread = threading.Thread(target=self._run, name=f"cable-{path.name}", daemon=True)

    def __enter__(self) -> Self:
        self._plug_host()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def attach_loader(self, respond: Respond) -> None:
        """Put a board at the far end that answers bytes with bytes."""
        self._order(lambda: self._attach(respond, None))

    def attach_console(self, port: str, *, unplug_after_bytes: int | None = None) -> None:
        """Put a running node at the far end; `port` is the PTY of its console.

        With `unplug_after_bytes` the adapter is pulled once the host has sent so much.
        """
        descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(descriptor)
        self._order(lambda: self._attach(None, descriptor, unplug_after_bytes))

    def detach(self) -> None:
        """Leave the far end dead: a board without power. The port stays."""
        self._order(lambda: self._attach(None, None))

    def unplug(self) -> None:
        """Pull the adapter: the open port hangs up and the path is gone."""
        self._order(self._unplug_host)

    def replug(self) -> None:
        """Put the adapter back behind the same path."""
        self._order(self._plug_host)

    def close(self) -> None:
        """Stop and remove the port. Twice does nothing."""
        if not self._is_running:
            return
        self._is_running = False
        os.write(self._wake_w, b"x")
        self._thread.join()
        self._attach(None, None)
        self._unplug_host()
        os.close(self._wake_r)
        os.close(self._wake_w)

    def _order(self, act: Callable[[], None]) -> None:
        is_done = threading.Event()
        self._orders.append((act, is_done))
        os.write(self._wake_w, b"x")
        is_done.wait()

    def _attach(self, respond: Respond | None, console: int | None, bytes_left: int | None = None) -> None:
        if self._console is not None:
            os.close(self._console)
        self._respond, self._console, self._bytes_left = respond, console, bytes_left
        self._to_board.clear()
        self._to_host.clear()

    def _plug_host(self) -> None:
        if self._master is not None:
            return
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._slave))
        fresh.replace(self.path)

    def _unplug_host(self) -> None:
        if self._master is None or self._slave is None:
            return
        self.path.unlink(missing_ok=True)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = None

    def _run(self) -> None:
        while self._is_running:
            self._wait()
            while self._orders:
                act, is_done = self._orders.popleft()
                act()
                is_done.set()
            now_s = time.monotonic()
            self._take(self._master, self._to_board, now_s)
            self._take(self._console, self._to_host, now_s)
            self._deliver(now_s)
        while self._orders:
            self._orders.popleft()[1].set()

    def _wait(self) -> None:
        readers = [self._wake_r]
        if self._master is not None and self._to_board.backlog < _BACKLOG_BYTES:
            readers.append(self._master)
        if self._console is not None and self._to_host.backlog < _BACKLOG_BYTES:
            readers.append(self._console)
        nexts = [lane.waiting[0][0] for lane in (self._to_board, self._to_host) if lane.waiting]
        wait_s = min(nexts) - time.monotonic() if nexts else _IDLE_S
        ready, _, _ = select.select(readers, [], [], max(0.0, min(wait_s, _IDLE_S)))
        if self._wake_r in ready:
            os.read(self._wake_r, 4096)

    def _take(self, source: int | None, lane: _Lane, now_s: float) -> None:
        if source is None or lane.backlog >= _BACKLOG_BYTES:
            return
        try:
            content = os.read(source, _BACKLOG_BYTES)
        except BlockingIOError:
            return
        except OSError:  # the node at the far end is gone: EIO
            if source == self._console:
                self._attach(None, None)
            return
        lane.put(content, now_s)

    def _deliver(self, now_s: float) -> None:
        to_board = self._to_board.due(now_s)
        if to_board and self._respond is not None:
            self._to_host.put(self._respond(to_board), now_s)
        elif to_board and self._console is not None:
            with contextlib.suppress(OSError):
                os.write(self._console, to_board)
            if self._bytes_left is not None:
                self._bytes_left -= len(to_board)
                if self._bytes_left <= 0:
                    self._unplug_host()
        to_host = self._to_host.due(now_s)
        if to_host and self._master is not None:
            self.bytes_carried += len(to_host)
            with contextlib.suppress(BlockingIOError):
                os.write(self._master, to_host)
