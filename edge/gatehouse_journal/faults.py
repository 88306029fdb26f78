"""What SQLite says when something is wrong, sorted into what it means for a journal."""

from __future__ import annotations

import sqlite3
from typing import Final

SqlError = sqlite3.Error | UnicodeDecodeError
SQL_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""Catch these together: Python fails to decode SQLite's own message when it quotes a damaged schema."""

_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_DISK: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_NOMEM,
    }
)


class DamagedRowError(sqlite3.DatabaseError):
    """A row is there but is not the entry that was written."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    sqlite_errorname = "SQLITE_CORRUPT"


def code(error: SqlError) -> int:
    """Return SQLite's primary result code, 0 when the error carries none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_corruption(error: SqlError) -> bool:
    """Return whether the file itself is damaged."""
    return isinstance(error, UnicodeDecodeError) or code(error) in _CORRUPT


def is_out_of_space(error: SqlError) -> bool:
    """Return whether SQLite found the disk full."""
    return code(error) == sqlite3.SQLITE_FULL


def is_of_the_disk(error: SqlError) -> bool:
    """Return whether it is the disk or the system that refuses, so that nothing is known of the file."""
    return code(error) in _DISK
