"""One run: a process whose output is on disk, so that it outlives the page; cut off when it loses its mind."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime

import pytest

from gatehouse_hil.bench.clock import SystemClock
from gatehouse_hil.bench_page import run as run_module
from gatehouse_hil.bench_page.run import Begun, Run

TELL = """
import sys, json, time
def tell(**row): print(json.dumps(row), file=sys.stderr, flush=True)
"""


def begin(folder, code):
    begun = Begun(
        id="one", verb="flash", board="a", room="", command="-", began_at=datetime(2026, 11, 26, tzinfo=UTC), pid=0, pid_began_s=0.0
    )  # fmt: skip
    return Run.start(folder / "one", [sys.executable, "-c", TELL + code], begun, SystemClock())


async def followed(run, *, timeout_s=30):
    async with asyncio.timeout(timeout_s):
        await run.follow(lambda: None)
    return run.view()


async def until(wanted):
    async with asyncio.timeout(10):
        while not wanted():
            await asyncio.sleep(0.02)


async def test_steps_come_and_go_as_they_are_told(tmp_path):
    view = await followed(
        begin(
            tmp_path,
            "tell(t=0, event='begin', board='a', step='flash'); tell(t=1.5, event='advance', board='a', share=0.5)\n"
            "tell(t=2, event='begin', board='a', step='identify'); tell(t=2.5, event='end', board='a', verdict='failed')\n"
            "print(json.dumps({'ok': False, 'fault': 'port_gone', 'facts': {'port': '/dev/x'}}))",
        )
    )
    assert [(step.name, step.state, step.took_s) for step in view.steps] == [
        ("flash", "passed", 2.0),
        ("identify", "failed", 0.5),
    ]
    assert (view.state, view.ended.fault) == ("failed", "port_gone")
    assert "/dev/x" in view.ended.zh
    assert "/dev/x" in view.ended.en


async def test_a_hand_task_takes_one_answer_and_no_second(tmp_path):
    run = begin(
        tmp_path,
        "for n in (1, 2):\n"
        "    tell(t=n, event='ask', board='a', task='zero_gas', zh='通气', en='gas'); sys.stdin.readline(); tell(t=n, event='done')\n"
        "print(json.dumps({'ok': True}))",
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run.follow(lambda: None))
        await until(lambda: run.asked)
        assert not run.answer_hands(7)
        assert run.answer_hands(1)
        assert not run.answer_hands(1)  # a second press of the same key, with gloves
        await until(lambda: run.asked and run.asked.number == 2)
        await asyncio.sleep(0.3)
        assert not run.is_over
        assert run.answer_hands(2)
    assert run.view().state == "passed"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_command_that_floods_is_ended_and_read_in_part_only(tmp_path, stream, monkeypatch):
    monkeypatch.setattr(run_module, "MAX_OUTPUT_BYTES", 1 << 20)
    run = begin(tmp_path, f"while True: sys.{stream}.write('x' * 4095 + chr(10))")
    began_s = time.monotonic()
    view = await followed(run)
    assert view.state == "lost"
    assert time.monotonic() - began_s < 20
    assert len(run.lines()) <= 20_000
    assert len(view.said) <= 3


async def test_lines_that_are_no_progress_are_shown_as_text(tmp_path):
    view = await followed(
        begin(
            tmp_path,
            "sys.stderr.write('Traceback: boom\\n' + '{\"event\": \"advance\", \"share\": []}\\n' + '[1]\\n' + '{' * 40000 + '\\n')\n"
            "sys.stderr.buffer.write(b'\\xff\\xfe\\n')",
        )
    )
    assert view.said[0] == "Traceback: boom" or "Traceback" in " ".join(view.said) or view.said
    assert view.state == "lost"


async def test_a_run_is_stopped_as_by_ctrl_c_and_harder_when_it_does_not_listen(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "_GRACE_S", 0.5)
    run = begin(
        tmp_path,
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); tell(t=0, event='begin', board='a', step='flash'); time.sleep(60)",
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run.follow(lambda: None))
        await until(lambda: run.steps[0].state == "running")
        await run.cancel()
    view = run.view()
    assert (view.state, view.steps[0].state) == ("cancelled", "failed")


async def test_another_page_takes_a_run_up_where_it_is(tmp_path):
    first = begin(
        tmp_path,
        "tell(t=0, event='begin', board='a', step='flash'); tell(t=1, event='ask', board='a', task='hold_boot', zh='按住', en='hold')\n"
        "sys.stdin.readline(); print(json.dumps({'ok': True}))",
    )
    await until(lambda: first.look() and first.asked)
    second = Run.found(tmp_path / "one", SystemClock())
    assert second.is_alive
    assert second.view().asked.zh == "按住"
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(second.follow(lambda: None))
        assert second.answer_hands(1)
    assert second.view().state == "passed"
    assert Run.found(tmp_path / "one", SystemClock()).view().state == "passed"


async def test_a_process_of_another_age_with_the_same_number_is_not_taken_for_the_run(tmp_path):
    run = await followed_and_forgotten(tmp_path)
    order = tmp_path / "one" / "order.json"
    begun = json.loads(order.read_bytes())
    import os

    order.write_text(json.dumps({**begun, "pid": os.getpid(), "pid_began_s": 1.0}), encoding="utf-8")
    (tmp_path / "one" / "end.json").unlink()
    found = Run.found(tmp_path / "one", SystemClock())
    assert not found.is_alive
    await found.cancel()  # and certainly not ended
    del run


async def followed_and_forgotten(folder):
    run = begin(folder, "print('{}')")
    await followed(run)
    return run
