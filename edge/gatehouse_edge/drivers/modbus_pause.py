"""Waiting to the tenth of a millisecond, and waiting that can be cut short.

The event loop's selector rounds every timer up to whole milliseconds. The 1.75 ms of silence between two Modbus frames
would become 3, and at 115200 baud that alone costs a tenth of the line. A timer file descriptor has no such rounding
(timerfd_create(2); Python has it from 3.13 as os.timerfd_create).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import time
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_CLOCK_MONOTONIC: Final = 1
_NON_BLOCKING: Final = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE: Final = 1
_SOON_S: Final = 50e-6
"""Shorter than this is not worth a system call."""


class _Timespec(ctypes.Structure):
    _fields_ = (("sec", ctypes.c_long), ("nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Pause:
    """A precise timer of one task on the running loop; `close` it when done."""

    def __init__(self) -> None:
        self._fd: Final = int(_LIBC.timerfd_create(_CLOCK_MONOTONIC, _NON_BLOCKING))
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._loop: Final = asyncio.get_running_loop()
        self._future: asyncio.Future[None] | None = None
        self._loop.add_reader(self._fd, self._expire)

    async def until(self, at_s: float) -> None:
        """Return at `at_s` of the loop's clock (CLOCK_MONOTONIC), at once when that has passed."""
        if at_s - time.monotonic() < _SOON_S:
            return
        whole = int(at_s)
        spec = _Itimerspec(value=_Timespec(whole, int((at_s - whole) * 1e9)))
        if _LIBC.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(spec), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        self._future = self._loop.create_future()
        try:
            await self._future
        finally:
            self._future = None

    def close(self) -> None:
        """Give the descriptor back."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _expire(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


class Bell:
    """A wait with an end that anybody may cut short; a ring while nobody waits is kept."""

    def __init__(self) -> None:
        self._is_rung = False
        self._future: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """End the wait now, or the next one at once."""
        self._is_rung = True
        self._wake()

    async def wait_until(self, at_s: float) -> None:
        """Return when rung or at `at_s` of the loop's clock, whichever is first."""
        if not self._is_rung:
            loop = asyncio.get_running_loop()
            self._future = loop.create_future()
            timer = loop.call_at(at_s, self._wake)
            try:
                await self._future
            finally:
                timer.cancel()
                self._future = None
        self._is_rung = False

    def _wake(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
