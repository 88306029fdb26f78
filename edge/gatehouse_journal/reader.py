"""Reading a journal while it is being written: short transactions, a cursor for each reader."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gatehouse_events.chain import Entry, EntryKind, Lane, Position
from gatehouse_journal.clockwork import ClockTable
from gatehouse_journal.cursors import Cursors
from gatehouse_journal.errors import JournalError
from gatehouse_journal.faults import SQL_ERRORS
from gatehouse_journal.lane import head_position, read_evidence, read_kind, read_rows, tolerant_text
from gatehouse_journal.opening import ALARM_FILE, TELEMETRY_FILE
from gatehouse_journal.signer import public_keys
from gatehouse_journal.verify import Progress, Report, verify

_FILES: Final = {Lane.ALARM: ALARM_FILE, Lane.TELEMETRY: TELEMETRY_FILE}
_BUSY_S: Final = 5.0
MAX_READ: Final = 10_000
"""Most entries of one read: the WAL cannot shrink while a read lasts."""


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except SQL_ERRORS as error:
        raise JournalError(f"the journal cannot be read: {error}") from error


class Reader:
    """Not thread safe: one call at a time, from any thread. Works with and without a running writer.

    What cannot be read is a `JournalError`; `read_rows` and `database`, for proofs and exports, let SQLite speak.
    """

    def __init__(self, directory: Path) -> None:
        self.directory: Final = directory
        self._open: dict[Lane, tuple[int, sqlite3.Connection]] = {}
        self._cursors: Cursors | None = None

    @classmethod
    def open(cls, directory: Path) -> Reader:
        """Open the journal in `directory`.

        Raises:
            JournalError: there is none.
        """
        if not (directory / ALARM_FILE).exists():
            raise JournalError(f"there is no journal in {directory}")
        return cls(directory)

    def read(self, lane: Lane, after: int, limit: int) -> list[Entry]:
        """Return at most `limit` (and `MAX_READ`) entries of `lane` that follow `after`, oldest first."""
        with _named():
            return [entry for entry, _ in self.read_rows(lane, after, limit)]

    def read_rows(self, lane: Lane, after: int, limit: int) -> list[tuple[Entry, bytes]]:
        """Return entries as `read` does, each with the hash stored beside it."""
        return read_rows(self.database(lane), lane, after, min(limit, MAX_READ))

    def read_evidence(self, after: int, limit: int) -> list[Entry]:
        """Return at most `limit` (and `MAX_READ`) entries of the evidence register that follow `after`, oldest first."""
        with _named():
            return read_evidence(self.database(Lane.ALARM), Lane.ALARM, after, min(limit, MAX_READ))

    def head(self, lane: Lane) -> Position:
        """Return the last entry of `lane` (sequence 0 in an empty one)."""
        with _named():
            rows = read_rows(self.database(lane), lane, self._last(lane) - 1, 1)
        if not rows:
            return head_position(None, "0" * 32)
        return head_position(rows[0], rows[0][0].epoch)

    def cursor(self, name: str, lane: Lane = Lane.ALARM) -> int:
        """Return the last sequence number `name` is done with, 0 at first.

        A lost cursor file also gives 0: a reader for whom old entries do harm looks at their age.
        """
        with _named():
            return self._side().get(lane, name)

    def set_cursor(self, name: str, seq: int, lane: Lane = Lane.ALARM) -> None:
        """Remember that `name` is done with everything up to `seq`."""
        with _named():
            self._side().set(lane, name, seq)

    def clocks(self) -> ClockTable:
        """Return the corrections of all boots."""
        with _named():
            return ClockTable.of(read_kind(self.database(Lane.ALARM), Lane.ALARM, EntryKind.CLOCK))

    def corrected(self, entries: Sequence[Entry]) -> list[datetime]:
        """Return for each entry when it was really written, as far as a later `clock` entry tells."""
        clocks = self.clocks()
        return [clocks.best(entry) for entry in entries]

    def verify(self, *, keys: Sequence[str] = (), progress: Progress | None = None) -> Report:
        """Read everything and prove both chains, all hashes and all signatures.

        Args:
            keys: public keys to trust (hex); the journal's own list when empty.
            progress: called after each few hundred entries with (entries read, entries in all).
        """
        return verify(self, keys=tuple(keys) or public_keys(self.directory), progress=progress)

    def database(self, lane: Lane) -> sqlite3.Connection:
        """Return the connection to a lane's file; opened again when the file was replaced by a repair."""
        path = self.directory / _FILES[lane]
        try:
            inode = path.stat().st_ino
        except FileNotFoundError as error:
            raise JournalError(f"{path} is missing") from error
        known = self._open.get(lane)
        if known is not None and known[0] == inode:
            return known[1]
        if known is not None:
            known[1].close()
        db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        db.text_factory = tolerant_text
        db.execute("PRAGMA query_only = ON")
        self._open[lane] = (inode, db)
        return db

    def close(self) -> None:
        """Close all files."""
        for _, db in self._open.values():
            db.close()
        self._open.clear()
        if self._cursors is not None:
            self._cursors.close()
            self._cursors = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _last(self, lane: Lane) -> int:
        last = self.database(lane).execute("SELECT coalesce(max(seq), 0) FROM entry").fetchone()[0]
        return int(last)

    def _side(self) -> Cursors:
        if self._cursors is None:
            self._cursors = Cursors.open(self.directory)
        return self._cursors
