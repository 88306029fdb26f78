"""The wall clock at 1970 and back: timers do not notice, the record says when it was put right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from gatehouse_edge.alarms.plan import DevicePlan, LadderStep, Plan
from gatehouse_edge.clock import Now
from gatehouse_edge.desk import restore
from gatehouse_edge.ledger import Ledger
from gatehouse_edge.reading import BeaconReading, ButtonEvent, ButtonReading
from gatehouse_edge.rules import sos
from gatehouse_events.chain import Lane, Stamp
from gatehouse_events.clock import ClockQuality
from gatehouse_journal import Journal, Limits, Reader, Signer

GOOD = datetime(2026, 11, 23, 12, tzinfo=UTC)
LADDER = tuple(
    LadderStep(after_s=s, notify=(who,)) for s, who in ((0, "desk"), (30, "second"), (90, "manager"))
)
PLAN = Plan(
    devices={"btn-1": DevicePlan(device_id="btn-1", kind="button", settings=sos.Settings())},
    escalation={"sos": LADDER, "gateway": LADDER[:1]},
)


class HandClock:
    """Service time goes on by hand; the wall clock may be anywhere."""

    def __init__(self) -> None:
        self.service_s = 0.0
        self.wall = GOOD

    def now(self) -> Now:
        return Now(
            wall=self.wall,
            service_s=self.service_s,
            boot="b" * 32,
            mono_ns=int(self.service_s * 1e9) + 1,
            clock=ClockQuality(synced=False, offset_ms=None),
        )


@asynccontextmanager
async def _ledger(directory: Path, clock: HandClock) -> AsyncIterator[Ledger]:
    now = clock.now()
    journal = Journal.open(
        directory,
        limits=Limits(ballast_bytes=4096),
        signer=Signer.load_or_create(directory),
        stamp=Stamp(at=now.wall, boot=now.boot, mono_ns=now.mono_ns),
    )
    ledger = Ledger(
        journal, restore(journal.load_state(), PLAN, now), PLAN, clock, counters=journal.load_counters()
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ledger.run())
        yield ledger
        ledger.stop()
    journal.close()


def _press(clock: HandClock, counter: int) -> ButtonReading:
    return ButtonReading(
        device_id="btn-1", at=clock.now(), event=ButtonEvent.PRESS, counter=counter, key_id=1
    )


async def _ticked(ledger: Ledger, clock: HandClock, service_s: float) -> None:
    """Let the gateway live to this service time, second by second."""
    while clock.service_s < service_s:
        clock.service_s += 1.0
        await ledger.report("gateway.clock_unsynced", is_true=int(clock.service_s) % 2 == 0)


async def test_escalation_keeps_its_times_while_the_wall_clock_is_at_1970_and_comes_back(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    async with _ledger(tmp_path, clock) as ledger:
        await ledger.put(_press(clock, 1))
        clock.wall = datetime(1970, 1, 1, tzinfo=UTC)
        await _ticked(ledger, clock, 40)
        clock.wall = GOOD + timedelta(seconds=40)
        await _ticked(ledger, clock, 100)
    with Reader.open(tmp_path) as reader:
        entries = reader.read(Lane.ALARM, 0, 10_000)
        assert reader.verify().is_intact
    steps = [msgspec.json.decode(e.body or b"") for e in entries if e.kind == "escalation"]
    taken = [(s["step"], s["notify"]) for s in steps if s["code"] == "sos.pressed"]
    assert taken == [(0, ["desk"]), (1, ["second"]), (2, ["manager"])]
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))


async def test_a_restart_at_1970_keeps_the_alarm_and_does_not_repeat_a_step(tmp_path: Path) -> None:
    clock = HandClock()
    async with _ledger(tmp_path, clock) as ledger:
        await ledger.put(_press(clock, 1))
        await _ticked(ledger, clock, 35)
    clock.wall = datetime(1970, 1, 1, tzinfo=UTC)
    async with _ledger(tmp_path, clock) as ledger:
        await ledger.put(_press(clock, 1))
        assert [(a.code, a.repeats) for a in ledger.alarms() if a.code.startswith("sos")] == [
            ("sos.pressed", 0)
        ]
        await _ticked(ledger, clock, 100)
    with Reader.open(tmp_path) as reader:
        entries = reader.read(Lane.ALARM, 0, 10_000)
    steps = [msgspec.json.decode(e.body or b"") for e in entries if e.kind == "escalation"]
    assert [s["step"] for s in steps if s["code"] == "sos.pressed"] == [0, 1, 2]


async def test_a_beacons_counter_survives_a_restart_in_strides(tmp_path: Path) -> None:
    clock = HandClock()
    async with _ledger(tmp_path, clock) as ledger:
        for counter in (999, 1500, 1501, 2001):
            await ledger.put(
                BeaconReading(device_id="btn-1", at=clock.now(), adapter="hci0", counter=counter, key_id=1)
            )
        await _ticked(ledger, clock, 2)
    async with _ledger(tmp_path, clock) as ledger:
        assert ledger.counters.get("beacon/btn-1/1") == 2000
