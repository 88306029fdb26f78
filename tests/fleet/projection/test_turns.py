"""Whose turn it is: news before backlog, and the backlog always goes on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gatehouse_fleet.projection.turns import Pace, Turn, Turns


def next_of(turns: Turns) -> int:
    turn = turns.take(1)
    assert turn is not None
    return turn.gateway_nos[0]


def test_news_go_before_a_thousand_backlogs() -> None:
    turns = Turns()
    for gateway_no in range(1000):
        turns.arrived(gateway_no, is_news=False)
    assert next_of(turns) == 0
    turns.arrived(4711, is_news=True)
    turns.arrived(999, is_news=True)
    assert turns.take(64) == Turn(gateway_nos=(4711, 999), is_news=True)
    assert turns.take(3) == Turn(gateway_nos=(1, 2, 3), is_news=False)


def test_of_every_few_turns_one_is_the_backlogs_whatever_happens() -> None:
    turns = Turns()
    turns.later([1, 2])
    order = []
    for n in range(10):
        turns.arrived(100 + n, is_news=True)
        order.append(next_of(turns))
    assert order.index(1) == 4
    assert order.index(2) == 9


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans())), st.integers(1, 5))
def test_everybody_gets_exactly_one_turn(arrivals: list[tuple[int, bool]], most: int) -> None:
    turns = Turns()
    for gateway_no, is_news in arrivals:
        turns.arrived(gateway_no, is_news=is_news)
    assert len(turns) == len({gateway_no for gateway_no, _ in arrivals})
    found: list[int] = []
    while (turn := turns.take(most)) is not None:
        assert 1 <= len(turn.gateway_nos) <= most
        found += turn.gateway_nos
    assert sorted(found) == sorted({gateway_no for gateway_no, _ in arrivals})


def test_a_slow_database_reads_less_at_once_and_a_fast_one_more() -> None:
    pace = Pace()
    for _ in range(10):
        pace.took(pace.entries, 0.01)
    fast = pace.entries
    for _ in range(10):
        pace.took(pace.entries, 3.0)
    assert (fast, pace.entries) == (500, 16)
    pace.took(1, 0.01)
    assert pace.entries == 16, "one entry says nothing about many"
