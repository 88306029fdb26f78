"""Where whole files are kept, named by their SHA-256: a directory, or an S3-compatible store (`s3.py`)."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from gatehouse_fleet.evidence.errors import DamagedError, VaultError

CHUNK_BYTES: Final = 128 * 1024


class Vault(Protocol):
    """Keeps whole files. Every call blocks: use it in a thread."""

    def put(self, sha256: str, source: Path) -> None:
        """Take a file over; `source` is gone afterwards and the file is durable.

        Raises:
            VaultError: it cannot be kept now; `source` is as it was.
        """
        ...

    def size(self, sha256: str) -> int | None:
        """Return the size of a file; None: it is not here."""
        ...

    def read(self, sha256: str, start: int, count: int) -> Iterator[bytes]:
        """Yield `count` bytes from `start`.

        Raises:
            VaultError: it is not here, or cannot be read.
        """
        ...

    def delete(self, sha256: str) -> None:
        """Delete a file for good; it is no error that it is not here."""
        ...


class DirectoryVault:
    """A directory; files lie in 256 folders."""

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder

    def put(self, sha256: str, source: Path) -> None:
        """See `Vault.put`."""
        target = self._path(sha256)
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            with source.open("rb") as file:
                os.fsync(file.fileno())
            try:
                source.replace(target)
            except OSError:  # another file system
                shutil.move(source, target)
            _sync(target.parent)
        except OSError as error:
            raise VaultError(f"evidence cannot be kept: {error.strerror}") from error

    def size(self, sha256: str) -> int | None:
        """See `Vault.size`."""
        try:
            return self._path(sha256).stat().st_size
        except OSError:
            return None

    def read(self, sha256: str, start: int, count: int) -> Iterator[bytes]:
        """See `Vault.read`."""
        try:
            with self._path(sha256).open("rb") as file:
                file.seek(start)
                while count > 0 and (chunk := file.read(min(CHUNK_BYTES, count))):
                    count -= len(chunk)
                    yield chunk
        except OSError as error:
            raise VaultError(f"evidence {sha256[:12]} cannot be read: {error.strerror}") from error

    def delete(self, sha256: str) -> None:
        """See `Vault.delete`."""
        path = self._path(sha256)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            _sync(path.parent)

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256


def require_whole(path: Path, sha256: str) -> None:
    """Refuse a file that is not what its name says.

    Raises:
        DamagedError: it is not.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != sha256:
        raise DamagedError(f"what came is {digest.hexdigest()[:12]}, not {sha256[:12]}")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
