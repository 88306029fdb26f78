"""One revision of an alarm on its way from a journal entry into the tables and to the steps. Pure."""

from __future__ import annotations

import logging

import msgspec

from gatehouse_events.alarm import Change
from gatehouse_events.chain import EntryKind
from gatehouse_fleet.projection.readers import Portion, Source, StoredEntry
from gatehouse_fleet.projection.reading import ERASED_AFTER, Unreadable, read_change, stand_in
from gatehouse_fleet.projection.step import AlarmContext

_log = logging.getLogger(__name__)


class Told(msgspec.Struct, kw_only=True):
    """One revision on its way into the table."""

    source: Source
    read: StoredEntry
    change: Change
    is_verified: bool
    is_news: bool = True

    def rename(self, alarm_id: str) -> None:
        """Show it beside another gateway's alarm of its name, under another one."""
        if alarm_id != self.change.alarm.alarm_id:
            self.is_verified = False
            alarm = msgspec.structs.replace(self.change.alarm, alarm_id=alarm_id)
            self.change = msgspec.structs.replace(self.change, alarm=alarm)


def told_by(portion: Portion) -> list[Told]:
    """Return the revisions that entries tell, in their order; what cannot be read tells so."""
    source, told = portion.source, []
    for read in portion.entries:
        if read.entry.kind != EntryKind.ALARM:
            continue
        found = _read(read)
        if found is None:
            continue
        if isinstance(found, Unreadable):
            _log.error(
                "entry %d of gateway %s cannot be read: %s",
                read.entry.seq,
                source.id,
                ascii(found.reason)[:120],
            )
            change, is_verified = stand_in(read.entry, found, gateway_id=source.id), False
        else:
            change, is_verified = found, read.doubt is None
        told.append(Told(source=source, read=read, change=change, is_verified=is_verified))
    return told


def _read(read: StoredEntry) -> Change | Unreadable | None:
    """Return the revision, or why it cannot be read; None: erased long after it happened."""
    if read.entry.body is not None:
        return read_change(read.entry.body)
    if read.committed_at - read.entry.at > ERASED_AFTER:
        return None
    return Unreadable(reason="its body is missing")


def context_of(one: Told) -> AlarmContext:
    """Return what the steps are given."""
    source = one.source
    return AlarmContext(
        gateway_no=source.no,
        gateway_id=source.id,
        node_id=source.node_id,
        node_path=source.node_path,
        entry=one.read.entry,
        change=one.change,
        is_verified=one.is_verified,
        committed_at=one.read.committed_at,
    )
