"""Options of the plugin, and the firmware's line coverage at the end of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from gatehouse_hil.node_build import FIRMWARE
from gatehouse_hil.simnode.coverage import CoverageReport, LineCoverage

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

COVERAGE: Final = pytest.StashKey[LineCoverage]()
"""Where the nodes of a run leave their traces; absent when nobody asked."""


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
    if config.getoption("--firmware-coverage") is not None:
        config.stash[COVERAGE] = LineCoverage()


def firmware_report(coverage: LineCoverage) -> CoverageReport:
    """Count all files of the firmware, those that never came onto a node too."""
    sources = [path for part in ("node", "gatehouse_wire") for path in (FIRMWARE / part).glob("*.py")]
    return coverage.report(sources)


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Print the table and write the file."""
    coverage = config.stash.get(COVERAGE, None)
    path: Path | None = config.getoption("--firmware-coverage")
    if coverage is None or path is None:
        return
    if path.exists():
        coverage.merge(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(coverage.lines), encoding="utf-8")
    terminalreporter.section("firmware lines")
    terminalreporter.write(firmware_report(coverage).text(root=FIRMWARE))
