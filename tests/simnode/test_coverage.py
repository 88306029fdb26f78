"""Line coverage of a node's program, from the settrace build of the VM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatehouse_hil.simnode.coverage import LineCoverage

Make = Callable[..., Any]

PROGRAM = '''"""Says something."""

from micropython import const

_HIDDEN = const(3)
SHOWN = const(4)


class Thing:
    """One thing."""

    def __init__(self):
        self.x = (
            _HIDDEN
            + SHOWN
        )

    def unused(self):
        """Never called."""
        return 1

    async def used(self):
        for at in range(2):
            if at == 5:
                print("never")
            elif at == 1:
                print("done")
            else:
                pass
        while True:
            break
        try:
            raise ValueError
        except ValueError:
            return self.x


import asyncio

print(asyncio.run(Thing().used()))
'''
MISSING = [20, 25]
"""Lines of `return 1` and `print("never")`."""


@pytest.mark.slow
async def test_what_ran_and_what_did_not_is_told_line_by_line(make_node: Make, tmp_path: Path) -> None:
    node = await make_node(PROGRAM, settrace=True)
    await node.until("7", timeout_s=20)
    await node.power_off()
    coverage = LineCoverage()
    coverage.add(node.coverage)
    source = tmp_path / "elsewhere.py"
    source.write_text(PROGRAM, encoding="utf-8")
    (file,) = coverage.report({source.name: source}).files
    assert list(file.missing) == MISSING
    assert 80 < file.percent < 100


def test_a_file_that_never_ran_counts_as_nothing_run(tmp_path: Path) -> None:
    source = tmp_path / "idle.py"
    source.write_text('"""Text."""\nx = 1\ny = 2\n', encoding="utf-8")
    coverage = LineCoverage()
    coverage.add(tmp_path / "coverage.txt")
    report = coverage.report({source.name: source})
    assert (report.percent, report.files[0].missing) == (0.0, (2, 3))
    assert "0.0%  idle.py  2, 3" in report.text(root=tmp_path)


def test_lines_of_several_runs_add_up(tmp_path: Path) -> None:
    source = tmp_path / "both.py"
    source.write_text("x = 1\ny = 2\n", encoding="utf-8")
    import hashlib

    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    coverage = LineCoverage()
    for number, name in ((1, "first.txt"), (2, "second.txt")):
        (tmp_path / name).write_text(f"{digest} a/both.py {number}\n", encoding="utf-8")
        coverage.add(tmp_path / name)
    assert coverage.report({source.name: source}).percent == 100.0


def test_a_compiled_file_is_known_by_the_name_its_compiler_was_given(tmp_path: Path) -> None:
    source = tmp_path / "app.py"
    source.write_text("x = 1\ny = 2\n", encoding="utf-8")
    (tmp_path / "trace.txt").write_text("- app.py 1\n- asyncio/core.py 2\n", encoding="utf-8")
    coverage = LineCoverage()
    coverage.add(tmp_path / "trace.txt")
    assert coverage.report({"app.py": source}).files[0].missing == (2,)
