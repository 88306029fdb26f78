"""The one vendored file is what npm's packages make, byte for byte, and nothing else came with it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gatehouse_ui import STATIC

RECIPE = Path(__file__).parents[2] / "edge" / "vendor"
FILES = ("preact.js", "LICENSES.txt")


@pytest.mark.skipif(
    shutil.which("node") is None or not (RECIPE / "node_modules" / "esbuild").is_dir(),
    reason="esbuild is not installed: npm ci --prefix edge/vendor",
)
def test_building_it_again_gives_the_same_bytes(tmp_path):
    subprocess.run(["node", "build.js", str(tmp_path)], cwd=RECIPE, check=True, capture_output=True)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (STATIC / "vendor" / name).read_bytes(), "run `make vendor`"


def test_versions_are_exact_and_the_lock_names_no_registry():
    recipe = (RECIPE / "package.json").read_text(encoding="utf-8")
    assert re.findall(r'": "[\^~*]', recipe) == []
    assert '"resolved"' not in (RECIPE / "package-lock.json").read_text(encoding="utf-8")


def test_nothing_else_is_vendored_and_each_part_brings_its_licence():
    found = sorted(path.name for path in (STATIC / "vendor").iterdir())
    assert found == ["LICENSES.txt", "preact.d.ts", "preact.js"]
    banner = (STATIC / "vendor" / "preact.js").read_text(encoding="utf-8").splitlines()[0]
    licences = (STATIC / "vendor" / "LICENSES.txt").read_text(encoding="utf-8")
    for name, version in re.findall(r"([@\w/-]+) (\d+\.\d+\.\d+) \(", banner):
        assert f"{name} {version}" in licences
