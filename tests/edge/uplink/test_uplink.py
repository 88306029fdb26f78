"""The uplink against a fleet that speaks the wire, with its faults: nothing is lost, nothing spins, alarms go first."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fleet_peer import FleetPeer, peer_server
from gateway_site import entries, running, until

from gatehouse_edge.uplink.fleet_client import FleetClient
from gatehouse_edge.uplink.link import LinkState
from gatehouse_events.chain import Lane
from gatehouse_events.orders import Command
from gatehouse_events.replication import Accepted, Answer, Doubt, Gap, ReplicationBatch, Unverified, WireEntry

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def peer() -> AsyncIterator[FleetPeer]:
    async with peer_server(FleetPeer()) as peer:
        yield peer


async def is_level(site, peer: FleetPeer) -> None:
    await until(lambda: set(site.own()) <= set(peer.seqs()), "the alarm lane is at the fleet")


async def test_what_is_written_arrives_and_the_link_says_up(tmp_path: Path, peer: FleetPeer) -> None:
    async with running(tmp_path, peer) as site:
        await site.note("one")
        await is_level(site, peer)
        await until(lambda: site.link.state is LinkState.UP and peer.statuses)
        assert peer.statuses[0].epoch == site.journal.epoch
        assert site.link.view().queued_alarm == 0


async def test_a_backlog_of_telemetry_never_stands_before_an_alarm(tmp_path: Path, peer: FleetPeer) -> None:
    waiting: list[int] = []

    def judge(batch: ReplicationBatch) -> None:
        if batch.lane is Lane.TELEMETRY:
            known = {seq for _, seq in peer.seqs()}
            waiting.append(sum(seq not in known for _, seq in site.own()))

    async with running(tmp_path, peer, before=lambda journal, stamp: None) as site:
        site.telemetry(3000)
        peer.judge = judge
        for number in range(20):
            await site.note(f"alarm {number}")
        await is_level(site, peer)
        await until(lambda: set(site.own(Lane.TELEMETRY)) <= set(peer.seqs(Lane.TELEMETRY)))
    # At the most the few entries that were written while that batch was under way.
    assert max(waiting) <= 3


async def test_an_outage_is_named_counted_and_made_up_for(tmp_path: Path, peer: FleetPeer) -> None:
    async with running(tmp_path, peer) as site:
        await is_level(site, peer)
        peer.fault = lambda method, what: (
            (502, b"<html>proxy</html>") if "journal" in what else (200, b"<html>")
        )
        for number in range(30):
            await site.note(f"alarm {number}")
        await until(lambda: site.link.state is LinkState.DOWN)
        await site.uplink._replicator.count()
        assert site.link.view().queued_alarm >= 30
        peer.fault = lambda method, what: None
        await is_level(site, peer)
        await until(lambda: site.link.state is LinkState.UP)


async def test_a_fleet_that_never_answers_keeps_nothing_local_waiting(tmp_path: Path) -> None:
    async with peer_server(FleetPeer()) as peer:
        peer.hangs = True
        async with running(tmp_path, peer) as site:
            await until(lambda: len(peer.requests) >= 3)
            for number in range(50):
                await site.note(f"alarm {number}")
            assert not peer.entries
            assert len(entries(site.directory, "audit")) == 50


async def test_a_line_that_flaps_delays_no_local_alarm(tmp_path: Path) -> None:
    peer, port = FleetPeer(), 0
    async with peer_server(peer):
        port = int(peer.url.rpartition(":")[2])
    async with running(tmp_path, peer) as site:
        for up in range(4):
            peer.ends.clear()
            heard = len(peer.requests)
            async with peer_server(peer, port):
                await until(lambda heard=heard: len(peer.requests) > heard, "the line is up")
                await site.note(f"up {up}")
            for number in range(10):
                await site.note(f"down {up} {number}")
        assert len(entries(site.directory, "audit")) == 44
        peer.ends.clear()
        async with peer_server(peer, port):
            await is_level(site, peer)
            assert peer.seqs() == sorted(peer.seqs(), key=lambda found: found[1]), "in their order"


@pytest.mark.parametrize("reason", ["revoked", "expired"])
async def test_a_certificate_that_is_refused_is_another_state_than_an_outage(
    tmp_path: Path, peer: FleetPeer, reason: str
) -> None:
    peer.fault = lambda method, what: (403, b'{"reason":"%s"}' % reason.encode())
    async with running(tmp_path, peer) as site:
        await until(lambda: site.link.state is LinkState.REFUSED)
        assert reason in site.link.view().why


async def test_answers_that_lie_are_survived_without_a_busy_loop(tmp_path: Path, peer: FleetPeer) -> None:
    lies = [
        lambda b: Accepted(epoch=b.epoch, lane=b.lane, cursor=2**62),
        lambda b: Accepted(epoch=b.epoch, lane=b.lane, cursor=0),
        lambda b: Accepted(epoch=b.epoch, lane=Lane.TELEMETRY, cursor=b.entries[-1].seq),
        lambda b: Gap(epoch=b.epoch, lane=b.lane, wanted=0),
        lambda b: Accepted(epoch=b.epoch, lane=b.lane, cursor=0),
    ]

    def judge(batch: ReplicationBatch):
        return lies.pop(0)(batch) if lies and batch.lane is Lane.ALARM else None

    async with running(tmp_path, peer) as site:
        peer.judge = judge
        for number in range(5):
            await site.note(f"alarm {number}")
        await until(lambda: not lies)
        await site.note("after the lies")
        # The first lie said that more was there than had been sent: never believed beyond what was sent, and asked for again
        # when the fleet is asked where it stands.
        site.link.outages += 1
        await is_level(site, peer)


async def test_a_fleet_that_only_ever_wants_what_is_gone_is_asked_slowly(
    tmp_path: Path, peer: FleetPeer
) -> None:
    peer.judge = lambda batch: Gap(epoch=batch.epoch, lane=batch.lane, wanted=0)
    async with running(tmp_path, peer) as site:
        await site.note("one")
        await until(lambda: len(peer.batches) >= 3)
        count = len(peer.batches)
        await asyncio.sleep(1.0)
        assert len(peer.batches) - count < 10


async def test_a_gateway_that_has_nothing_to_fill_a_gap_with_says_so_once_it_was_asked(
    tmp_path: Path, peer: FleetPeer
) -> None:
    def judge(batch: ReplicationBatch) -> Answer | None:
        is_refused = batch.lane is Lane.ALARM and not batch.cannot_fill
        return Gap(epoch=batch.epoch, lane=batch.lane, wanted=0) if is_refused else None

    async with running(tmp_path, peer) as site:
        peer.judge = judge
        await site.note("one")
        await is_level(site, peer)
        told = [batch.cannot_fill for batch in peer.batches if batch.lane is Lane.ALARM]
        await site.note("two")
        await until(lambda: len([b for b in peer.batches if b.lane is Lane.ALARM]) > len(told))
    assert told[0] is False
    assert True in told
    later = [batch.cannot_fill for batch in peer.batches if batch.lane is Lane.ALARM][len(told)]
    assert later is False, "said only of the batch that was asked for"


async def test_a_history_that_is_doubted_begins_one_new_epoch_not_many(
    tmp_path: Path, peer: FleetPeer
) -> None:
    def judge(batch: ReplicationBatch):
        for entry in batch.entries:
            peer.entries.setdefault((batch.lane, batch.epoch, entry.seq), entry)
        last = batch.entries[-1].seq
        peer.cursors[batch.lane] = (batch.epoch, last)
        return Unverified(
            epoch=batch.epoch,
            lane=batch.lane,
            cursor=last,
            first_doubtful=batch.entries[0].seq,
            doubt=Doubt.HASH,
        )

    peer.judge = judge
    async with running(tmp_path, peer) as site:
        first = site.journal.epoch
        for number in range(10):
            await site.note(f"alarm {number}")
        await until(lambda: site.journal.epoch != first)
        await site.note("after")
        await is_level(site, peer)
        assert len({epoch for epoch, _ in site.own()}) == 2
        await until(lambda: any(a.code == "gateway.integrity" for a in site.ledger.alarms()))


async def test_an_entry_nobody_can_take_does_not_stop_the_others(tmp_path: Path, peer: FleetPeer) -> None:
    poison: set[int] = set()

    def fault_of(batch: ReplicationBatch):
        if any(b"poison" in (entry.body or b"") for entry in batch.entries):
            poison.update(entry.seq for entry in batch.entries if b"poison" in (entry.body or b""))
            raise ValueError("the server stumbles")

    take = peer._take

    def stumbling(batch: ReplicationBatch):
        fault_of(batch)
        return take(batch)

    async def reply(method, what, scope, body):
        try:
            return await FleetPeer._reply(peer, method, what, scope, body)
        except ValueError:
            return 422, b'{"reason":"invalid"}'

    peer._take, peer._reply = stumbling, reply
    async with running(tmp_path, peer) as site:
        for text in ("a", "b", "poison", "c", "d"):
            await site.note(text)
        await until(lambda: any(entry.body and b'"d"' in entry.body for entry in peer.entries.values()))
        await until(lambda: {seq for _, seq in set(site.own()) - set(peer.seqs())} == poison)


async def test_a_proxy_that_holds_the_stream_back_is_noticed_and_orders_are_polled(
    tmp_path: Path, peer: FleetPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatehouse_edge.uplink.order_feed.FIRST_BYTES_S", 0.3)
    peer.holds_stream_back = True
    async with running(tmp_path, peer) as site:
        await until(lambda: ("GET", "orders") in peer.requests)
        seq = peer.give(Command(name="report_status"))
        await until(lambda: peer.result(seq) == "done")
        assert site.uplink._feed.is_polling


async def test_a_new_epoch_of_the_orders_lane_is_followed_from_its_start(
    tmp_path: Path, peer: FleetPeer
) -> None:
    async with running(tmp_path, peer) as site:
        for _ in range(3):
            peer.give(Command(name="report_status"))
        await until(lambda: len(peer.results()) == 3)
        peer.orders_epoch, peer.orders = "e" * 32, []
        peer.give(Command(name="report_status"))
        site.uplink.report_status()  # its answer names the new epoch; by itself it would come within 30 s
        await until(lambda: len(peer.results()) == 4)
        assert site.ledger.orders.epoch == "e" * 32


async def test_a_clip_resumes_where_it_stopped_and_is_forgotten_when_it_is_there(
    tmp_path: Path, peer: FleetPeer
) -> None:
    content = bytes(range(256)) * 1600
    digest = sha256(content).hexdigest()
    (tmp_path / "var" / "evidence").mkdir(parents=True)
    (tmp_path / "var" / "evidence" / f"{digest}.mp4").write_bytes(content)
    peer.evidence[digest] = bytearray(content[:1000])
    async with running(tmp_path, peer, evidence_kib_s=100_000) as site:
        seq = peer.give(Command(name="send_evidence", arguments={"sha256": digest}))
        none = peer.give(Command(name="send_evidence", arguments={"sha256": "0" * 64}))
        await until(lambda: bytes(peer.evidence[digest]) == content)
        await until(lambda: peer.result(none) == "failed")
        assert peer.result(seq) == "done"
        assert peer.pieces[:2] == [f"bytes */{len(content)}", f"bytes 1000-132071/{len(content)}"]
        await until(lambda: not site.journal.load_state("evidence/"))


async def test_a_clip_that_is_not_what_its_name_says_is_never_sent(tmp_path: Path, peer: FleetPeer) -> None:
    digest = "a" * 64
    (tmp_path / "var" / "evidence").mkdir(parents=True)
    (tmp_path / "var" / "evidence" / digest).write_bytes(b"altered")
    async with running(tmp_path, peer) as site:
        peer.give(Command(name="send_evidence", arguments={"sha256": digest}))
        await until(lambda: len(peer.results()) == 1)
        await until(lambda: not site.evidence._wanted)
        assert not peer.pieces


async def test_no_clip_goes_while_alarms_wait(tmp_path: Path, peer: FleetPeer) -> None:
    content = bytes(500_000)
    digest = sha256(content).hexdigest()
    (tmp_path / "var" / "evidence").mkdir(parents=True)
    (tmp_path / "var" / "evidence" / digest).write_bytes(content)
    async with running(tmp_path, peer, evidence_kib_s=100_000) as site:
        await is_level(site, peer)
        peer.fault = lambda method, what: (
            (503, b"{}") if (method, what) == ("POST", "journal/alarm") else None
        )
        await site.note("waits")
        await until(lambda: not site.uplink._replicator.is_quiet)
        site.evidence.want([digest])
        await until(lambda: peer.requests.count(("POST", "journal/alarm")) > 3)
        assert not peer.pieces
        peer.fault = lambda method, what: None
        await until(lambda: len(peer.evidence.get(digest, b"")) == len(content))


async def test_both_lanes_are_packed_at_once_and_arrive_whole(peer: FleetPeer) -> None:
    def batch(lane: Lane, first: int) -> ReplicationBatch:
        entries = tuple(
            WireEntry(
                seq=first + n, at_us=0, boot="b", mono_ns=0, kind="note",
                body_hash=bytes(32), prev_hash=bytes(32), body=bytes(random.Random(first + n).randbytes(20_000)),
            )
            for n in range(40)
        )  # fmt: skip
        return ReplicationBatch(gateway="gw-test", epoch="e" * 32, lane=lane, entries=entries)

    async with FleetClient(peer.url, "gw-test", tls=None) as client, asyncio.TaskGroup() as tasks:
        for number in range(6):
            for lane in Lane:
                tasks.create_task(client.post(batch(lane, 1 + number * 40)))
    assert {len(peer.seqs(lane)) for lane in Lane} == {240}
