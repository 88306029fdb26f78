"""The time something really happened, from the wall clock as it stood and the corrections that came later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from gatehouse_events.chain import Entry
from gatehouse_events.records import ClockCorrection, RecordError, decode
from gatehouse_journal.lane import LaneFile

_PLAUSIBLE_FROM: Final = datetime(2025, 1, 1, tzinfo=UTC)
_BATCH: Final = 500


class ClockTable(Struct, frozen=True, kw_only=True):
    """The corrections of each boot, oldest first, as `(mono_ns of the clock entry, correction)`."""

    boots: Mapping[str, tuple[tuple[int, ClockCorrection], ...]]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> ClockTable:
        """Build the table from `clock` entries; bodies that are erased or unreadable are stepped over."""
        boots: dict[str, tuple[tuple[int, ClockCorrection], ...]] = {}
        for entry in entries:
            try:
                correction = decode(entry.body or b"", ClockCorrection)
            except RecordError:
                continue
            boots[correction.boot] = (*boots.get(correction.boot, ()), (entry.mono_ns, correction))
        return cls(boots=boots)

    def corrected(self, entry: Entry) -> datetime | None:
        """Return when `entry` was really written; None: no clock entry ever said so for its boot.

        The first correction after the entry counts, else the last one before it: a clock drifts, so the
        nearest later measurement is the best.
        """
        known = self.boots.get(entry.boot, ())
        if not known:
            return None
        later = [correction for mono_ns, correction in known if mono_ns >= entry.mono_ns]
        return (later[0] if later else known[-1][1]).corrected(entry.mono_ns)

    def best(self, entry: Entry) -> datetime:
        """Return the corrected time, or the wall clock as it stood when nothing better is known."""
        return self.corrected(entry) or entry.at


def prunable_through(file: LaneFile, clocks: ClockTable, bound: int, cutoff: datetime) -> int | None:
    """Return the last entry up to `bound` such that it and all before it are older than `cutoff`; None: none.

    A time nobody can believe (1970) proves no age: such an entry goes only together with a later one that is
    believably old.
    """
    after, proven = (file.first_seq() or 1) - 1, None
    while after < bound:
        rows = file.rows(after, min(_BATCH, bound - after))
        for entry, _ in rows:
            if entry.seq > bound:
                return proven
            at = clocks.best(entry)
            if at >= cutoff:
                return proven
            if at >= _PLAUSIBLE_FROM:
                proven = entry.seq
            after = entry.seq
        if not rows:
            break
    return proven
