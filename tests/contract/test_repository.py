"""What is in the repository is true anywhere: no path of one machine, no place packages came from, no heavy import."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gatehouse_edge import cli as edge_cli

ROOT = Path(__file__).parents[2]
HOMES = re.compile(rb"(?<![\w.])/(?:work|root|home/\w+|Users/\w+|tmp/brief)/")
REGISTRIES = re.compile(
    rb"(?:pypi\.org/simple|files\.pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com|--(?:extra-)?index-url|\"resolved\":)"
)
SELF = Path(__file__).relative_to(ROOT)


def tracked() -> list[Path]:
    """All files of the repository as they stand in the working tree."""
    if shutil.which("git") is None:
        pytest.skip("no git here: nobody else knows which files are of the repository")
    told = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if told.returncode:
        pytest.skip("not a git checkout: an unpacked archive has no list of its files")
    paths = [Path(name) for name in told.stdout.decode().split("\0") if name]
    return [path for path in paths if path != SELF and (ROOT / path).is_file()]


def holding(pattern: re.Pattern[bytes], paths: list[Path]) -> list[str]:
    return [
        f"{path}: {found.group()!r}"
        for path in paths
        if (found := pattern.search((ROOT / path).read_bytes()))
    ]


def test_no_file_names_a_path_of_one_machine() -> None:
    assert holding(HOMES, tracked()) == []


def test_no_file_records_where_packages_come_from() -> None:
    assert holding(REGISTRIES, tracked()) == []


def test_every_locked_requirement_has_its_hashes() -> None:
    for name in ("edge", "dev"):
        text = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
        bare = [line for line in text.splitlines() if "==" in line and "--hash=sha256:" not in line]
        assert bare == []


def test_key_material_is_never_tracked() -> None:
    assert holding(re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]{40}"), tracked()) == []
    assert [path for path in tracked() if path.suffix in {".key", ".pem"}] == []


IMPORTS = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"av", "cv2", "numpy", "onnxruntime", "bleak", "bumble"}:
            raise ImportError(f"{name} is not there")
sys.meta_path.insert(0, Blocked())
import gatehouse_edge.cli, gatehouse_edge.doctor, gatehouse_edge.bundle, gatehouse_edge.gateway
print("imported")
"""


def test_a_gateway_without_cameras_and_bluetooth_needs_neither_library() -> None:
    told = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=False, timeout=60
    )
    assert (told.stdout.strip(), told.stderr) == ("imported", "")


def test_the_two_length_switches_are_one() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "GATEHOUSE_ROUNDS=full" in makefile
    asking = [
        path
        for path in (ROOT / "tests").rglob("*.py")
        if "GATEHOUSE_ROUNDS" in path.read_text(encoding="utf-8")
    ]
    assert sorted(path.name for path in asking) == ["conftest.py", "test_repository.py"]


def test_the_systemd_unit_starts_a_command_that_exists_and_may_write_where_the_manual_says() -> None:
    unit = (ROOT / "edge/gatehouse-edge.service").read_text(encoding="utf-8")
    start = re.search(r"^ExecStart=\S*/gatehouse-edge (.*)$", unit, re.MULTILINE)
    assert start is not None
    assert edge_cli._parser().parse_args(start.group(1).split()).command == "run"
    assert "WatchdogSec=" in unit
    assert "StateDirectory=gatehouse" in unit  # /var/lib/gatehouse, the only place it may write
    assert "storage: {directory: /var/lib/gatehouse}" in (ROOT / "docs/operations.md").read_text(
        encoding="utf-8"
    )
