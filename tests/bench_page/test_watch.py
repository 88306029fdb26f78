"""Instruments: what they say is bounded, however much it is, and what is left out is counted."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime

import pytest

from gatehouse_hil.bench_page.watch import LINES_AT_ONCE, LINES_KEPT, MAX_LOG_BYTES, Watch


def watch(folder, code, verb="console"):
    began_at = datetime(2026, 11, 26, tzinfo=UTC)
    return Watch(
        "one", [sys.executable, "-c", code], verb=verb, board="a", command="-", began_at=began_at, log=folder / "one.log"
    )  # fmt: skip


async def test_a_board_that_floods_its_console_costs_a_bounded_amount(tmp_path):
    found = watch(
        tmp_path,
        "import json\nfor n in range(60000): print(json.dumps({'at': '', 'line': str(n) + 'x' * 200}))",
    )
    async with asyncio.timeout(60):
        await found.run()
    batch = await found.after(0, wait_s=0)
    assert len(batch.lines) == LINES_AT_ONCE
    assert (batch.first, batch.dropped) == (60000 - LINES_AT_ONCE, 60000 - LINES_AT_ONCE)
    assert json.loads(bytes(batch.lines[-1]))["line"].startswith("59999")
    assert len(found._lines) == LINES_KEPT
    size = (tmp_path / "one.log").stat().st_size
    assert size <= MAX_LOG_BYTES + 64


async def test_a_line_without_an_end_and_lines_that_are_no_json_are_left_out(tmp_path):
    found = watch(
        tmp_path,
        "print('{\"line\": \"first\"}'); print('x' * 10_000_000, flush=True); print('no json'); print('[1]'); print('{\"line\": \"last\"}')",
    )
    async with asyncio.timeout(30):
        await found.run()
    batch = await found.after(0, wait_s=0)
    assert [json.loads(bytes(line))["line"] for line in batch.lines] == ["first", "last"]


async def test_whoever_asks_early_waits_for_the_first_line(tmp_path):
    found = watch(
        tmp_path, 'import time; time.sleep(0.3); print(\'{"line": "hello"}\', flush=True); time.sleep(30)'
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(found.run())
        async with asyncio.timeout(10):
            batch = await found.after(0, wait_s=10)
        assert len(batch.lines) == 1
        assert batch.is_running
        found.stop()
    assert not found.is_running


async def test_one_that_does_not_hear_ctrl_c_is_ended_all_the_same(tmp_path):
    found = watch(
        tmp_path,
        'import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(\'{"line": "deaf"}\', flush=True); time.sleep(60)',
    )
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(found.run())
        await found.after(0, wait_s=10)
        found.stop()
    assert not found.is_running


@pytest.mark.parametrize("number", [-5, 10**18])
async def test_any_number_may_be_asked_for(tmp_path, number):
    found = watch(tmp_path, 'print(\'{"line": "a"}\')')
    await found.run()
    batch = await found.after(number, wait_s=0)
    assert batch.dropped == 0
    assert len(batch.lines) == (1 if number < 0 else 0)


async def test_what_an_instrument_died_of_is_kept(tmp_path):
    found = watch(tmp_path, 'print(\'{"ok": false, "fault": "port_busy", "sentence": "busy"}\')')
    await found.run()
    assert found.view.fault["sentence"] == "busy"
