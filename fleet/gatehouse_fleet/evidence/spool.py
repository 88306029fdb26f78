"""Files on their way in: pieces are appended, a break resumes where the disk stands, and only a whole, right file leaves.

What has been received is the size of the part file: nothing else counts, so a kill at any moment costs at most one piece.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from msgspec import Struct

from gatehouse_fleet.evidence.errors import SpoolBusyError
from gatehouse_fleet.evidence.vault import require_whole

SUFFIX: Final = ".part"


class Piece(Struct, frozen=True, kw_only=True):
    """Bytes of a file and where they belong. Without bytes: a question how much is there."""

    start: int
    content: bytes
    total: int


class Spool:
    """One folder of part files. Every call blocks: use it in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder

    def standing(self, name: str) -> int:
        """Return how many bytes of a file are here."""
        try:
            return self._path(name).stat().st_size
        except OSError:
            return 0

    def add(self, name: str, piece: Piece) -> int:
        """Append a piece if it continues what is here, and return how much is here then; durable before it returns.

        Raises:
            SpoolBusyError: another piece of this file is being written.
            OSError: the disk is full or broken.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        with self._locked(name) as file:
            here = file.seek(0, os.SEEK_END)
            if here > piece.total:  # of an earlier upload that said another size
                file.truncate(0)
                here = 0
            if piece.content and piece.start == here:
                try:
                    file.write(piece.content[: piece.total - here])
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(here)  # half a piece would shift all that follows
                    raise
                here = file.seek(0, os.SEEK_END)
            return here

    def whole(self, name: str, sha256: str) -> Path:
        """Return the finished part file.

        Raises:
            DamagedError: it is not what the hash says; it has been thrown away.
        """
        path = self._path(name)
        try:
            require_whole(path, sha256)
        except Exception:
            path.unlink(missing_ok=True)
            raise
        return path

    def drop(self, name: str) -> None:
        """Throw away what is here of a file."""
        self._path(name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[IO[bytes]]:
        with self._path(name).open("a+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SpoolBusyError(f"{name[:20]} is being written") from error
            yield file

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"
