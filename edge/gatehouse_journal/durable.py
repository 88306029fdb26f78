"""Files that are either wholly there or not at all, also after a power cut.

Every write goes through `os` calls, so the bench's recording layer sees each of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Make creations, renames and removals in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes, *, mode: int) -> None:
    """Put `content` at `path` in one step; a reader sees the old file or the new one.

    Raises:
        OSError: no space, no permission.
    """
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)  # noqa: PTH105  # see module docstring
    sync_directory(path.parent)


def move_aside(paths: Iterable[Path], directory: Path) -> None:
    """Move those of `paths` that exist into `directory` (created), in the order given."""
    directory.mkdir(parents=True, exist_ok=True)
    sources = [path for path in paths if path.exists()]
    for source in sources:
        os.replace(source, directory / source.name)  # noqa: PTH105  # see module docstring
    sync_directory(directory)
    sync_directory(directory.parent)
    for parent in {source.parent for source in sources}:
        sync_directory(parent)
