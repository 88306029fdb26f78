"""The ledger on a real journal: nobody is told before it is on the disk, and a restart goes on where it stood."""

import asyncio
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from gatehouse_edge.alarms.commands import Acknowledge, AddNote
from gatehouse_edge.alarms.plan import DevicePlan, OutputKind, OutputPlan, Plan
from gatehouse_edge.clock import Now
from gatehouse_edge.desk import restore
from gatehouse_edge.ledger import Ledger, LedgerClosedError, LedgerError, last_seen
from gatehouse_edge.reading import ButtonEvent, ButtonReading, GasReading, LiftReading, Quality, Unit
from gatehouse_edge.rules import gas, lift, sos
from gatehouse_edge.rules.supervision import Supervision
from gatehouse_events.alarm import Actor
from gatehouse_events.chain import EntryKind, Lane, Stamp
from gatehouse_events.clock import ClockQuality
from gatehouse_journal import Journal, Limits, Reader, Signer, StorageFullError

GUARD = Actor(name="示例甲", role="operator", station="local")
CALM = Supervision(max_silence_s=1e9)
PLAN = Plan(
    devices={
        "btn-1": DevicePlan(device_id="btn-1", kind="button", settings=sos.Settings(supervision=CALM)),
        "gas-1": DevicePlan(device_id="gas-1", kind="gas", settings=gas.Settings(supervision=CALM)),
        "lift-1": DevicePlan(device_id="lift-1", kind="lift", settings=lift.Settings(supervision=CALM)),
    },
    outputs={"siren": OutputPlan(output_id="siren", kind=OutputKind.SIREN)},
)


class HandClock:
    """Stands still until it is moved."""

    def __init__(self, s=100.0):
        self.s = s

    def now(self):
        return Now(
            wall=datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=self.s),
            service_s=self.s,
            boot="b" * 32,
            mono_ns=int(self.s * 1e9),
            clock=ClockQuality(synced=True, offset_ms=1.0),
        )


class FullDisk:
    """The real journal on a disk that can be full."""

    def __init__(self, journal):
        self._journal = journal
        self.is_full = False
        self.becomes_full = False
        self.refused = 0
        self.writes = threading.Event()
        """Cleared: a commit takes until it is set."""
        self.writes.set()

    def commit(self, batch):
        if self.is_full:
            self.refused += 1
            raise StorageFullError("full")
        assert self.writes.wait(20)
        if self.becomes_full:
            raise StorageFullError("full")
        return self._journal.commit(batch)

    def __getattr__(self, name):
        return getattr(self._journal, name)


def open_journal(directory, clock):
    now = clock.now()
    stamp = Stamp(at=now.wall, boot=now.boot, mono_ns=now.mono_ns)
    limits = Limits(ballast_bytes=0)
    return FullDisk(
        Journal.open(directory, limits=limits, signer=Signer.load_or_create(directory), stamp=stamp)
    )


@asynccontextmanager
async def running(directory, clock, plan=PLAN):
    journal = open_journal(directory, clock)
    desk = restore(journal.load_state(), plan, clock.now())
    ledger = Ledger(journal, desk, plan, clock, counters=journal.load_counters())
    try:
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            tasks.create_task(ledger.run(), name="ledger")
            await until(lambda: ledger.version > 0)
            yield ledger, journal
            ledger.stop()
    finally:
        journal.close()


async def until(is_so):
    async with asyncio.timeout(10):
        while not is_so():  # a condition of the disk, nobody signals it
            await asyncio.sleep(0.002)


def press(clock, counter, key_id=1):
    return ButtonReading(
        device_id="btn-1", at=clock.now(), event=ButtonEvent.PRESS, counter=counter, key_id=key_id
    )


def reading(clock, value):
    return GasReading(
        device_id="gas-1",
        at=clock.now(),
        value=value,
        unit=Unit.PCT_LEL,
        quality=Quality.GOOD,
        flags=frozenset(),
    )


def lane(directory, kind=None, which=Lane.ALARM):
    with Reader.open(directory) as reader:
        found = reader.read(which, after=0, limit=10_000)
    return [msgspec.json.decode(e.body) for e in found if e.body and (kind is None or e.kind == kind)]


@pytest.fixture
def clock():
    return HandClock()


async def test_a_press_is_on_the_disk_with_its_counter_when_put_returns(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, journal):
        await ledger.put(press(clock, 5))
        assert journal.load_counters() == {"button/btn-1/1": 5}
        assert ledger.counters.get("button/btn-1/1") == 5
        assert [c["what"] for c in lane(tmp_path, "alarm")][:1] == ["raised"]
        assert ledger.demands()["siren"].is_on


async def test_a_repeated_or_older_counter_does_nothing_and_returns(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, _):
        await ledger.put(press(clock, 5))
        before = lane(tmp_path, "alarm")
        for counter in (5, 4, 1):
            await ledger.put(press(clock, counter))
        assert lane(tmp_path, "alarm") == before
        await ledger.put(press(clock, 1, key_id=2))
        assert ledger.alarms()[0].times == 2


async def test_fifty_copies_of_one_press_at_once_are_one_press(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, _):
        async with asyncio.TaskGroup() as drivers:
            for _ in range(50):
                drivers.create_task(ledger.put(press(clock, 7)), name="driver")
        assert [a.times for a in ledger.alarms()] == [1]


async def test_a_repeat_of_what_is_not_on_the_disk_yet_waits_with_the_first(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, journal):
        await ledger.put(reading(clock, 1.0))
        journal.is_full = True
        async with asyncio.TaskGroup() as drivers:
            first = drivers.create_task(ledger.put(press(clock, 7)), name="first")
            await until(lambda: journal.refused)
            second = drivers.create_task(ledger.put(press(clock, 7)), name="second")
            for _ in range(3):  # each comes back only after what stood in the queue before it was stepped
                await ledger.put(reading(clock, 1.0))
            assert not first.done()
            assert not second.done()
            journal.is_full = False
            clock.s += 10


async def test_a_reading_without_consequence_returns_without_a_commit(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, journal):
        await ledger.put(reading(clock, 1.0))
        head = journal.head(Lane.ALARM).seq
        for value in (1.1, 1.2, 1.3):
            await ledger.put(reading(clock, value))
        assert journal.head(Lane.ALARM).seq == head
        view = next(v for v in ledger.devices() if v.device_id == "gas-1")
        assert view.last.value == 1.3
        clock.s += 4
        assert next(v for v in ledger.devices() if v.device_id == "gas-1").age_s == 4.0


async def test_a_full_disk_keeps_nobody_from_hearing_and_loses_nothing(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, journal):
        journal.is_full = True
        async with asyncio.TaskGroup() as drivers:
            driver = drivers.create_task(ledger.put(press(clock, 9)), name="driver")
            await until(lambda: ledger.is_storage_failing)
            assert not driver.done()
            assert ledger.counters.get("button/btn-1/1") is None
            assert ledger.demands()["siren"].is_on
            await until(lambda: any(a.code == "gateway.storage_full" for a in ledger.alarms()))
            journal.is_full = False
            clock.s += 10
        assert not ledger.is_storage_failing
        assert ledger.counters.get("button/btn-1/1") == 9
        assert {c["alarm"]["code"] for c in lane(tmp_path, "alarm")} >= {
            "sos.pressed",
            "gateway.storage_full",
        }


async def test_a_slow_disk_keeps_no_siren_waiting_and_what_comes_meanwhile_is_seen_too(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, journal):
        journal.writes.clear()
        try:
            async with asyncio.TaskGroup() as drivers:
                first = drivers.create_task(ledger.put(press(clock, 9)), name="first")
                await until(lambda: ledger.demands()["siren"].is_on)
                again = drivers.create_task(ledger.put(press(clock, 9)), name="again")
                newer = drivers.create_task(ledger.put(press(clock, 10)), name="newer")
                await until(lambda: [a.times for a in ledger.alarms()] == [2])
                assert not any(task.done() for task in (first, again, newer))
                assert ledger.counters.get("button/btn-1/1") is None
                clock.s += 16
                assert not ledger.is_alive
                journal.writes.set()
        finally:
            journal.writes.set()
        assert ledger.counters.get("button/btn-1/1") == 10
        assert [a.times for a in ledger.alarms() if a.code == "sos.pressed"] == [2]
    changes = [c["what"] for c in lane(tmp_path, "alarm") if c["alarm"]["code"] == "sos.pressed"]
    assert changes.count("raised") == 1
    with Reader.open(tmp_path) as reader:
        assert reader.verify().is_intact


async def test_a_disk_that_is_slow_and_then_full_loses_nothing(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, journal):
        journal.writes.clear()
        try:
            async with asyncio.TaskGroup() as drivers:
                drivers.create_task(ledger.put(press(clock, 9)), name="first")
                await until(lambda: ledger.demands()["siren"].is_on)
                drivers.create_task(ledger.put(press(clock, 10)), name="newer")
                await until(lambda: [a.times for a in ledger.alarms()] == [2])
                journal.becomes_full = True
                journal.writes.set()
                await until(lambda: ledger.is_storage_failing)
                journal.becomes_full = False
                clock.s += 10
        finally:
            journal.writes.set()
        assert ledger.counters.get("button/btn-1/1") == 10
        assert [a.times for a in ledger.alarms() if a.code == "sos.pressed"] == [2]


class Poison(GasReading, frozen=True, kw_only=True):
    """A reading that no rule can take."""

    flags: None = None


async def test_an_input_that_breaks_a_rule_comes_back_to_who_brought_it_and_stops_nobody(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, _):
        poison = Poison(device_id="gas-1", at=clock.now(), value=1.0, unit=Unit.PCT_LEL, quality=Quality.GOOD)
        with pytest.raises(LedgerError, match="TypeError"):
            await ledger.put(poison)
        await ledger.put(press(clock, 5))
        assert [a.code for a in ledger.alarms()] == ["sos.pressed"]


async def test_a_press_that_breaks_its_rule_is_not_counted_so_that_its_repeat_comes_in(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, _):
        odd = ButtonReading(
            device_id="btn-1", at=None, event=ButtonEvent.PRESS, counter=5, key_id=1, battery_pct="?"
        )
        with pytest.raises(LedgerError):
            await ledger.put(odd)
        await ledger.put(press(clock, 5))
        assert [a.times for a in ledger.alarms()] == [1]


async def test_a_restart_goes_on_with_alarms_counters_and_time_scale(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, _):
        await ledger.put(press(clock, 5))
        alarm = ledger.alarms()[0]
    clock.s += 40
    async with running(tmp_path, clock) as (ledger, journal):
        again = next(a for a in ledger.alarms() if a.code == "sos.pressed")
        assert again.alarm_id == alarm.alarm_id
        await until(lambda: [e["step"] for e in lane(tmp_path, "escalation")][:2] == [0, 1])
        await ledger.put(press(clock, 5))
        assert next(a for a in ledger.alarms() if a.code == "sos.pressed").times == 1
        assert last_seen(journal.load_state()).service_s >= 100.0
    kinds = [e["what"] for e in lane(tmp_path, "alarm") if e["alarm"]["alarm_id"] == alarm.alarm_id]
    seqs = [e["alarm"]["seq"] for e in lane(tmp_path, "alarm") if e["alarm"]["alarm_id"] == alarm.alarm_id]
    assert seqs == list(range(1, len(kinds) + 1))


async def test_commands_answer_after_the_commit_and_leave_an_outcome(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, _):
        await ledger.put(press(clock, 1))
        alarm = ledger.alarms()[0]
        result = await ledger.submit(Acknowledge(actor=GUARD, command_id="a", alarm_id=alarm.alarm_id))
        assert result.refused is None
        refused = await ledger.submit(AddNote(actor=GUARD, command_id="b", alarm_id="nothing", text="x"))
        assert refused.refused.reason == "not_open"
        assert [o["command"]["type"] for o in lane(tmp_path, "outcome")] == ["Acknowledge", "AddNote"]


async def test_whoever_watches_is_woken_by_each_commit(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, _):
        seen = ledger.version
        await ledger.put(press(clock, 1))
        async with asyncio.timeout(5):
            assert await ledger.changed(seen) > seen


async def test_an_orderly_stop_takes_in_what_stands_in_the_queue_and_says_so(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, _), asyncio.TaskGroup() as drivers:
        for counter in range(1, 601):  # more than one batch
            drivers.create_task(ledger.put(press(clock, counter)), name="driver")
        await asyncio.sleep(0)
        ledger.stop()
    with pytest.raises(LedgerClosedError):
        await ledger.put(press(clock, 99))
    kinds = lane(tmp_path, "stop")
    assert len(kinds) == 1
    journal = open_journal(tmp_path, clock)
    assert journal.load_counters() == {"button/btn-1/1": 600}
    kept = restore(journal.load_state(), PLAN, clock.now()).board.alarms.values()
    journal.close()
    assert [a.times for a in kept if a.code == "sos.pressed"] == [600]


async def test_a_renewed_lift_node_is_heard_and_a_repeat_of_its_ring_is_not(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, _):
        for seq in (100_000, 100_000, 99_999):
            await ledger.put(LiftReading(device_id="lift-1", at=clock.now(), source_seq=seq))
        assert ledger.observations == 1
        await ledger.put(LiftReading(device_id="lift-1", at=clock.now(), source_seq=1))
        assert ledger.counters.get("lift/lift-1/ring") == 1


async def test_telemetry_takes_changes_and_one_line_a_minute(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, _):
        for value in (1.0, 1.2, 1.4, 9.0, 9.1):
            await ledger.put(reading(clock, value))
        clock.s += 61
        await ledger.put(reading(clock, 9.1))
        clock.s += 2
        await until(lambda: len(lane(tmp_path, None, Lane.TELEMETRY)) >= 3)
    assert [line["values"]["value"] for line in lane(tmp_path, None, Lane.TELEMETRY)] == [1.0, 9.0, 9.1]


async def test_an_entry_of_somebody_else_is_written_when_record_returns(tmp_path, clock):
    class Login(msgspec.Struct, frozen=True):
        who: str

    async with running(tmp_path, clock) as (ledger, _):
        await ledger.record(EntryKind.AUDIT, Login("示例甲"))
        assert lane(tmp_path, "audit") == [{"who": "示例甲"}]


async def test_a_quiet_gateway_writes_its_time_seldom(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, journal):
        await ledger.put(reading(clock, 1.0))
        stood = last_seen(journal.load_state()).service_s
        for _ in range(5):
            clock.s += 30
            await ledger.put(reading(clock, 1.0))
        assert last_seen(journal.load_state()).service_s == stood


async def test_an_orderly_stop_keeps_the_telemetry_that_has_not_been_written_yet(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, _):
        await until(lambda: ledger.version > 0)
        clock.s += 2
        for value in (1.0, 9.0):
            await ledger.put(reading(clock, value))
    assert [line["values"]["value"] for line in lane(tmp_path, None, Lane.TELEMETRY)] == [1.0, 9.0]
