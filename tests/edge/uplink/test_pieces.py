"""The small pure parts of the uplink: events out of bytes, pauses, words of the link, what an order may become."""

from __future__ import annotations

import random
import typing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_edge.alarms import commands
from gatehouse_edge.clock import Now
from gatehouse_edge.uplink.backoff import Backoff
from gatehouse_edge.uplink.errors import AnswerError, NotEnrolledError, RefusedError, UnreachableError
from gatehouse_edge.uplink.link import LINK_LABELS, Link, LinkState
from gatehouse_edge.uplink.order_desk import RemoteCommand
from gatehouse_edge.uplink.sse import MAX_EVENT_BYTES, EventParser
from gatehouse_events.clock import ClockQuality


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.s = 100.0
        self.wall_shift = timedelta()

    def now(self) -> Now:
        return Now(
            wall=datetime(2026, 11, 25, tzinfo=UTC) + timedelta(seconds=self.s) + self.wall_shift,
            service_s=self.s,
            boot="b" * 32,
            mono_ns=int(self.s * 1e9),
            clock=ClockQuality(synced=True, offset_ms=1.0),
        )


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["message", "unknown"]),
        st.binary(max_size=40).filter(lambda b: b"\n" not in b and b"\r" not in b),
    )
)


@given(events=EVENTS, seed=st.integers(0, 2**32), ending=st.sampled_from([b"\n", b"\r\n"]))
def test_events_are_the_same_however_the_bytes_are_cut(events, seed, ending) -> None:
    raw = b": hello" + ending + ending
    for kind, data in events:
        raw += (
            b"event: "
            + kind.encode()
            + ending
            + b"id: 1"
            + ending
            + b"data: "
            + data
            + ending
            + ending
            + b":"
            + ending
            + ending
        )
    parser, found, rng = EventParser(), [], random.Random(seed)
    while raw:
        size = rng.randint(1, 60)
        found += parser.feed(raw[:size])
        raw = raw[size:]
    assert [(event.kind, event.data) for event in found] == events


@given(st.lists(st.binary(max_size=200), max_size=30))
def test_any_bytes_are_events_or_none_but_never_a_crash(chunks) -> None:
    parser = EventParser()
    for chunk in chunks:
        parser.feed(chunk)


@pytest.mark.parametrize("piece", [b"x" * 10_000, b"data: " + b"x" * 10_000 + b"\n"])
def test_an_event_without_end_is_refused_before_it_fills_the_memory(piece: bytes) -> None:
    parser = EventParser()
    for _ in range(MAX_EVENT_BYTES // 10_000):
        parser.feed(piece)
    with pytest.raises(AnswerError):
        parser.feed(piece)


def test_pauses_are_anywhere_below_a_bound_that_doubles_and_asked_for_ones_are_bounded_too() -> None:
    backoff = Backoff(first_s=1.0, most_s=8.0, rng=random.Random(7))
    pauses = [backoff.next_s() for _ in range(200)]
    assert pauses[0] <= 1.0
    assert max(pauses) <= 8.0
    assert min(pauses[4:]) < 1.0
    assert backoff.next_s(at_least_s=3600) <= 8.0
    backoff.reset()
    assert backoff.next_s() <= 1.0


def test_every_state_of_the_link_has_words_in_both_languages() -> None:
    assert set(LINK_LABELS) == set(LinkState)


def test_a_link_says_what_it_is_and_since_when() -> None:
    clock = HandClock()
    link = Link(clock, is_configured=True)
    assert link.view().state is LinkState.CONNECTING
    clock.s += 5
    link.failed(NotEnrolledError("no"))
    assert (link.view().state, link.view().since_s) == (LinkState.NOT_ENROLLED, 105.0)
    link.answered()
    clock.s += 10
    link.failed(UnreachableError("cable\nout"))
    clock.s += 10
    view = link.view()
    assert (view.state, view.since_s, view.contact_s, view.why) == (LinkState.DOWN, 115.0, 105.0, "cable out")
    assert link.lost_for_s() == 20.0
    link.failed(RefusedError(403, "revoked"))
    assert link.view().state is LinkState.REFUSED
    link.answered()
    link.failed(RefusedError(503, "busy"))
    assert link.view().state is LinkState.UP, "who says busy is there"
    assert link.lost_for_s() == 0.0


def test_alarms_that_nobody_takes_are_a_loss_also_while_the_fleet_answers_other_things() -> None:
    clock = HandClock()
    link = Link(clock, is_configured=True)
    link.answered()
    link.alarms_wait()
    clock.s += 400
    link.answered()
    link.alarms_wait()
    assert link.lost_for_s() == 400.0
    link.alarms_moved()
    assert link.lost_for_s() == 0.0


def test_orders_expire_on_the_fleets_clock_whatever_ours_says() -> None:
    clock = HandClock()
    link = Link(clock, is_configured=True)
    clock.wall_shift = timedelta(days=-20_000)
    fleet = datetime(2026, 11, 25, 8, tzinfo=UTC)
    link.told_status("", fleet)
    clock.s += 90
    clock.wall_shift = timedelta(days=3)
    assert link.fleet_now() == fleet + timedelta(seconds=90)


def test_a_gateway_without_a_fleet_is_never_lost() -> None:
    clock = HandClock()
    link = Link(clock, is_configured=False)
    clock.s += 1e6
    assert (link.view().state, link.lost_for_s()) == (LinkState.OFF, 0.0)


def test_no_order_can_become_the_opening_of_a_gas_valve() -> None:
    possible = set(typing.get_args(RemoteCommand))
    assert possible == {commands.Acknowledge, commands.CloseAlarm, commands.AddNote, commands.StartTest}
    assert not possible & {commands.RequestValveOpen, commands.ConfirmValveOpen}
