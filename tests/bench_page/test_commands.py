"""What a button orders, as a command line: the bench's own parser reads back exactly what was meant, whatever was typed."""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_hil.bench import arguments
from gatehouse_hil.bench.words import Lang, Words
from gatehouse_hil.bench_page.commands import BOARD_VERBS, Order, Setup, argv, shown, words_of
from gatehouse_hil.bench_page.problems import RefusedError

BOARDS = frozenset({"gas-1", "lift-1"})
SETUP = Setup(
    directory=Path("var/bench"),
    is_own_directory=False,
    runtime=Path("r.bin"),
    gas=Path("g.yaml"),
    operator="王",
)
PARSER = arguments.parser(Words(Lang.EN))


@given(
    verb=st.sampled_from(sorted(BOARD_VERBS)),
    room=st.text(max_size=64),
    operator=st.text(max_size=60),
    take_over=st.booleans(),
)
def test_whatever_is_typed_stays_one_word_of_one_verb(verb, room, operator, take_over):
    order = Order(verb=verb, board="gas-1", room=room, operator=operator, take_over=take_over)
    if not all(" ".join(text.split()).isprintable() for text in (room, operator)):
        with pytest.raises(RefusedError, match="not_printable"):
            words_of(order, SETUP, BOARDS)
        return
    words = words_of(order, SETUP, BOARDS)
    read = PARSER.parse_args(words)
    assert (read.command, read.boards, read.json, read.progress) == (verb, ["gas-1"], True, True)
    assert read.room == " ".join(room.split())
    assert read.operator == (" ".join(operator.split()) or "王")
    assert shlex.split(shown(words)) == ["gatehouse-bench", *words]
    assert argv(words)[1:3] == ["-m", "gatehouse_hil"]


@given(st.binary(max_size=200))
def test_bytes_that_are_no_order_are_refused_as_such(body):
    try:
        order = msgspec.json.decode(body, type=Order)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    assert order.verb


@pytest.mark.parametrize("verb", ["make", "console", "identify", "registers"])
@pytest.mark.parametrize("board", [None, "gas-9"])
def test_a_board_that_is_not_on_the_rig_is_refused(verb, board):
    with pytest.raises(RefusedError, match="no_such_board"):
        words_of(Order(verb=verb, board=board), SETUP, BOARDS)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (Order(verb="label", serial="GHG-1", is_printed=True), ["label", "GHG-1", "--print", "--json"]),
        (Order(verb="mend", part="hub-1", reason="cable; rm -rf /"), ["rig", "reset", "hub-1", "--reason=cable; rm -rf /", "--json"]),
        (Order(verb="export"), ["record", "export", "--json"]),
        (Order(verb="aim", camera="north"), ["aim", "--camera=north", "--json"]),
        (Order(verb="registers", board="gas-1", profile="x_y"), ["registers", "--board=gas-1", "--unit-id=1", "--profile=x_y", "--json"]),
    ],
)  # fmt: skip
def test_the_other_verbs(order, words):
    made = words_of(order, SETUP, BOARDS)
    assert made[: len(words)] == words
    PARSER.parse_args(made)


@pytest.mark.parametrize(
    "order", [Order(verb="label"), Order(verb="mend", part="hub-1"), Order(verb="mend", reason="x")]
)
def test_a_missing_word_is_named(order):
    with pytest.raises(RefusedError, match="word_missing"):
        words_of(order, SETUP, BOARDS)
