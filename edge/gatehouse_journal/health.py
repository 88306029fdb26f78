"""How large a journal may grow and how well it is."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from gatehouse_events.chain import Position

FILLING_AT: Final = 0.8
"""Fault at 80 % (design, "The journal is the heart")."""


class Limits(Struct, frozen=True, kw_only=True):
    """Sizes in bytes on disk, times in days."""

    alarm_quota_bytes: int = 512 * 1024 * 1024
    """Not a wall: alarms are accepted as long as the disk takes them. 80 % of it raises the fault."""
    telemetry_quota_bytes: int = 256 * 1024 * 1024
    ballast_bytes: int = 8 * 1024 * 1024
    alarm_retention_days: int = 200
    """Audit records: at least six months (CSL Art. 21(3), domain table row 8)."""
    checkpoint_every: int = 1000
    """Most alarm entries between two signed checkpoints; callers add checkpoints by time."""


class Health(Struct, frozen=True, kw_only=True):
    """One look at the journal; each flag is a fault of its own at the console."""

    alarm_head: Position
    telemetry_head: Position
    alarm_bytes: int
    telemetry_bytes: int
    free_bytes: int
    """Free on the file system for this user."""
    fill: float
    """0 to 1 and above: the fuller of alarm quota and disk."""
    is_filling: bool
    is_ballast_held: bool
    """False: the disk was full and the space kept for alarms has been given up."""
    integrity: tuple[str, ...]
    """What was found damaged or doubtful since this process opened the journal; empty: nothing."""
    unsigned_entries: int
    """Alarm entries since the last signed checkpoint."""
    telemetry_refused: int
    """Telemetry entries this process could not store."""
