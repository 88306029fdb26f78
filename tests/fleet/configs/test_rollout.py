"""The state machine of rollouts, played against a model of gateways that take, refuse, fall silent and come back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gatehouse_events.orders import OrderResult
from gatehouse_fleet.configs import rollout as machine
from gatehouse_fleet.configs.errors import ConfigsError
from gatehouse_fleet.configs.rollout import (
    Give,
    Member,
    Phase,
    Plan,
    Rollout,
    Sight,
    Standing,
    Target,
    Why,
    advance,
    staged,
)

START = datetime(2026, 11, 26, 1, 0, tzinfo=UTC)


def target(number: int) -> Target:
    return Target(number=number, name=f"{number}-{number:012x}", sha256=f"{number:064x}", size_bytes=100)


OLD, NEW = target(1), target(2)


def rollout_of(*stages: int, max_failures: int = 0, former: Target | None = OLD) -> Rollout:
    numbers = [stage for stage, size in enumerate(stages) for _ in range(size)]
    return Rollout(
        plan=Plan(stages=stages, max_failures=max_failures),
        phase=Phase.RUNNING,
        members=tuple(
            Member(gateway_no=no, stage=stage, wanted=NEW, former=former)
            for no, stage in enumerate(numbers, start=1)
        ),
    )


def seen(running: Target = OLD, **more: object) -> Sight:
    return Sight(version=running.name, sha256=running.sha256, **more)  # type: ignore[arg-type]


DONE = seen(NEW, result=OrderResult.DONE)
REFUSED = seen(OLD, result=OrderResult.FAILED, detail="taken back: the fleet was lost with it")


@pytest.mark.parametrize(
    ("count", "steps", "sizes"),
    [
        (10, ((1, None), (None, 20)), (1, 2, 7)),
        (3, ((None, 1),), (1, 2)),
        (2, ((5, None), (1, None)), (2,)),
        (4, (), (4,)),
        (5, ((None, 50), (None, 50)), (3, 2)),
    ],
)
def test_stages_are_numbers_or_shares_and_the_rest(
    count: int, steps: tuple[tuple[int | None, int | None], ...], sizes: tuple[int, ...]
) -> None:
    assert staged(count, steps) == sizes


def test_the_next_stage_waits_for_answer_and_report() -> None:
    rollout, gives = advance(rollout_of(1, 2), dict.fromkeys((1, 2, 3), seen()), START)
    assert [give.gateway_no for give in gives] == [1]
    answered = {1: seen(OLD, result=OrderResult.DONE), 2: seen(), 3: seen()}
    rollout, gives = advance(rollout, answered, START)
    assert not gives
    assert (rollout.members[0].why, rollout.members[1].why) == (Why.NOT_REPORTED, Why.NEXT_STAGE)
    rollout, gives = advance(rollout, answered | {1: DONE}, START)
    assert [give.gateway_no for give in gives] == [2, 3]
    rollout, _ = advance(rollout, dict.fromkeys((1, 2, 3), DONE), START)
    assert rollout.phase is Phase.DONE


def test_a_silent_gateway_is_a_failure_when_its_time_is_over() -> None:
    rollout, _ = advance(rollout_of(1, 1), dict.fromkeys((1, 2), seen()), START)
    late = START + rollout.plan.patience
    rollout, _ = advance(rollout, dict.fromkeys((1, 2), seen()), late - timedelta(seconds=1))
    assert rollout.phase is Phase.RUNNING
    rollout, gives = advance(rollout, dict.fromkeys((1, 2), seen()), late)
    assert (rollout.phase, rollout.members[0].why, gives) == (Phase.STOPPED, Why.SILENT, ())


def test_nothing_is_changed_under_an_urgent_alarm_and_that_is_said() -> None:
    rollout, gives = advance(rollout_of(1), {1: seen(has_urgent_alarm=True)}, START)
    assert (rollout.members[0].why, gives) == (Why.ALARM_OPEN, ())
    rollout, gives = advance(rollout, {1: seen()}, START + timedelta(hours=3))
    assert len(gives) == 1


def test_what_a_silent_gateway_said_last_is_no_proof() -> None:
    rollout, gives = advance(rollout_of(1), {1: seen(NEW, is_heard=False)}, START)
    assert len(gives) == 1
    rollout, gives = advance(rollout_of(1), {1: seen(NEW)}, START)
    assert (rollout.phase, rollout.members[0].why, gives) == (Phase.DONE, Why.ALREADY, ())


def test_who_ran_a_local_file_cannot_be_taken_back_from_here_and_that_is_said() -> None:
    rollout, _ = advance(rollout_of(1, former=None), {1: Sight()}, START)
    rollout, _ = advance(rollout, {1: DONE}, START)
    rollout, gives = advance(machine.roll_back(rollout), {1: DONE}, START)
    assert not gives
    assert (rollout.phase, rollout.members[0].why) == (Phase.ROLLED_BACK, Why.NO_FORMER)


def test_a_refused_way_back_is_tried_again_later_and_not_for_ever() -> None:
    rollout, _ = advance(rollout_of(1), {1: seen()}, START)
    rollout, _ = advance(rollout, {1: DONE}, START)
    rollout, gives = advance(machine.roll_back(rollout), {1: DONE}, START)
    refused = {1: seen(NEW, result=OrderResult.REFUSED)}
    now, given = START, len(gives)
    while rollout.phase is Phase.ROLLING_BACK:
        now += timedelta(seconds=50)
        rollout, gives = advance(rollout, refused, now)
        given += len(gives)
    assert (given, rollout.members[0].standing) == (machine.MAX_RETURNS, Standing.NOT_RETURNED)
    assert now - START >= timedelta(seconds=240)


def test_who_took_it_in_silence_and_refuses_the_way_back_is_not_believed_to_be_back() -> None:
    rollout, _ = advance(rollout_of(1), {1: seen()}, START)
    taken = seen(OLD, result=OrderResult.DONE)  # its status has not come yet
    late = START + rollout.plan.patience
    rollout, gives = advance(machine.roll_back(rollout), {1: taken}, late)
    assert [give.target for give in gives] == [OLD]
    rollout, _ = advance(rollout, {1: REFUSED}, late)
    assert (rollout.phase, rollout.members[0].standing) == (Phase.ROLLING_BACK, Standing.TO_RETURN)
    late += timedelta(seconds=2 * rollout.plan.confirm_within_s)
    rollout, gives = advance(rollout, {1: REFUSED}, late)
    assert [give.target for give in gives] == [OLD]


def test_what_stopped_by_itself_does_not_go_on() -> None:
    rollout, _ = advance(rollout_of(1, 1), dict.fromkeys((1, 2), seen()), START)
    rollout, _ = advance(rollout, {1: REFUSED, 2: seen()}, START)
    assert rollout.phase is Phase.STOPPED
    with pytest.raises(ConfigsError):
        machine.resume(rollout)
    rollout, gives = advance(machine.roll_back(rollout), {1: REFUSED, 2: seen()}, START)
    assert not gives, "it went back by itself, and the other one was never touched"
    assert [one.why for one in rollout.members] == [Why.BACK_BY_ITSELF, Why.UNTOUCHED]


class Gateway:
    """What one gateway does with its orders."""

    def __init__(self) -> None:
        self.runs = OLD
        self.reports = OLD
        self.order: Give | None = None
        self.result: OrderResult | None = None
        self.has_alarm = False

    @property
    def sight(self) -> Sight:
        return seen(self.reports, result=self.result, has_urgent_alarm=self.has_alarm)


class Rollouts(RuleBasedStateMachine):
    """Anything may happen in any order."""

    @initialize(stages=st.lists(st.integers(1, 3), min_size=1, max_size=4), max_failures=st.integers(0, 2))
    def begin(self, stages: list[int], max_failures: int) -> None:
        self.rollout = rollout_of(*stages, max_failures=max_failures)
        self.gateways = {one.gateway_no: Gateway() for one in self.rollout.members}
        self.now = START
        self.touched: set[int] = set()

    def moved(self) -> None:
        before = self.rollout
        sights = {no: one.sight for no, one in self.gateways.items()}
        self.rollout, gives = advance(before, sights, self.now)
        forward = [give for give in gives if give.target == NEW]
        if forward:
            assert before.phase is Phase.RUNNING
            assert self.rollout.failures <= before.plan.max_failures, "never past a failure"
        if before.phase is not Phase.ROLLING_BACK:
            assert all(give.target == NEW for give in gives)
        for give in gives:
            one = self.gateways[give.gateway_no]
            assert not one.has_alarm, "never under an urgent alarm"
            one.order, one.result = give, None
            self.touched.add(give.gateway_no)

    @rule(after_s=st.sampled_from([0, 1, 130, 1200, 700_000]))
    def look(self, after_s: int) -> None:
        self.now += timedelta(seconds=after_s)
        self.moved()

    @rule(data=st.data(), how=st.sampled_from(["take", "take quietly", "refuse", "expire"]))
    def answer(self, data: st.DataObject, how: str) -> None:
        waiting = [one for one in self.gateways.values() if one.order is not None and one.result is None]
        if not waiting:
            return
        one = data.draw(st.sampled_from(waiting))
        assert one.order is not None
        if how.startswith("take"):
            one.runs, one.result = one.order.target, OrderResult.DONE
            if how == "take":
                one.reports = one.runs
        else:
            one.result = OrderResult.FAILED if how == "refuse" else OrderResult.EXPIRED

    @rule(data=st.data())
    def report(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(sorted(self.gateways)))
        self.gateways[one].reports = self.gateways[one].runs

    @rule(data=st.data())
    def alarm(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(sorted(self.gateways)))
        self.gateways[one].has_alarm = not self.gateways[one].has_alarm

    @rule(move=st.sampled_from([machine.pause, machine.resume, machine.end]))
    def person(self, move: object) -> None:
        try:
            self.rollout = move(self.rollout)  # type: ignore[operator]
        except ConfigsError:
            return

    @precondition(lambda self: self.rollout.phase not in {Phase.ROLLING_BACK, Phase.ENDED})
    @rule()
    def roll_back(self) -> None:
        try:
            self.rollout = machine.roll_back(self.rollout)
        except ConfigsError:
            assert self.rollout.phase is Phase.ROLLED_BACK

    def teardown(self) -> None:
        """Whoever waits long enough and hears from everybody comes to the end of the way back."""
        if not hasattr(self, "rollout") or self.rollout.phase is not Phase.ROLLING_BACK:
            return
        for _ in range(4):
            for one in self.gateways.values():
                one.has_alarm = False
                if one.order is not None and one.result is None:
                    one.runs, one.result = one.order.target, OrderResult.DONE
                one.reports = one.runs
            self.now += timedelta(hours=1)
            self.moved()
        assert self.rollout.phase is Phase.ROLLED_BACK
        self.the_way_back_reaches_all_touched()

    @invariant()
    def never_two_stages_at_once(self) -> None:
        trying = {one.stage for one in self.rollout.members if one.standing is Standing.ORDERED}
        assert len(trying) <= 1
        begun = [one.stage for one in self.rollout.members if one.ordered_at is not None]
        for one in self.rollout.members:
            if one.standing in {Standing.WAITING, Standing.ORDERED}:
                assert one.stage >= max(begun, default=0)

    @invariant()
    def the_way_back_reaches_all_touched(self) -> None:
        if self.rollout.phase is not Phase.ROLLED_BACK:
            return
        for one in self.rollout.members:
            if one.gateway_no in self.touched:
                assert one.standing in {Standing.RETURNED, Standing.NOT_RETURNED}
                is_back = self.gateways[one.gateway_no].runs == OLD
                assert is_back or one.standing is Standing.NOT_RETURNED
            else:
                assert self.gateways[one.gateway_no].runs == OLD

    @invariant()
    def everybody_on_the_way_is_in_hand(self) -> None:
        held = set(machine.in_hand(self.rollout))
        for one in self.rollout.members:
            if one.standing in {Standing.ORDERED, Standing.TO_RETURN, Standing.RETURNING}:
                assert one.gateway_no in held


Rollouts.TestCase.settings = settings(max_examples=settings().max_examples // 2, stateful_step_count=40)
test_rollouts_keep_their_promises_whatever_happens = Rollouts.TestCase
