"""The wire modules on the official MicroPython VM: the same files, the same vectors, the same answers."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path

import pytest

from gatehouse_hil.simnode.vm import VmError, prepare

TESTS = Path(__file__).parents[1]
VM = TESTS / "micropython"
VECTORS = runpy.run_path(str(TESTS / "wire" / "test_vectors.py"))


@pytest.fixture(scope="module")
def vm_answers() -> list[str]:
    """Return what the VM makes of every vector, its version line first."""
    try:
        prepare()
    except VmError as error:
        pytest.skip(str(error))
    files = [str(TESTS / "vectors" / f"{name}.txt") for name in VECTORS["WIRE_FILES"]]
    done = subprocess.run(
        ["node", "replay.mjs", *files], cwd=VM, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.slow
def test_the_vm_is_the_micropython_the_nodes_run(vm_answers: list[str]) -> None:
    assert vm_answers[0].startswith("# micropython ")
    assert "MicroPython v1.29.0" in vm_answers[0]


@pytest.mark.slow
def test_micropython_says_what_the_vectors_say(vm_answers: list[str]) -> None:
    assert vm_answers[1:] == [line[2] for line in VECTORS["vectors"]()]


@pytest.mark.slow
def test_micropython_and_cpython_agree_on_every_vector(vm_answers: list[str]) -> None:
    run = VECTORS["REPLAY"]["run"]
    assert vm_answers[1:] == [run(line[0], line[1], VECTORS["ccm_open"]) for line in VECTORS["vectors"]()]
