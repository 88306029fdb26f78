"""Bars for people, lines for logs, nothing for programs."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys

from gatehouse_events.bench_record import StepName, Verdict
from gatehouse_hil.bench.progress import Bars, Lines, Shown, Silent, Told
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


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_watching_program_is_told_everything_as_lines_of_json() -> None:
    seconds, out = Seconds(), io.StringIO()
    with Told(seconds, out) as told:
        told.begin("left", StepName.FLASH)
        for _ in range(1000):
            seconds.now += 0.001
            told.advance("left", 0.5)
        told.advance("left", 1.0)
        logging.getLogger("gatehouse_hil.bench.tool_process").debug(
            "%s", "\x1b[31mHash\n", extra={"tool": "esptool"}
        )
        told.end("left", Verdict.FAILED)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines[0] == {"t": 0, "event": "begin", "board": "left", "step": "flash"}
    assert 9 <= sum(line["event"] == "advance" for line in lines) <= 12
    assert lines[-3] == {"t": 1.0, "event": "advance", "board": "left", "share": 1.0}
    assert (lines[-2]["tool"], lines[-2]["line"]) == ("esptool", "[31mHash")
    assert lines[-1] == {"t": 1.0, "event": "end", "board": "left", "verdict": "failed"}


def test_a_tool_gone_wild_is_cut_off() -> None:
    out = io.StringIO()
    with Told(Seconds(), out) as told:
        for _ in range(10_000):
            told.said("esptool", "x" * 1000)
    assert len(out.getvalue()) < 2_000_000


ASK = """
import asyncio, sys, time
from gatehouse_hil.bench.backend_local import TechnicianAtPage
from gatehouse_hil.bench.progress import Told
from gatehouse_hil.bench.station import HandTask
asyncio.run(TechnicianAtPage(Told(time.monotonic)).do(HandTask.ZERO_GAS, board="a"))
"""


def test_hands_are_asked_for_through_a_pipe_and_nobody_there_is_said() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], input=b"\n", capture_output=True, check=False)
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["ask", "done"]
    for nobody in (b"", None):
        gone = subprocess.run(
            [sys.executable, "-c", ASK],
            check=False,
            stderr=subprocess.PIPE,
            **({"input": nobody} if nobody is not None else {"stdin": subprocess.DEVNULL}),
            env=dict(os.environ),
        )
        assert b"no_resource" in gone.stderr
