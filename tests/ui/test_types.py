"""The pages' scripts are typed in JSDoc and checked, strictly."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "types"
TSC = FOLDER / "node_modules" / ".bin" / "tsc"


@pytest.mark.skipif(not TSC.exists(), reason="TypeScript is not installed: npm ci --prefix tests/types")
def test_every_script_is_well_typed():
    result = subprocess.run(
        [TSC, "--project", FOLDER / "tsconfig.json", "--pretty", "false"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
