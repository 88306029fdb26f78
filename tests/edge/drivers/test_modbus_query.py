"""Questions and answers as bytes, against vectors from outside and against everything hypothesis thinks of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_edge.drivers.modbus_query import (
    BitFunction,
    BitQuery,
    CoilOrder,
    Evidence,
    Hunt,
    ModbusError,
    RefusedError,
    RegisterFunction,
    RegisterQuery,
    WrongAnswerError,
    accept,
    reply_bytes,
    request_frame,
)
from gatehouse_hil.modbus_slave import Slave, crc16

TEN = RegisterQuery(unit_id=1, function=RegisterFunction.HOLDING, address=0, count=10)
UNITS = st.integers(1, 247)


def framed(body):
    return body + crc16(body)


def answer(query, values):
    slave = Slave(
        query.unit_id,
        holding=dict(enumerate(values, query.address)),
        registers=dict(enumerate(values, query.address)),
    )
    emitted = slave.hear(request_frame(query), 0.0)
    return emitted[0].content


# The vendor's own requests (mdbsliguo PROTOCOL.md @0beb3725) and the examples of the Modbus application protocol V1.1b3
# §6.1 to 6.11, unit 17, CRC of the serial line guide.
@pytest.mark.parametrize(
    ("query", "frame"),
    [
        (TEN, "01030000000ac5cd"),
        (
            RegisterQuery(unit_id=5, function=RegisterFunction.HOLDING, address=0, count=10),
            "05030000000ac449",
        ),
        (
            RegisterQuery(unit_id=17, function=RegisterFunction.HOLDING, address=107, count=3),
            "1103006b00037687",
        ),
        (RegisterQuery(unit_id=17, function=RegisterFunction.INPUT, address=8, count=1), "110400080001b298"),
        (BitQuery(unit_id=17, function=BitFunction.COILS, address=19, count=37), "1101001300250e84"),
        (BitQuery(unit_id=17, function=BitFunction.INPUTS, address=196, count=22), "110200c40016baa9"),
        (CoilOrder(unit_id=17, address=172, is_on=True), "110500acff004e8b"),
    ],
)
def test_requests_are_those_of_the_documents(query, frame):
    assert request_frame(query).hex() == frame


def test_the_vendors_malformed_sample_is_refused():
    hunt = Hunt(TEN, request_frame(TEN))
    assert hunt.feed(bytes.fromhex("010314000000000064012c07d00005000000004500000000b687")) is False
    assert hunt.evidence() is Evidence.GARBAGE


@given(
    UNITS,
    st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=125),
    st.sampled_from(RegisterFunction),
    st.data(),
)
def test_an_answer_is_found_however_it_is_cut_and_whatever_surrounds_it(unit_id, values, function, data):
    query = RegisterQuery(unit_id=unit_id, function=function, address=7, count=len(values))
    # What comes before must not itself hold the beginning of an answer, else it is part of another question.
    before = data.draw(st.binary(max_size=40).filter(lambda content: unit_id not in content))
    whole = before + answer(query, values) + data.draw(st.binary(max_size=10))
    hunt = Hunt(query, request_frame(query))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    found = [hunt.feed(whole[a:b]) for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert any(found)
    assert accept(query, hunt.pdu) == tuple(values)


@given(st.binary(max_size=2000))
def test_garbage_is_never_an_answer(content):
    hunt = Hunt(TEN, request_frame(TEN))
    assert hunt.feed(content) is False or crc16(bytes([1]) + hunt.pdu) in content
    assert hunt.heard_bytes <= 1024


@given(st.lists(st.integers(0, 0xFFFF), min_size=10, max_size=10), st.integers(0, 24), st.integers(1, 255))
def test_one_damaged_byte_is_one_answer_lost(values, at, change):
    frame = bytearray(answer(TEN, values))
    frame[at] ^= change
    hunt = Hunt(TEN, request_frame(TEN))
    assert hunt.feed(bytes(frame)) is False


@given(UNITS, st.integers(1, 125))
def test_another_units_or_anothers_length_is_not_taken(unit_id, count):
    query = RegisterQuery(unit_id=unit_id, function=RegisterFunction.HOLDING, address=0, count=count)
    hunt = Hunt(TEN, request_frame(TEN))
    frame = answer(query, [0] * count)
    is_ours = unit_id == 1 and count == 10
    assert hunt.feed(frame) is is_ours
    assert is_ours or hunt.evidence() is Evidence.ANOTHER_UNIT


def test_an_answer_to_another_function_is_stepped_over():
    other = RegisterQuery(unit_id=1, function=RegisterFunction.INPUT, address=0, count=10)
    hunt = Hunt(TEN, request_frame(TEN))
    assert hunt.feed(answer(other, [7] * 10)) is False
    assert hunt.feed(answer(TEN, range(10)))
    assert accept(TEN, hunt.pdu) == tuple(range(10))


def test_our_own_echo_is_stepped_over_and_is_no_evidence():
    hunt = Hunt(TEN, request_frame(TEN))
    hunt.feed(request_frame(TEN)[:3])
    assert not hunt.is_begun
    hunt.feed(request_frame(TEN)[3:])
    assert not hunt.is_begun
    assert hunt.evidence() is Evidence.NOTHING
    assert hunt.feed(answer(TEN, range(10)))


def test_an_echo_of_an_order_is_not_its_confirmation_once_echoes_are_known():
    order = CoilOrder(unit_id=30, address=0, is_on=True)
    frame = request_frame(order)
    hunt = Hunt(order, frame, is_echo_known=True)
    assert hunt.feed(frame) is False
    assert hunt.feed(frame) is True


@given(st.binary(max_size=260))
def test_any_pdu_is_either_the_answer_or_a_named_error(pdu):
    for query in (
        TEN,
        BitQuery(unit_id=1, function=BitFunction.INPUTS, address=0, count=8),
        CoilOrder(unit_id=1, address=3, is_on=True),
    ):
        try:
            values = accept(query, pdu)
        except ModbusError:
            continue
        assert len(pdu) == reply_bytes(query) - 3
        assert len(values) == getattr(query, "count", 0)


def test_an_exception_tells_its_code():
    with pytest.raises(RefusedError) as caught:
        accept(TEN, bytes([0x83, 2]))
    assert caught.value.code == 2


def test_a_confirmation_of_another_coil_is_a_wrong_answer():
    with pytest.raises(WrongAnswerError):
        accept(CoilOrder(unit_id=1, address=3, is_on=True), bytes.fromhex("050004ff00"))


@pytest.mark.parametrize(
    ("unit_id", "address", "count"),
    [(0, 0, 1), (248, 0, 1), (1, 0, 0), (1, 0, 126), (1, 65535, 2), (1, -1, 1)],
)
def test_what_cannot_be_asked_is_refused_before_it_is_sent(unit_id, address, count):
    with pytest.raises(ValueError, match="not"):
        RegisterQuery(unit_id=unit_id, function=RegisterFunction.HOLDING, address=address, count=count)
