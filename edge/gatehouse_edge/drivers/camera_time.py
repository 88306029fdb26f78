"""When a picture was taken: from the stream's time stamps, and from the camera's own clock where RTCP tells it. Pure.

Two times are wanted. The detector wants seconds that only grow and whose differences are right: time stamps of the stream. The
evidence wants an hour and a day: the wall clock of the camera's RTCP sender reports (RFC 3550 §6.4.1), else the arrival of the quickest
picture so far. Both say on which clock they rest.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from gatehouse_edge.clock import Now
from gatehouse_events.evidence import ClockBasis

JUMP_S: Final = 5.0
"""Time stamps that leap by more were set anew (reboot, loop, summer time); what was followed ends there."""
BELIEVED_S: Final = 2.0
"""A camera's clock farther from the gateway's is wrong, and its times are not used."""
_BACK_S: Final = 0.5
"""Time stamps out of order by less are a shaking encoder's."""
_STANDING_FRAMES: Final = 25
"""Time stamps that have not grown for so many pictures do not tell time."""
_STEP_S: Final = 0.04
_LEAST_S: Final = 15.0


class Stamp(Struct, frozen=True, kw_only=True):
    """When one picture was taken."""

    capture_s: float
    """Service scale; only grows; differences are those of the camera."""
    at: datetime
    """Wall clock, UTC."""
    clock: ClockBasis
    """What `at` rests on."""
    is_timed: bool
    """False: no usable time stamp, `capture_s` is the arrival."""
    is_new_run: bool
    """True: time jumped before this picture; nothing can be followed across it."""


class CaptureClock:
    """The time of one opened stream. `tell` what a packet says of the camera's clock, `stamp` every picture in order."""

    def __init__(self, *, is_file: bool = False) -> None:
        self._fallback: Final = ClockBasis.FILE if is_file else ClockBasis.ARRIVAL
        self.clock_offset_s: float | None = None
        """The camera's clock minus the gateway's, delay included; None: it does not tell."""
        self.lag_s = 0.0
        """How far the newest picture is behind the quickest one."""
        self._wall_from_pts_s: float | None = None
        self._pts_s: float | None = None
        self._standing = 0
        self._capture_s: float | None = None
        self._anchor_s: float | None = None
        """Service time minus time stamp, fixed when a run begins."""
        self._delays = _Least()

    def tell(self, *, pts_s: float | None, camera_wall_s: float) -> None:
        """Take what the camera's clock said (seconds since 1970) for the picture of that time stamp."""
        if pts_s is not None:
            self._wall_from_pts_s = camera_wall_s - pts_s

    def stamp(self, pts_s: float | None, now: Now) -> Stamp:
        """Return the time of one picture whose packet arrived `now`."""
        grows = pts_s is not None and (self._pts_s is None or pts_s > self._pts_s)
        self._standing = 0 if grows else self._standing + 1
        leapt = (
            pts_s is not None and self._pts_s is not None and not -_BACK_S <= pts_s - self._pts_s <= JUMP_S
        )
        if pts_s is None or (not grows and not leapt and self._standing > _STANDING_FRAMES):
            return self._arrival(pts_s, now)
        is_new_run = leapt or self._anchor_s is None
        if is_new_run:
            self._anchor_s, self._delays = now.service_s - pts_s, _Least()
            if leapt:
                self._wall_from_pts_s = None
        self._pts_s = pts_s
        anchor_s = self._anchor_s or 0.0
        capture_s = pts_s + anchor_s
        if self._capture_s is not None and capture_s <= self._capture_s and is_new_run:
            capture_s = self._capture_s + _STEP_S
            self._anchor_s = capture_s - pts_s
        is_first = self._capture_s is None
        self._capture_s = capture_s if self._capture_s is None else max(capture_s, self._capture_s)
        delay_s = now.service_s - pts_s
        quickest_s = self._delays.of(delay_s, now.service_s)
        self.lag_s = delay_s - quickest_s
        at, clock = self._wall(pts_s, quickest_s, now, grows=grows or leapt)
        return Stamp(
            capture_s=self._capture_s,
            at=at,
            clock=clock,
            is_timed=True,
            is_new_run=is_new_run and not is_first,
        )

    def _wall(self, pts_s: float, quickest_s: float, now: Now, *, grows: bool) -> tuple[datetime, ClockBasis]:
        arrived = now.wall - timedelta(seconds=now.service_s - (pts_s + quickest_s))
        if self._wall_from_pts_s is None:
            return arrived, self._fallback
        camera_s = pts_s + self._wall_from_pts_s
        # A time stamp that stands still says nothing of the camera's clock.
        if grows or self.clock_offset_s is None:
            self.clock_offset_s = round(camera_s - arrived.timestamp(), 3)
        if abs(self.clock_offset_s) > BELIEVED_S:
            return arrived, self._fallback
        return datetime.fromtimestamp(camera_s, UTC), ClockBasis.CAMERA

    def _arrival(self, pts_s: float | None, now: Now) -> Stamp:
        """No usable time stamp: the arrival has to do; a run that had some ends here.

        One that stands still is remembered: it is unusable until another one comes.
        """
        is_new_run = self._anchor_s is not None
        self._anchor_s, self._pts_s, self.clock_offset_s = None, pts_s, None
        self.lag_s = 0.0
        least_s = 0.0 if self._capture_s is None else self._capture_s + 0.001
        self._capture_s = max(now.service_s, least_s)
        return Stamp(
            capture_s=self._capture_s,
            at=now.wall,
            clock=self._fallback,
            is_timed=False,
            is_new_run=is_new_run,
        )


class _Least:
    """The least delay of the last 15 to 30 s: a camera's oscillator drifts by seconds a day, so an old least is no measure."""

    def __init__(self) -> None:
        self._least_s = self._before_s = float("inf")
        self._since_s: float | None = None

    def of(self, delay_s: float, now_s: float) -> float:
        """Take one delay into account and return the least."""
        if self._since_s is None or now_s - self._since_s >= _LEAST_S:
            self._since_s, self._before_s, self._least_s = now_s, self._least_s, delay_s
        self._least_s = min(self._least_s, delay_s)
        return min(self._least_s, self._before_s)
