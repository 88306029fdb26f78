"""How far the system clock may be believed, as the kernel itself reports it (adjtimex(2), read only)."""

from __future__ import annotations

import ctypes
from typing import Final

from gatehouse_events.clock import ClockQuality, ClockSource

_STA_UNSYNC: Final = 0x0040
_STA_NANO: Final = 0x2000
_TIME_ERROR: Final = 5


class _Timex(ctypes.Structure):
    """`struct timex` of <sys/timex.h>; the tail is padding the kernel may grow into."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("tv_sec", ctypes.c_long),
        ("tv_usec", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("padding", ctypes.c_long * 32),
    )


_UNKNOWN: Final = ClockQuality(synced=False, offset_ms=None, source=ClockSource.NONE)


def clock_quality() -> ClockQuality:
    """Return the kernel's own word on its clock; not synchronised where it cannot be asked."""
    libc = ctypes.CDLL(None, use_errno=True)
    timex = _Timex(modes=0)
    try:
        state = libc.adjtimex(ctypes.byref(timex))
    except AttributeError:
        return _UNKNOWN
    if state < 0:
        return _UNKNOWN
    if state == _TIME_ERROR or timex.status & _STA_UNSYNC:
        return ClockQuality(synced=False, offset_ms=None, source=ClockSource.RTC)
    scale = 1e6 if timex.status & _STA_NANO else 1e3
    return ClockQuality(synced=True, offset_ms=round(timex.offset / scale, 3), source=ClockSource.NTP)
