"""The whole gateway as a process against a fleet that speaks the wire: killed at random, and given configurations."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import msgspec
from fleet_peer import FleetPeer, peer_server
from gateway_site import Whole, entries, settings, until, write

from gatehouse_events.orders import Command
from gatehouse_journal import Reader

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def peer() -> AsyncIterator[FleetPeer]:
    async with peer_server(FleetPeer()) as peer:
        yield peer


@pytest.fixture
def whole(tmp_path: Path, peer: FleetPeer) -> Whole:
    write(tmp_path / "gateway.yaml", settings(peer.url))
    return Whole(tmp_path)


def drill(n: int) -> Command:
    return Command(
        name="test_alarm",
        arguments={"device_id": "gas-1", "code": "gas.low_alarm", "duration_s": 0.2 + n % 3},
    )


async def test_kill_9_at_any_moment_loses_no_entry_and_answers_each_order_once(
    whole: Whole, peer: FleetPeer, rounds: Callable[[int], int]
) -> None:
    rng = random.Random(20261125)
    for _ in range(rounds(10)):
        async with whole.alive():
            known = len(peer.statuses)
            await until(lambda known=known: len(peer.statuses) > known, "it speaks")
            for n in range(rng.randrange(1, 12)):
                peer.give(drill(n))
                await asyncio.sleep(rng.random() * 0.05)
    async with whole.alive():
        last = peer.give(Command(name="report_status"))
        await until(lambda: peer.result(last) == "done", "the lane goes on")
        own = {(entry.epoch, entry.seq) for entry in entries(whole.directory)}
        await until(lambda: own <= set(peer.seqs()), "the alarm lane is at the fleet")
        await whole.end()
    answers = Counter(
        body["seq"]
        for entry in entries(whole.directory, "outcome")
        if "epoch" in (body := msgspec.json.decode(entry.body or b""))
    )
    assert answers == dict.fromkeys(range(1, len(peer.orders) + 1), 1)
    with Reader.open(whole.directory) as reader:
        assert reader.verify().is_intact


def in_force(peer: FleetPeer) -> str:
    return peer.statuses[-1].config_version


def silence(config: dict, seconds: int) -> dict:
    config["devices"][0]["max_silence_s"] = seconds
    return config


async def test_a_configuration_is_tried_confirmed_and_still_there_after_a_kill(
    whole: Whole, peer: FleetPeer
) -> None:
    async with whole.alive():
        await until(lambda: peer.statuses)
        raw = write(whole.home / "new.yaml", silence(settings(peer.url), 3))
        seq = peer.give_config("v2", raw)
        await until(lambda: in_force(peer) == "v2", "it is tried")
        assert not peer.result(seq), "an answer before the window ends would be none"
        await until(lambda: peer.result(seq) == "done", "it is confirmed")
        await whole.end(signal.SIGKILL)
    async with whole.alive():
        count = len(peer.statuses)
        await until(lambda: len(peer.statuses) > count)
        assert in_force(peer) == "v2"
        # The local file waits until somebody on site asks for it.
        (whole.directory / "fleet" / "use-local").touch()
        assert whole.process is not None
        whole.process.send_signal(signal.SIGHUP)
        await until(
            lambda: any(
                b'"is_accepted":true' in (e.body or b"") for e in entries(whole.directory, "config")[2:]
            )
        )
        peer.give(Command(name="report_status"))
        await until(lambda: in_force(peer) == "")


async def test_a_configuration_that_loses_the_fleet_is_taken_back_and_orders_go_on_meanwhile(
    whole: Whole, peer: FleetPeer
) -> None:
    async with whole.alive():
        await until(lambda: peer.statuses)
        raw = write(whole.home / "new.yaml", settings("http://127.0.0.1:9"))
        seq = peer.give_config("v-lost", raw)
        other = peer.give(Command(name="report_status"))
        await until(lambda: peer.result(seq) == "failed", "it is taken back")
        await until(lambda: peer.result(other) == "done")
        assert in_force(peer) == ""
        again = peer.give_config("v-good", write(whole.home / "good.yaml", silence(settings(peer.url), 4)))
        await until(lambda: peer.result(again) == "done", "the next one is tried")


async def test_a_kill_during_the_trial_brings_the_one_before_back(whole: Whole, peer: FleetPeer) -> None:
    async with whole.alive():
        await until(lambda: peer.statuses)
        raw = write(whole.home / "new.yaml", silence(settings(peer.url), 3))
        seq = peer.give_config("v2", raw, confirm_within_s=600)
        await until(lambda: in_force(peer) == "v2", "it is tried")
        await whole.end(signal.SIGKILL)
    async with whole.alive():
        await until(lambda: peer.result(seq) == "failed", "that is told")
        peer.give(Command(name="report_status"))
        await until(lambda: in_force(peer) == "")


async def test_what_is_not_for_this_gateway_or_not_whole_is_refused_and_nothing_changes(
    whole: Whole, peer: FleetPeer
) -> None:
    async with whole.alive():
        await until(lambda: peer.statuses)
        wrong = {
            "unknown key": settings(peer.url, gatewai={}),
            "foreign": settings(peer.url, gateway={"id": "other-gateway"}),
            "moved": settings(peer.url, storage={"directory": "elsewhere"}),
            "alone": settings(peer.url) | {"fleet": None},
        }
        for name, config in wrong.items():
            seq = peer.give_config(name, write(whole.home / "new.yaml", config))
            await until(lambda seq=seq: peer.result(seq), name)
            assert peer.result(seq) == "refused", name
        seq = peer.give_config("altered", b"gateway: {}")
        peer.configs["altered"] = b"gateway: []"
        await until(lambda: peer.result(seq) == "refused")
        assert {status.config_version for status in peer.statuses} == {""}
