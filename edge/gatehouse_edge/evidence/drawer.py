"""The folder of finished evidence: every file is called `<sha256>.<name>`, a manifest `<sha256>.manifest.json`. Never changed, only deleted.

The uplink reads files here by their hash (`uplink/evidence.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

from gatehouse_events.evidence import EvidenceError, EvidenceFile, Manifest, decode_manifest
from gatehouse_journal.durable import sync_directory

FOLDER: Final = "evidence"
"""Below the storage directory."""
MANIFEST: Final = "manifest.json"
MASKED: Final = "masked.mp4"
MASK_RULE: Final = "everything outside the corridor of the fall and the landing zone is shown in blocks of a thirtieth of the picture's height 坠落通道与落点以外全部马赛克"
"""What a viewing copy hides (`masking.py`)."""
_CHUNK: Final = 1 << 20


def stored_name(sha: str, name: str) -> str:
    """Return what a file is called in the drawer."""
    return f"{sha}.{name}"


def path_of(folder: Path, file: EvidenceFile) -> Path:
    """Return where a file of a manifest lies, if it does."""
    return folder / stored_name(file.sha256, file.name)


def manifest_path(folder: Path, sha: str) -> Path:
    """Return where a manifest lies, if it does."""
    return folder / stored_name(sha, MANIFEST)


def manifests(folder: Path) -> list[str]:
    """Return the hashes of all manifests that lie here, sorted."""
    return sorted(path.name.partition(".")[0] for path in folder.glob(f"*.{MANIFEST}"))


def read_manifest(folder: Path, sha: str) -> Manifest:
    """Return one manifest.

    Raises:
        EvidenceError: it is not here, or not what its name says.
    """
    try:
        raw = manifest_path(folder, sha).read_bytes()
    except OSError as error:
        raise EvidenceError(f"manifest {sha[:12]} cannot be read: {error.strerror}") from error
    if sha256(raw).hexdigest() != sha:
        raise EvidenceError(f"manifest {sha[:12]} is not what its name says")
    return decode_manifest(raw)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, hex.

    Raises:
        OSError: it cannot be read.
    """
    found = sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            found.update(piece)
    return found.hexdigest()


def rename(source: Path, target: Path) -> None:
    """Give a written file its place, durably.

    Raises:
        OSError: the disk refuses.
    """
    with source.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(source, target)  # noqa: PTH105  # as below
    sync_directory(target.parent)


def remove(folder: Path, names: Iterable[str]) -> None:
    """Delete files for good and make that durable; what is gone already is no fault.

    Raises:
        OSError: the disk refuses.
    """
    for name in names:
        try:
            os.unlink(folder / name)  # noqa: PTH108  # through `os`, where the bench's recording layer sees it
        except FileNotFoundError:
            continue
    sync_directory(folder)
