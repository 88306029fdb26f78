"""The command line: every verb explains itself in both languages."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatehouse_hil import cli
from gatehouse_hil.bench import arguments
from gatehouse_hil.bench.words import Lang, Words


def verbs() -> list[tuple[str, ...]]:
    """All verbs, and the verbs under them."""
    found: list[tuple[str, ...]] = []

    def walk(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> None:
        groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        if path and not groups:
            found.append(path)
        for group in groups:
            for name, child in group.choices.items():
                walk(child, (*path, name))

    walk(cli._parser(), ())
    return found


@pytest.mark.parametrize("verb", verbs(), ids=" ".join)
@pytest.mark.parametrize("lang", Lang)
def test_every_verb_has_help_in_both_languages(
    bench: Callable[..., Any], verb: tuple[str, ...], lang: Lang
) -> None:
    ran = bench("--lang", lang, *verb, "--help")
    assert ran.status == 0
    assert verb[-1] in ran.out


def test_every_verb_that_answers_can_answer_in_json() -> None:
    without = [verb for verb in verbs() if "--json" not in help_of(verb)]
    assert without == [("estate",)]  # runs until Ctrl-C and answers nothing


def help_of(verb: tuple[str, ...]) -> str:
    parser = arguments.parser(Words(Lang.EN))
    for name in verb:
        [group] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        parser = group.choices[name]
    return parser.format_help()


def test_an_unknown_verb_is_misuse(bench: Callable[..., Any]) -> None:
    assert bench("dance").status == 2


def test_a_fault_in_json_has_name_facts_and_sentence(bench: Callable[..., Any], tmp_path: Path) -> None:
    ran = bench("identify", "--board", "nope", "--json", "--lang", "en", "--directory", tmp_path)
    told = json.loads(ran.out)
    assert (ran.status, told["ok"], told["fault"]) == (2, False, "no_such_board")
    assert told["facts"]["board"] == "nope"
    assert "There are: gas-1" in told["sentence"]


def test_a_real_rig_needs_a_runtime_file(bench: Callable[..., Any], tmp_path: Path) -> None:
    rig = Path(__file__).parents[2] / "docs/rigs/by-hand.yaml"
    ran = bench("flash", "--lang", "en", "--rig", rig, "--directory", tmp_path)
    assert ran.status == 2
    assert "--runtime FILE" in ran.err


def test_a_real_gas_detector_needs_a_bottle(bench: Callable[..., Any], tmp_path: Path) -> None:
    rig = Path(__file__).parents[2] / "docs/rigs/by-hand.yaml"
    ran = bench("calibrate", "--lang", "en", "--rig", rig, "--directory", tmp_path)
    assert ran.status == 2
    assert "--gas" in ran.err


def test_the_list_shows_boards_and_rig(bench: Callable[..., Any], tmp_path: Path) -> None:
    ran = bench("list", "--json", "--directory", tmp_path)
    assert [board["name"] for board in ran.json["boards"]] == ["gas-1", "gas-2", "lift-1", "button-1"]
    assert (ran.json["rig"], ran.json["broken"]) == ("simulated", [])


def test_an_unreachable_fleet_is_failure_and_nothing_is_lost(
    bench: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("t", encoding="ascii")
    rig = tmp_path / "rig.yaml"
    rig.write_text(
        "name: r\nbackend: simulated\nboards: [{name: a, mac: 02a0b1000001}]\n"
        f"fleet: {{url: 'http://127.0.0.1:9', token_file: {tmp_path}/token}}\n",
        encoding="utf-8",
    )
    from gatehouse_hil.bench.outbox import RECORDS, Outbox

    Outbox(tmp_path / "outbox").put(RECORDS, b"{}")
    ran = bench("record", "upload", "--lang", "en", "--rig", rig, "--directory", tmp_path)
    assert ran.status == 1
    assert "1 kept here; run record upload" in ran.err
    assert len(Outbox(tmp_path / "outbox").pending()) == 1


def test_a_record_that_was_changed_is_failure(bench: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text('{"record": {}}', encoding="ascii")
    ran = bench("record", "verify", path, "--lang", "en", "--directory", tmp_path)
    assert ran.status == 1
    assert "proves nothing" in ran.err
