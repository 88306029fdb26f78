"""Disk space kept back so that alarms still fit when everything else has filled the disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from gatehouse_journal.durable import sync_directory

_CHUNK: Final = os.urandom(64 * 1024)
"""Random, so that a compressing file system really gives the space up."""


class Ballast:
    """One file of fixed size."""

    def __init__(self, directory: Path, size_bytes: int) -> None:
        self._path: Final = directory / "ballast"
        self._size_bytes: Final = size_bytes

    @property
    def is_held(self) -> bool:
        """Whether the space is there to be given up."""
        return self._size_bytes > 0 and self._path.exists()

    def hold(self) -> bool:
        """Take the space if there is twice as much free; return whether it is held."""
        if self._size_bytes == 0:
            return False
        if self._path.exists() and self._path.stat().st_size >= self._size_bytes:
            return True
        if self.free_bytes() < 2 * self._size_bytes:
            return self.is_held
        temporary = self._path.with_name("ballast.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            left = self._size_bytes
            while left > 0:
                left -= os.write(descriptor, _CHUNK[: min(left, len(_CHUNK))])
            os.fsync(descriptor)
            os.replace(temporary, self._path)  # noqa: PTH105  # see durable.py
        except OSError:
            temporary.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
        return self.is_held

    def give_up(self) -> bool:
        """Free the space; return whether there was any to free."""
        if not self._path.exists():
            return False
        os.unlink(self._path)  # noqa: PTH108  # see durable.py
        sync_directory(self._path.parent)
        return True

    def free_bytes(self) -> int:
        """Return what this user may still write to the file system."""
        return shutil.disk_usage(self._path.parent).free
