"""What can go wrong with a journal. Damage is not here: it is repaired, recorded and shown, never refused."""

from __future__ import annotations

from pathlib import Path


class JournalError(Exception):
    """Base of everything this package raises."""


class JournalLockedError(JournalError):
    """Another process writes this journal."""

    def __init__(self, directory: Path, holder: str) -> None:
        super().__init__(
            f"the journal in {directory} is being written by process {holder}; there can be only one writer"
        )
        self.directory = directory
        self.holder = holder
        """Its process id, or `unknown`."""


class StorageFullError(JournalError):
    """The disk is full and there is no ballast left to give up. Nothing of the batch was written."""


class JournalBrokenError(JournalError):
    """The disk refused a write or a sync: what it holds now is not known. Restart the process; do not retry."""


class BadEntryError(JournalError):
    """An entry that cannot be stored was offered (too large, naive time, bad name). Nothing was written."""
