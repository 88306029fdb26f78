"""Test plans: no limits, no plan."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_hil.bench import plan
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.kind import Kind

SUPPLY = {"name": "supply", "zh": "供电", "en": "Supply", "measure": "meter", "meter": "supply"}


def of(*measurements: dict[str, Any]) -> plan.Plan:
    return plan.parse({"plan": "p", "kind": "gas", "measurements": list(measurements)})


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_plan_with_limits(kind: Kind) -> None:
    loaded = plan.load(plan.shipped(kind))
    assert loaded.plan.kind is kind
    assert all(each.has_limits for each in loaded.plan.measurements)


def test_a_measurement_without_limits_is_refused_by_name() -> None:
    with pytest.raises(BenchError) as caught:
        of({**SUPPLY, "low": 1}, {**SUPPLY, "name": "current"})
    assert caught.value.fault is Fault.PLAN_NO_LIMITS
    assert caught.value.facts == {"name": "current"}


def test_a_row_fills_texts_and_sets_limits() -> None:
    rows = [{"rail": 3, "low": 3.2, "high": 3.4}, {"rail": 5, "low": 4.75, "high": 5.25}]
    made = of({**SUPPLY, "name": "rail-{rail}", "en": "{rail} V rail", "each": rows})
    assert [(each.name, each.en, each.low, each.high) for each in made.measurements] == [
        ("rail-3", "3 V rail", 3.2, 3.4),
        ("rail-5", "5 V rail", 4.75, 5.25),
    ]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"low": 2, "high": 1}, Fault.PLAN_WRONG),
        ({"low": math.nan}, Fault.PLAN_WRONG),
        ({"low": 1, "hihg": 2}, Fault.PLAN_WRONG),
        ({"low": 1, "measure": "guess"}, Fault.PLAN_WRONG),
    ],
)
def test_a_plan_that_cannot_be_is_refused(change: dict[str, Any], fault: Fault) -> None:
    with pytest.raises(BenchError) as caught:
        of({**SUPPLY, **change})
    assert caught.value.fault is fault


def test_two_measurements_of_one_name_are_refused() -> None:
    with pytest.raises(BenchError):
        of({**SUPPLY, "low": 1}, {**SUPPLY, "low": 2})


@given(st.floats(allow_nan=True), st.floats(-10, 0), st.floats(0, 10))
def test_a_value_passes_only_between_its_limits_and_nan_never(value: float, low: float, high: float) -> None:
    [measurement] = of({**SUPPLY, "low": low, "high": high}).measurements
    assert measurement.admits(value) == (not math.isnan(value) and low <= value <= high)


def test_the_command_refuses_a_plan_without_limits_before_any_board(
    bench: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(
        "plan: p\nkind: gas\nmeasurements: [{name: u, zh: 电压, en: Volts, measure: meter, meter: supply}]\n",
        encoding="utf-8",
    )
    ran = bench("test", "--lang", "en", "--plan", path, "--board", "gas-1", "--directory", tmp_path / "bench")
    assert ran.status == 2
    assert "'u' has no limits" in ran.err
    assert not (tmp_path / "bench" / "records").exists()


def test_the_plan_in_the_manual_is_a_plan() -> None:
    manual = (Path(__file__).parents[2] / "docs/bench.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```yaml\n(plan:.*?)^```", manual, re.MULTILINE | re.DOTALL)
    made = plan.parse(yaml.safe_load(block))
    assert [each.name for each in made.measurements] == ["rail-3", "rail-5", "heap"]
