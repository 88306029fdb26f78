"""Talks to systemd: ready, alive, stopping (sd_notify(3)); silent where there is no systemd."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from typing import Final

_USEC: Final = 1_000_000

_log = logging.getLogger(__name__)


class Service:
    """The process as systemd sees it. Every call is harmless without `NOTIFY_SOCKET`."""

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        env = dict(os.environ) if environ is None else environ
        self._address = env.get("NOTIFY_SOCKET", "")
        self.watchdog_s: Final = int(env.get("WATCHDOG_USEC", "0")) / _USEC

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.connect(address)
                out.sendall(text.encode())
        except (
            OSError
        ) as error:  # systemd is being replaced or its queue is full: no reason to stop watching for gas
            _log.warning("systemd does not listen: %s", error)

    def ready(self, status: str) -> None:
        """Say that every part is running."""
        self._send(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        """Say that a stop was asked for."""
        self._send("STOPPING=1")

    async def feed_watchdog(self, is_alive: Callable[[], bool]) -> None:
        """Feed systemd's watchdog for as long as `is_alive` says so; returns at once when none is armed.

        A stuck writer must look dead: only then does systemd restart us.
        """
        if not self.watchdog_s:
            return
        while True:
            if is_alive():
                self._send("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_s / 3)
