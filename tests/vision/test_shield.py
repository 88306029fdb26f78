"""The shield map lowers a prior where rejected paths keep beginning; it never forbids, and it forgets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gatehouse_edge.vision.shield import HALF_LIFE_S, Shield


def busy(count: int, *, at_s: float = 0.0) -> Shield:
    shield = Shield()
    for n in range(count):
        shield.reject(100, 100, at_s + n * 0.1, began_s=at_s + n * 0.1)
    return shield


def test_what_begins_in_a_busy_place_must_be_surer() -> None:
    shield = busy(200)
    assert shield.lowered(0.9, 100, 100, 30.0) < 0.85
    assert shield.lowered(0.9, 600, 300, 30.0) == 0.9


@given(st.integers(0, 3000), st.floats(0.0, 1.0))
def test_it_never_forbids_and_never_raises(count: int, probability: float) -> None:
    held = busy(count).lowered(probability, 100, 100, 400.0)
    assert held <= probability + 1e-12
    assert held >= probability * 0.29  # e to the minus 1.2, at the worst


def test_it_forgets() -> None:
    shield = busy(200)
    fresh, later = (shield.lowered(0.9, 100, 100, at_s) for at_s in (30.0, 30.0 + 12 * HALF_LIFE_S))
    assert fresh < later < 0.9 + 1e-9
    assert later > 0.89


def test_all_hypotheses_that_began_with_one_spot_are_one_thing() -> None:
    once, often = busy(1), Shield()
    for n in range(200):
        often.reject(100, 100, n * 0.1, began_s=0.0)
    assert often.lowered(0.9, 100, 100, 30.0) == once.lowered(0.9, 100, 100, 30.0)
