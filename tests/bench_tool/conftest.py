"""The bench for the tests of this folder: the command itself, and one day of nine boards of which seven are wrong."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gatehouse_hil import cli
from gatehouse_hil.simnode import VmError, vm

DAY_RIG = """
name: day
backend: simulated
boards:
  - {name: good-gas, kind: gas, mac: 02a0b1000001}
  - {name: good-button, kind: button, mac: 02a0b1000002, baud: 921600}
  - {name: other-chip, kind: gas, mac: 02a0b1000003, practice: wrong_chip}
  - {name: other-board, kind: gas, mac: 02a0b1000004, expects: {mac: 02a0b10000ff}}
  - {name: cut, kind: gas, mac: 02a0b1000005, practice: cut_while_flashing}
  - {name: vanishes, kind: gas, mac: 02a0b1000006, practice: vanishes, baud: 921600}
  - {name: deaf, kind: gas, mac: 02a0b1000007, practice: deaf}
  - {name: stays-on, kind: gas, mac: 02a0b1000008, practice: power_stays_on}
  - {name: dead-sensor, kind: gas, mac: 02a0b1000009, practice: sensor_dead, baud: 921600}
"""


class Ran(NamedTuple):
    """How one command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run_bench(*words: str | Path) -> Ran:
    """Run `gatehouse-bench WORDS` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main([str(word) for word in words])
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Ran(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def bench() -> Callable[..., Ran]:
    return run_bench


@pytest.fixture(scope="session")
def needs_vm() -> None:
    try:
        vm.prepare()
    except VmError as error:
        pytest.skip(str(error))


class Day(NamedTuple):
    """What is left of a day at the bench."""

    directory: Path
    rig: Path
    ran: Ran

    def board(self, name: str) -> dict[str, Any]:
        """What the command said about one board."""
        return next(board for board in self.ran.json["boards"] if board["board"] == name)

    def record(self, name: str) -> dict[str, Any]:
        """The record of one board."""
        return json.loads(Path(self.board(name)["record"]).read_bytes())["record"]


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory, needs_vm: None) -> Day:
    """`gatehouse-bench make` on nine boards at once: two good ones, and one of each trouble."""
    directory = tmp_path_factory.mktemp("day")
    rig = directory / "day.yaml"
    rig.write_text(DAY_RIG, encoding="utf-8")
    ran = run_bench(
        "make", "--lang", "en", "--json", "--rig", rig, "--directory", directory, "--operator", "示例 Zhang"
    )
    return Day(directory, rig, ran)
