"""The ledger of negatives: gone on with, cut-off lines are no lines, other models do not count, and the sums are right."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

import pytest

from gatehouse_edge.vision.detector import ClassicalDetector
from gatehouse_edge.vision.watch import Watch
from gatehouse_throw.metrics import upper_bound
from gatehouse_throw.negatives import FIRST, Entry, entries, tally, watch


def make(height_px: int) -> Watch:
    return Watch(ClassicalDetector(), None, height_px=height_px)


def entry(seed: int, *told: float, models: str = "a", seconds: float = 1800.0) -> Entry:
    return Entry(seed=seed, seconds=seconds, scene="sky clear", models=models, threshold=0.5, told=told)


def test_a_run_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    ledger = tmp_path / "deep" / "ledger.jsonl"
    until_s = time.monotonic() + 60
    first = list(islice(watch(ledger, make, models="a", threshold=0.5, until_s=until_s, seconds=0.4), 2))
    with ledger.open("ab") as out:
        out.write(b'\n{"seed": 2002')  # the power failed here
    again = next(watch(ledger, make, models="a", threshold=0.5, until_s=until_s, seconds=0.4))
    assert [one.seed - 20_000_000 - FIRST for one in [*first, again]] == [0, 1, 2]
    assert entries(ledger, "b", 0.5) == entries(ledger, "a", 0.6) == []
    assert list(watch(ledger, make, models="a", threshold=0.5, until_s=0.0)) == []


def test_the_line_after_a_cut_off_one_is_read(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_bytes(b'{"seed": 1\n')
    kept = next(watch(ledger, make, models="a", threshold=0.5, until_s=time.monotonic() + 60, seconds=0.4))
    assert entries(ledger, "a", 0.5) == [kept]


def test_the_tally_is_a_rate_with_its_bound() -> None:
    told = tally([entry(1), entry(2, 0.9), entry(3), entry(4)])
    assert (told.scenes, told.hours, told.false_alarms) == (4, 2.0, 1)
    assert told.per_day == pytest.approx(12.0)
    assert told.per_day_95 == pytest.approx(upper_bound(1) * 12, abs=0.01)
    assert told.by_scene == {"sky clear": (2.0, 1)}
    assert tally([]).false_alarms == 0
