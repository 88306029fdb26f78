"""An update as the gateway carries it: order kept, lost answers asked again, no end called done before the node has confirmed."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_edge.drivers.node_update import (
    CONFIRM_LIMIT_S,
    SILENCE_LIMIT_S,
    NodeUpdateError,
    Result,
    Transfer,
    read_image,
)
from gatehouse_wire import node_update as wire
from gatehouse_wire.errors import WireError

KEY = bytes(range(16))
NONCE = bytes(range(1, 9))


def image_of(size: int = 700, *, version: tuple[int, int, int] = (1, 1, 0)) -> bytes:
    return bytes(
        wire.build_image(
            [("app.mpy", bytes(at % 251 for at in range(size)))], kind=wire.GAS, version=version, abi=0x306,
            sha256=lambda body: hashlib.sha256(body).digest(),
        )
    )  # fmt: skip


class Node:
    """The other side, as the byte table tells it; no more of it than the dialogue needs."""

    def __init__(self) -> None:
        self.body = b""
        self.phase = wire.IDLE
        self.is_slot_b = False
        self.is_confirmed = True
        self.refuses = {}
        self.restarts_in = 2

    def hear(self, data: bytes) -> bytes:
        request = wire.parse_request(data)
        verdict = self.refuses.get(request.op, wire.DONE)
        if verdict == wire.DONE:
            verdict = self._serve(request)
        return bytes(
            wire.pack_answer(
                wire.Answer(
                    op=request.op, verdict=verdict, phase=self.phase, kind=wire.GAS, version=(1, 0, 0),
                    is_slot_b=self.is_slot_b, is_confirmed=self.is_confirmed, wanted=len(self.body), nonce=NONCE,
                )
            )
        )  # fmt: skip

    def _serve(self, request: wire.Request) -> int:
        if request.op == wire.OFFER:
            genuine = wire.is_genuine(
                request, node_id=7, nonce=NONCE, mac=lambda octets: hmac.digest(KEY, octets, "sha256")
            )
            assert genuine
            if self.phase == wire.IDLE:
                self.body, self.phase = b"", wire.RECEIVING
        elif request.op == wire.CHUNK:
            if request.offset + len(request.data) == len(self.body):
                return wire.DONE
            if request.offset != len(self.body):
                return wire.OFFSET
            self.body += request.data
        elif request.op == wire.FINISH:
            self.phase = wire.RESTARTING
        elif self.phase == wire.RESTARTING:  # ASK: the restart takes a few questions
            self.restarts_in -= 1
            if not self.restarts_in:
                self.phase, self.is_slot_b = wire.IDLE, True
        return wire.DONE


def transfer_of(octets: bytes, *, is_alarm=lambda: False) -> Transfer:
    return Transfer(read_image(octets), node_id=7, key_id=1, key=KEY, chunk_bytes=100, is_alarm=is_alarm)


def carry(transfer: Transfer, node: Node, *, loss=(), limit: int = 2000) -> int:
    """Carry it to its end over a wire that loses what `loss` says; return how many requests that took."""
    losses = iter(loss)
    now_s, count = 0.0, 0
    while transfer.outcome is None and count < limit:
        request = transfer.request(now_s)
        if request is None:
            now_s = max(now_s + 0.1, transfer.due_s)
            continue
        count += 1
        now_s += 0.1
        lost = next(losses, None)
        if lost == "request":
            transfer.miss(now_s, "no answer")
            continue
        answer = node.hear(request)
        if lost == "answer":
            transfer.miss(now_s, "no answer")
        else:
            transfer.take(answer, now_s)
    return count


def test_every_byte_arrives_and_the_end_is_the_nodes_own_word() -> None:
    node, octets = Node(), image_of()
    transfer = transfer_of(octets)
    carry(transfer, node)
    assert node.body == octets[wire.HEAD_BYTES :]
    assert transfer.outcome is not None
    assert (transfer.outcome.result, transfer.outcome.from_version, transfer.outcome.to_version) == (
        Result.CONFIRMED, "1.0.0", "1.1.0",
    )  # fmt: skip
    assert (transfer.outcome.slot, transfer.ended.is_set()) == ("b", True)


@given(loss=st.lists(st.sampled_from([None, None, "request", "answer"]), max_size=60))
def test_lost_requests_and_answers_change_nothing(loss: list[str | None]) -> None:
    node, octets = Node(), image_of()
    transfer = transfer_of(octets)
    carry(transfer, node, loss=loss)
    assert transfer.outcome is not None
    assert transfer.outcome.result is Result.CONFIRMED
    assert node.body == octets[wire.HEAD_BYTES :]


def test_silence_ends_it_after_two_minutes_and_leaves_the_line_to_others_meanwhile() -> None:
    transfer = transfer_of(image_of())
    now_s, asked = 0.0, 0
    while transfer.outcome is None:
        if transfer.request(now_s) is not None:
            asked += 1
            transfer.miss(now_s, "no answer")
        now_s += 0.1
    assert transfer.outcome.result is Result.FAILED
    assert SILENCE_LIMIT_S <= now_s < SILENCE_LIMIT_S + 5
    assert asked < SILENCE_LIMIT_S


@pytest.mark.parametrize(
    ("op", "verdict", "result"),
    [
        (wire.OFFER, wire.FORGED, Result.REFUSED),
        (wire.OFFER, wire.OLDER, Result.REFUSED),
        (wire.CHUNK, wire.BAD_CHUNK, Result.FAILED),
        (wire.CHUNK, wire.FLASH, Result.REFUSED),
        (wire.FINISH, wire.BAD_BODY, Result.REFUSED),
        (wire.FINISH, wire.IN_ALARM, Result.REFUSED),
    ],
)
def test_what_the_node_will_not_do_ends_it_with_a_reason(op: int, verdict: int, result: Result) -> None:
    node, transfer = Node(), transfer_of(image_of())
    node.refuses[op] = verdict
    carry(transfer, node)
    assert transfer.outcome is not None
    assert transfer.outcome.result is result
    assert transfer.outcome.detail


def test_a_node_that_restarts_in_the_middle_gets_it_all_again() -> None:
    node, octets = Node(), image_of()
    transfer = transfer_of(octets)
    while len(node.body) < 300:
        transfer.take(node.hear(transfer.request(1.0) or b""), 1.0)
    node.body, node.phase = b"", wire.IDLE
    node.refuses[wire.CHUNK] = wire.NO_OFFER
    transfer.take(node.hear(transfer.request(1.0) or b""), 1.0)
    node.refuses.clear()
    carry(transfer, node)
    assert transfer.outcome is not None
    assert transfer.outcome.result is Result.CONFIRMED
    assert node.body == octets[wire.HEAD_BYTES :]


def test_new_firmware_that_never_confirms_is_no_success() -> None:
    node, transfer = Node(), transfer_of(image_of())
    while transfer.request(0.0) != wire.finish():
        transfer.take(node.hear(transfer.request(0.0) or b""), 0.0)
    transfer.take(node.hear(wire.finish()), 0.0)
    node.phase, node.is_slot_b, node.is_confirmed = wire.IDLE, True, False
    transfer.take(node.hear(wire.ask()), CONFIRM_LIMIT_S - 1)
    assert transfer.outcome is None
    transfer.take(node.hear(wire.ask()), CONFIRM_LIMIT_S + 1)
    assert transfer.outcome is not None
    assert transfer.outcome.result is Result.FAILED


def test_a_bus_that_stops_ends_it() -> None:
    transfer = transfer_of(image_of())
    transfer.stop("the bus was stopped")
    transfer.stop("again")
    assert transfer.outcome is not None
    assert (transfer.outcome.result, transfer.outcome.detail) == (Result.FAILED, "the bus was stopped")
    assert transfer.request(0.0) is None


@given(answers=st.lists(st.binary(max_size=24), max_size=30))
def test_whatever_is_answered_it_ends_or_goes_on_asking(answers: list[bytes]) -> None:
    transfer = transfer_of(image_of())
    now_s = 0.0
    for answer in answers:
        transfer.request(now_s)
        transfer.take(answer, now_s)
        now_s = max(now_s, transfer.due_s) + 0.1
    if transfer.outcome is None:
        wire.parse_request(transfer.request(now_s) or wire.ask())


@given(data=st.binary(max_size=200))
def test_bytes_that_are_no_image_are_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(NodeUpdateError, match=r"no firmware image|not a whole"):
        read_image(data)
    with pytest.raises(NodeUpdateError):
        read_image(b"GHN1" + data)
    with pytest.raises(WireError):
        wire.parse_image(data, lambda body: hashlib.sha256(body).digest())
