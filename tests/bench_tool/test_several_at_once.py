"""Several commands on one bench directory, each a process of its own, as the page starts them: nothing is mixed up."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from gatehouse_hil.bench.archive import Archive
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.outbox import Outbox
from gatehouse_hil.bench.rig_memory import RigMemory

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def test_a_bench_that_is_used_for_the_first_time_by_many_has_one_key(tmp_path):
    code = "import sys; from pathlib import Path; from gatehouse_hil.bench.archive import Archive; Archive(Path(sys.argv[1]))"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path], stderr=subprocess.PIPE) for _ in range(4)
    ]
    told = [process.communicate(timeout=60)[1] for process in processes]
    assert told == [b""] * 4
    assert Archive(tmp_path).known_keys == Archive(tmp_path).known_keys
    [public] = Archive(tmp_path).known_keys
    from gatehouse_hil.bench.archive import read_public_key

    assert read_public_key(tmp_path / "bench.pub") == public


def test_every_breakage_of_many_is_remembered(tmp_path):
    path = tmp_path / "rig.json"

    def break_one(number):
        error = BenchError(Fault.POWER_STAYS_ON, resource=f"hub-{number}", part=f"hub-{number}", sign="5 V")
        RigMemory(path).remember(error, NOW)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(break_one, range(24)))
    assert len(RigMemory(path).broken()) == 24
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda number: RigMemory(path).reset(f"hub-{number}", reason="x", by="y", at=NOW), range(24)
            )
        )
    assert (RigMemory(path).broken(), len(RigMemory(path).repairs())) == ((), 24)


def test_messages_of_many_are_all_kept(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(lambda number: Outbox(tmp_path).put("/x", json.dumps({"n": number}).encode()), range(24))
        )
    assert len(Outbox(tmp_path).pending()) == 24
