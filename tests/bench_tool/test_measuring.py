"""Numbers and limits as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gatehouse_hil.bench.measuring import figure, limits
from gatehouse_hil.bench.record import Measurement, Verdict


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1_200_000, "1200000"),
        (400_000.0, "400000"),
        (5.03, "5.03"),
        (65.730712, "65.7307"),
        (0.0, "0"),
        (-3.5, "-3.5"),
    ],
)
def test_a_figure_has_no_exponent_and_no_idle_digits(value: float, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("low", "high", "equals", "text"),
    [
        (4.75, 5.25, None, "4.75 … 5.25 V"),
        (1, None, None, "≥ 1 V"),
        (None, 9, None, "≤ 9 V"),
        (None, None, 1, "= 1 V"),
    ],
)
def test_limits_are_written_out(
    low: float | None, high: float | None, equals: float | None, text: str
) -> None:
    measurement = Measurement(
        name="x", zh="x", en="x", unit="V", value=0, low=low, high=high, equals=equals, instrument="m",
        verdict=Verdict.PASSED, at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    assert limits(measurement) == text
