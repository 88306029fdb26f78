"""Where each reader stands. A file of its own: an entry in a lane would itself want to be sent."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gatehouse_events.chain import Lane
from gatehouse_journal.faults import SQL_ERRORS, is_of_the_disk
from gatehouse_journal.salvage import quarantine

_log = logging.getLogger(__name__)

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS cursor (lane TEXT NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL,"
    " PRIMARY KEY (lane, name)) STRICT, WITHOUT ROWID"
)


class Cursors:
    """Any process may set its own; a power cut may put one back a little, never forward: readers are idempotent."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db: Final = db

    @classmethod
    def open(cls, directory: Path) -> Cursors:
        """Open the cursors in `directory`; a damaged file is moved to `damaged/` and every cursor starts at 0.

        Raises:
            sqlite3.Error: no room or not permitted.
        """
        path = directory / "cursors.db"
        try:
            return cls(_connect(path))
        except SQL_ERRORS as error:
            if is_of_the_disk(error):
                raise
            _log.error("cursor file damaged, readers start over: %s", error)
            quarantine(path)
            return cls(_connect(path))

    def get(self, lane: Lane, name: str) -> int:
        """Return the last sequence number `name` is done with, 0 at first."""
        row = self._db.execute("SELECT seq FROM cursor WHERE lane = ? AND name = ?", (lane, name)).fetchone()
        return 0 if row is None else int(row[0])

    def set(self, lane: Lane, name: str, seq: int) -> None:
        """Remember that `name` is done with everything up to `seq`."""
        self._db.execute("INSERT OR REPLACE INTO cursor (lane, name, seq) VALUES (?,?,?)", (lane, name, seq))

    def highest(self, lane: Lane) -> int:
        """Return the furthest cursor of `lane`."""
        return int(
            self._db.execute("SELECT coalesce(max(seq), 0) FROM cursor WHERE lane = ?", (lane,)).fetchone()[0]
        )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(_TABLE)
        db.execute("SELECT count(*) FROM cursor").fetchone()
    except BaseException:
        db.close()
        raise
    return db
