"""One SQLite file holding one lane: its entries and, in the alarm file, the tables that commit with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from gatehouse_events.chain import (
    ZERO_HASH,
    ChainError,
    Entry,
    Lane,
    Position,
    entry_hash,
    microseconds,
    moment,
)
from gatehouse_journal.durable import sync_directory
from gatehouse_journal.faults import DamagedRowError

SYNCHRONOUS: Final[dict[Lane, str]] = {Lane.ALARM: "FULL", Lane.TELEMETRY: "NORMAL"}
"""FULL: a commit returns after the WAL is on the disk. NORMAL: a power cut may take the newest commits, never
the file (sqlite.org/pragma.html#pragma_synchronous)."""

_APPLICATION_ID: Final = 0x47484A31  # "GHJ1"
_SCHEMA_VERSION: Final = 1
_WAL_PAGES: Final = 512
"""Pages in the WAL before SQLite writes them home: 2 MiB at 4096 bytes."""
_SPARING_WAL_PAGES: Final = 32
"""The same while the disk is nearly full: else the WAL swallows the room that the entries need."""
_WAL_LIMIT_BYTES: Final = 4 * 1024 * 1024
_BUSY_S: Final = 5.0
_CHECK_STEPS: Final = 20_000_000
"""Virtual machine steps after which the structural check at start is cut off (a second or two): a start must not
wait minutes for a large file. `verify` reads everything."""
_IN_SELF: Final = "'checkpoint','trimmed','erased','epoch','clock'"

_ENTRY_TABLE: Final = f"""
CREATE TABLE IF NOT EXISTS entry (
  seq INTEGER PRIMARY KEY,
  epoch BLOB NOT NULL,
  at_us INTEGER NOT NULL,
  boot TEXT NOT NULL,
  mono_ns INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body_hash BLOB NOT NULL,
  prev_hash BLOB NOT NULL,
  hash BLOB NOT NULL,
  body BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS entry_of_journal ON entry (kind, seq) WHERE kind IN ({_IN_SELF});
CREATE INDEX IF NOT EXISTS entry_of_evidence ON entry (seq) WHERE kind = 'evidence';
"""
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (key TEXT PRIMARY KEY, value INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
_SELECT: Final = "SELECT seq, epoch, at_us, boot, mono_ns, kind, body_hash, prev_hash, body, hash FROM entry"

_ROW_TYPES: Final = frozenset(
    (int, bytes, int, str, int, str, bytes, bytes, body, bytes) for body in (bytes, type(None))
)

_Row = tuple[int, bytes, int, str, int, str, bytes, bytes, bytes | None, bytes]


class LaneFile:
    """One lane's file. Not thread safe: one call at a time, from any thread."""

    def __init__(self, path: Path, lane: Lane, db: sqlite3.Connection) -> None:
        self.path: Final = path
        self.lane: Final = lane
        self.db: Final = db

    @classmethod
    def open(cls, path: Path, lane: Lane) -> LaneFile:
        """Open `path` for writing, creating it when absent.

        Raises:
            sqlite3.Error: damaged, no space, or not permitted.
        """
        is_new = not path.exists()
        db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        db.text_factory = tolerant_text
        try:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only before the first table; a no-op later
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA synchronous = {SYNCHRONOUS[lane]}")
            db.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
            db.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
            db.execute(f"PRAGMA secure_delete = {'ON' if lane is Lane.ALARM else 'FAST'}")
            db.execute("PRAGMA cell_size_check = ON")
            db.execute("PRAGMA temp_store = MEMORY")
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                tables = _ENTRY_TABLE + (_TABLES if lane is Lane.ALARM else "")
                db.executescript(
                    f"BEGIN IMMEDIATE; {tables} PRAGMA application_id = {_APPLICATION_ID};"
                    f" PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;"
                )
            if is_new:
                # SQLite syncs the directory for a new WAL, not for a new database file.
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                sync_directory(path.parent)
        except BaseException:
            db.close()
            raise
        return cls(path, lane, db)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit on leaving, roll back on any exception."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise

    def insert(self, entries: Iterable[Entry]) -> None:
        """Add entries; the caller holds the transaction and has chained them."""
        self.db.executemany(
            "INSERT INTO entry (seq, epoch, at_us, boot, mono_ns, kind, body_hash, prev_hash, body, hash)"
            " VALUES (?,?,?,?,?,?,?,?,?,?)",
            [
                (
                    e.seq, bytes.fromhex(e.epoch), microseconds(e.at), e.boot, e.mono_ns, e.kind,
                    e.body_hash, e.prev_hash, e.body, entry_hash(e),
                )
                for e in entries
            ],
        )  # fmt: skip

    def rows(self, after: int, limit: int) -> list[tuple[Entry, bytes]]:
        """Return up to `limit` entries after `after`, each with the hash stored beside it."""
        return read_rows(self.db, self.lane, after, limit)

    def head(self) -> tuple[Entry, bytes] | None:
        """Return the last entry and its stored hash, None in an empty lane."""
        row = self.db.execute(_SELECT + " ORDER BY seq DESC LIMIT 1").fetchone()
        return None if row is None else _entry(row, self.lane)

    def first_seq(self) -> int | None:
        """Return the oldest sequence number still here."""
        seq: int | None = self.db.execute("SELECT min(seq) FROM entry").fetchone()[0]
        return seq

    def hash_at(self, seq: int) -> bytes | None:
        """Return the stored hash of one entry, None when it is not here."""
        row = self.db.execute("SELECT hash FROM entry WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else bytes(row[0])

    def of_kind(self, kind: str, *, upto: int | None = None) -> list[Entry]:
        """Return the entries of one of the journal's own kinds, oldest first, up to and with `upto`."""
        return read_kind(self.db, self.lane, kind, upto=upto)

    def erase_bodies(self, ranges: Sequence[tuple[int, int]]) -> int:
        """Empty the bodies of the given runs; return how many there were. The caller holds the transaction.

        What the journal says about itself stays: it holds no person's data, and without it holes cannot be proven.
        """
        cursor = self.db.executemany(
            f"UPDATE entry SET body = NULL WHERE seq BETWEEN ? AND ? AND body IS NOT NULL AND kind NOT IN ({_IN_SELF})",  # noqa: S608  # a constant
            ranges,
        )
        return cursor.rowcount

    def delete_through(self, seq: int) -> None:
        """Remove all entries up to and with `seq`. The caller holds the transaction and has declared it."""
        self.db.execute("DELETE FROM entry WHERE seq <= ?", (seq,))

    def used_bytes(self) -> int:
        """Return the bytes of pages in use (free pages inside the file are not counted)."""
        pages, free, size = (
            self.db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def settle(self) -> None:
        """Write the WAL home and sync the file: everything committed so far is on the disk."""
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def be_sparing(self, *, is_sparing: bool) -> None:
        """Keep the WAL very small (on a full disk), or as large as is quick."""
        self.db.execute(f"PRAGMA wal_autocheckpoint = {_SPARING_WAL_PAGES if is_sparing else _WAL_PAGES}")

    def shrink(self) -> None:
        """Give free pages at the end of the file back to the file system."""
        self.db.execute("PRAGMA incremental_vacuum").fetchall()

    def structural_fault(self, *, is_thorough: bool) -> str | None:
        """Return what SQLite's own check finds wrong first; None: nothing.

        The quick one leaves indexes out and is cut off by its budget; the thorough one takes its time.
        """
        if is_thorough:
            verdict = str(self.db.execute("PRAGMA integrity_check(1)").fetchone()[0])
            return None if verdict == "ok" else verdict
        self.db.set_progress_handler(lambda: 1, _CHECK_STEPS)
        try:
            verdict = str(self.db.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                return None
            raise
        finally:
            self.db.set_progress_handler(None, 0)
        return None if verdict == "ok" else verdict

    def close(self) -> None:
        """Close the file."""
        self.db.close()


def read_rows(db: sqlite3.Connection, lane: Lane, after: int, limit: int) -> list[tuple[Entry, bytes]]:
    """Return up to `limit` entries of `lane` after `after` with their stored hashes, in one short transaction.

    Raises:
        sqlite3.DatabaseError: a row cannot be read or is not an entry.
    """
    found = db.execute(_SELECT + " WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)).fetchall()
    return [_entry(row, lane) for row in found]


def read_kind(db: sqlite3.Connection, lane: Lane, kind: str, *, upto: int | None = None) -> list[Entry]:
    """Return the entries of one of the journal's own kinds (they are indexed), oldest first."""
    last = 2**63 - 1 if upto is None else upto
    found = db.execute(
        _SELECT + f" WHERE kind = ? AND kind IN ({_IN_SELF}) AND seq <= ? ORDER BY seq",
        (kind, last),
    )
    return [_entry(row, lane)[0] for row in found.fetchall()]


def read_evidence(db: sqlite3.Connection, lane: Lane, after: int, limit: int) -> list[Entry]:
    """Return entries of the evidence register after `after`, oldest first (they are indexed)."""
    found = db.execute(_SELECT + " WHERE kind = 'evidence' AND seq > ? ORDER BY seq LIMIT ?", (after, limit))
    return [_entry(row, lane)[0] for row in found.fetchall()]


def head_position(head: tuple[Entry, bytes] | None, epoch: str) -> Position:
    """Return where a lane stands in `epoch`; the chain starts afresh when its last entry is of another one."""
    if head is None:
        return Position(epoch, 0, ZERO_HASH)
    entry, stored = head
    return Position(epoch, entry.seq, stored if entry.epoch == epoch else ZERO_HASH)


def tolerant_text(raw: bytes) -> str:
    """Read damaged text as such instead of failing: the hash tells afterwards."""
    return raw.decode("utf-8", "replace")


def _entry(row: _Row, lane: Lane) -> tuple[Entry, bytes]:
    if tuple(type(value) for value in row) not in _ROW_TYPES:
        raise DamagedRowError(f"row {row[0]!r} of lane {lane} is not an entry")
    seq, epoch, at_us, boot, mono_ns, kind, body_hash, prev_hash, body, stored = row
    entry = Entry(
        epoch=epoch.hex(),
        lane=lane,
        seq=seq,
        at=_time(at_us),
        boot=boot,
        mono_ns=mono_ns,
        kind=kind,
        body_hash=body_hash,
        prev_hash=prev_hash,
        body=body,
    )
    return entry, stored


def _time(at_us: int) -> datetime:
    try:
        return moment(at_us)
    except ChainError as error:
        raise DamagedRowError(str(error)) from error
