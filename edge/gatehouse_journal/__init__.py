"""The durable journal of a gateway: two lanes, one writer, any number of readers with a cursor.

alarm.db         SQLite WAL, synchronous=FULL: alarm lane, state, counters, one transaction for all three
telemetry.db     SQLite WAL, synchronous=NORMAL: telemetry lane, capped
cursors.db       where each reader stands
writer.lock      held by the one writer, names its process
journal-key      Ed25519 private key (0600); journal-key.pub: every public key this journal ever had
ballast          space given up when the disk is full
damaged/         files that could not be trusted, kept for a person to look at
"""

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
