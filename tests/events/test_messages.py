"""Replication and orders: chains checked across batches, holes stepped over, hostile bytes named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_events import orders, replication
from gatehouse_events.chain import ZERO_HASH, Entry, Lane, Position, Stamp, chain, entry_hash
from gatehouse_events.orders import Acknowledgement, AlarmSeen, Issuer, Order, OrderBatch, UnknownOrder
from gatehouse_events.records import RecordError, Trimmed
from gatehouse_events.records import decode as decode_record
from gatehouse_events.replication import (
    Accepted,
    Disagrees,
    Doubt,
    Follows,
    Gap,
    MessageError,
    Missing,
    Unverified,
    batch_of,
    follow,
)
from gatehouse_events.states import Disposition

EPOCH = "ab" * 16
START = Position(EPOCH, 0, ZERO_HASH)
AT = datetime(2026, 11, 23, tzinfo=UTC)
STAMP = Stamp(at=AT, boot="b", mono_ns=1)
ALARM = AlarmSeen(alarm_id="01KAR7W3N8Z4E6Q2V9T5X1YB0M", seq=3)


def _entries(count: int, start: Position = START) -> list[Entry]:
    return chain(start, Lane.ALARM, [("alarm", b'{"n":%d}' % n, STAMP) for n in range(count)])


def _at(entry: Entry) -> Position:
    return Position(entry.epoch, entry.seq, entry_hash(entry))


def test_a_batch_survives_the_wire() -> None:
    batch = batch_of("gw1", _entries(5))
    assert replication.decode_batch(replication.encode(batch)) == batch
    assert replication.entries_of(batch) == _entries(5)


def test_batches_that_follow_each_other_are_accepted() -> None:
    entries = _entries(6)
    first = follow(batch_of("gw1", entries[:4]), START)
    assert first == Follows(head=_at(entries[3]))
    assert follow(batch_of("gw1", entries[4:]), _at(entries[3])) == Follows(head=_at(entries[5]))


def test_a_batch_sent_again_changes_nothing() -> None:
    entries = _entries(4)
    assert follow(batch_of("gw1", entries), _at(entries[3])) == Follows(head=_at(entries[3]))


def test_a_gap_is_answered_with_the_cursor_that_is_wanted() -> None:
    assert follow(batch_of("gw1", _entries(6)[4:]), _at(_entries(2)[1])) == Missing(wanted=2)


def test_a_declared_hole_is_stepped_over() -> None:
    entries = _entries(6)
    hole = Trimmed(
        lane=Lane.ALARM, first=3, last=4, last_hash=entries[4].prev_hash.hex(), reason="quota", key=""
    )
    found = follow(batch_of("gw1", entries[4:]), _at(entries[1]), holes=[hole])
    assert found == Follows(head=_at(entries[5]))


def test_a_hole_with_another_end_does_not_help() -> None:
    entries = _entries(6)
    hole = Trimmed(lane=Lane.ALARM, first=3, last=4, last_hash="00" * 32, reason="quota", key="")
    assert isinstance(follow(batch_of("gw1", entries[4:]), _at(entries[1]), holes=[hole]), Disagrees)


def test_an_altered_body_is_found_and_named() -> None:
    entries = _entries(3)
    entries[1] = msgspec.structs.replace(entries[1], body=b"{}")
    assert follow(batch_of("gw1", entries), START) == Disagrees(
        first_doubtful=2, detail="body and its hash disagree"
    )


def test_another_history_is_found() -> None:
    other = chain(START, Lane.ALARM, [("alarm", b"{}", STAMP)])
    found = follow(batch_of("gw1", _entries(3)[1:]), _at(other[0]))
    assert isinstance(found, Disagrees)


def test_a_new_epoch_starts_its_own_chain_further_on() -> None:
    fresh = _entries(2, Position("cd" * 16, 6, ZERO_HASH))
    assert follow(batch_of("gw1", fresh), _at(_entries(6)[5])) == Follows(head=_at(fresh[1]))


def test_a_batch_is_of_one_epoch() -> None:
    with pytest.raises(MessageError, match="one epoch"):
        batch_of("gw1", [*_entries(1), *_entries(1, Position("cd" * 16, 1, ZERO_HASH))])


@pytest.mark.parametrize(
    "answer",
    [
        Accepted(epoch=EPOCH, lane=Lane.ALARM, cursor=9),
        Gap(epoch=EPOCH, lane=Lane.TELEMETRY, wanted=3),
        Unverified(epoch=EPOCH, lane=Lane.ALARM, cursor=9, first_doubtful=4, doubt=Doubt.HISTORY),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_an_answer_survives_the_wire(answer: replication.Answer) -> None:
    assert replication.decode_answer(replication.encode(answer)) == answer


def _order(action: orders.Action) -> Order:
    return Order(
        epoch=EPOCH,
        seq=1,
        issued_at=AT,
        expires_at=AT + timedelta(minutes=5),
        issuer=Issuer(name="示例", role="city_operator", unit="示例街道"),
        action=action,
    )


@pytest.mark.parametrize(
    "action",
    [
        Acknowledgement(alarm=ALARM),
        orders.DispositionOrder(alarm=ALARM, disposition=Disposition.HANDLED, reason="现场已处理"),
        orders.CityReceipt(alarm=ALARM, target="city", receipt="r-1", epoch=EPOCH, through_seq=12),
        orders.ConfigVersion(version="7", sha256="00" * 32, size_bytes=900),
        orders.RolloutStep(
            rollout_id="r1", phase=orders.RolloutPhase.INSTALL, component="gateway", version="0.2.0"
        ),
        orders.Command(name="self_test", arguments={"loud": True}),
    ],
    ids=lambda action: type(action).__name__,
)
def test_every_order_survives_the_wire(action: orders.Action) -> None:
    order = _order(action)
    batch = OrderBatch(epoch=EPOCH, orders=(msgspec.Raw(orders.encode(order)),))
    assert orders.orders_of(orders.decode_batch(orders.encode(batch))) == [order]


def test_an_order_expires() -> None:
    order = _order(Acknowledgement(alarm=ALARM))
    assert (order.is_expired(AT), order.is_expired(order.expires_at)) == (False, True)


def test_an_order_of_a_newer_kind_keeps_its_place() -> None:
    raw = orders.encode(_order(Acknowledgement(alarm=ALARM))).replace(b'"acknowledgement"', b'"teleport"')
    found = orders.decode_order(raw)
    assert isinstance(found, UnknownOrder)
    assert (found.epoch, found.seq) == (EPOCH, 1)


def test_a_naive_expiry_is_not_an_order() -> None:
    raw = orders.encode(_order(Acknowledgement(alarm=ALARM))).replace(
        b"2026-11-23T00:05:00Z", b"2026-11-23T00:05:00"
    )
    assert isinstance(orders.decode_order(raw), UnknownOrder)


DECODERS: list[Callable[[bytes], object]] = [
    replication.decode_batch,
    replication.decode_answer,
    replication.decode_hole,
    orders.decode_batch,
    orders.decode_order,
    orders.decode_outcome,
]


@pytest.mark.parametrize(
    "decode", DECODERS, ids=lambda decode: f"{decode.__module__.split('.')[-1]}.{decode.__name__}"
)
@given(raw=st.binary(max_size=200) | st.text().map(str.encode))
def test_any_bytes_are_a_named_error(decode: Callable[[bytes], object], raw: bytes) -> None:
    with pytest.raises(MessageError):
        decode(raw)


@pytest.mark.parametrize(
    "decode", DECODERS, ids=lambda decode: f"{decode.__module__.split('.')[-1]}.{decode.__name__}"
)
@pytest.mark.parametrize("raw", [b"[" * 60_000, b'{"epoch":' * 6_000, b"\xff\xfe", b"1e999"], ids=["deep list", "deep object", "no utf-8", "huge"])  # fmt: skip
def test_hostile_bytes_are_a_named_error(decode: Callable[[bytes], object], raw: bytes) -> None:
    with pytest.raises(MessageError):
        decode(raw)


@given(offset=st.integers(0, 1500), garbage=st.binary(min_size=1, max_size=4))
def test_a_batch_with_a_few_bytes_changed_is_never_taken_for_the_same_chain(
    offset: int, garbage: bytes
) -> None:
    original = replication.encode(batch_of("gw1", _entries(4)))
    raw = bytearray(original)
    raw[offset : offset + len(garbage)] = garbage
    try:
        found = follow(replication.decode_batch(bytes(raw)), START)
    except MessageError:
        return
    untouched = follow(replication.decode_batch(original), START)
    same_content = replication.decode_batch(bytes(raw)).entries == replication.decode_batch(original).entries
    assert same_content or found != untouched


def test_a_record_that_is_not_one_is_named() -> None:
    with pytest.raises(RecordError):
        decode_record(b"[" * 50_000, Trimmed)
