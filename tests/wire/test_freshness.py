"""Recordings of old traffic are refused; restarts on either side cost one exchange."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_wire import bthome, lift_link
from gatehouse_wire.errors import WireError

NONCE = b"nonce--1"


def header(boot: int, seq: int) -> lift_link.Header:
    return lift_link.Header(node_id=7, key_id=1, boot=boot, seq=seq)


def status(boot: int, seq: int) -> lift_link.Status:
    return lift_link.Status(header(boot, seq), lift_link.State())


def hello(boot: int, seq: int, nonce: bytes = lift_link.NO_NONCE) -> lift_link.Hello:
    return lift_link.Hello(header(boot, seq), ring_oldest=1, ring_newest=0, nonce=nonce)


@pytest.fixture
def gate() -> lift_link.Gate:
    """Return a gate with a session of boot 5, seq 10."""
    gate = lift_link.Gate()
    gate.challenge(NONCE)
    assert gate.admit(hello(5, 10, NONCE)) == lift_link.FRESH
    return gate


def test_nothing_is_believed_before_the_nonce_came_back() -> None:
    gate = lift_link.Gate()
    assert gate.admit(status(5, 1)) == lift_link.UNPROVEN
    assert gate.admit(hello(5, 2)) == lift_link.UNPROVEN
    gate.challenge(NONCE)
    assert gate.admit(hello(5, 3, b"nonce--0")) == lift_link.UNPROVEN
    assert gate.admit(status(5, 4)) == lift_link.UNPROVEN


def test_a_recording_of_this_session_is_a_replay(gate: lift_link.Gate) -> None:
    assert gate.admit(status(5, 11)) == lift_link.FRESH
    assert gate.admit(status(5, 11)) == lift_link.REPLAY
    assert gate.admit(status(5, 9)) == lift_link.REPLAY


def test_the_hello_that_opened_the_session_opens_no_other(gate: lift_link.Gate) -> None:
    assert gate.admit(hello(5, 10, NONCE)) == lift_link.REPLAY
    assert lift_link.Gate().admit(hello(5, 10, NONCE)) == lift_link.UNPROVEN


def test_a_restarted_node_is_believed_after_one_exchange(gate: lift_link.Gate) -> None:
    assert gate.admit(status(6, 1)) == lift_link.UNPROVEN
    gate.challenge(b"nonce--2")
    assert gate.admit(hello(6, 2, b"nonce--2")) == lift_link.FRESH
    assert gate.admit(status(6, 3)) == lift_link.FRESH
    assert gate.admit(status(5, 99)) == lift_link.UNPROVEN


def test_traffic_goes_on_while_a_challenge_is_open(gate: lift_link.Gate) -> None:
    gate.challenge(b"nonce--3")
    assert gate.admit(status(5, 11)) == lift_link.FRESH


def test_a_nonce_of_zeros_is_refused() -> None:
    with pytest.raises(WireError):
        lift_link.Gate().challenge(lift_link.NO_NONCE)


@pytest.mark.parametrize(
    ("boot", "seq", "ring_seq", "is_obeyed"),
    [
        (5, 3, 8, True),
        (4, 3, 8, False),
        (5, 4, 8, False),
        (5, 0, 8, False),
        (5, 3, 11, False),
        (5, 3, 6, False),
    ],
    ids=[
        "own",
        "another boot",
        "not sent yet",
        "answers nothing",
        "not in the ring yet",
        "already forgotten",
    ],
)
def test_a_node_obeys_only_an_acknowledgement_of_what_it_sent(
    boot: int, seq: int, ring_seq: int, is_obeyed: bool
) -> None:
    ack = lift_link.Ack(header(boot, seq), ring_seq=ring_seq)
    assert lift_link.is_answer(ack, boot=5, seq=3, ring_oldest=7, ring_newest=10) is is_obeyed


@given(counters=st.lists(st.integers(0, 0xFFFFFFFF), max_size=60))
def test_a_button_counter_is_accepted_only_while_it_rises(counters: list[int]) -> None:
    gate = bthome.CounterGate()
    accepted = [counter for counter in counters if gate.accept(counter)]
    assert accepted == sorted(set(accepted))
    assert not any(gate.accept(counter) for counter in counters)


def test_repeats_of_one_press_are_told_from_recordings() -> None:
    gate = bthome.CounterGate(last=101)
    assert [gate.judge(counter) for counter in (101, 100, 50, 7, 102)] == [
        "repeat",
        "replay",
        "replay",
        "replay",
        "fresh",
    ]


def test_a_button_whose_counter_went_back_needs_a_technician() -> None:
    gate = bthome.CounterGate(last=5000)
    assert not gate.accept(1)
    gate.resync(0)
    assert gate.accept(1)
