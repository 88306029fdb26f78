"""The archive: a zstd-compressed tar whose last member says what every other member must be.

| member | content |
|---|---|
| `database/fleet.db` or `database/fleet.dump` | SQLite file, or `pg_dump --format=custom` |
| `files/…` | files of the server's folder: keys, photos, targets |
| `manifest.json` | `Manifest`: each member with its SHA-256 and size, and the evidence that stayed outside |

An archive that was cut short has no manifest and is refused; so is one with a member changed, missing or too many.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Final

import msgspec
import zstandard
from msgspec import Meta, Struct

from gatehouse_fleet.errors import FleetError

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
MAX_MANIFEST_BYTES: Final = 256 * 1024 * 1024
"""A million evidence files have about 150 MB of names and hashes."""
_BLOCK: Final = 1024 * 1024
_PRIVATE: Final = 0o600

_Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class BackupError(FleetError):
    """A backup cannot be made, read or restored."""


class Member(Struct, frozen=True, kw_only=True):
    """One file."""

    name: str
    size: int
    sha256: _Sha256


class Manifest(Struct, frozen=True, kw_only=True):
    """What an archive holds."""

    format: int
    made_at: datetime
    database: str
    """`sqlite` or `postgresql`."""
    revision: str
    """Of the database schema."""
    members: tuple[Member, ...]
    outside: tuple[Member, ...] = ()
    """Evidence that was not packed: to be found elsewhere, and checked against these hashes."""


def pack(target: Path, files: Iterable[tuple[str, Path]], manifest: Manifest) -> Manifest:
    """Write an archive readable by its owner only, whole or not at all; return its manifest.

    Args:
        target: the file to make; must not exist.
        files: name in the archive and the file to read; read once, in this order.
        manifest: with everything but `members`.

    Raises:
        BackupError: the target exists.
    """
    draft = target.with_name(target.name + ".part")
    if target.exists():
        raise BackupError(f"{target} 已存在 is there already; a backup never overwrites one")
    draft.unlink(missing_ok=True)
    members: list[Member] = []
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE), "wb") as file:
        with (
            zstandard.ZstdCompressor(level=6).stream_writer(file, closefd=False) as packed,
            tarfile.open(fileobj=packed, mode="w|") as tar,
        ):
            for name, path in files:
                members.append(_add(tar, name, path))
            manifest = msgspec.structs.replace(manifest, members=tuple(members))
            raw = msgspec.json.encode(manifest)
            head = tarfile.TarInfo(MANIFEST)
            head.size, head.mode = len(raw), _PRIVATE
            tar.addfile(head, io.BytesIO(raw))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)
    _sync_folder(target.parent)
    return manifest


def unpack(source: Path, folder: Path) -> Manifest:
    """Write every member below `folder` (empty) and return the manifest, once all of them are what it says.

    Raises:
        BackupError: no archive of ours, cut short, changed, or names outside the folder.
    """
    found: dict[str, Member] = {}
    raw: bytes | None = None
    with _reading(source) as tar:
        for head, content in _members(tar, source):
            if raw is not None:
                raise BackupError(f"{source}: 清单之后还有内容 something follows the manifest")
            if head.name == MANIFEST:
                raw = _bounded(head, content, source)
                continue
            path = folder / _safe(head, source)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE), "wb") as file:
                found[head.name] = _copied(head.name, content, file)
                file.flush()
                os.fsync(file.fileno())
    manifest = _manifest(source, raw)
    wanted = {member.name: member for member in manifest.members}
    wrong = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    if wrong:
        raise BackupError(f"{source}: 与清单不符 not what the manifest says: {', '.join(wrong[:5])}")
    return manifest


def read_manifest(source: Path) -> Manifest:
    """Return what an archive says it holds, without writing anything; nothing is checked.

    Raises:
        BackupError: no archive of ours, or cut short.
    """
    raw = None
    with _reading(source) as tar:
        for head, content in _members(tar, source):
            if head.name == MANIFEST:
                raw = _bounded(head, content, source)
    return _manifest(source, raw)


def digest(path: Path, name: str) -> Member:
    """Return a file as a manifest names it."""
    with path.open("rb") as file:
        return _copied(name, file, None)


def _add(tar: tarfile.TarFile, name: str, path: Path) -> Member:
    with path.open("rb") as file:
        head = tarfile.TarInfo(name)
        head.size, head.mode = os.fstat(file.fileno()).st_size, _PRIVATE
        head.mtime = int(path.stat().st_mtime)
        reader = _Hashing(file)
        tar.addfile(head, reader)
    return Member(name=name, size=head.size, sha256=reader.hash.hexdigest())


class _Hashing:
    """Reads a file and hashes what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file: Final = file
        self.hash: Final = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self.hash.update(block)
        return block


@contextlib.contextmanager
def _reading(source: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive; whatever is wrong with its bytes inside the block is a `BackupError`."""
    try:
        with (
            source.open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file) as plain,
            tarfile.open(fileobj=plain, mode="r|") as tar,
        ):
            yield tar
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise BackupError(f"{source}: 不是完整的备份 is no whole backup ({error})") from error


def _members(tar: tarfile.TarFile, source: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    for head in tar:
        content = tar.extractfile(head) if head.isreg() else None
        if content is None:
            raise BackupError(f"{source}: {head.name!a} is no ordinary file")
        yield head, content


def _bounded(head: tarfile.TarInfo, content: IO[bytes], source: Path) -> bytes:
    if head.size > MAX_MANIFEST_BYTES:
        raise BackupError(f"{source}: the manifest is larger than {MAX_MANIFEST_BYTES} bytes")
    return content.read()


def _manifest(source: Path, raw: bytes | None) -> Manifest:
    if raw is None:
        raise BackupError(f"{source}: 没有清单，备份不完整 has no manifest: it was cut short")
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.DecodeError, ValueError) as error:
        raise BackupError(f"{source}: the manifest cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise BackupError(f"{source} has format {manifest.format}; this program reads {FORMAT}")
    return manifest


def _safe(head: tarfile.TarInfo, source: Path) -> PurePosixPath:
    path = PurePosixPath(head.name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in head.name:
        raise BackupError(f"{source}: a member is called {head.name!a}")
    return path


def _copied(name: str, content: IO[bytes], file: IO[bytes] | None) -> Member:
    found, size = hashlib.sha256(), 0
    while block := content.read(_BLOCK):
        found.update(block)
        size += len(block)
        if file is not None:
            file.write(block)
    return Member(name=name, size=size, sha256=found.hexdigest())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
