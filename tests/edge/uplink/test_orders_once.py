"""Orders at the ledger: outcome, effect and place in one commit; a repeat does nothing; receipts let old entries go."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fleet_peer import FleetPeer, peer_server
from gateway_site import entries, running, until

from gatehouse_edge.alarms.commands import StartTest
from gatehouse_edge.clock import SystemClock
from gatehouse_edge.ledger import OrderPlace, Settlement
from gatehouse_edge.uplink.order_desk import RECEIPT_KEY, Receipt
from gatehouse_events.alarm import Actor
from gatehouse_events.chain import Stamp
from gatehouse_events.orders import (
    Acknowledgement,
    AlarmSeen,
    CityReceipt,
    Command,
    DispositionOrder,
    OrderOutcome,
    OrderResult,
)
from gatehouse_events.states import Disposition
from gatehouse_journal import Batch, Journal, NewEntry, canonical

pytestmark = pytest.mark.timeout(120)
FLEET = Actor(name="示例乙", role="city_operator", station="fleet")


@pytest.fixture
async def peer() -> AsyncIterator[FleetPeer]:
    async with peer_server(FleetPeer()) as peer:
        yield peer


async def test_a_settlement_that_comes_again_does_nothing_and_waits_for_the_first(
    tmp_path: Path, peer: FleetPeer
) -> None:
    async with running(tmp_path, peer) as site:
        place = OrderPlace(epoch="e" * 32, seq=1)

        def settlement(text: str) -> Settlement:
            test = StartTest(actor=FLEET, command_id=f"order-{text}", device_id="gas-1", code="gas.low_alarm")
            said = OrderOutcome(
                epoch=place.epoch, seq=1, result=OrderResult.DONE, at=site.clock.now().wall, detail=text
            )
            return Settlement(place=place, commands=(test,), answer=lambda _: said, state={"fleet/x": b"1"})

        async with asyncio.TaskGroup() as tasks:
            for text in ("first", "second"):
                tasks.create_task(site.ledger.settle(settlement(text)), name=text)
        await site.ledger.settle(settlement("third"))
        told = [msgspec.json.decode(e.body or b"").get("detail") for e in entries(site.directory, "outcome")]
        assert [text for text in told if text is not None] == ["first"]
        alarms = {
            msgspec.json.decode(e.body or b"")["alarm"]["alarm_id"] for e in entries(site.directory, "alarm")
        }
        assert len(alarms) == 1
        assert msgspec.json.decode(site.journal.load_state()["orders/place"], type=OrderPlace) == place
        assert site.ledger.kept("fleet/x") == b"1"


async def test_what_becomes_of_every_kind_of_order(tmp_path: Path, peer: FleetPeer) -> None:
    drill = {"device_id": "gas-1", "code": "gas.low_alarm", "duration_s": 600}
    async with running(tmp_path, peer) as site:
        started = peer.give(Command(name="test_alarm", arguments=drill))
        await until(lambda: peer.result(started) == "done")
        alarm = site.ledger.alarms()[0]
        seen = AlarmSeen(alarm_id=alarm.alarm_id, seq=alarm.seq)
        gone = AlarmSeen(alarm_id="01KB0000000000000000000009", seq=1)
        given = {
            "done": Acknowledgement(alarm=seen),
            "recorded": Acknowledgement(alarm=AlarmSeen(alarm_id=alarm.alarm_id, seq=99)),
            "stale": Acknowledgement(alarm=gone),
            "refused": DispositionOrder(
                alarm=AlarmSeen(alarm_id=alarm.alarm_id, seq=2),
                disposition=Disposition.HANDLED,
                reason="示例",
            ),
            "not_understood": Command(name="open_valve", arguments={"output_id": "valve-1"}),
            "failed": Command(name="send_evidence", arguments={"sha256": "0" * 64}),
        }
        no_reason = Command(name="hold_evidence", arguments={"sha256": "0" * 64, "reason": " "})
        no_such = [
            Command(name=name, arguments={"sha256": "0" * 64, "reason": "示例"})
            for name in ("hold_evidence", "release_evidence")
        ]
        holds = [peer.give(action) for action in (no_reason, *no_such)]
        numbers = {word: peer.give(action) for word, action in given.items()}
        await until(lambda: peer.result(max(numbers.values())))
        now = AlarmSeen(alarm_id=alarm.alarm_id, seq=site.ledger.alarms()[0].seq)
        closing = DispositionOrder(alarm=now, disposition=Disposition.HANDLED, reason="示例")
        numbers["refused"] = peer.give(closing)  # a drill is ended, not closed
        expired = peer.give(Command(name="report_status"), lasts_s=-60)
        bad = peer.give(Command(name="test_alarm", arguments={"device_id": 7}))
        peer.orders.append(
            b'{"epoch":"%s","seq":%d,"action":{"type":"teleport"}}' % (peer.orders_epoch.encode(), bad + 1)
        )
        peer.news.set()
        await until(lambda: peer.result(bad + 1))
        assert {word: peer.result(number) for word, number in numbers.items()} == {
            word: word for word in given
        }
        assert [peer.result(number) for number in holds] == ["refused", "failed", "failed"]
        assert (peer.result(expired), peer.result(bad), peer.result(bad + 1)) == (
            "expired",
            "refused",
            "not_understood",
        )


async def test_a_receipt_of_the_city_lets_old_entries_go_and_only_those(
    tmp_path: Path, peer: FleetPeer
) -> None:
    today = SystemClock().now()
    old = Stamp(at=today.wall - timedelta(days=300), boot="d" * 32, mono_ns=5)

    def fill(journal: Journal, stamp: Stamp) -> None:
        notes = [NewEntry(kind="audit", body=canonical({"n": n}), stamp=old) for n in range(20)]
        journal.commit(Batch(entries=notes))
        journal.checkpoint(stamp)

    async with running(tmp_path, peer, before=fill, born=old) as site:
        site.clock.quality = msgspec.structs.replace(site.clock.quality, synced=True)
        await until(lambda: len(peer.seqs()) >= 20)
        assert not await site.ledger.prune(0)
        through = CityReceipt(
            alarm=AlarmSeen(alarm_id="01KB0000000000000000000009", seq=1), target="weihai", receipt="R 示例",
            epoch=site.journal.epoch, through_seq=11,
        )  # fmt: skip
        seq = peer.give(through)
        await until(lambda: peer.result(seq) == "done")
        receipt = msgspec.json.decode(site.ledger.kept(RECEIPT_KEY) or b"", type=Receipt)
        assert (receipt.epoch, receipt.seq) == (site.journal.epoch, 11)
        assert await site.ledger.prune(receipt.seq)
        assert not await site.ledger.prune(receipt.seq)
        assert entries(site.directory)[0].seq == 12
        await site.note("goes on")
        await until(lambda: set(site.own()) <= set(peer.seqs()))
