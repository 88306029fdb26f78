"""Bottles and floors: what is refused before anything is adjusted."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_hil.bench.calibration import Bottle, check_bottle, load_bottle, load_floors
from gatehouse_hil.bench.fault import BenchError, Fault

BOTTLE = Bottle(gas="CH4", percent_lel=50, bottle="示例-1", expires=date(2026, 6, 30))


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)))
def test_a_bottle_is_good_until_the_end_of_its_last_day(today: date) -> None:
    if today <= BOTTLE.expires:
        check_bottle(BOTTLE, today)
        return
    with pytest.raises(BenchError) as caught:
        check_bottle(BOTTLE, today)
    assert caught.value.fault is Fault.GAS_EXPIRED
    assert caught.value.facts == {"bottle": "示例-1", "expires": "2026-06-30"}


def test_a_bottle_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "gas.yaml"
    path.write_text("gas: CH4\npercent_lel: 50\nbottle: 示例-1\nexpires: 2026-06-30\n", encoding="utf-8")
    assert load_bottle(path) == BOTTLE


@pytest.mark.parametrize(
    "text",
    [
        "gas: CH4\n",
        "gas: CH4\npercent_lel: 0\nbottle: x\nexpires: 2026-06-30\n",
        "gas: CH4\npercent_lel: 50\nbottle: x\nexpires: soon\n",
        "- 1\n",
    ],
)
def test_a_bottle_without_its_facts_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gas.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BenchError) as caught:
        load_bottle(path)
    assert (caught.value.fault, caught.value.exit_code) == (Fault.PLAN_WRONG, 2)


def test_a_bottle_file_that_is_not_there_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(BenchError) as caught:
        load_bottle(tmp_path / "none.yaml")
    assert caught.value.fault is Fault.PLAN_UNREADABLE


@pytest.mark.parametrize(
    ("text", "is_good"),
    [
        ("floors: [{name: B1, height_mm: 0}, {name: '1', height_mm: 3200}]", True),
        ("floors: [{name: B1, height_mm: 100}, {name: '1', height_mm: 3200}]", False),
        ("floors: [{name: B1, height_mm: 0}, {name: '1', height_mm: 0}]", False),
        (
            "floors: [{name: '2', height_mm: 0}, {name: '1', height_mm: 9000}, {name: '3', height_mm: 6000}]",
            False,
        ),
        ("floors: [{name: lobby, height_mm: 0}, {name: '1', height_mm: 3200}]", False),
        ("floors: [{name: '1', height_mm: 0}]", False),
    ],
)
def test_floors_rise_from_the_lowest_at_zero(tmp_path: Path, text: str, is_good: bool) -> None:
    path = tmp_path / "floors.yaml"
    path.write_text(text, encoding="utf-8")
    if is_good:
        assert [floor.name for floor in load_floors(path).floors] == ["B1", "1"]
        return
    with pytest.raises(BenchError) as caught:
        load_floors(path)
    assert caught.value.fault is Fault.PLAN_WRONG
