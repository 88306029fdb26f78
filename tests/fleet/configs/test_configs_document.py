"""What docs/fleet-configs.md shows is understood."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from gatehouse_config import examine
from gatehouse_fleet.cli import config
from gatehouse_fleet.configs.rendering import render
from gatehouse_fleet.configs.rollout import Phase

TEXT = (Path(__file__).parents[3] / "docs" / "fleet-configs.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^gatehouse-fleet config (.*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_in_the_document_is_understood(words: str) -> None:
    parser = argparse.ArgumentParser()
    config.arguments(parser)
    assert parser.parse_args(shlex.split(words)).what == words.split(maxsplit=1)[0]


def test_every_verb_is_shown() -> None:
    assert {words.split()[0] for words in COMMANDS} >= {
        "list", "show", "diff", "put", "rollout", "pause", "resume", "rollback"
    }  # fmt: skip


def test_the_template_in_the_document_makes_a_sound_configuration() -> None:
    block = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert block is not None
    text, faults = render(block.group(1), "wh-gw1", {"community": "wh-0007", "estate": "示例小区"})
    assert faults == ()
    assert examine(text).faults == ()


def test_every_phase_is_explained() -> None:
    assert {one.value for one in Phase} <= set(re.findall(r"`(\w+)`", TEXT))
