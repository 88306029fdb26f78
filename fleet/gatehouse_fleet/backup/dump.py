"""The database into one file and back: SQLite's online backup, PostgreSQL's own `pg_dump` and `pg_restore`.

Both take one consistent picture while the server goes on working.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL

from gatehouse_fleet.backup.archive import BackupError

SQLITE_NAME: Final = "fleet.db"
POSTGRES_NAME: Final = "fleet.dump"
_PAGES: Final = 4096
"""Copied at a time; between two the server may write."""
_LIMIT_S: Final = 4 * 3600.0


def dump_sqlite(source: Path, target: Path) -> None:
    """Copy a SQLite database that may be in use.

    Raises:
        BackupError: it is not there, or its pages are damaged.
    """
    if not source.exists():
        raise BackupError(f"{source} 不存在 is not there: has the server ever run with these settings?")
    try:
        with (
            contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as live,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            live.backup(copy, pages=_PAGES)
            copy.execute("PRAGMA journal_mode = DELETE")
            (state,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"{source} cannot be copied: {error}") from error
    if state != "ok":
        raise BackupError(f"{source} 已损坏 is damaged: {state}")


def restore_sqlite(source: Path, target: Path) -> None:
    """Put a SQLite database where there is none.

    Raises:
        BackupError: there is one.
    """
    if target.exists():
        raise BackupError(f"{target} 已存在 is there already; restore into an empty server")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = target.with_name(target.name + ".part")
    shutil.copyfile(source, draft)
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(target)


def dump_postgres(url: URL, target: Path) -> None:
    """Dump a PostgreSQL database.

    Raises:
        BackupError: `pg_dump` is not installed or fails.
    """
    _run("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")


def restore_postgres(source: Path, url: URL) -> None:
    """Fill an empty PostgreSQL database, all or nothing.

    Raises:
        BackupError: `pg_restore` is not installed or fails.
    """
    _run(
        "pg_restore",
        url,
        "--no-owner",
        "--no-privileges",
        "--single-transaction",
        "--exit-on-error",
        f"--dbname={url.database}",
        str(source),
    )


def _run(name: str, url: URL, *arguments: str) -> None:
    program = shutil.which(name) or _beside_the_server(name)
    if program is None:
        raise BackupError(f"{name} is not installed: install the PostgreSQL client")
    # Address and password in the environment: arguments are seen by every user of the machine.
    known = {
        "PGHOST": url.host,
        "PGPORT": None if url.port is None else str(url.port),
        "PGUSER": url.username,
        "PGPASSWORD": None if url.password is None else str(url.password),
        "PGDATABASE": url.database,
    }
    environment = os.environ | {key: value for key, value in known.items() if value}
    try:
        done = subprocess.run(
            [program, *arguments], env=environment, capture_output=True, check=False, timeout=_LIMIT_S
        )
    except subprocess.TimeoutExpired as error:
        raise BackupError(f"{name} did not end within {_LIMIT_S / 3600:g} h") from error
    if done.returncode != 0:
        raise BackupError(f"{name} failed: {done.stderr.decode(errors='replace').strip()[-800:]}")


def _beside_the_server(name: str) -> str | None:
    found = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: _version(path.parts[-3])
    )
    return str(found[-1]) if found else None


def _version(words: str) -> float:
    try:
        return float(words)
    except ValueError:
        return 0.0
