"""A journal as lines of JSON, for people and for other programs.

One object per line, fields as in the chain's byte table; `body` is the body itself, not text in text. A second
program can prove the chain from an export alone: `body_hash` is the SHA-256 of the body as canonical JSON
(sorted keys, no spaces).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec
from msgspec import Struct

from gatehouse_events.chain import Entry, Lane, canonical
from gatehouse_journal.reader import Reader

_BATCH = 500


class Line(Struct, frozen=True, kw_only=True):
    """One exported entry."""

    epoch: str
    lane: Lane
    seq: int
    at: datetime
    corrected_at: datetime | None
    """When it really was, where a clock entry tells; None: only `at` is known."""
    boot: str
    mono_ns: int
    kind: str
    body_hash: str
    prev_hash: str
    hash: str
    body: msgspec.Raw | str | None
    """None: erased. Text (hex) when the stored body is not JSON."""


def export(reader: Reader, lane: Lane, *, after: int = 0, through: int | None = None) -> Iterator[bytes]:
    """Yield the entries of `lane` after `after` up to `through` (the head by default), one JSON line each.

    The rule of short transactions holds: entries trimmed meanwhile are simply no longer there.
    """
    last = reader.head(lane).seq if through is None else through
    clocks = reader.clocks()
    while after < last:
        rows = reader.read_rows(lane, after, min(_BATCH, last - after))
        if not rows:
            return
        for entry, stored in rows:
            if entry.seq > last:
                return
            yield canonical(line_of(entry, stored, clocks.corrected(entry))) + b"\n"
            after = entry.seq


def line_of(entry: Entry, stored: bytes, corrected_at: datetime | None) -> Line:
    """Return one entry with its stored hash as a line."""
    return Line(
        epoch=entry.epoch,
        lane=entry.lane,
        seq=entry.seq,
        at=entry.at,
        corrected_at=corrected_at,
        boot=entry.boot,
        mono_ns=entry.mono_ns,
        kind=entry.kind,
        body_hash=entry.body_hash.hex(),
        prev_hash=entry.prev_hash.hex(),
        hash=stored.hex(),
        body=_embedded(entry.body),
    )


def _embedded(body: bytes | None) -> msgspec.Raw | str | None:
    if body is None:
        return None
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return body.hex()
    return msgspec.Raw(body)
