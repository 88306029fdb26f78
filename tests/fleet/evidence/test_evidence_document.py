"""docs/evidence.md: its settings are settings, its routes are routes."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from gatehouse_fleet.evidence.api import router
from gatehouse_fleet.settings import FleetSettings

TEXT = (Path(__file__).parents[3] / "docs/evidence.md").read_text(encoding="utf-8")


def test_the_example_is_accepted() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    settings = FleetSettings.model_validate(yaml.safe_load(text))
    assert settings.evidence.s3 is not None
    assert settings.evidence.fetch_categories == ("throw", "lift")


def test_every_whole_route_that_is_named_exists() -> None:
    known = {route.path for route in router.routes}
    named = set(re.findall(r"`(?:GET|POST) /api/v1(/[\w{}/-]+)", TEXT))
    assert {re.sub(r"\{gateway\}", "{gateway_id}", path) for path in named} <= known
    assert len(named) >= 3
