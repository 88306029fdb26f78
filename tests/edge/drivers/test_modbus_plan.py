"""The schedule of one bus, with a clock that is only a number."""

from __future__ import annotations

import heapq
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_edge.drivers.modbus_plan import Block, Job, Rest, Schedule, Span, Target, batch
from gatehouse_edge.drivers.modbus_query import BitFunction, RegisterFunction

HOLDING = RegisterFunction.HOLDING
ALARM = Block(function=HOLDING, address=0, count=10, is_alarm=True)
SLOW = Block(function=HOLDING, address=100, count=10, is_alarm=False)
TIMEOUT_S = 0.2
ANSWER_S = 0.04


def target(unit_id, *blocks, poll_s=1.0, gap_s=0.0):
    return Target(unit_id=unit_id, blocks=blocks or (ALARM,), poll_s=poll_s, min_gap_s=gap_s)


def play(targets, *, until_s, dead=frozenset(), answer_s=ANSWER_S, alive_from=None):
    """Run the schedule against a line that takes its time; return [(began, job)]."""
    schedule = Schedule(targets, start_s=0.0, timeout_s=TIMEOUT_S)
    now_s, log = 0.0, []
    while now_s < until_s:
        step = schedule.next(now_s)
        if isinstance(step, Rest):
            assert step.until_s > now_s, "a rest that is over is a busy loop"
            now_s = step.until_s
            continue
        is_dead = step.unit_id in dead and not (alive_from and now_s >= alive_from)
        ended_s = now_s + (TIMEOUT_S + 0.01 if is_dead else answer_s)
        log.append((now_s, step))
        schedule.done(step, began_s=now_s, ended_s=ended_s, blame=float(is_dead))
        now_s = ended_s
    return log


def times(log, unit_id):
    return [at for at, job in log if job.unit_id == unit_id]


def gaps(log, unit_id):
    at = times(log, unit_id)
    return [later - sooner for sooner, later in itertools.pairwise(at)]


def test_touching_spans_become_one_read_with_the_alarm_blocks_first():
    spans = [
        Span(function=HOLDING, address=200, count=2),
        Span(function=HOLDING, address=0, count=4),
        Span(function=HOLDING, address=4, count=6, is_alarm=True),
        Span(function=BitFunction.INPUTS, address=0, count=8),
    ]
    blocks = batch(spans)
    assert [(one.function, one.address, one.count) for one in blocks] == [
        (HOLDING, 0, 10), (BitFunction.INPUTS, 0, 8), (HOLDING, 200, 2),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 125)), max_size=30))
def test_a_batch_covers_exactly_what_was_asked_in_reads_that_are_allowed(pairs):
    blocks = batch(Span(function=HOLDING, address=at, count=count) for at, count in pairs)
    wanted = {number for at, count in pairs for number in range(at, at + count)}
    read = {number for one in blocks for number in range(one.address, one.address + one.count)}
    assert read == wanted
    assert all(1 <= one.count <= 125 for one in blocks)


def test_every_unit_is_asked_once_a_period_when_the_line_has_time():
    log = play([target(at) for at in range(1, 7)], until_s=60)
    assert all(59 <= len(times(log, at)) <= 61 for at in range(1, 7))


def test_a_dead_unit_costs_its_neighbours_less_than_a_tenth_on_a_full_line():
    targets = [target(at, poll_s=0.001) for at in range(1, 7)]
    alone = play([one for one in targets if one.unit_id != 3], until_s=120)
    beside = play(targets, until_s=120, dead={3})
    for at in (1, 2, 4, 5, 6):
        assert len(times(beside, at)) >= 0.9 * len(times(alone, at))
        assert max(gaps(beside, at)) <= 1.0


@given(st.sets(st.integers(1, 12), max_size=11))
def test_even_many_dead_units_leave_the_living_their_rate(dead):
    targets = [target(at, poll_s=0.001) for at in range(1, 13)]
    alive = [one for one in targets if one.unit_id not in dead]
    alone, beside = play(alive, until_s=30), play(targets, until_s=30, dead=dead)
    alone, beside = [
        [(at, job) for at, job in log if at > 5.0] for log in (alone, beside)
    ]  # the first sweep is over
    for one in alive:
        assert len(times(beside, one.unit_id)) >= 0.85 * len(times(alone, one.unit_id))


def test_a_dead_unit_that_returns_is_asked_within_two_periods_and_a_second():
    log = play([target(at) for at in range(1, 7)], until_s=700, dead={3}, alive_from=650.2)
    assert next(at for at in times(log, 3) if at >= 650.2) <= 650.2 + 2 * 1.0 + 1.0


@given(st.floats(0.0, 2.0), st.integers(1, 8))
def test_a_vendors_gap_is_never_undercut_and_holds_for_its_unit_alone(gap_s, units):
    targets = [target(at, poll_s=0.01, gap_s=gap_s) for at in range(1, units + 1)] + [
        target(100, poll_s=0.25)
    ]
    log = play(targets, until_s=20)
    for at in range(1, units + 1):
        assert all(gap >= gap_s + ANSWER_S - 1e-9 for gap in gaps(log, at))
    assert max(gaps(log, 100)) <= 0.25 + (units + 2) * ANSWER_S


def test_with_vendor_gaps_a_sweep_takes_no_longer_than_the_gap():
    log = play([target(at, poll_s=0.01, gap_s=0.5) for at in range(1, 7)], until_s=60)
    for at in range(1, 7):
        assert max(gaps(log, at)) <= 1.1 * (0.5 + ANSWER_S)


def test_alarm_registers_go_first_and_the_others_are_not_starved():
    log = play([target(at, ALARM, SLOW, poll_s=0.2) for at in range(1, 9)], until_s=60)
    alarms = [at for at, job in log if job.block == 0]
    others = [at for at, job in log if job.block == 1]
    assert len(alarms) > len(others) > 0
    first = [job.block for _, job in play([target(1, SLOW, ALARM)], until_s=0.1)]
    assert first[0] == 1


def test_after_the_port_came_back_everybody_is_asked_at_once():
    schedule = Schedule([target(1), target(2)], start_s=0.0, timeout_s=TIMEOUT_S)
    for _ in range(4):
        schedule.done(Job(unit_id=1, block=0, is_probe=False), began_s=0.0, ended_s=0.2, blame=1.0)
    assert schedule.is_quarantined(1)
    schedule.forget_failures(10.0)
    assert not schedule.is_quarantined(1)
    assert isinstance(schedule.next(10.0), Job)


@pytest.mark.parametrize("blame", [0.0, 0.5, 1.0])
def test_a_schedule_never_spins(blame):
    schedule = Schedule([target(1, poll_s=0.1, gap_s=0.0)], start_s=0.0, timeout_s=TIMEOUT_S)
    now_s, asked = 0.0, 0
    while now_s < 10:
        step = schedule.next(now_s)
        if isinstance(step, Rest):
            now_s = step.until_s
            continue
        schedule.done(step, began_s=now_s, ended_s=now_s, blame=blame)
        asked += 1
    assert asked <= 102


def test_fifty_units_do_not_start_in_one_burst():
    log = play([target(at) for at in range(1, 51)], until_s=1.0, answer_s=0.001)
    began = [at for at, _ in log]
    heapq.heapify(began)
    assert began[-1] - began[0] > 0.5
