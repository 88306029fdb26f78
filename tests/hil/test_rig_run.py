"""The same tests on a rig: a run of its own with `--rig`, on a board that it knows by its serial ports only."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
import yaml

from gatehouse_hil.node_build import NodeKind
from gatehouse_hil.simnode.commissioning import read_nvs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
TESTS = Path(__file__).with_name("test_gas_interop.py")


async def run_on(rig: Path, *names: str) -> str:
    """Run these tests in a process of their own; return what pytest said at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:xdist", f"--rig={rig}",
        *(f"{TESTS}::{name}" for name in names),
        env=dict(os.environ), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(100):
        said, _ = await process.communicate()
    return said.decode()


async def test_the_tests_of_a_gas_node_run_on_a_board_of_a_rig_file(node, tmp_path: Path) -> None:
    board = (await node(NodeKind.GAS, number=99)).simulated
    rig = tmp_path / "rig.yaml"
    places = [{"name": "gas-17", "kind": "gas", "port": str(board.console), "uart": str(board.uart)}]
    rig.write_text(yaml.safe_dump({"name": "shelf", "backend": "local", "boards": places}), encoding="utf-8")
    said = await run_on(
        rig,
        "test_a_wrong_function_and_a_wrong_register_are_exceptions_by_number",
        "test_a_reading_on_the_wire_is_as_it_was_when_it_was_reviewed",
        "test_pymodbus_reads_the_node_over_a_clean_line",
    )
    assert "2 passed, 1 skipped" in said, said
    assert "a real rig cannot do this: set adc2_uv" in said
    assert read_nvs(board.directory, "gh_id")["node"] == 17
