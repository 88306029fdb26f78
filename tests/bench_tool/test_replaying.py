"""Traces as scripts: who says what, and what counts as the same answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatehouse_hil.bench import replaying
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.wire_trace import HEAD

GOLDEN = Path(__file__).parents[1] / "hil/golden/gas-read.trace"


def write(folder: Path, *lines: str) -> Path:
    path = folder / "x.trace"
    path.write_text("\n".join((HEAD, *lines)) + "\n", encoding="utf-8")
    return path


def test_the_golden_trace_of_the_gas_node_can_be_played() -> None:
    exchanges = replaying.load(GOLDEN)
    assert exchanges[0].request.hex(" ").startswith("11 03 00 00")
    assert exchanges[0].answer is not None


@pytest.mark.parametrize(
    ("heard", "is_same"),
    [
        ("0102ff", True),
        ("010200", True),
        ("0103ff", False),
        ("0102", False),
        ("0102ff00", False),
        ("", False),
    ],
)
def test_an_open_octet_may_be_anything_and_nothing_else_may(
    tmp_path: Path, heard: str, is_same: bool
) -> None:
    [exchange] = replaying.load(write(tmp_path, "0.0 host 01", "0.1 gas-1 01 02 ??"))
    assert exchange.admits(bytes.fromhex(heard)) is is_same


def test_a_request_without_an_answer_wants_silence(tmp_path: Path) -> None:
    first, last = replaying.load(write(tmp_path, "0.0 host 01", "0.1 host 02", "0.2 gas-1 03"))
    assert first.admits(b"")
    assert not first.admits(b"\x03")
    assert last.admits(b"\x03")


@pytest.mark.parametrize("lines", [["0.0 gas-1 01"], ["0.0 host ??"], ["nonsense"], []])
def test_a_trace_that_cannot_be_played_is_refused(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(BenchError) as caught:
        replaying.load(write(tmp_path, *lines))
    assert caught.value.fault is Fault.PLAN_WRONG


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.trace"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BenchError):
        replaying.load(path)
