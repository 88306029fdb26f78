"""Builds what goes onto a node: the tree a bench copies onto a bare board, and the image a gateway sends to a running one.

Both hold the same bytes in the slot. Compiled with mpy-cross of the pinned MicroPython; `is_compiled=False` keeps the source, for
line coverage. Same input, same bytes: a bench can compare hashes with what was released.
"""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Final

from msgspec import Struct

import gatehouse_wire
from gatehouse_wire import node_update

FIRMWARE: Final = Path(__file__).parents[2] / "firmware"
"""Where the firmware is in a checkout."""
BOOT_FILES: Final = ("boot.py", "main.py", "slots.py")
MPY_ABI: Final = 0x306
"""mpy version 6.3, what MicroPython 1.29 loads."""
VERSION: Final = (1, 0, 0)
"""Version of the firmware in this tree."""
_PACKED: Final = Path(__file__).with_name("node_firmware")
"""Where a wheel carries it."""
_NODE: Final = _PACKED if _PACKED.is_dir() else FIRMWARE / "node"
_WIRE: Final = Path(gatehouse_wire.__file__).parent
_AT_CONSOLE: Final = "technician"
"""Imported by nobody, wanted by the bench."""
_PARSING: Final = threading.Lock()
"""CPython 3.11 counts the depth of a tree that `ast.parse` makes in one place for all threads, and two at once end in a
SystemError (cpython issue 106905)."""


class NodeKind(IntEnum):
    """The four programs; the number is the one on the wire and in NVS."""

    GAS = node_update.GAS
    LIFT = node_update.LIFT
    BUTTON = node_update.BUTTON
    BEACON = node_update.BEACON

    @property
    def word(self) -> str:
        """Return its name, as the node prints it."""
        return self.name.lower()


class BuildError(Exception):
    """The firmware cannot be built; says which file and why."""


class Build(Struct, frozen=True, kw_only=True):
    """One program, ready to go. `files` are what the slot holds besides its manifest, by relative path."""

    kind: NodeKind
    version: tuple[int, int, int]
    files: dict[str, bytes]
    manifest: bytes
    image: bytes

    @property
    def boot(self) -> dict[str, bytes]:
        """Return the files of the boot level."""
        return {name: (_NODE / name).read_bytes() for name in BOOT_FILES}

    @property
    def sha256(self) -> str:
        """Return the hash of the whole image, hex."""
        return hashlib.sha256(self.image).hexdigest()

    def tree(self, slot: str = "a") -> dict[str, bytes]:
        """Return everything a bare board needs, by path; the manifest comes last and must be copied last."""
        placed = {f"{slot}/{name}": content for name, content in self.files.items()}
        return self.boot | placed | {f"{slot}/MANIFEST": self.manifest}

    def write(self, root: Path, slot: str = "a") -> None:
        """Write the tree into a folder that stands for the node's file system."""
        for name, content in self.tree(slot).items():
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def build(
    kind: NodeKind,
    *,
    version: tuple[int, int, int] = VERSION,
    is_compiled: bool = True,
    extra: dict[str, bytes] | None = None,
) -> Build:
    """Return one program. `extra` adds files to the slot (tests: another version with other bytes).

    Raises:
        BuildError: mpy-cross refused a file, or an import leads nowhere.
    """
    modules = _closure(f"{kind.word}_app")
    files = {"app.py": f"from {kind.word}_app import run\n".encode()}
    for name, source in modules.items():
        path = name.replace(".", "/")
        files[f"{path}/__init__.py" if source.name == "__init__.py" else f"{path}.py"] = source.read_bytes()
    if is_compiled:
        files = _compiled(files)
    files |= extra or {}
    image = node_update.build_image(
        sorted(files.items()),
        kind=int(kind),
        version=version,
        abi=MPY_ABI if is_compiled else 0,
        sha256=_sha256,
    )
    head = node_update.parse_head(image)
    table = node_update.parse_table(image[node_update.HEAD_BYTES :], head)
    if table is None:
        raise BuildError("the table does not fit the image")
    return Build(
        kind=kind,
        version=version,
        files=dict(sorted(files.items())),
        manifest=image[: node_update.HEAD_BYTES + table[1]],
        image=image,
    )


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _closure(entry: str) -> dict[str, Path]:
    """Return every module of ours that `entry` needs, by dotted name."""
    found: dict[str, Path] = {}
    wanted = [entry, _AT_CONSOLE]
    while wanted:
        name = wanted.pop()
        if name in found or _is_foreign(name, entry):  # the console's probes of other kinds
            continue
        source = _source(name)
        if source is None:
            continue
        found[name] = source
        wanted += _imports(source)
    return dict(sorted(found.items()))


def _is_foreign(name: str, entry: str) -> bool:
    prefixes = {kind.word for kind in NodeKind} - {entry.partition("_")[0]}
    return name.partition("_")[0] in prefixes and "." not in name


def _source(name: str) -> Path | None:
    if f"{name}.py" in BOOT_FILES:
        return None
    package, _, path = name.replace(".", "/").partition("/")
    candidates = [_NODE / f"{package}.py"] if not path else []
    if package == _WIRE.name:
        candidates = [_WIRE / f"{path}.py"] if path else [_WIRE / "__init__.py"]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _imports(source: Path) -> Iterator[str]:
    with _PARSING:
        tree = ast.parse(source.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def _compiled(files: dict[str, bytes]) -> dict[str, bytes]:
    compiled: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in files.items():
            source, target = Path(scratch) / "in.py", Path(scratch) / "out.mpy"
            source.write_bytes(content)
            done = subprocess.run(
                [sys.executable, "-m", "mpy_cross", "-O2", "-s", name, "-o", str(target), str(source)],
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            if done.returncode != 0:
                raise BuildError(f"{name}: {done.stderr.strip()[-300:]}")
            compiled[name.removesuffix(".py") + ".mpy"] = target.read_bytes()
    return compiled
