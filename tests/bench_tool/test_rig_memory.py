"""A broken rig does not pass on the second try."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.rig_memory import RigMemory

AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
FIRST = BenchError(Fault.POWER_STAYS_ON, resource="hub-1", part="hub-1", sign="4.9 V")


def test_the_first_failure_stands_until_it_is_mended(tmp_path: Path) -> None:
    memory = RigMemory(tmp_path / "rig.json")
    memory.remember(FIRST, AT)
    memory.remember(BenchError(Fault.INSTRUMENT_SILENT, resource="hub-1", part="hub-1"), AT)
    with pytest.raises(BenchError) as caught:
        RigMemory(tmp_path / "rig.json").check("relay-1", "hub-1")
    assert caught.value.fault is Fault.RIG_BROKEN
    assert caught.value.facts["was"] == "power_stays_on"


def test_other_parts_of_the_rig_may_be_used(tmp_path: Path) -> None:
    memory = RigMemory(tmp_path / "rig.json")
    memory.remember(FIRST, AT)
    memory.check("relay-1", "hub-2")
    assert [each.resource for each in memory.broken()] == ["hub-1"]


def test_a_repair_keeps_who_said_what(tmp_path: Path) -> None:
    memory = RigMemory(tmp_path / "rig.json")
    memory.remember(FIRST, AT)
    memory.reset("hub-1", reason="new hub", by="示例 Li", at=AT)
    memory.check("hub-1")
    [repair] = memory.repairs()
    assert (repair.reason, repair.by, repair.breakage.facts["sign"]) == ("new hub", "示例 Li", "4.9 V")


def test_what_is_not_broken_cannot_be_mended(tmp_path: Path) -> None:
    with pytest.raises(BenchError) as caught:
        RigMemory(tmp_path / "rig.json").reset("hub-1", reason="why not", by="x", at=AT)
    assert caught.value.fault is Fault.NO_RESOURCE


def test_a_memory_that_cannot_be_read_is_not_taken_for_a_good_rig(tmp_path: Path) -> None:
    (tmp_path / "rig.json").write_text("{", encoding="utf-8")
    with pytest.raises(BenchError):
        RigMemory(tmp_path / "rig.json").check("hub-1")
