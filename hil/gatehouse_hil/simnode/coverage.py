"""Which lines of the firmware have run on the VM: collected from every run of a traced node, counted per file.

The VM's settrace build reports a line once per start (`SimNode.coverage`: hash of the source file on flash, its path, line; for
a compiled file "-", the name its compiler was given, line).
Counted are statements, not lines: a statement over three lines has run when any of its own lines has. Not counted is what
the compiler makes no code of: docstrings, `pass`, `global`, `try:` itself, `while True:` itself and private constants
(`_X = const(...)`).
"""

from __future__ import annotations

import ast
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NO_CODE: Final = (ast.Pass, ast.Global, ast.Nonlocal, ast.Try)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCoverage:
    """One source file: first lines of its statements, and of those that never ran."""

    path: Path
    statements: tuple[int, ...]
    missing: tuple[int, ...]

    @property
    def percent(self) -> float:
        """Share of the statements that ran; 100 for a file without any."""
        if not self.statements:
            return 100.0
        return 100.0 * (len(self.statements) - len(self.missing)) / len(self.statements)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageReport:
    """All files asked for; one that never came onto a node counts as not run at all."""

    files: tuple[FileCoverage, ...]

    @property
    def percent(self) -> float:
        """Share of all statements that ran."""
        count = sum(len(file.statements) for file in self.files)
        missing = sum(len(file.missing) for file in self.files)
        return 100.0 * (count - missing) / count if count else 100.0

    def text(self, *, root: Path) -> str:
        """Return a table: statements, missing, percent, path, first lines of what is missing."""
        rows = [f"{'stmts':>6} {'miss':>5} {'cover':>6}  file"]
        rows += [
            f"{len(file.statements):>6} {len(file.missing):>5} {file.percent:>5.1f}%  "
            f"{file.path.relative_to(root)}  {_ranges(file.missing)}".rstrip()
            for file in self.files
        ]
        return "\n".join([*rows, f"{'':>12} {self.percent:>5.1f}%  all\n"])


class LineCoverage:
    """Adds up the traces of any number of nodes and starts."""

    def __init__(self) -> None:
        self._lines: dict[str, set[int]] = defaultdict(set)

    def add(self, trace: Path) -> None:
        """Take in one node's `coverage.txt`; a node that never ran has none."""
        if not trace.exists():
            return
        for line in trace.read_text(encoding="utf-8").splitlines():
            digest, name, number = line.split(" ")
            self._lines[name if digest == "-" else digest].add(int(number))

    @property
    def lines(self) -> dict[str, list[int]]:
        """What is known so far: hash of a source file, or name of a compiled one, to the lines that ran."""
        return {digest: sorted(numbers) for digest, numbers in self._lines.items()}

    def merge(self, lines: Mapping[str, Iterable[int]]) -> None:
        """Add what another run knew (`lines` of it)."""
        for digest, numbers in lines.items():
            self._lines[digest].update(numbers)

    def report(self, sources: Mapping[str, Path]) -> CoverageReport:
        """Count the statements of these files (by the name their compiler was given) that have run, wherever on flash they lay."""
        files = []
        for name, source in sorted(sources.items()):
            content = source.read_bytes()
            ran = self._lines.get(hashlib.sha256(content).hexdigest(), set()) | self._lines.get(name, set())
            own = dict(_statements(ast.parse(content)))
            files.append(
                FileCoverage(
                    path=source,
                    statements=tuple(sorted(own)),
                    missing=tuple(sorted(line for line, lines in own.items() if not lines & ran)),
                )
            )
        return CoverageReport(files=tuple(files))


def _statements(tree: ast.Module) -> Iterator[tuple[int, set[int]]]:
    """Yield the first line of every statement that makes code, and all lines that are its own."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt) or isinstance(node, _NO_CODE) or _is_text(node) or _is_folded(node):
            continue
        begin = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
        inner = [
            line for child in _children(node) for line in range(child.lineno, (child.end_lineno or 0) + 1)
        ]
        yield begin, set(range(begin, (node.end_lineno or node.lineno) + 1)) - set(inner) | {node.lineno}


def _children(node: ast.stmt) -> Iterator[ast.stmt | ast.excepthandler]:
    for name in ("body", "orelse", "finalbody", "handlers"):
        yield from getattr(node, name, [])


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_folded(node: ast.stmt) -> bool:
    if isinstance(node, ast.While):
        return isinstance(node.test, ast.Constant) and bool(node.test.value)
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
        return False
    target, function = node.targets[0], node.value.func
    is_const = isinstance(function, ast.Name) and function.id == "const"
    return is_const and isinstance(target, ast.Name) and target.id.startswith("_")


def _ranges(lines: tuple[int, ...]) -> str:
    shown = ", ".join(str(line) for line in lines[:12])
    return shown + (", ..." if len(lines) > 12 else "")
