"""What an installed wheel can do without a checkout beside it: a technician's laptop has no git."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from gatehouse_hil import node_build

ROOT = Path(__file__).parents[2]
ASKS = """
import gatehouse_hil, json
from gatehouse_hil import node_build
from gatehouse_hil.bench import plan
from gatehouse_hil.bench.kind import Kind
from gatehouse_hil.bench.workplace import DEFAULT_GAS, DEFAULT_RIG
from gatehouse_hil.bench_page.app import STATIC
from gatehouse_ui import STATIC as UI, words
kinds = {kind.word: node_build.build(kind, is_compiled=False).sha256 for kind in node_build.NodeKind}
files = [DEFAULT_RIG, DEFAULT_GAS, *(plan.shipped(kind) for kind in Kind), STATIC / "index.html", UI / "vendor/preact.js"]
print(json.dumps({"from": gatehouse_hil.__file__, "kinds": kinds, "missing": [str(f) for f in files if not f.is_file()],
    "title": words("zh", "bench")["bench_title"]}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-c", f"import hatchling.build as b; print(b.build_wheel({str(folder)!r}))"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


def test_an_installed_bench_builds_the_same_firmware_as_the_checkout(wheel, tmp_path):
    import json

    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv" / "lib").glob("python3*")) / "site-packages"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    # The libraries of this environment; its own .pth files, which lead into the checkout, are not read from there.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    told = subprocess.run(
        [python, "-c", ASKS], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120, env={"PATH": "/usr/bin:/bin"}
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["from"].startswith(str(site))
    assert found["missing"] == []
    assert found["title"] == "守望 调试台"
    assert found["kinds"] == {
        kind.word: node_build.build(kind, is_compiled=False).sha256 for kind in node_build.NodeKind
    }
