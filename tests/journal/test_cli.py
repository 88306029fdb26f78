"""`journal verify|show|export`: what it prints and with which exit code."""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from gatehouse_journal import Journal
from gatehouse_journal.cli import add_parser, run

Opener = Callable[..., Journal]


def _run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers(required=True))
    return run(parser.parse_args(["journal", *words]))


@pytest.fixture
def filled(directory: Path, open_journal: Opener, writer: ModuleType) -> Path:
    journal = open_journal()
    for number in range(1, 4):
        journal.commit(writer.batch(number))
    journal.append_telemetry(writer.telemetry(1))
    journal.checkpoint(writer.stamp(9))
    return directory


def test_an_intact_journal_verifies_with_0(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("verify", str(filled)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "intact"


def test_a_tampered_journal_verifies_with_1_and_names_the_entry(
    filled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(filled / "alarm.db") as db:
        db.execute("UPDATE entry SET body = x'7b7d' WHERE seq = 3")
    db.close()
    assert _run("verify", "--json", str(filled)) == 1
    told = msgspec.json.decode(capsys.readouterr().out)
    assert [(fault["lane"], fault["seq"]) for fault in told["report"]["faults"]] == [("alarm", 3)]


def test_no_journal_there_is_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("verify", str(tmp_path)) == 2
    assert "there is no journal" in capsys.readouterr().err


def test_show_prints_the_newest_entries(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("show", "-n", "2", str(filled)) == 0
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()] == ["alarm", "checkpoint"]


def test_a_second_program_can_prove_the_bodies_from_an_export(filled: Path, tmp_path: Path) -> None:
    assert _run("export", str(filled), "-o", str(tmp_path / "lane.jsonl")) == 0
    lines = [msgspec.json.decode(line) for line in (tmp_path / "lane.jsonl").read_bytes().splitlines()]
    hashes = [sha256(msgspec.json.encode(line["body"], order="sorted")).hexdigest() for line in lines]
    assert hashes == [line["body_hash"] for line in lines]
    assert [line["prev_hash"] for line in lines[1:]] == [line["hash"] for line in lines[:-1]]


def test_the_telemetry_lane_is_exported_when_asked_for(
    filled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("export", "--lane", "telemetry", "--after", "2", str(filled)) == 0
    assert [msgspec.json.decode(line)["seq"] for line in capsys.readouterr().out.splitlines()] == [3, 4, 5]
