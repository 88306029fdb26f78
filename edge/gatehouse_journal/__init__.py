"""The durable journal of a gateway: two lanes, one writer, any number of readers with a cursor.

alarm.db         SQLite WAL, synchronous=FULL: alarm lane, state, counters, one transaction for all three
telemetry.db     SQLite WAL, synchronous=NORMAL: telemetry lane, capped
cursors.db       where each reader stands
writer.lock      held by the one writer, names its process
journal-key      Ed25519 private key (0600); journal-key.pub: every public key this journal ever had
ballast          space given up when the disk is full
damaged/         files that could not be trusted, kept for a person to look at
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gatehouse_events.chain import Entry, EntryKind, Lane, Position, Stamp, canonical
    from gatehouse_journal.errors import (
        BadEntryError,
        JournalBrokenError,
        JournalError,
        JournalLockedError,
        StorageFullError,
    )
    from gatehouse_journal.health import Health, Limits
    from gatehouse_journal.journal import Batch, Journal, NewEntry
    from gatehouse_journal.reader import Reader
    from gatehouse_journal.signer import Signer
    from gatehouse_journal.verify import Report

__all__ = [
    "BadEntryError",
    "Batch",
    "Entry",
    "EntryKind",
    "Health",
    "Journal",
    "JournalBrokenError",
    "JournalError",
    "JournalLockedError",
    "Lane",
    "Limits",
    "NewEntry",
    "Position",
    "Reader",
    "Report",
    "Signer",
    "Stamp",
    "StorageFullError",
    "canonical",
]

_HOME: Final = {
    "BadEntryError": "gatehouse_journal.errors",
    "Batch": "gatehouse_journal.journal",
    "Entry": "gatehouse_events.chain",
    "EntryKind": "gatehouse_events.chain",
    "Health": "gatehouse_journal.health",
    "Journal": "gatehouse_journal.journal",
    "JournalBrokenError": "gatehouse_journal.errors",
    "JournalError": "gatehouse_journal.errors",
    "JournalLockedError": "gatehouse_journal.errors",
    "Lane": "gatehouse_events.chain",
    "Limits": "gatehouse_journal.health",
    "NewEntry": "gatehouse_journal.journal",
    "Position": "gatehouse_events.chain",
    "Reader": "gatehouse_journal.reader",
    "Report": "gatehouse_journal.verify",
    "Signer": "gatehouse_journal.signer",
    "Stamp": "gatehouse_events.chain",
    "StorageFullError": "gatehouse_journal.errors",
    "canonical": "gatehouse_events.chain",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import what is asked for, when it is: who only writes durable files (a camera's process) carries no SQLite and no signatures, 6 MiB."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOME[name]), name)
