"""The only module that reads clocks. Everything else is given a `Now`.

`service_s` is the gateway's own time scale: seconds of its life, monotone, carried over restarts (see
`Timeline`). Rules and timers use it alone, so neither a wall clock at 1970 nor a restart disturbs them.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct

from gatehouse_events.clock import ClockQuality, ClockSource

_PLAUSIBLE_FROM: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""A wall clock before this project existed is a flat RTC battery, not a time."""
_SHORT_OUTAGE_S: Final = 30 * 86400.0
"""A longer gap between two runs than this is believed only from a synchronised clock."""


class Now(Struct, frozen=True, kw_only=True):
    """One instant on all our clocks."""

    wall: datetime
    """Aware, UTC; as the system says, never corrected afterwards."""
    service_s: float
    """Seconds on the gateway's own time scale."""
    boot: str
    """Kernel boot id (32 hex digits)."""
    mono_ns: int
    """CLOCK_BOOTTIME of this boot in nanoseconds."""
    clock: ClockQuality


class Clock(Protocol):
    """Gives the time; the tests pass one they can set."""

    def now(self) -> Now:
        """Return this instant."""
        ...


class LastSeen(Struct, frozen=True, kw_only=True):
    """Where the time scale stood when it was last written to disk."""

    service_s: float
    wall: datetime
    boot: str
    mono_ns: int


class Resumption(Struct, frozen=True, kw_only=True):
    """How the time scale goes on after a restart."""

    service_s: float
    downtime_s: float | None
    """None: not knowable (the wall clock is implausible); timers go on from where they stood."""


def resume(last: LastSeen | None, *, wall: datetime, boot: str, mono_ns: int) -> Resumption:
    """Return where the service time scale goes on, given what the last run left behind. Pure."""
    if last is None:
        return Resumption(service_s=0.0, downtime_s=0.0)
    if last.boot == boot and mono_ns >= last.mono_ns:
        down = (mono_ns - last.mono_ns) / 1e9
        return Resumption(service_s=last.service_s + down, downtime_s=down)
    down = (wall - last.wall).total_seconds()
    if wall < _PLAUSIBLE_FROM or last.wall < _PLAUSIBLE_FROM or not 0 <= down <= _SHORT_OUTAGE_S:
        return Resumption(service_s=last.service_s, downtime_s=None)
    return Resumption(service_s=last.service_s + down, downtime_s=down)


def read_boot_id() -> str:
    """Return the kernel's boot id as 32 hex digits."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")


def mono_ns() -> int:
    """Return CLOCK_BOOTTIME: monotone, counts suspend, same for every process of one boot."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class SystemClock:
    """The real clocks. `quality` may be replaced by whoever watches NTP."""

    def __init__(self, last: LastSeen | None = None) -> None:
        self.boot: Final = read_boot_id()
        start_ns = mono_ns()
        self.resumption: Final = resume(last, wall=datetime.now(UTC), boot=self.boot, mono_ns=start_ns)  # noqa: TID251  # the one place
        self._start_ns: Final = start_ns
        self.quality = ClockQuality(synced=False, offset_ms=None, source=ClockSource.NONE)

    def now(self) -> Now:
        """Return this instant."""
        mono = mono_ns()
        return Now(
            wall=datetime.now(UTC),  # noqa: TID251  # the one place
            service_s=self.resumption.service_s + (mono - self._start_ns) / 1e9,
            boot=self.boot,
            mono_ns=mono,
            clock=self.quality,
        )


class ChildClock:
    """The clock of a process that a gateway has started: the gateway's own time scale, by the clock they share.

    `quality` is not known here; whoever takes an observation over stamps it with the gateway's own clock.
    """

    def __init__(self, parent: Now) -> None:
        self._parent: Final = parent

    def now(self) -> Now:
        """Return this instant."""
        mono = mono_ns()
        return Now(
            wall=datetime.now(UTC),  # noqa: TID251  # the one place
            service_s=self._parent.service_s + (mono - self._parent.mono_ns) / 1e9,
            boot=self._parent.boot,
            mono_ns=mono,
            clock=self._parent.clock,
        )
