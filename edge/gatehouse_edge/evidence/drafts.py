"""Evidence in the making: a folder `.draft-<event id>` beside the finished files. Whatever ends the process, it can be gone on with.

| in a draft | written | by |
|---|---|---|
| `promise.json` | when the throw is seen: from here on it is promised | `promise` |
| `cut.json` | when its last picture has come | `note_cut` |
| `clip.mp4`, `release.jpg`, … | each in one step (temporary name, sync, rename) | `drivers/clip_keep.py` |
| `manifest.json` | when everything that can be there is there; the promise goes | `seal` |

`put_away` then moves the files to their places, manifest last: a manifest in the drawer has all its files. A draft whose
process has ended is sealed with what there is, and the manifest says what is missing.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from gatehouse_edge.evidence.drawer import MANIFEST, manifest_path, path_of, remove
from gatehouse_edge.evidence.promise import Cut, Promise, PromiseError, decode_promise
from gatehouse_events.evidence import (
    EvidenceError,
    EvidenceFile,
    FileKind,
    Manifest,
    decode_manifest,
    encode_manifest,
)
from gatehouse_journal.durable import sync_directory, write_file

if TYPE_CHECKING:
    from _hashlib import HASH

PREFIX: Final = ".draft-"
RESERVE_BYTES: Final = 64 * 1024 * 1024
"""Room that evidence leaves to the journal: a clip must never cost an alarm."""
CLIP: Final = "clip.mp4"
PARTS: Final[dict[str, tuple[FileKind, str]]] = {
    CLIP: (FileKind.CLIP, "video/mp4"),
    "release.jpg": (FileKind.SNAPSHOT, "image/jpeg"),
    "landing.jpg": (FileKind.SNAPSHOT, "image/jpeg"),
    "track.json": (FileKind.TRACE, "application/json"),
    "overlay.svg": (FileKind.TRACE, "image/svg+xml"),
}
"""Files of one piece of evidence: kind and media type."""
_PROMISE: Final = "promise.json"
_CUT: Final = "cut.json"
_MODE: Final = 0o640
_CHUNK: Final = 1 << 20


class KeepError(Exception):
    """Evidence cannot be kept now; what was promised stays promised, and the same call may be made again."""

    def __init__(self, text: str, *, is_full: bool = False) -> None:
        super().__init__(text)
        self.is_full = is_full
        """The disk is full."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One draft on the disk."""

    folder: Path
    """The draft's own."""
    promise: Promise

    def path(self, name: str) -> Path:
        """Return where a file of it lies, if it does."""
        return self.folder / name

    @property
    def cut(self) -> Cut | None:
        """What was cut out of the ring; None: it never came to that."""
        try:
            return msgspec.json.decode(self.path(_CUT).read_bytes(), type=Cut)
        except (OSError, msgspec.DecodeError):
            return None


def refused(error: OSError) -> KeepError:
    """Return what a refusing disk means."""
    is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    words = "the disk is full" if is_full else f"the disk refuses: {error.strerror or type(error).__name__}"
    return KeepError(words, is_full=is_full)


def check_room(folder: Path, wanted_bytes: int) -> None:
    """Refuse early what would take the room that alarms need.

    Raises:
        KeepError: `is_full`.
    """
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < wanted_bytes + RESERVE_BYTES:
        raise KeepError(
            f"{free >> 20} MiB free, {(wanted_bytes + RESERVE_BYTES) >> 20} MiB needed: the rest is kept for alarms",
            is_full=True,
        )


def promise(found: Promise, folder: Path) -> Draft:
    """Put a promise on the disk (again: with what has become known since, such as the alarm's id).

    Raises:
        KeepError: the disk is full or refuses; nothing is promised.
    """
    draft = folder / f"{PREFIX}{found.event_id}"
    try:
        draft.mkdir(parents=True, exist_ok=True, mode=0o750)
        write_file(draft / _PROMISE, msgspec.json.encode(found), mode=_MODE)
        sync_directory(folder)
    except OSError as error:
        raise refused(error) from error
    return Draft(draft, found)


def note_cut(draft: Draft, cut: Cut) -> None:
    """Put down what is being cut, before the clip.

    Raises:
        OSError: the disk refuses.
    """
    write_file(draft.path(_CUT), msgspec.json.encode(cut), mode=_MODE)


def write_part(draft: Draft, name: str, content: bytes) -> None:
    """Put a small part down in one step.

    Raises:
        OSError: the disk refuses.
    """
    write_file(draft.path(name), content, mode=_MODE)


def left_in(folder: Path, camera_id: str | None = None) -> frozenset[str]:
    """Return the names of the drafts there are now, of one camera or of all; at a gateway's start nobody is at work on them."""
    if camera_id is None:
        return frozenset(path.name for path in folder.glob(f"{PREFIX}*"))
    promised = {draft.folder.name for draft in open_drafts(folder, camera_id=camera_id)}
    return frozenset(promised | {path.name for path in sealed_drafts(folder, camera_id=camera_id)})


def open_drafts(
    folder: Path,
    *,
    camera_id: str | None = None,
    among: frozenset[str] | None = None,
) -> Iterator[Draft]:
    """Yield what was promised and not sealed, of one camera or of all; a folder without a promise is swept away.

    Only where no process is at work on them: `among` what was left at the start, or a camera whose process has ended.
    """
    for path in sorted(folder.glob(f"{PREFIX}*")):
        if (path / MANIFEST).exists() or (among is not None and path.name not in among):
            continue
        try:
            found = decode_promise((path / _PROMISE).read_bytes())
        except FileNotFoundError:
            if among is not None:  # ended before anything was promised, or after all was done
                shutil.rmtree(path, ignore_errors=True)
            continue
        except (OSError, PromiseError):
            continue  # unreadable: a person may find out what it was
        if camera_id in {None, found.camera_id}:
            yield Draft(path, found)


def sealed_drafts(
    folder: Path,
    *,
    camera_id: str | None = None,
    among: frozenset[str] | None = None,
) -> Iterator[Path]:
    """Yield the folders of drafts that have their manifest and only wait to be put away, of one camera or of all."""
    for path in sorted(folder.glob(f"{PREFIX}*/{MANIFEST}")):
        if among is not None and path.parent.name not in among:
            continue
        try:
            found = decode_manifest(path.read_bytes())
        except (OSError, EvidenceError):
            continue  # as above
        if camera_id in {None, found.camera_id}:
            yield path.parent


def described(draft: Draft, name: str) -> EvidenceFile:
    """Return a part as a manifest names it.

    Raises:
        OSError: it cannot be read.
    """
    kind, media_type = PARTS[name]
    first, second, size = hashlib.sha256(), _sm3(), 0
    with draft.path(name).open("rb") as file:
        while piece := file.read(_CHUNK):
            first.update(piece)
            size += len(piece)
            if second is not None:
                second.update(piece)
    return EvidenceFile(
        name=name,
        kind=kind,
        media_type=media_type,
        size_bytes=size,
        sha256=first.hexdigest(),
        sm3=None if second is None else second.hexdigest(),
    )


def seal(draft: Draft, manifest: Manifest) -> None:
    """Write the manifest: from here on nothing is added, and the promise is no longer needed.

    Raises:
        OSError: the disk refuses.
    """
    write_file(draft.path(MANIFEST), encode_manifest(manifest), mode=_MODE)
    remove(draft.folder, (_PROMISE, _CUT))


def put_away(sealed: Path) -> tuple[str, Manifest]:
    """Move everything of a sealed draft into the drawer, manifest last, and clear the draft; return the manifest and its hash.

    Raises:
        OSError: the disk refuses; called again it goes on.
        EvidenceError: its manifest is none.
    """
    folder, raw = sealed.parent, (sealed / MANIFEST).read_bytes()
    manifest, sha = decode_manifest(raw), hashlib.sha256(raw).hexdigest()
    for file in manifest.files:
        if (sealed / file.name).exists():
            os.replace(sealed / file.name, path_of(folder, file))  # noqa: PTH105  # see drawer.py
    sync_directory(folder)
    os.replace(sealed / MANIFEST, manifest_path(folder, sha))  # noqa: PTH105
    sync_directory(folder)
    shutil.rmtree(sealed, ignore_errors=True)  # what is left promises nothing: the manifest stands
    return sha, manifest


def _sm3() -> HASH | None:
    # Not from `cryptography`, which is 7 MiB in each camera's process.
    try:
        return hashlib.new("sm3", usedforsecurity=False)
    except ValueError:  # a library built without it
        return None
