"""The firmware runs on the official MicroPython VM; without Node.js there is none to run on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(
    0, str(Path(__file__).parent)
)  # importlib mode: the helpers of this folder are found through it

from node_site import COVERAGE

from gatehouse_hil.pytest_plugin import hooks
from gatehouse_hil.simnode import is_available


@pytest.fixture(autouse=True, scope="session")
def _coverage(request: pytest.FixtureRequest) -> None:
    """`--firmware-coverage FILE` counts the lines these tests reach, too."""
    wanted = request.config.stash.get(hooks.COVERAGE, None)
    if wanted is not None:
        COVERAGE.append(wanted)


@pytest.fixture(autouse=True)
def _vm(request: pytest.FixtureRequest) -> None:
    if "tmp_path" in request.fixturenames and not is_available():
        pytest.skip("node is not installed, so there is no MicroPython VM to run on")
