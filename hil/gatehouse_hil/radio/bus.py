"""A D-Bus of our own: a real `dbus-daemon` on a socket in a temporary directory.

The gateway finds it through `DBUS_SYSTEM_BUS_ADDRESS` (D-Bus specification, "Well-known Message Bus Instances"),
so its stock BlueZ backend needs no change. The host's own system bus is never touched.
"""

from __future__ import annotations

import asyncio
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

START_LIMIT_S: Final = 10.0
STOP_LIMIT_S: Final = 2.0

_CONFIG: Final = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class BusError(RuntimeError):
    """The private dbus-daemon did not start."""


class PrivateBus:
    """One dbus-daemon; `address` stays the same over `restart`, as the real system bus' does."""

    def __init__(self) -> None:
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._daemon: Process | None = None
        self.address = ""
        """What to put into `DBUS_SYSTEM_BUS_ADDRESS`; empty before the bus is entered."""

    async def __aenter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="gatehouse-dbus-")
        socket = Path(self._directory.name) / "bus"
        config = Path(self._directory.name) / "bus.conf"
        config.write_text(_CONFIG.format(socket=socket), encoding="utf-8")
        self.address = f"unix:path={socket}"
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if self._directory is not None:
            self._directory.cleanup()

    async def start(self) -> None:
        """Start the daemon and return once it listens.

        Raises:
            BusError: it did not within 10 s (is the Debian package `dbus-daemon` installed?).
        """
        socket = self.address.removeprefix("unix:path=")
        Path(socket).unlink(missing_ok=True)  # a killed daemon leaves its socket behind
        try:
            self._daemon = await asyncio.create_subprocess_exec(
                "dbus-daemon",
                f"--config-file={Path(socket).with_name('bus.conf')}",
                "--nofork",
                "--nopidfile",
                "--print-address=1",
                stdout=PIPE,
                stderr=DEVNULL,
                start_new_session=True,  # Ctrl-C in a terminal must not take the bus away before the gateway
            )
        except FileNotFoundError as error:
            raise BusError("dbus-daemon is not installed (Debian package dbus-daemon)") from error
        if self._daemon.stdout is None:
            raise BusError("dbus-daemon has no standard output")
        try:
            async with asyncio.timeout(START_LIMIT_S):
                line = await self._daemon.stdout.readline()  # printed once it listens
        except TimeoutError as error:
            raise BusError("dbus-daemon did not say its address in 10 s") from error
        if not line:
            raise BusError("dbus-daemon ended at once")

    async def stop(self) -> None:
        """End the daemon; every client loses its connection at once."""
        daemon, self._daemon = self._daemon, None
        if daemon is None or daemon.returncode is not None:
            return
        with suppress(ProcessLookupError):
            daemon.terminate()
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await daemon.wait()
        except TimeoutError:
            daemon.kill()
            await daemon.wait()

    async def restart(self, *, down_s: float = 0.2) -> None:
        """Fault: the system bus goes away for ``down_s`` and comes back empty."""
        await self.stop()
        await asyncio.sleep(down_s)
        await self.start()
