"""What a detector measured lately, out of the telemetry lane. Reads the journal; call it in a thread."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from gatehouse_edge.samples import Sample
from gatehouse_events.chain import Entry, EntryKind, Lane
from gatehouse_journal import Reader

_CHUNK: Final = 1000
_DEEPEST: Final = 20_000
"""How far back one question looks, in entries: a tenth of a second on a small gateway."""


def trend_of(reader: Reader, device_id: str, since: datetime) -> list[tuple[datetime, float]]:
    """Return what was written down since then, oldest first: a value a minute, and each that differs by 1 % of full scale."""
    wanted = f'"{device_id}"'.encode()
    found = []
    for entry in _backwards(reader):
        if entry.at < since:
            break
        if entry.kind != EntryKind.READING or entry.body is None or wanted not in entry.body:
            continue
        sample = msgspec.json.decode(entry.body, type=Sample)
        value = sample.values.get("value")
        if sample.device_id == device_id and isinstance(value, int | float):
            found.append((sample.at, float(value)))
    return found[::-1]


def _backwards(reader: Reader) -> Iterator[Entry]:
    head = reader.head(Lane.TELEMETRY).seq
    last = head
    while last > max(0, head - _DEEPEST):
        first = max(0, last - _CHUNK)
        yield from reversed(reader.read(Lane.TELEMETRY, first, last - first))
        last = first
