"""What the fleet must be told is kept until it has been, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gatehouse_hil.bench.fault import Fault
from gatehouse_hil.bench.outbox import DEVICES, RECORDS, Outbox, Post
from gatehouse_hil.webhook_server import WebhookServer


@pytest_asyncio.fixture
async def fleet() -> AsyncIterator[WebhookServer]:
    async with WebhookServer() as server:
        yield server


def post(fleet: WebhookServer) -> Post:
    return Post(url=fleet.url.removesuffix("/alarm"), token="示例".encode().hex())


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    made = Outbox(tmp_path)
    made.put(DEVICES, b'{"serial":"GHG-1"}')
    made.put(RECORDS, b'{"record":{"serial":"GHG-1"}}')
    return made


async def test_messages_go_in_order_with_the_bearer_token_and_their_hash(
    outbox: Outbox, fleet: WebhookServer
) -> None:
    sent = await outbox.send(post(fleet))
    assert (sent.sent, sent.kept, sent.fault) == (2, 0, None)
    assert [request.path for request in fleet.requests] == ["/api/v1/bench/devices", "/api/v1/bench/records"]
    first = fleet.requests[0]
    assert first.headers["authorization"] == "Bearer e7a4bae4be8b"
    assert json.loads(first.body) == {"serial": "GHG-1"}
    assert len(first.headers["idempotency-key"]) == 64


async def test_the_body_arrives_octet_for_octet(tmp_path: Path, fleet: WebhookServer) -> None:
    body = '{"zh": "示例", "n": 1.50}'.encode()  # a signature is over these very octets
    outbox = Outbox(tmp_path)
    outbox.put(RECORDS, body)
    await outbox.send(post(fleet))
    assert fleet.requests[0].body == body


async def test_what_was_sent_is_not_sent_again(outbox: Outbox, fleet: WebhookServer) -> None:
    await outbox.send(post(fleet))
    outbox.put(RECORDS, b'{"record":{"serial":"GHG-1"}}')
    assert (await outbox.send(post(fleet))).sent == 0
    assert len(fleet.requests) == 2


async def test_an_unreachable_fleet_keeps_everything_and_says_so(outbox: Outbox) -> None:
    sent = await outbox.send(Post(url="http://127.0.0.1:9", token="x"))
    assert (sent.sent, sent.kept) == (0, 2)
    assert sent.fault is not None
    assert sent.fault.fault is Fault.FLEET_UNREACHABLE


async def test_a_fleet_in_trouble_is_told_the_rest_later(outbox: Outbox, fleet: WebhookServer) -> None:
    fleet.statuses = [200, 503]
    first = await outbox.send(post(fleet))
    assert (first.sent, first.kept) == (1, 1)
    second = await outbox.send(post(fleet))
    assert (second.sent, second.kept, second.fault) == (1, 0, None)
    assert fleet.requests[1].headers["idempotency-key"] == fleet.requests[2].headers["idempotency-key"]


async def test_what_the_fleet_already_has_counts_as_sent(outbox: Outbox, fleet: WebhookServer) -> None:
    fleet.statuses = [409, 409]
    assert (await outbox.send(post(fleet))).kept == 0


async def test_a_refused_message_stays_and_does_not_hold_up_the_others(
    outbox: Outbox, fleet: WebhookServer
) -> None:
    fleet.statuses = [422]
    sent = await outbox.send(post(fleet))
    assert (sent.sent, sent.kept) == (1, 1)
    assert sent.fault is not None
    assert (sent.fault.fault, sent.fault.facts["status"]) == (Fault.FLEET_REFUSED, "422")


async def test_a_redirect_is_not_followed_with_our_token(outbox: Outbox, fleet: WebhookServer) -> None:
    fleet.statuses = [302, 302]
    assert (await outbox.send(post(fleet))).kept == 2
    assert "/elsewhere" not in [request.path for request in fleet.requests]


def test_the_same_thing_put_twice_is_kept_once(outbox: Outbox) -> None:
    outbox.put(DEVICES, b'{"serial":"GHG-1"}')
    assert len(outbox.pending()) == 2


def test_a_message_is_for_its_owner_only(outbox: Outbox) -> None:
    assert all(file.stat().st_mode & 0o077 == 0 for file in outbox.pending())
