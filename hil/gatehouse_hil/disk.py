"""Power cuts without pulling a plug: record what a process writes and syncs, then build the disks it may leave behind.

`Recorder` runs inside the process under test. It registers a SQLite VFS that passes every call on to the stock
`unix` one and notes writes, truncations, syncs and removals; the process's own `os` calls are noted the same way.
The code under test is unchanged and does not know.

`Recording.disk(cut, rng)` is the disk after a power cut at that point. What was synced is there. What was not may be
there, may be missing, may be torn at 512-byte sectors, each write for itself and in any order. A file name is there
for sure only after its directory was synced. Bytes outside a write are never harmed (SQLite's "powersafe overwrite",
sqlite.org/psow.html, its default assumption); a disk that lies about syncs is out of scope.

Where the stock VFS syncs a directory by itself (first sync of a new WAL or journal; removals that ask for it) the
recording says so too: `unixSync` and `unixDelete` in SQLite's os_unix.c.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from ctypes import _CFunctionType as _Callback

SECTOR_BYTES: Final = 512
_OPEN_DIRSYNC: Final = 0x80000 | 0x0800 | 0x4000
"""SQLITE_OPEN_WAL, _MAIN_JOURNAL, _SUPER_JOURNAL: new files of these kinds sync their directory."""
_POINTER_BYTES: Final = ctypes.sizeof(ctypes.c_void_p)
_METHODS: Final = 19
"""Words of sqlite3_io_methods version 3."""
_VFS_WORDS: Final = 21
"""Words of sqlite3_vfs version 3: two ints, one int, then pointers."""
_X_WRITE, _X_TRUNCATE, _X_SYNC = 3, 4, 5
_Z_NAME, _X_OPEN, _X_DELETE = 3, 5, 6
_UNRECORDED: Final = ("-shm", "writer.lock")
"""Shared memory is rebuilt from the WAL; the lock is worth nothing after a power cut."""


class RecorderError(Exception):
    """This Python's SQLite cannot be watched."""


class Act(StrEnum):
    """What happened."""

    CREATE = "create"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    RENAME = "rename"
    REMOVE = "remove"
    SYNC_DIRECTORY = "sync_directory"
    ACKNOWLEDGED = "acknowledged"
    """Not an act on the disk: the process told somebody that everything so far is safe."""


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One act, in order."""

    act: Act
    name: str = ""
    offset: int = 0
    content: bytes = b""
    size: int = 0
    target: str = ""
    note: str = ""


class Recording(Struct, frozen=True, kw_only=True):
    """Everything a process did to one directory."""

    steps: tuple[Step, ...]

    def acknowledged(self, cut: int) -> list[str]:
        """Return the notes acknowledged before step `cut`."""
        return [step.note for step in self.steps[:cut] if step.act is Act.ACKNOWLEDGED]

    def disk(self, cut: int, rng: random.Random) -> dict[str, bytes]:
        """Return a possible content of the directory after a power cut just before step `cut`."""
        return self._disk(cut).torn(rng)

    def finished(self) -> dict[str, bytes]:
        """Return the directory when nothing is lost; equals the real one, or the recording is worthless."""
        return self._disk(len(self.steps)).as_seen()

    def written_bytes(self) -> int:
        """Return the bytes of all writes."""
        return sum(len(step.content) for step in self.steps)

    def save(self, path: Path) -> None:
        """Write the recording to a file."""
        path.write_bytes(msgspec.msgpack.encode(self))

    @classmethod
    def load(cls, path: Path) -> Recording:
        """Read a recording."""
        return msgspec.msgpack.decode(path.read_bytes(), type=cls)

    def _disk(self, cut: int) -> _Disk:
        disk = _Disk()
        for step in self.steps[:cut]:
            disk.do(step)
        return disk


class _File:
    """Bytes on the platter, and writes that are only in a cache."""

    def __init__(self) -> None:
        self.durable = bytearray()
        self.pending: list[Step] = []

    def sync(self) -> None:
        for step in self.pending:
            _apply(self.durable, step)
        self.pending.clear()

    def as_seen(self) -> bytes:
        content = bytearray(self.durable)
        for step in self.pending:
            _apply(content, step)
        return bytes(content)

    def torn(self, rng: random.Random) -> bytes:
        content = bytearray(self.durable)
        mood = rng.random()  # a quarter each: nothing, everything, else each write for itself
        for step in self.pending:
            if mood < 0.25:
                continue
            if mood < 0.5:
                _apply(content, step)
            else:
                for part in _parts(step, rng):
                    _apply(content, part)
        return bytes(content)


class _Disk:
    """Names point to files; a name is durable after its directory was synced."""

    def __init__(self) -> None:
        self._names: dict[str, _File] = {}
        self._durable_names: dict[str, _File] = {}
        self._pending: list[Step] = []
        self._made: dict[int, _File] = {}

    def do(self, step: Step) -> None:
        """Do one step."""
        if step.act in (Act.WRITE, Act.TRUNCATE):
            self._names[step.name].pending.append(step)
        elif step.act is Act.SYNC:
            self._names[step.name].sync()
        elif step.act is Act.SYNC_DIRECTORY:
            self._durable_names = dict(self._names)
            self._pending.clear()
        elif step.act is not Act.ACKNOWLEDGED:
            if step.act is Act.CREATE:
                self._made[id(step)] = _File()
            self._rename(self._names, step)
            self._pending.append(step)

    def as_seen(self) -> dict[str, bytes]:
        """Return what a running system shows."""
        return {name: file.as_seen() for name, file in self._names.items()}

    def torn(self, rng: random.Random) -> dict[str, bytes]:
        """Return what may be left: some of the newest name changes, in order, and torn contents."""
        names = dict(self._durable_names)
        for step in self._pending[: rng.randint(0, len(self._pending))]:
            self._rename(names, step)
        return {name: file.torn(rng) for name, file in names.items()}

    def _rename(self, names: dict[str, _File], step: Step) -> None:
        if step.act is Act.CREATE:
            names[step.name] = self._made[id(step)]
        elif step.act is Act.REMOVE:
            names.pop(step.name, None)
        elif step.name in names:
            names[step.target] = names.pop(step.name)


def _apply(content: bytearray, step: Step) -> None:
    if step.act is Act.TRUNCATE:
        del content[step.size :]
        content.extend(bytes(step.size - len(content)))
        return
    if len(content) < step.offset:
        content.extend(bytes(step.offset - len(content)))
    content[step.offset : step.offset + len(step.content)] = step.content


def _parts(step: Step, rng: random.Random) -> Iterator[Step]:
    """Yield what of a step reached the platter: nothing, all, or some of its sectors."""
    fate = rng.random()
    if fate < 1 / 3:
        return
    if fate < 2 / 3 or step.act is Act.TRUNCATE:
        yield step
        return
    start = step.offset
    end = step.offset + len(step.content)
    while start < end:
        stop = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
        if rng.random() < 0.5:
            yield Step(
                act=Act.WRITE, offset=start, content=step.content[start - step.offset : stop - step.offset]
            )
        start = stop


_Write = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_Truncate = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_Open = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_int),
)
_Delete = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
_SQLITE_FULL: Final = 13


class Recorder:
    """Watches one directory of this process, for the rest of the process's life.

    `capacity_bytes` makes the disk small as well: a write that would not fit is refused as a full disk, until a
    file is removed.
    """

    def __init__(self, directory: Path, *, capacity_bytes: int | None = None) -> None:
        self._directory: Final = str(directory)
        self._capacity_bytes = capacity_bytes
        self._steps: list[Step] = []
        self._names: dict[int, str] = {}
        """SQLite file pointer -> name."""
        self._dirsync: set[int] = set()
        self._known: set[str] = set()
        self._sizes: dict[str, int] = {}
        self._descriptors: dict[int, str] = {}
        self._kept: list[object] = []
        """What C points to must outlive this call."""

    def install(self) -> None:
        """Begin. The directory must be empty.

        Raises:
            RecorderError: this Python carries its SQLite inside and hides it.
        """
        if any(Path(self._directory).iterdir()):
            raise RecorderError(f"{self._directory} is not empty")
        self._install_vfs()
        self._install_os()
        db = sqlite3.connect(f"{self._directory}/probe.db")
        db.execute("CREATE TABLE probe (a)")
        db.close()
        os.unlink(f"{self._directory}/probe.db")  # noqa: PTH108  # through the watched call
        if not self._steps:
            raise RecorderError("another SQLite than the one watched is in use")
        self._steps.clear()
        self._known.clear()
        self._sizes.clear()

    def acknowledge(self, note: str) -> None:
        """Note that somebody was told: everything so far is safe."""
        self._steps.append(Step(act=Act.ACKNOWLEDGED, note=note))

    def resize(self, capacity_bytes: int | None) -> None:
        """Make the disk smaller or larger; None: without end."""
        self._capacity_bytes = capacity_bytes

    @property
    def used_bytes(self) -> int:
        """Bytes of all files in the directory."""
        return sum(self._sizes.values())

    def recording(self) -> Recording:
        """Return everything so far."""
        return Recording(steps=tuple(self._steps))

    # --- SQLite

    def _install_vfs(self) -> None:
        library = _sqlite_library()
        library.sqlite3_vfs_find.restype = ctypes.c_void_p
        library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
        library.sqlite3_vfs_register.argtypes = [ctypes.c_void_p, ctypes.c_int]
        stock = library.sqlite3_vfs_find(b"unix")
        words = (ctypes.c_void_p * _VFS_WORDS).from_address(stock)
        ours = (ctypes.c_void_p * _VFS_WORDS)(*words)
        name = ctypes.create_string_buffer(b"gatehouse-recorder")
        stock_open = _Open(words[_X_OPEN] or 0)
        stock_delete = _Delete(words[_X_DELETE] or 0)

        def x_open(_vfs: int, path: int, file: int, flags: int, out: object) -> int:
            code = int(stock_open(stock, path, file, flags, out))
            if code == 0 and path:
                self._opened(ctypes.string_at(path).decode(), file, flags)
            return code

        def x_delete(_vfs: int, path: bytes, sync_directory: int) -> int:
            code = int(stock_delete(stock, path, sync_directory))
            if code == 0:
                self._removed(path.decode())
                if sync_directory:
                    self._note(Step(act=Act.SYNC_DIRECTORY))
            return code

        callbacks = (_Open(x_open), _Delete(x_delete))
        ours[_Z_NAME] = ctypes.addressof(name)
        ours[_X_OPEN] = ctypes.cast(callbacks[0], ctypes.c_void_p).value
        ours[_X_DELETE] = ctypes.cast(callbacks[1], ctypes.c_void_p).value
        self._kept += [ours, name, callbacks, stock_open, stock_delete]
        if library.sqlite3_vfs_register(ctypes.addressof(ours), 1) != 0:
            raise RecorderError("SQLite refuses the recording VFS")

    def _opened(self, path: str, file: int, flags: int) -> None:
        name = self._inside(path)
        if name is None:
            return
        self._names[file] = name
        if name not in self._known:
            self._created(name)
        if flags & _OPEN_DIRSYNC:
            self._dirsync.add(file)
        # The stock VFS shares one table of methods among files; give this file a table of its own.
        slot = ctypes.c_void_p.from_address(file)
        stock = (ctypes.c_void_p * _METHODS).from_address(slot.value or 0)
        table = (ctypes.c_void_p * _METHODS)(*stock)
        callbacks = self._methods(list(stock))
        for index, callback in callbacks.items():
            table[index] = ctypes.cast(callback, ctypes.c_void_p).value
        self._kept += [table, callbacks]
        slot.value = ctypes.addressof(table)

    def _methods(self, stock: Sequence[int | None]) -> dict[int, _Callback]:
        stock_write = _Write(stock[_X_WRITE] or 0)
        stock_truncate = _Truncate(stock[_X_TRUNCATE] or 0)
        stock_sync = _Sync(stock[_X_SYNC] or 0)

        def x_write(file: int, content: int, count: int, offset: int) -> int:
            name = self._names[file]
            if not self._fits(name, offset + count):
                return _SQLITE_FULL
            code = int(stock_write(file, content, count, offset))
            if code == 0:
                self._wrote(name, offset, ctypes.string_at(content, count))
            return code

        def x_truncate(file: int, size: int) -> int:
            code = int(stock_truncate(file, size))
            if code == 0:
                self._truncated(self._names[file], size)
            return code

        def x_sync(file: int, flags: int) -> int:
            code = int(stock_sync(file, flags))
            if code == 0:
                self._note(Step(act=Act.SYNC, name=self._names[file]))
                if file in self._dirsync:
                    self._dirsync.discard(file)
                    self._note(Step(act=Act.SYNC_DIRECTORY))
            return code

        return {_X_WRITE: _Write(x_write), _X_TRUNCATE: _Truncate(x_truncate), _X_SYNC: _Sync(x_sync)}

    # --- the process's own files

    def _install_os(self) -> None:
        for name, watched in {
            "open": self._os_open(os.open),
            "close": self._os_close(os.close),
            "write": self._os_write(os.write),
            "ftruncate": self._os_ftruncate(os.ftruncate),
            "fsync": self._os_fsync(os.fsync),
            "fdatasync": self._os_fsync(os.fdatasync),
            "replace": self._os_rename(os.replace),
            "rename": self._os_rename(os.rename),
            "unlink": self._os_unlink(os.unlink),
            "remove": self._os_unlink(os.remove),
        }.items():
            setattr(os, name, watched)

    def _os_open(self, stock: Callable[..., int]) -> Callable[..., int]:
        def watched(path: str | Path, flags: int, *args: int, **kwargs: int | None) -> int:
            descriptor = stock(path, flags, *args, **kwargs)
            if str(path) == self._directory:
                self._descriptors[descriptor] = ""
            name = self._inside(str(path))
            if name is not None and name != "":
                self._descriptors[descriptor] = name
                if name not in self._known and flags & os.O_CREAT:
                    self._created(name)
                if flags & os.O_TRUNC and self._sizes.get(name):
                    self._truncated(name, 0)
            return descriptor

        return watched

    def _os_close(self, stock: Callable[[int], None]) -> Callable[[int], None]:
        def watched(descriptor: int) -> None:
            self._descriptors.pop(descriptor, None)
            stock(descriptor)

        return watched

    def _os_write(self, stock: Callable[..., int]) -> Callable[..., int]:
        def watched(descriptor: int, content: bytes | memoryview) -> int:
            name = self._descriptors.get(descriptor)
            if not name:
                return stock(descriptor, content)
            offset = os.lseek(descriptor, 0, os.SEEK_CUR)
            if not self._fits(name, offset + len(content)):
                raise OSError(28, "no space left on the recorded disk")
            count = stock(descriptor, content)
            self._wrote(name, offset, bytes(content[:count]))
            return count

        return watched

    def _os_ftruncate(self, stock: Callable[..., None]) -> Callable[..., None]:
        def watched(descriptor: int, size: int) -> None:
            stock(descriptor, size)
            name = self._descriptors.get(descriptor)
            if name:
                self._truncated(name, size)

        return watched

    def _os_fsync(self, stock: Callable[[int], None]) -> Callable[[int], None]:
        def watched(descriptor: int) -> None:
            stock(descriptor)
            name = self._descriptors.get(descriptor)
            if name == "":
                self._note(Step(act=Act.SYNC_DIRECTORY))
            elif name is not None:
                self._note(Step(act=Act.SYNC, name=name))

        return watched

    def _os_rename(self, stock: Callable[..., None]) -> Callable[..., None]:
        def watched(source: str | Path, target: str | Path, **kwargs: int | None) -> None:
            stock(source, target, **kwargs)
            old, new = self._inside(str(source)), self._inside(str(target))
            if old is not None and new is not None:
                self._known.discard(old)
                self._known.add(new)
                self._sizes[new] = self._sizes.pop(old, 0)
                self._note(Step(act=Act.RENAME, name=old, target=new))

        return watched

    def _os_unlink(self, stock: Callable[..., None]) -> Callable[..., None]:
        def watched(path: str | Path, **kwargs: int | None) -> None:
            stock(path, **kwargs)
            self._removed(str(path))

        return watched

    # --- notes

    def _inside(self, path: str) -> str | None:
        """Return the name of a recorded file of the directory, None for anything else."""
        head, _, name = path.rpartition("/")
        return name if head == self._directory and not name.endswith(_UNRECORDED) else None

    def _fits(self, name: str, end: int) -> bool:
        if self._capacity_bytes is None:
            return True
        growth = max(0, end - self._sizes.get(name, 0))
        return growth == 0 or self.used_bytes + growth <= self._capacity_bytes

    def _created(self, name: str) -> None:
        self._known.add(name)
        self._sizes[name] = 0
        self._note(Step(act=Act.CREATE, name=name))

    def _removed(self, path: str) -> None:
        name = self._inside(path)
        if name is not None and name in self._known:
            self._known.discard(name)
            self._sizes.pop(name, None)
            self._note(Step(act=Act.REMOVE, name=name))

    def _wrote(self, name: str, offset: int, content: bytes) -> None:
        self._sizes[name] = max(self._sizes.get(name, 0), offset + len(content))
        self._note(Step(act=Act.WRITE, name=name, offset=offset, content=content))

    def _truncated(self, name: str, size: int) -> None:
        self._sizes[name] = size
        self._note(Step(act=Act.TRUNCATE, name=name, size=size))

    def _note(self, step: Step) -> None:
        self._steps.append(step)


def _sqlite_library() -> ctypes.CDLL:
    """Return the SQLite that this Python's `sqlite3` module uses."""
    import _sqlite3

    found = ctypes.util.find_library("sqlite3")
    for place in (getattr(_sqlite3, "__file__", None), found):
        try:
            library = ctypes.CDLL(place)
            library.sqlite3_libversion.restype = ctypes.c_char_p
            version = library.sqlite3_libversion().decode()
        except (OSError, AttributeError):
            continue
        if version == sqlite3.sqlite_version:
            return library
    raise RecorderError(
        "this Python carries its SQLite inside; use one that links libsqlite3 (Debian's does)"
    )
