"""Bars for people, lines for logs, nothing for programs."""

from __future__ import annotations

import contextlib
import io

from gatehouse_hil.bench.progress import Bars, Lines, Shown, Silent
from gatehouse_hil.bench.record import StepName, Verdict
from gatehouse_hil.bench.words import Lang, Words


def told(shown: Shown) -> str:
    out = io.StringIO()
    with contextlib.redirect_stderr(out), shown as progress:
        progress.begin("left", StepName.FLASH)
        progress.begin("right", StepName.FLASH)
        progress.advance("left", 0.5)
        progress.begin("left", StepName.TEST)
        progress.end("left", Verdict.PASSED)
        progress.end("right", Verdict.FAILED)
    return out.getvalue()


def test_each_board_has_its_own_bar_and_a_failed_one_stops_where_it_was() -> None:
    text = told(Bars(Words(Lang.ZH), ("left", "right"), 2))
    [left] = [line for line in text.splitlines() if "left" in line]
    [right] = [line for line in text.splitlines() if "right" in line]
    assert "100 %" in left
    assert "✓ 合格" in left
    assert "0 %" in right
    assert "✗ 不合格" in right


def test_a_log_has_a_line_for_each_step_and_each_end() -> None:
    assert [line.split() for line in told(Lines(Words(Lang.EN))).splitlines()] == [
        ["left", "flash"], ["right", "flash"], ["left", "test"], ["left", "passed"], ["right", "failed"],
    ]  # fmt: skip


def test_a_program_is_told_nothing_in_between() -> None:
    assert told(Silent()) == ""
