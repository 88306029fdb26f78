"""The wire modules keep to what a node has, and open with their byte table."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

WIRE = Path(__file__).parents[2] / "firmware" / "gatehouse_wire"
MODULES = sorted(WIRE.glob("*.py"))
WITHOUT_BYTES = {"__init__", "errors", "record"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_wire_module_imports_only_struct_and_its_neighbours(path: Path) -> None:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add(str(node.module).partition(".")[0])
    assert names <= {"struct", "micropython", "gatehouse_wire"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_wire_module_uses_only_the_micropython_subset(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    foreign = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Match | ast.JoinedStr | ast.AsyncFunctionDef | ast.Delete)
    ]
    positional = [node for node in ast.walk(tree) if isinstance(node, ast.arguments) and node.posonlyargs]
    signed = [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "signed"]
    assert foreign + positional + signed == []


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.stem not in WITHOUT_BYTES], ids=lambda path: path.stem
)
def test_a_wire_module_opens_with_its_table_and_its_source(path: Path) -> None:
    opening = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert "|---" in opening
    assert "ource" in opening
