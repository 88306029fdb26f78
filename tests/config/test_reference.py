"""The documentation names every setting."""

from __future__ import annotations

import secrets
from pathlib import Path

from gatehouse_config import check
from gatehouse_config.reference import render

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_documentation_is_what_the_models_say():
    assert DOCUMENT.read_text(encoding="utf-8") == render(), (
        "run: python -m gatehouse_config.reference > docs/configuration.md"
    )


def test_the_example_in_the_documentation_is_a_right_configuration(tmp_path):
    text = DOCUMENT.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    (tmp_path / "keys").mkdir()
    for name in ("lift-3-2", "btn-17", "beacon-1"):
        (tmp_path / f"keys/{name}.1.key").write_text(secrets.token_hex(16), encoding="ascii")
    (tmp_path / "gateway.yaml").write_text(text, encoding="utf-8")
    assert check(tmp_path / "gateway.yaml") == []
