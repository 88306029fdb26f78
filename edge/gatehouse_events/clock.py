"""How far a gateway's wall clock may be believed; mandatory in every event (domain table row 5)."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class ClockSource(StrEnum):
    """What keeps the clock right."""

    NTP = "ntp"
    PTP = "ptp"
    GNSS = "gnss"
    RTC = "rtc"
    NONE = "none"


class ClockQuality(Struct, frozen=True, kw_only=True):
    """`offset_ms` is the estimated error, None when nobody knows it."""

    synced: bool
    offset_ms: float | None
    source: ClockSource = ClockSource.NONE
