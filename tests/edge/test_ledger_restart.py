"""A restart in the middle of every alarm state, on a real journal: the same state, the same timers, nothing twice."""

import shutil
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_ledger import GUARD, PLAN, HandClock, lane, reading, running, until  # importlib mode

from gatehouse_edge.alarms.commands import Acknowledge, Inhibit, Shelve
from gatehouse_edge.reading import GasFlag
from gatehouse_events.alarm import What
from gatehouse_events.states import AlarmState
from gatehouse_journal import Reader

OPEN = [state for state in AlarmState if state is not AlarmState.CLOSED]
BEGINS = {What.RAISED, What.SHELF_EXPIRED, What.EXPOSED}
"""What begins the ladder of an escalation."""
CODES = {"gas.low_alarm", "gas.pre_warning"}


@pytest.fixture
def clock():
    return HandClock()


def gas(clock, *flags):
    return msgspec.structs.replace(reading(clock, 1.0), flags=frozenset(flags))


def leak(ledger):
    return next(a for a in ledger.alarms() if a.code in CODES)


async def bring_into(state, ledger, clock):
    """Bring a gas alarm into `state`; everything is on the disk when this returns. Only what never latches returns."""
    if state is AlarmState.SUPPRESSED:
        await ledger.submit(
            Inhibit(actor=GUARD, command_id="i", device_id="gas-1", duration_s=900, reason="r")
        )
    await ledger.put(gas(clock, GasFlag.PRE_WARNING if state is AlarmState.RTN else GasFlag.LOW_ALARM))
    alarm_id = leak(ledger).alarm_id
    if state in {AlarmState.ACKED, AlarmState.LATCHED}:
        await ledger.submit(Acknowledge(actor=GUARD, command_id="a", alarm_id=alarm_id))
    if state is AlarmState.SHELVED:
        await ledger.submit(
            Shelve(actor=GUARD, command_id="s", alarm_id=alarm_id, duration_s=600, reason="r")
        )
    if state in {AlarmState.LATCHED, AlarmState.RTN}:
        for _ in range(5):
            clock.s += 2
            await ledger.put(gas(clock))
    assert leak(ledger).state is state


def prove(directory):
    """The lane is contiguous, the chain intact, no revision there twice."""
    with Reader.open(directory) as reader:
        assert [fault.what for fault in reader.verify().faults] == []
    changes = [(c["alarm"]["alarm_id"], c["alarm"]["seq"]) for c in lane(directory, "alarm")]
    for alarm_id in {alarm_id for alarm_id, _ in changes}:
        seqs = [seq for which, seq in changes if which == alarm_id]
        assert seqs == list(range(1, len(seqs) + 1))
    begun = [c for c in lane(directory, "alarm") if c["what"] in BEGINS]
    firsts = [e for e in lane(directory, "escalation") if e["step"] == 0]
    assert len(firsts) <= len(begun)  # nobody is told the first step again because of a restart


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("state", OPEN)
async def test_a_restart_in_the_middle_of_every_state_finds_the_same_alarms_and_demands(
    tmp_path, clock, state, is_killed
):
    home, crashed = tmp_path / "home", tmp_path / "crashed"
    home.mkdir()
    async with running(home, clock) as (ledger, _):
        await bring_into(state, ledger, clock)
        alarms, wanted = ledger.alarms(), ledger.demands()
        # What a killed process leaves behind: its files as they stand, WAL and all, no orderly stop.
        shutil.copytree(home, crashed)
    place = crashed if is_killed else home
    async with running(place, clock) as (ledger, _):
        assert ledger.alarms() == alarms
        assert ledger.demands() == wanted
        await ledger.put(
            gas(clock, *(() if state in {AlarmState.LATCHED, AlarmState.RTN} else (GasFlag.LOW_ALARM,)))
        )
        assert leak(ledger).state is state
    prove(place)


async def test_a_shelf_ends_when_it_was_to_end_whatever_restarted_meanwhile(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, _):
        await bring_into(AlarmState.SHELVED, ledger, clock)
        until_s = leak(ledger).shelved_until_s
    clock.s = until_s - 5
    async with running(tmp_path, clock) as (ledger, _):
        await ledger.put(gas(clock, GasFlag.LOW_ALARM))
        assert leak(ledger).state is AlarmState.SHELVED
    clock.s = until_s + 1
    async with running(tmp_path, clock) as (ledger, _):
        clock.s += 2  # a tick
        await until(lambda: leak(ledger).state is AlarmState.UNACK)
    prove(tmp_path)


async def test_the_limit_to_acknowledge_runs_on_through_a_restart(tmp_path, clock):
    async with running(tmp_path, clock) as (ledger, _):
        await bring_into(AlarmState.UNACK, ledger, clock)
        due_s = leak(ledger).ack_due_s
    clock.s = due_s - 5
    async with running(tmp_path, clock) as (ledger, _):
        await ledger.put(gas(clock, GasFlag.LOW_ALARM))
        assert not leak(ledger).is_overdue
    clock.s = due_s + 1
    async with running(tmp_path, clock) as (ledger, _):
        await until(lambda: leak(ledger).is_overdue)
    prove(tmp_path)


async def test_an_inhibition_ends_when_it_was_to_end_whatever_restarted_meanwhile(tmp_path, clock):
    began_s = clock.s
    async with running(tmp_path, clock) as (ledger, _):
        await bring_into(AlarmState.SUPPRESSED, ledger, clock)
    clock.s = began_s + 890
    async with running(tmp_path, clock) as (ledger, _):
        await ledger.put(gas(clock, GasFlag.LOW_ALARM))
        assert leak(ledger).state is AlarmState.SUPPRESSED
    clock.s = began_s + 901
    async with running(tmp_path, clock) as (ledger, _):
        clock.s += 2  # a tick
        await until(lambda: leak(ledger).state is AlarmState.UNACK)
    prove(tmp_path)


async def test_a_restart_at_1970_keeps_every_state_and_its_timers(tmp_path, clock):
    """The service scale goes on; only the wall clock has gone back."""

    class Lost(HandClock):
        def now(self):
            return msgspec.structs.replace(super().now(), wall=super().now().wall - timedelta(days=56 * 365))

    async with running(tmp_path, clock) as (ledger, _):
        await bring_into(AlarmState.SHELVED, ledger, clock)
        alarms = ledger.alarms()
    lost = Lost(clock.s)
    async with running(tmp_path, lost) as (ledger, _):
        assert ledger.alarms() == alarms
        lost.s += 601
        await until(lambda: leak(ledger).state is AlarmState.UNACK)
    prove(tmp_path)


def test_every_open_state_is_among_those_tried():
    assert set(OPEN) == {
        AlarmState.UNACK,
        AlarmState.ACKED,
        AlarmState.RTN,
        AlarmState.LATCHED,
        AlarmState.SHELVED,
        AlarmState.SUPPRESSED,
    }
    assert set(PLAN.devices) >= {"gas-1"}
