"""The firmware runs on the official MicroPython VM; without Node.js there is none to run on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(
    0, str(Path(__file__).parent)
)  # importlib mode: the helpers of this folder are found through it

from gatehouse_hil.simnode import is_available


@pytest.fixture(autouse=True)
def _vm(request: pytest.FixtureRequest) -> None:
    if "tmp_path" in request.fixturenames and not is_available():
        pytest.skip("node is not installed, so there is no MicroPython VM to run on")
