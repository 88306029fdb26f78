"""The firmware's pure modules at their edges, inside the VM (vm_checks.py), and its types against the MicroPython stubs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from node_site import COVERAGE, built, sim_node

from gatehouse_hil.node_build import FIRMWARE, NodeKind

HERE = Path(__file__).parent
TYPES = HERE.parent / "types"
PYRIGHT = TYPES / "node_modules" / "pyright" / "index.js"


async def test_every_check_in_the_vm_holds(tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    for kind in NodeKind:
        for name, content in built(kind, is_compiled=not COVERAGE).files.items():
            target = flash / "a" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    (flash / "slots.py").write_bytes(built(NodeKind.GAS).boot["slots.py"])
    text = (HERE / "vm_checks.py").read_text(encoding="utf-8")
    (flash / "main.py").write_text(text, encoding="utf-8")
    async with sim_node(tmp_path) as node:
        await node.power_on()
        await node.until(
            lambda one: any("CHECK end" in line or "Traceback" in line for line in one.log), timeout_s=60
        )
        await node.until("CHECK end", timeout_s=30)
        log = list(node.log)
    checks = text.count("@check\n")
    log = log[: log.index(f"CHECK end {checks}")]  # the prompt of the REPL follows
    wrong = [line for line in log if not line.startswith("CHECK ok")]
    assert wrong == [], "\n".join(wrong)
    assert sum(line.startswith("CHECK ok") for line in log) == checks


@pytest.fixture(scope="module")
def pyright() -> list[str]:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed, so there is no pyright")
    if not PYRIGHT.exists():
        subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"], cwd=TYPES, check=True, capture_output=True, timeout=200
        )
    return ["node", str(PYRIGHT)]


def findings(pyright: list[str], project: Path) -> list[str]:
    done = subprocess.run(
        [*pyright, "--outputjson", "-p", str(project)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return [
        f"{Path(one['file']).name}:{one['range']['start']['line'] + 1}: {one['message']}"
        for one in json.loads(done.stdout)["generalDiagnostics"]
    ]


@pytest.mark.slow
def test_the_firmware_fits_the_micropython_stubs(pyright: list[str]) -> None:
    assert findings(pyright, FIRMWARE) == []


@pytest.mark.slow
def test_a_misspelt_argument_of_a_chips_module_is_found(pyright: list[str], tmp_path: Path) -> None:
    config = json.loads((FIRMWARE / "pyrightconfig.json").read_text(encoding="utf-8"))
    stubs = str((FIRMWARE / config["typeshedPath"]).resolve())
    config |= {"include": ["planted.py"], "typeshedPath": stubs, "stubPath": stubs, "extraPaths": []}
    del config["venvPath"], config["venv"]
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "planted.py").write_text("import machine\n\nmachine.WDT(time_out=3000)\n", encoding="utf-8")
    assert [line.partition(":")[0] for line in findings(pyright, tmp_path)] == ["planted.py"]
