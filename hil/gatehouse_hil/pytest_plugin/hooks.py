"""Options of the plugin, and the firmware's line coverage at the end of a run."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from gatehouse_hil.node_build import BOOT_FILES, FIRMWARE, NodeKind, build
from gatehouse_hil.simnode.coverage import LineCoverage
from gatehouse_hil.simnode.node import TRACES

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

COVERAGE: Final = pytest.StashKey[LineCoverage]()
"""Lines that ran; absent when nobody asked for the firmware's coverage. Tests that trace nodes by themselves may add to it."""
_TRACES_DIRECTORY: Final = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
"""Where the nodes of a run leave their traces; only in the process that began the run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--rig`, `--renew-golden`, `--firmware-coverage`."""
    group = parser.getgroup("gatehouse", "Gatehouse nodes")
    group.addoption(
        "--rig", type=Path, default=None, metavar="FILE", help="run on the boards of this rig file"
    )
    group.addoption("--renew-golden", action="store_true", help="write golden traces anew from this run")
    group.addoption(
        "--firmware-coverage",
        type=Path,
        default=None,
        metavar="FILE",
        help="run nodes on the tracing VM and write the lines that ran, as JSON (adds to what is there)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin to collect, when asked."""
    config.addinivalue_line("markers", "simulated_only: needs what no real rig can do; skipped with --rig")
    if config.getoption("--firmware-coverage") is None:
        return
    config.stash[COVERAGE] = LineCoverage()
    if TRACES not in os.environ:
        # Through the environment, so that nodes of workers and of processes that tests start are traced too.
        directory = tempfile.TemporaryDirectory(prefix="gatehouse-traces-")
        config.stash[_TRACES_DIRECTORY] = directory
        os.environ[TRACES] = directory.name


def firmware_sources() -> dict[str, Path]:
    """Return every source file that goes onto a node, by its name there; what only the gateway uses is left out."""
    found = {name: FIRMWARE / "node" / name for name in BOOT_FILES}
    for kind in NodeKind:
        for name in build(kind, is_compiled=False).files:
            for place in (FIRMWARE / "node" / name, FIRMWARE / name):
                if place.is_file():
                    found[name] = place
    return found


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Print the table and write the file."""
    directory = config.stash.get(_TRACES_DIRECTORY, None)
    if directory is None:
        return
    path: Path = config.getoption("--firmware-coverage")
    coverage = config.stash[COVERAGE]
    if path.exists():
        coverage.merge(json.loads(path.read_text(encoding="utf-8")))
    for trace in Path(directory.name).glob("*.txt"):
        coverage.add(trace)
    del os.environ[TRACES]
    directory.cleanup()
    path.write_text(json.dumps(coverage.lines), encoding="utf-8")
    terminalreporter.section("firmware lines")
    terminalreporter.write(coverage.report(firmware_sources()).text(root=FIRMWARE))
