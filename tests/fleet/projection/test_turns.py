"""Whose turn it is: news before backlog, and the backlog always goes on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gatehouse_fleet.projection.turns import Turns


def taken(turns: Turns) -> list[int]:
    found = []
    while (gateway_no := turns.take()) is not None:
        found.append(gateway_no)
    return found


def test_news_go_before_a_thousand_backlogs() -> None:
    turns = Turns()
    for gateway_no in range(1000):
        turns.arrived(gateway_no, is_news=False)
    assert turns.take() == 0
    turns.arrived(4711, is_news=True)
    turns.arrived(999, is_news=True)
    assert [turns.take(), turns.take()] == [4711, 999]
    assert turns.take() == 1


def test_of_every_few_turns_one_is_the_backlogs_whatever_happens() -> None:
    turns = Turns()
    turns.later([1, 2])
    order = []
    for n in range(10):
        turns.arrived(100 + n, is_news=True)
        order.append(turns.take())
    assert order.index(1) == 4
    assert order.index(2) == 9


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans())))
def test_everybody_gets_exactly_one_turn(arrivals: list[tuple[int, bool]]) -> None:
    turns = Turns()
    for gateway_no, is_news in arrivals:
        turns.arrived(gateway_no, is_news=is_news)
    assert len(turns) == len({gateway_no for gateway_no, _ in arrivals})
    assert sorted(taken(turns)) == sorted({gateway_no for gateway_no, _ in arrivals})
