"""A journal as its fleet wants it: what follows a cursor, in batches, with the holes that explain what is gone.

Reads only. Bounded in entries and bytes, so that a backlog of months costs no more memory than one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from gatehouse_events.chain import ZERO_HASH, Entry, EntryKind, Lane
from gatehouse_events.records import Epoch, RecordError, Trimmed, decode
from gatehouse_events.replication import MAX_HOLES, ReplicationBatch, batch_of
from gatehouse_journal.errors import JournalError
from gatehouse_journal.faults import SQL_ERRORS
from gatehouse_journal.lane import read_kind
from gatehouse_journal.reader import Reader

BATCH_ENTRIES: Final = 200
"""Larger ones gain nothing (measured; `replication.MAX_BATCH_ENTRIES`)."""
BATCH_BYTES: Final = 1024 * 1024
"""Of bodies; one entry may be larger and then travels alone."""
_PAGE: Final = 50


class Outgoing:
    """Not thread safe, as its reader."""

    def __init__(self, reader: Reader, gateway_id: str) -> None:
        self._reader: Final = reader
        self._gateway_id: Final = gateway_id

    def batch(
        self, lane: Lane, after: int, *, max_entries: int = BATCH_ENTRIES, max_bytes: int = BATCH_BYTES
    ) -> ReplicationBatch | None:
        """Return the entries of one epoch that follow `after`; None: there are none.

        Raises:
            JournalError: the journal cannot be read.
        """
        entries: list[Entry] = []
        size = 0
        while len(entries) < max_entries:
            place = entries[-1].seq if entries else after
            page = self._reader.read(lane, place, min(_PAGE, max_entries - len(entries)))
            for entry in page:
                size += len(entry.body or b"")
                if entries and (entry.epoch != entries[0].epoch or size > max_bytes):
                    return self._wrapped(entries, after)
                entries.append(entry)
            if len(page) < _PAGE:
                break
        return self._wrapped(entries, after) if entries else None

    def count_after(self, lane: Lane, after: int) -> int:
        """Return how many entries follow `after`.

        Raises:
            JournalError: the journal cannot be read.
        """
        try:
            row = self._reader.database(lane).execute("SELECT count(*) FROM entry WHERE seq > ?", (after,))
            return int(row.fetchone()[0])
        except SQL_ERRORS as error:
            raise JournalError(f"the journal cannot be read: {error}") from error

    def knows(self, epoch: str) -> bool:
        """Return whether `epoch` is or was a life of this journal, as far as it still remembers.

        Raises:
            JournalError: the journal cannot be read.
        """
        if any(epoch == entry.epoch for entry in self._reader.read(Lane.ALARM, 0, 1)):
            return True
        return epoch == self._reader.head(Lane.ALARM).epoch or epoch in self._epochs()

    def _epochs(self) -> set[str]:
        found: set[str] = set()
        for entry in self._own(EntryKind.EPOCH):
            try:
                record = decode(entry.body or b"", Epoch)
            except RecordError:
                continue
            found |= {record.epoch, record.previous or record.epoch}
        return found

    def _wrapped(self, entries: Sequence[Entry], after: int) -> ReplicationBatch:
        seqs = [after, *(entry.seq for entry in entries)]
        has_gap = any(later != earlier + 1 for earlier, later in pairwise(seqs))
        starts = entries[0].prev_hash == ZERO_HASH and seqs[-1] - entries[0].seq + 1 == len(entries)
        holes = self._holes(entries[0].lane, after, entries[-1].seq) if has_gap and not starts else ()
        return batch_of(self._gateway_id, entries, holes=holes)

    def _holes(self, lane: Lane, after: int, last: int) -> tuple[bytes, ...]:
        """Return the declarations that reach behind `after`; the newest, if there are too many."""
        found = []
        for entry in self._own(EntryKind.TRIMMED):
            try:
                record = decode(entry.body or b"", Trimmed)
            except RecordError:
                continue
            if record.lane is lane and record.last > after and record.first <= last and entry.body:
                found.append(entry.body)
        return tuple(found[-MAX_HOLES:])

    def _own(self, kind: EntryKind) -> list[Entry]:
        try:
            return read_kind(self._reader.database(Lane.ALARM), Lane.ALARM, kind)
        except SQL_ERRORS as error:
            raise JournalError(f"the journal cannot be read: {error}") from error
