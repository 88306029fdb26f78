"""Getting out of a damaged alarm file what can still be read.

The damaged file stays in place until the new one is complete, so a power cut in the middle only means doing it
again: `alarm.db.salvage` is built and synced, then the damaged files move to `damaged/`, then it takes their name.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from gatehouse_events.chain import ChainError, Entry, Lane, body_hash, entry_hash
from gatehouse_journal import tables
from gatehouse_journal.durable import move_aside, sync_directory
from gatehouse_journal.faults import SQL_ERRORS
from gatehouse_journal.lane import LaneFile, read_rows, tolerant_text

_log = logging.getLogger(__name__)

_BATCH: Final = 500
_GIVE_UP_AFTER: Final = 4096
"""Unreadable sequence numbers in a row, where the end of the table cannot be asked for."""
_KEPT: Final = 3
"""Damaged files kept for a person to look at; older ones would fill the disk."""
NEARLY_FULL_BYTES: Final = 256 * 1024
"""With less than this free, an I/O error is taken for a full disk (SQLite reports a full disk under the shared
memory file as an I/O error)."""
_SUFFIXES: Final = ("", "-wal", "-shm")


class Salvaged(Struct, frozen=True, kw_only=True):
    """What came out of a damaged file."""

    entries: int
    lost: tuple[tuple[int, int], ...]
    """Runs of sequence numbers between the first and the last entry that could not be read."""
    state_lost: tuple[str, ...]


def quarantine(path: Path) -> Path:
    """Move a database with its WAL out of the way; return where it lies now.

    Raises:
        OSError: the directory cannot be written.
    """
    home = path.parent / "damaged"
    home.mkdir(exist_ok=True)
    older = sorted(
        (item for item in home.iterdir() if item.is_dir()), key=lambda item: item.stat().st_mtime_ns
    )
    for item in older[: max(0, len(older) - _KEPT + 1)]:
        shutil.rmtree(item, ignore_errors=True)
    target = home / f"{path.stem}-{secrets.token_hex(4)}"
    move_aside([path.with_name(path.name + suffix) for suffix in _SUFFIXES], target)
    return target


def free_bytes(directory: Path) -> int:
    """Return what this user may still write to the file system."""
    return shutil.disk_usage(directory).free


def finish_interrupted(path: Path) -> None:
    """Complete or forget a salvage that a power cut interrupted (module docstring)."""
    fresh = path.with_name(path.name + ".salvage")
    if path.exists():
        _remove(fresh)
    elif fresh.exists():
        _adopt(fresh, path)


def rebuild(path: Path) -> Salvaged:
    """Replace the damaged alarm file at `path` by a new one holding all that could be read.

    Raises:
        sqlite3.Error: the new file cannot be written.
        OSError: the directory cannot be written.
    """
    fresh = path.with_name(path.name + ".salvage")
    _remove(fresh)
    target = LaneFile.open(fresh, Lane.ALARM)
    try:
        salvaged = _copy(path, target)
        target.settle()
    finally:
        target.close()
    _adopt(fresh, path)
    _log.error("alarm journal rebuilt from a damaged file: %d entries kept", salvaged.entries)
    return salvaged


def _adopt(fresh: Path, path: Path) -> None:
    # Also the stale WAL of a database that is already gone: it must never meet the new file.
    quarantine(path)
    fresh.rename(path)
    sync_directory(path.parent)


def _remove(path: Path) -> None:
    for suffix in _SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _copy(source: Path, target: LaneFile) -> Salvaged:
    db = sqlite3.connect(source, isolation_level=None)
    db.text_factory = tolerant_text
    try:
        return _copy_rows(db, target)
    finally:
        db.close()


def _copy_rows(db: sqlite3.Connection, target: LaneFile) -> Salvaged:
    lost: list[tuple[int, int]] = []
    last = 0
    count = 0
    for batch in _sound_batches(db):
        for entry in batch:
            if last and entry.seq > last + 1:
                lost.append((last + 1, entry.seq - 1))
            last = entry.seq
        count += len(batch)
        with target.transaction():
            target.insert(batch)
    meta = tables.sound_state(_keyed(db, "meta"))
    state, counters = tables.sound_state(_keyed(db, "state")), tables.sound_counters(_keyed(db, "counter"))
    with target.transaction():
        tables.write_state(target.db, state.values)
        tables.write_counters(target.db, counters.values)
        tables.write_meta(
            target.db, {key: value.decode("utf-8", "replace") for key, value in meta.values.items()}
        )
    return Salvaged(entries=count, lost=tuple(lost), state_lost=(*state.damaged, *counters.damaged))


def _sound_batches(db: sqlite3.Connection) -> Iterator[list[Entry]]:
    """Yield the entries whose own hash is right, in order, stepping over what cannot be read."""
    after, misses = 0, 0
    end = _last_seq(db)
    while misses < _GIVE_UP_AFTER and (end is None or after < end):
        try:
            rows = read_rows(db, Lane.ALARM, after, _BATCH)
        except SQL_ERRORS:
            rows = [row for seq in range(after + 1, after + _BATCH + 1) for row in _one(db, seq)]
            after += _BATCH
            misses = 0 if rows else misses + _BATCH
        else:
            if not rows:
                return
            after = rows[-1][0].seq
        yield [_without_foreign_body(entry) for entry, stored in rows if _is_sound(entry, stored)]


def _one(db: sqlite3.Connection, seq: int) -> list[tuple[Entry, bytes]]:
    try:
        return [row for row in read_rows(db, Lane.ALARM, seq - 1, 1) if row[0].seq == seq]
    except SQL_ERRORS:
        return []


def _last_seq(db: sqlite3.Connection) -> int | None:
    try:
        last = db.execute("SELECT max(seq) FROM entry").fetchone()[0]
    except SQL_ERRORS:
        return None
    return last if isinstance(last, int) else 0


def _is_sound(entry: Entry, stored: bytes) -> bool:
    try:
        return entry_hash(entry) == stored
    except ChainError:
        return False


def _without_foreign_body(entry: Entry) -> Entry:
    """A body that is not the one that was hashed is not evidence; the damaged file keeps it for a person."""
    if entry.body is None or body_hash(entry.body) == entry.body_hash:
        return entry
    return Entry(
        epoch=entry.epoch, lane=entry.lane, seq=entry.seq, at=entry.at, boot=entry.boot, mono_ns=entry.mono_ns,
        kind=entry.kind, body_hash=entry.body_hash, prev_hash=entry.prev_hash, body=None,
    )  # fmt: skip


def _keyed(db: sqlite3.Connection, table: str) -> list[tuple[object, object, object]]:
    """Read a small table as far as it goes, from both ends."""
    found: dict[object, tuple[object, object, object]] = {}
    for order in ("ASC", "DESC"):
        try:
            for key, value, crc in db.execute(f"SELECT key, value, crc FROM {table} ORDER BY key {order}"):  # noqa: S608  # constants
                found[key] = (key, value, crc)
        except SQL_ERRORS:
            continue
    return list(found.values())
