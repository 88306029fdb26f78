"""Any sequence of conditions, commands, seconds and restarts keeps what the product promises."""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gatehouse_edge.alarms import board as boards
from gatehouse_edge.alarms import decisions
from gatehouse_edge.alarms.board import AlarmBoard, Draft
from gatehouse_edge.alarms.commands import (
    Acknowledge,
    AddNote,
    Annunciated,
    AttachEvidence,
    CloseAlarm,
    Inhibit,
    RescueReport,
    RescueStep,
    Reset,
    Shelve,
    StartTest,
    Uninhibit,
    Unshelve,
)
from gatehouse_edge.alarms.plan import DevicePlan, Place, Plan
from gatehouse_edge.clock import Now
from gatehouse_edge.rules.condition import Condition
from gatehouse_events.alarm import Actor
from gatehouse_events.clock import ClockQuality
from gatehouse_events.codes import CODES
from gatehouse_events.states import AlarmState, Disposition, Kind, Priority

ACTORS = [
    Actor(name="示例甲", role="operator", station="local"),
    Actor(name="示例乙", role="supervisor", station="fleet"),
]
DEVICES = {"gas-1": "gas", "lift-1": "lift", "btn-1": "button"}
PLAN = Plan(
    devices={
        device_id: DevicePlan(
            device_id=device_id, kind=kind, settings=None, place=Place(building="1", unit="1")
        )
        for device_id, kind in DEVICES.items()
    }
)
CAUSES = [
    ("gas-1", "gas.high_alarm"),
    ("gas-1", "gas.low_alarm"),
    ("gas-1", "gas.pre_warning"),
    ("gas-1", "gas.offline"),
    ("lift-1", "lift.trapped"),
    ("lift-1", "lift.other_fault"),
    ("btn-1", "sos.pressed"),
]
GAPS = st.sampled_from([0.0, 0.3, 1.0, 5.0, 20.0, 31.0, 61.0, 200.0, 901.0, 3600.0, 9 * 3600.0])


def instant(s: float) -> Now:
    return Now(
        wall=datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=s),
        service_s=s,
        boot="b" * 32,
        mono_ns=int(s * 1e9),
        clock=ClockQuality(synced=False, offset_ms=None),
    )


class Post:
    """A board with its disk."""

    def __init__(self):
        self.board = AlarmBoard()
        self.disk = {}
        self.changes = []
        self.results = []

    def step(self, s, conditions, work=None, *, is_tick=False):
        draft = Draft(self.board, PLAN, instant(s))
        if work is not None:
            self.results.append(work(draft))
        for device_id in DEVICES:
            draft.judge(device_id, conditions.get(device_id, {}).values())
        if is_tick:
            draft.pass_time()
        draft.settle(())
        self.board = draft.finish()
        for key, value in draft.state.items():
            if value is None:
                self.disk.pop(key, None)
            else:
                self.disk[key] = value
        self.changes += [r.body for r in draft.records if r.kind == "alarm"]
        self.escalations = [r.body for r in draft.records if r.kind == "escalation"]

    def restart(self):
        self.board, damaged = boards.restore(self.disk)
        assert not damaged


class Machine(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.post = Post()
        self.s = 1000.0
        self.conditions = {device_id: {} for device_id in DEVICES}
        self.occurrence = 0
        self.serial = 0
        self.told = {}
        self.waived = {}

    def do(self, work=None, *, is_tick=False):
        self.post.step(self.s, self.conditions, work, is_tick=is_tick)
        for change in self.post.changes:
            seq = self.told.get(change.alarm.alarm_id, 0)
            assert change.alarm.seq == seq + 1, "revisions go up by one"
            self.told[change.alarm.alarm_id] = change.alarm.seq
        self.post.changes.clear()

    @rule(cause=st.sampled_from(CAUSES), again=st.booleans(), gap=GAPS, hidden=st.booleans())
    def comes(self, cause, again, gap, hidden):
        self.s += gap
        device_id, code = cause
        self.occurrence += again
        self.conditions[device_id][code] = Condition(
            code=code,
            occurrence=self.occurrence,
            is_suppressed=hidden and code == "lift.other_fault",
            deadline_s=1800.0 if code == "lift.trapped" else None,
        )
        self.do()

    @rule(cause=st.sampled_from(CAUSES), gap=GAPS)
    def goes(self, cause, gap):
        self.s += gap
        self.conditions[cause[0]].pop(cause[1], None)
        self.do()

    @rule(gap=GAPS)
    def time_passes(self, gap):
        self.s += gap
        self.do(is_tick=True)

    @rule()
    def restart(self):
        self.post.restart()

    @precondition(lambda self: self.post.board.alarms)
    @rule(
        data=st.data(),
        actor=st.sampled_from(ACTORS),
        command=st.sampled_from(
            [
                Acknowledge,
                Shelve,
                Unshelve,
                Reset,
                CloseAlarm,
                AddNote,
                RescueReport,
                Annunciated,
                AttachEvidence,
            ]
        ),
        seen=st.sampled_from(["now", "first", "none"]),
    )
    def somebody_acts(self, data, actor, command, seen):
        alarm = data.draw(st.sampled_from(sorted(self.post.board.alarms.values(), key=lambda a: a.alarm_id)))
        self.serial += 1
        fields = {"actor": actor, "command_id": f"c{self.serial}", "alarm_id": alarm.alarm_id}
        fields["seen_seq"] = {"now": alarm.seq, "first": 1, "none": None}[seen]
        more = {
            Shelve: lambda: {
                "duration_s": data.draw(st.sampled_from([-1.0, 60.0, 900.0, 28800.0])),
                "reason": "r",
            },
            CloseAlarm: lambda: {"disposition": data.draw(st.sampled_from(Disposition)), "reason": "r"},
            AttachEvidence: lambda: {"evidence": ({"sha256": data.draw(st.sampled_from("abc")) * 64},)},
            AddNote: lambda: {"text": data.draw(st.text(max_size=5))},
            RescueReport: lambda: {"step": data.draw(st.sampled_from(RescueStep))},
            Annunciated: lambda: {"seq": alarm.seq, "visible": True, "audible": data.draw(st.booleans())},
        }
        built = command(**fields, **more.get(command, dict)())
        work = decisions.receive if command is Annunciated else decisions.decide
        self.do(lambda draft: work(draft, built))
        result = self.post.results[-1]
        if command is CloseAlarm and result.refused is None and alarm.is_active:
            self.waived[(alarm.device_id, alarm.code)] = self.s + boards.WAIVE_S
        if command is Shelve and alarm.priority is Priority.P1:
            assert result.refused is not None
        if command is Reset and alarm.is_active:
            assert result.refused is not None

    @rule(
        device_id=st.sampled_from(sorted(DEVICES)),
        command=st.sampled_from([Inhibit, Uninhibit, StartTest]),
        duration_s=st.sampled_from([0.0, 60.0, 900.0, 901.0, 30000.0]),
    )
    def somebody_works_on_a_device(self, device_id, command, duration_s):
        self.serial += 1
        fields = {"actor": ACTORS[0], "command_id": f"c{self.serial}", "device_id": device_id}
        more = {
            Inhibit: {"duration_s": duration_s, "reason": "r"},
            Uninhibit: {},
            StartTest: {"code": "sos.pressed", "duration_s": duration_s},
        }
        built = command(**fields, **more[command])
        self.do(lambda draft: decisions.decide_device(draft, built))

    @invariant()
    def an_active_cause_always_has_an_open_alarm(self):
        if not hasattr(self, "post"):
            return
        for device_id, conditions in self.conditions.items():
            for code in conditions:
                if self.waived.get((device_id, code), 0.0) >= self.s:
                    continue  # a person said it is over, not longer than 15 min ago
                found = self.real(device_id, code)
                assert len(found) == 1, (code, found)
                assert found[0].is_active
                assert found[0].state is not AlarmState.CLOSED

    @invariant()
    def a_p1_is_never_shelved_and_hidden_only_by_design_or_inhibition(self):
        if not hasattr(self, "post"):
            return
        for alarm in self.post.board.alarms.values():
            if alarm.priority is Priority.P1 and alarm.kind is Kind.ALARM:
                assert alarm.state is not AlarmState.SHELVED
                assert (alarm.state is AlarmState.SUPPRESSED) is (alarm.hidden is not None)

    @invariant()
    def states_agree_with_their_cause(self):
        if not hasattr(self, "post"):
            return
        for alarm in self.post.board.alarms.values():
            if alarm.state in {AlarmState.RTN, AlarmState.LATCHED}:
                assert not alarm.is_active
            if alarm.state is AlarmState.ACKED:
                assert alarm.is_active
                assert alarm.acked_by
            if alarm.state is AlarmState.LATCHED:
                assert CODES[alarm.code].latched

    @invariant()
    def nothing_open_is_missing_on_the_disk(self):
        if not hasattr(self, "post"):
            return
        on_disk = {key.removeprefix("alarm/") for key in self.post.disk if key.startswith("alarm/")}
        assert on_disk == set(self.post.board.alarms)
        for alarm_id, alarm in self.post.board.alarms.items():
            kept = msgspec.json.decode(self.post.disk[f"alarm/{alarm_id}"])
            assert (kept["seq"], kept["state"]) == (alarm.seq, alarm.state)

    def real(self, device_id, code):
        return [
            a
            for a in self.post.board.alarms.values()
            if (a.device_id, a.code) == (device_id, code) and a.kind is not Kind.TEST
        ]


Machine.TestCase.settings = settings(
    max_examples=settings().max_examples * 3 // 5,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestAnySequence = Machine.TestCase

STEP = st.tuples(
    st.sampled_from(["comes", "goes", "tick", "ack", "reset", "shelve"]),
    st.sampled_from(CAUSES),
    st.sampled_from([61.0, 90.0, 200.0, 901.0, 4000.0]),  # no chatter: its counts may be lost with power
)


@settings(max_examples=settings().max_examples * 3 // 5, deadline=None)
@given(st.lists(STEP, max_size=30))
def test_a_restart_at_every_point_is_as_if_it_had_not_been(steps):
    calm, shaken = Post(), Post()
    conditions = {device_id: {} for device_id in DEVICES}
    s = 0.0
    for n, (what, (device_id, code), gap) in enumerate(steps):
        s += gap
        if what == "comes":
            conditions[device_id][code] = Condition(code=code, facts={"n": [1]}, deadline_s=1800.0)
        if what == "goes":
            conditions[device_id].pop(code, None)

        def work(draft, what=what, device_id=device_id, code=code, n=n):
            alarm = draft.open_alarm(device_id, code)
            if alarm is None or what not in {"ack", "reset", "shelve"}:
                return
            fields = {"actor": ACTORS[0], "command_id": f"c{n}", "alarm_id": alarm.alarm_id}
            command = {
                "ack": lambda: Acknowledge(**fields),
                "reset": lambda: Reset(**fields),
                "shelve": lambda: Shelve(**fields, duration_s=600.0, reason="r"),
            }[what]()
            decisions.decide(draft, command)

        calm.step(s, conditions, work, is_tick=what == "tick")
        shaken.restart()
        shaken.step(s, conditions, work, is_tick=what == "tick")
        assert shaken.board == calm.board
        assert shaken.changes == calm.changes
        assert shaken.escalations == calm.escalations
