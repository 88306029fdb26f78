"""A serial cable with a USB adapter at its end: a PTY pair behind a stable path, which can be pulled and put back.

The gateway opens `path` (as it would open /dev/serial/by-id/...); the simulated device sits at the other end.
A PTY has no line rate and no parity; whoever needs pacing puts a paced line in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_READ_BYTES: Final = 4096


class PtyPair:
    """One cable. A context manager: plugged in on entry, unplugged on exit."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        """Stable name of the gateway's end; absent while unplugged."""
        self.lost_bytes = 0
        """Bytes the device sent while nobody could take them (unplugged, or the kernel's buffer full)."""
        self.received_bytes = 0
        """Bytes that ever came from the gateway's end; a push-only line must keep this at zero."""
        self._master: int | None = None
        self._slave: int | None = None
        self._plugged = asyncio.Event()

    def __enter__(self) -> PtyPair:
        self.plug()
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    def plug(self) -> None:
        """Put the adapter in; it gets a new kernel name behind the same stable path. Twice does nothing."""
        if self._master is not None:
            return
        self._master, self._slave = os.openpty()
        # Our own open slave keeps the pair alive while the gateway is away, and raw from the first byte: a fresh
        # tty echoes, which a push-only controller would see as transmitted bytes.
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._slave))
        fresh.replace(self.path)
        self._plugged.set()

    def unplug(self) -> None:
        """Pull the adapter: the gateway's open port dies and the path vanishes. Twice does nothing."""
        if self._master is None or self._slave is None:
            return
        self._plugged.clear()
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(RuntimeError):  # no running loop: nobody can be reading
            asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = None

    def send(self, octets: bytes) -> None:
        """Send from the device's end, never waiting; what finds no room is lost, as on a wire."""
        if self._master is None:
            self.lost_bytes += len(octets)
            return
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < len(octets):
                sent += os.write(self._master, octets[sent:])
        self.lost_bytes += len(octets) - sent

    async def receive(self) -> bytes:
        """Return the next bytes the gateway sent (at least one); waits through an unplugged time."""
        while True:
            await self._plugged.wait()
            master = self._master
            if master is None:
                continue
            try:
                octets = os.read(master, _READ_BYTES)
            except BlockingIOError:
                await self._readable(master)
                continue
            self.received_bytes += len(octets)
            return octets

    async def _readable(self, master: int) -> None:
        """Wait until `master` has bytes or was pulled (checked again every 0.2 s)."""
        arrived = asyncio.Event()
        with self._reader(master, arrived), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await arrived.wait()

    @contextlib.contextmanager
    def _reader(self, master: int, arrived: asyncio.Event) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        loop.add_reader(master, arrived.set)
        try:
            yield
        finally:
            if self._master == master:  # after a pull the number may belong to somebody else
                loop.remove_reader(master)
