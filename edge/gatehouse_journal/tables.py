"""State and counters: small tables of the alarm file that commit in one transaction with its entries.

Each row carries a CRC-32 over key and value, so a row that went bad on the disk is known as such. `meta` holds
the journal's own few facts.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from gatehouse_events.chain import ZERO_HASH, Position

EPOCH: Final = "epoch"
TELEMETRY_RESERVED: Final = "telemetry_reserved"
"""Telemetry sequence numbers up to this one may have been seen by a reader, whatever a power cut has taken."""
TELEMETRY_FLOOR: Final = "telemetry_floor"
"""`seq:hash` where the telemetry lane goes on when it holds no later row: after a new epoch, a hole or a trim."""
TELEMETRY_LEFT: Final = "telemetry_left"
"""Sequence number of the last telemetry row when the journal was closed in order."""
CLEAN: Final = "clean"
BOOT: Final = "boot"


class Loaded(Struct, frozen=True, kw_only=True):
    """A table as read."""

    values: dict[str, bytes]
    damaged: tuple[str, ...]
    """Keys whose value does not match its CRC; not in `values`."""


class LoadedCounters(Struct, frozen=True, kw_only=True):
    """The counters as read."""

    values: dict[str, int]
    damaged: tuple[str, ...]


def write_state(db: sqlite3.Connection, changes: Mapping[str, bytes | None]) -> None:
    """Set keys; None removes one. The caller holds the transaction."""
    db.executemany(
        "DELETE FROM state WHERE key = ?", [(key,) for key, value in changes.items() if value is None]
    )
    db.executemany(
        "INSERT OR REPLACE INTO state (key, value, crc) VALUES (?,?,?)",
        [(key, value, _crc(key, value)) for key, value in changes.items() if value is not None],
    )


def write_counters(db: sqlite3.Connection, changes: Mapping[str, int]) -> None:
    """Set counters. The caller holds the transaction."""
    db.executemany(
        "INSERT OR REPLACE INTO counter (key, value, crc) VALUES (?,?,?)",
        [(key, value, _crc(key, b"%d" % value)) for key, value in changes.items()],
    )


def write_meta(db: sqlite3.Connection, changes: Mapping[str, str]) -> None:
    """Set the journal's own facts. The caller holds the transaction."""
    rows = [(key, text.encode()) for key, text in changes.items()]
    db.executemany(
        "INSERT OR REPLACE INTO meta (key, value, crc) VALUES (?,?,?)",
        [(key, value, _crc(key, value)) for key, value in rows],
    )


def read_state(db: sqlite3.Connection) -> Loaded:
    """Return the whole state table."""
    return sound_state(db.execute("SELECT key, value, crc FROM state ORDER BY key"))


def read_counters(db: sqlite3.Connection) -> LoadedCounters:
    """Return the whole counter table."""
    return sound_counters(db.execute("SELECT key, value, crc FROM counter ORDER BY key"))


def read_meta(db: sqlite3.Connection) -> dict[str, str]:
    """Return the journal's own facts."""
    return {key: value.decode("utf-8", "replace") for key, value in read_meta_rows(db).values.items()}


def read_meta_rows(db: sqlite3.Connection) -> Loaded:
    """Return the journal's own facts with what is damaged among them."""
    return sound_state(db.execute("SELECT key, value, crc FROM meta ORDER BY key"))


def floor_at(head: Position) -> dict[str, str]:
    """Return the fact that telemetry goes on after `head` when no row tells."""
    return {TELEMETRY_FLOOR: f"{head.seq}:{head.hash.hex()}"}


def floor(meta: Mapping[str, str], epoch: str) -> Position:
    """Return where telemetry goes on when no row tells."""
    seq, _, digest = meta.get(TELEMETRY_FLOOR, "").partition(":")
    try:
        return Position(epoch, int(seq), bytes.fromhex(digest))
    except ValueError:
        return Position(epoch, 0, ZERO_HASH)


def reserved(meta: Mapping[str, str]) -> int:
    """Return the last telemetry number that a reader may ever have seen."""
    text = meta.get(TELEMETRY_RESERVED, "")
    return int(text) if text.isdecimal() else 0


def sound_state(rows: Iterable[tuple[object, object, object]]) -> Loaded:
    """Sort rows into sound and damaged ones."""
    values: dict[str, bytes] = {}
    damaged: list[str] = []
    for key, value, crc in rows:
        if isinstance(key, str) and isinstance(value, bytes) and crc == _crc(key, value):
            values[key] = value
        else:
            damaged.append(str(key))
    return Loaded(values=values, damaged=tuple(damaged))


def sound_counters(rows: Iterable[tuple[object, object, object]]) -> LoadedCounters:
    """Sort rows into sound and damaged ones."""
    values: dict[str, int] = {}
    damaged: list[str] = []
    for key, value, crc in rows:
        if isinstance(key, str) and isinstance(value, int) and crc == _crc(key, b"%d" % value):
            values[key] = value
        else:
            damaged.append(str(key))
    return LoadedCounters(values=values, damaged=tuple(damaged))


def _crc(key: str, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(key.encode("utf-8", "surrogateescape") + b"\0"))
