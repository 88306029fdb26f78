"""Only one process writes a journal; the lock names it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gatehouse_journal.errors import JournalLockedError

_PID_BYTES = 20


class WriterLock:
    """An exclusive `flock`; the kernel drops it when the process ends, however it ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, directory: Path) -> WriterLock:
        """Take the lock of `directory`.

        Raises:
            JournalLockedError: somebody else has it.
        """
        descriptor = os.open(directory / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, _PID_BYTES, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise JournalLockedError(directory, holder if holder.isdecimal() else "unknown") from error
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        except OSError:
            # A full disk must not keep the gateway from starting; the name is a courtesy, the lock is held.
            return cls(descriptor)
        return cls(descriptor)

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
