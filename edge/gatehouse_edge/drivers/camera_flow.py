"""Does a camera send enough, evenly and whole? A pure judge of what arrives, over the last seconds."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Final

from msgspec import Struct

from gatehouse_edge.reading import Flaw

HOLE_S: Final = 0.3
"""The longest gap across which a fall is followed (`vision.tracks`)."""
_HOLES_SHARE: Final = 0.1
"""So much of the time in holes makes a stream uneven."""
_BAD_LEAST: Final = 3
_BAD_SHARE: Final = 0.01
"""A hundredth of the packets: a picture lost every four seconds at 25 a second."""
_UNTIMED_SHARE: Final = 0.5
_BREAKS: Final = 4
"""More of them within `breaks_window_s`: power, cable or firmware, not chance."""


class FlowSettings(Struct, frozen=True, kw_only=True):
    """Limits of the judge."""

    min_frames_per_s: float = 8.0
    window_s: float = 10.0
    breaks_window_s: float = 600.0


class FlowJudge:
    """Watches one camera over all its openings. Times are seconds of the service scale."""

    def __init__(self, settings: FlowSettings) -> None:
        self._settings: Final = settings
        self._openings_s: deque[float] = deque(maxlen=_BREAKS + 1)
        self._opened_s: float | None = None
        self._frames: deque[tuple[float, float, bool]] = deque()
        """Arrival, capture time, whether it was timed."""
        self._packets: deque[float] = deque()
        self._bad: deque[float] = deque()

    def opened(self, now_s: float, *, is_counted: bool) -> None:
        """A stream begins; `is_counted` False: a file that begins anew, which is no break."""
        self._opened_s = now_s
        self._frames.clear()
        self._packets.clear()
        self._bad.clear()
        if is_counted:
            self._openings_s.append(now_s)

    def packet(self, now_s: float) -> None:
        """One packet has come."""
        self._packets.append(now_s)

    def bad(self, now_s: float) -> None:
        """One packet could not be decoded, or what came of it is broken."""
        self._bad.append(now_s)

    def frame(self, now_s: float, capture_s: float, *, is_timed: bool) -> None:
        """One picture has been decoded."""
        self._frames.append((now_s, capture_s, is_timed))

    @property
    def frames_per_s(self) -> float | None:
        """Pictures a second by the camera's own time, over the window; None: too few to tell."""
        if len(self._frames) < 2:  # noqa: PLR2004  # two make an interval
            return None
        span_s = self._frames[-1][1] - self._frames[0][1]
        return (len(self._frames) - 1) / span_s if span_s > 0 else None

    def flaws(self, now_s: float) -> dict[Flaw, str]:
        """Return what is wrong, "" for what is not; nothing is said before a whole window has passed."""
        horizon_s = now_s - self._settings.window_s
        for queue in (self._packets, self._bad):
            while queue and queue[0] < horizon_s:
                queue.popleft()
        while self._frames and self._frames[0][0] < horizon_s:
            self._frames.popleft()
        found = {Flaw.UNSTABLE: self._unstable(now_s)}
        if self._opened_s is None or self._opened_s > horizon_s or not self._frames:
            return found
        found[Flaw.SLOW] = self._slow()
        found[Flaw.UNEVEN] = "" if found[Flaw.SLOW] else self._uneven()
        found[Flaw.CORRUPT] = self._corrupt()
        found[Flaw.UNTIMED] = self._untimed()
        return found

    def _slow(self) -> str:
        rate, least = self.frames_per_s, self._settings.min_frames_per_s
        if rate is None or round(rate, 1) >= least:  # as it is told: "8.0 is below 8" helps nobody
            return ""
        return (
            f"每秒{rate:.1f}帧，低于{least:g}：查带宽、码率与夜间慢快门 "
            f"{rate:.1f} a second, below {least:g}: check line, bit rate, night shutter"
        )

    def _uneven(self) -> str:
        times_s = [capture_s for _, capture_s, _ in self._frames]
        gaps_s = [later - earlier for earlier, later in pairwise(times_s)]
        holes_s = sum(gap for gap in gaps_s if gap > HOLE_S)
        span_s = times_s[-1] - times_s[0]
        if span_s <= 0 or holes_s <= _HOLES_SHARE * span_s:
            return ""
        return (
            f"画面中断最长{max(gaps_s):.1f} s：改为固定帧率，查丢包 "
            f"holes up to {max(gaps_s):.1f} s: set a constant frame rate, look for packet loss"
        )

    def _corrupt(self) -> str:
        bad, packets = len(self._bad), len(self._packets)
        if bad < _BAD_LEAST or bad < _BAD_SHARE * packets:
            return ""
        return f"{packets}包中{bad}包损坏：改用TCP，查线路 {bad} of {packets} packets broken: use TCP, check the line"

    def _untimed(self) -> str:
        untimed = sum(not is_timed for _, _, is_timed in self._frames)
        if untimed <= _UNTIMED_SHARE * len(self._frames):
            return ""
        return "码流无时间戳，以到达时间代替 no time stamps: arrival times are used; update or replace the camera"

    def _unstable(self, now_s: float) -> str:
        window_s = self._settings.breaks_window_s
        recent = [s for s in self._openings_s if now_s - s <= window_s]
        if len(recent) <= _BREAKS:
            return ""
        breaks, minutes = len(recent) - 1, f"{window_s / 60:.2g}"
        return (
            f"{minutes}分钟内断线{breaks}次：查供电与网线 "
            f"{breaks} breaks in {minutes} minutes: check power and cable"
        )
