"""When evidence must go. Pure. Both mistakes are bad: a clip deleted by a clock that jumped, a clip kept for ever.

The age is told by two scales: the wall clock against the capture time, and the gateway's own service time since it was kept,
which no jump of the wall clock moves. Both agree: it goes. Only the wall clock says so (the gateway was off for long, or its
clock was wrong): it goes once that clock has been synchronised and steady for `BELIEVED_AFTER_S`. A gateway whose clock nobody
synchronises goes by its service time alone, `UNSURE_DAYS` later: by so much a wrong clock at a start may have carried it ahead.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from gatehouse_edge.clock import Now
from gatehouse_events.evidence import Manifest

BELIEVED_AFTER_S: Final = 86_400.0
UNSURE_DAYS: Final = 30
"""The longest time off that the service scale takes from an unsynchronised clock (`clock.py`)."""
_DAY_S: Final = 86_400.0
_PLAUSIBLE_FROM: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""As in `clock.py`: an earlier time is a flat battery, not a time."""
_AHEAD: Final = timedelta(days=1)


class Hold(Struct, frozen=True, kw_only=True):
    """Why evidence must not go."""

    by: str
    role: str
    reason: str
    at: datetime


class Stored(Struct, frozen=True, kw_only=True):
    """One piece of evidence as the gateway keeps account of it; a state key of the journal."""

    manifest_sha256: str
    event_id: str
    camera_id: str
    alarm_id: str
    captured_at: datetime
    kept_s: float
    """Service time at which it was entered into the journal."""
    files: tuple[str, ...]
    """Names in the drawer, the manifest's and those of viewing copies among them."""
    masked_sha256: str = ""
    """Of the viewing copy; empty: none was made."""
    hold: Hold | None = None
    """Set here."""
    by_fleet: dict[str, Hold] = {}
    """File (SHA-256) that is held at the fleet -> the first hold there; lifted there only."""
    is_going: bool = False
    """Its deletion is in the journal; the files may still lie there."""

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Every hold that stands, the one set here first."""
        return (*(() if self.hold is None else (self.hold,)), *self.by_fleet.values())


def stored_of(sha: str, manifest: Manifest, files: tuple[str, ...], *, alarm_id: str, now: Now) -> Stored:
    """Return the account of evidence that is entered now."""
    return Stored(
        manifest_sha256=sha,
        event_id=manifest.event_id,
        camera_id=manifest.camera_id,
        alarm_id=alarm_id,
        captured_at=manifest.captured_at,
        kept_s=now.service_s,
        files=files,
    )


def retention_until(captured_at: datetime, now: datetime, *, days: int) -> datetime:
    """Return when evidence must be gone; a capture time that cannot be is replaced by `now`."""
    is_plausible = _PLAUSIBLE_FROM <= captured_at <= now + _AHEAD
    return (captured_at if is_plausible else now) + timedelta(days=days)


def is_due(stored: Stored, now: Now, *, days: int, steady_s: float | None) -> bool:
    """Return whether evidence goes now.

    Args:
        stored: its account.
        now: this instant.
        days: how long it may be kept.
        steady_s: for how long the wall clock has been synchronised without a step; None: it is not.
    """
    if stored.is_going:
        return True
    if stored.holds:
        return False
    age_s = now.service_s - stored.kept_s
    if steady_s is None or now.wall < _PLAUSIBLE_FROM:
        return age_s >= (days + UNSURE_DAYS) * _DAY_S
    by_service = age_s >= days * _DAY_S
    if not _PLAUSIBLE_FROM <= stored.captured_at <= now.wall + _AHEAD:
        return by_service
    is_old = now.wall - stored.captured_at >= timedelta(days=days)
    return is_old and (by_service or steady_s >= BELIEVED_AFTER_S)


class Steadiness:
    """How long the wall clock has been synchronised and has not stepped against the service scale."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._offset_s = 0.0

    def see(self, now: Now) -> float | None:
        """Take one look and return for how long; None: not synchronised. Look at least every few hours."""
        if not now.clock.synced:
            self._since_s = None
            return None
        offset_s = now.wall.timestamp() - now.service_s
        if self._since_s is None or abs(offset_s - self._offset_s) > _STEP_S:
            self._since_s = now.service_s
        self._offset_s = offset_s
        return now.service_s - self._since_s


_STEP_S: Final = 60.0
"""More than a clock drifts between two looks."""


def decode_stored(raw: bytes) -> Stored | None:
    """Return an account from the journal's state; None: another version's, or damaged."""
    try:
        return msgspec.json.decode(raw, type=Stored)
    except (msgspec.DecodeError, ValueError):
        return None
