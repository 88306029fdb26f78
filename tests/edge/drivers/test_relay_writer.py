"""The judge of relays: only an order that was given can be disobeyed."""

from __future__ import annotations

from gatehouse_edge.drivers.io_board import Relay, RelayWriter

SIREN = Relay(output_id="siren", unit_id=30, point=0)
OFF = [0] * 8


def test_a_read_from_before_the_order_is_no_disobedience():
    writer = RelayWriter([SIREN])
    writer.read_back(30, OFF, 0.0)
    writer.set_demand("siren", is_on=True, now_s=1.0)
    # Reads that were under way, or came first on a busy line, show the relay as it was.
    assert [writer.read_back(30, OFF, 1.0 + n / 10) for n in range(4)] == [[], [], [], []]
    assert writer.next_order(2.0) is not None


def test_an_order_that_was_confirmed_and_not_done_is_told_after_a_second_try():
    writer = RelayWriter([SIREN])
    writer.set_demand("siren", is_on=True, now_s=1.0)
    told = []
    for now_s in (1.1, 1.2):
        order = writer.next_order(now_s)
        assert order is not None
        writer.written(order)
        told += writer.read_back(30, OFF, now_s)
    assert [one.is_ok for one in told] == [False]
