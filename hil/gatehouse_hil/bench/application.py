"""The tree of files that make a node's application, as the firmware's build leaves it in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Final

from gatehouse_hil.bench.fault import BenchError, Fault

MAX_FILES: Final = 256
MAX_BYTES: Final = 512 * 1024
"""A quarter of the file system of a 4 MiB board; two slots and an update must fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationFile:
    """One file: where it is here, where it goes on the node."""

    source: Path
    name: PurePosixPath
    size: int
    digest: str
    """SHA-256, hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Files in the order in which they are written: a slot's MANIFEST last, for a slot without it is empty."""

    files: tuple[ApplicationFile, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)

    @property
    def digest(self) -> str:
        """SHA-256 over names and hashes: the one number that stands for the whole tree in a record."""
        rows = "".join(
            f"{file.digest}  {file.name}\n" for file in sorted(self.files, key=lambda f: str(f.name))
        )
        return sha256(rows.encode()).hexdigest()

    @property
    def folders(self) -> tuple[PurePosixPath, ...]:
        """Folders to make, outer ones first."""
        found = {
            folder for file in self.files for folder in file.name.parents if folder != PurePosixPath(".")
        }
        return tuple(sorted(found, key=lambda folder: (len(folder.parts), str(folder))))


def read(root: Path) -> Application:
    """Return the application in the folder `root`.

    Raises:
        BenchError: NO_SUCH_FILE, nothing there or far too much.
    """
    paths = sorted(path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    if not paths or len(paths) > MAX_FILES or sum(path.stat().st_size for path in paths) > MAX_BYTES:
        raise BenchError(Fault.NO_SUCH_FILE, path=root)
    files = [
        ApplicationFile(
            source=path,
            name=PurePosixPath(path.relative_to(root).as_posix()),
            size=path.stat().st_size,
            digest=sha256(path.read_bytes()).hexdigest(),
        )
        for path in paths
    ]
    return Application(
        files=tuple(sorted(files, key=lambda file: (file.name.name == "MANIFEST", str(file.name))))
    )
