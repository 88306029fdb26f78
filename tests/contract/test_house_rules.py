"""House rules that no off-the-shelf linter knows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = sorted(
    path
    for part in ("firmware", "edge", "fleet", "models", "hil", "tests")
    for path in (ROOT / part).rglob("*.py")
)
CANCELLATION = {"CancelledError", "BaseException"}
WIRE_MAY_IMPORT = {"struct", "micropython", "gatehouse_wire"}


def names_in(node: ast.expr | None) -> set[str]:
    """The exceptions an `except` names; a bare one catches everything."""
    if node is None:
        return {"BaseException"}
    found = [part for part in ast.walk(node) if isinstance(part, ast.Attribute | ast.Name)]
    return {part.attr if isinstance(part, ast.Attribute) else part.id for part in found}


def violations(source: str, *, is_wire: bool = False) -> Iterator[str]:
    """One sentence for each broken rule."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and names_in(node.type) & CANCELLATION:
            if not any(isinstance(part, ast.Raise) for part in ast.walk(node)):
                yield f"line {node.lineno}: swallows cancellation"
        elif isinstance(node, ast.Call) and names_in(node.func) & {"suppress"}:
            if any(names_in(argument) & CANCELLATION for argument in node.args):
                yield f"line {node.lineno}: swallows cancellation"
        elif isinstance(node, ast.Assert):
            if isinstance(node.test, ast.IfExp):
                yield f"line {node.lineno}: the assert of a conditional tests one branch's truth only"
            if isinstance(node.test, ast.Tuple) and node.test.elts:
                yield f"line {node.lineno}: the assert of a tuple is always true"
    if is_wire:
        yield from foreign_imports(source)


def foreign_imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            plain = isinstance(node, ast.Import)
            modules = [alias.name for alias in node.names] if plain else [str(node.module)]
            foreign = {module.split(".")[0] for module in modules} - WIRE_MAY_IMPORT
            if foreign:
                yield f"line {node.lineno}: wire code may not import {sorted(foreign)}"


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_keeps_the_house_rules(path: Path) -> None:
    is_wire = "gatehouse_wire" in path.parts
    assert list(violations(path.read_text(encoding="utf-8"), is_wire=is_wire)) == []


@pytest.mark.parametrize(
    ("source", "is_wire"),
    [
        ("try:\n    f()\nexcept asyncio.CancelledError:\n    pass", False),
        ("try:\n    f()\nexcept (OSError, BaseException) as e:\n    log(e)", False),
        ("try:\n    f()\nexcept:\n    pass", False),
        ("with contextlib.suppress(asyncio.CancelledError):\n    f()", False),
        ("assert a == b if c else d", False),
        ("assert (a == b, 'words')", False),
        ("import asyncio", True),
        ("from gatehouse_edge import desk", True),
    ],
)
def test_a_planted_mistake_is_found(source: str, is_wire: bool) -> None:
    assert len(list(violations(source, is_wire=is_wire))) == 1


def test_what_keeps_the_rules_is_left_alone() -> None:
    good = "try:\n    f()\nexcept BaseException:\n    undo()\n    raise\nassert (a if b else c) == d\nimport struct"
    assert list(violations(good, is_wire=True)) == []
