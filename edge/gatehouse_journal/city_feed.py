"""The alarm lane as a city platform wants it: CloudEvents, one a line, each checked against the schema before it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from gatehouse_events.alarm import Change
from gatehouse_events.chain import EntryKind, Lane
from gatehouse_events.city import SiteCard, event_of
from gatehouse_events.event import encode
from gatehouse_journal.reader import Reader

_BATCH: Final = 500


class _Config(Struct, frozen=True):
    """What matters here of a `config` entry."""

    card: SiteCard | None = None


def city_events(reader: Reader, *, after: int = 0) -> Iterator[bytes]:
    """Yield the event of every revision of every alarm behind `after`, oldest first, as lines of JSON.

    The lane is read from its beginning, because the site card in force may stand long before `after`. Erased bodies are
    left out; what came before the very first card waits for it.

    Raises:
        EventError: an alarm does not satisfy the event schema; a fault of this program.
    """
    card: SiteCard | None = None
    early: list[tuple[Change, datetime]] = []
    seq = 0
    while entries := reader.read(Lane.ALARM, seq, _BATCH):
        for entry, at in zip(entries, reader.corrected(entries), strict=True):
            seq = entry.seq
            if entry.body is None:
                continue
            if entry.kind == EntryKind.CONFIG:
                card = msgspec.json.decode(entry.body, type=_Config).card or card
            elif entry.kind == EntryKind.ALARM and seq > after:
                early.append((msgspec.json.decode(entry.body, type=Change), at))
            if card is not None:
                for change, reported_at in early:
                    yield encode(event_of(change, card, reported_at=reported_at)) + b"\n"
                early.clear()
