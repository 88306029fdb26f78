from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from gatehouse_edge.alarms.board import REAL_ALARM
from gatehouse_edge.alarms.commands import (
    Acknowledge,
    AddNote,
    Annunciated,
    CloseAlarm,
    ConfirmValveOpen,
    DeskLeft,
    EndTest,
    Inhibit,
    RequestValveOpen,
    RescueReport,
    RescueStep,
    Reset,
    SetAbsence,
    Shelve,
    SilenceSounder,
    StartTest,
    TestOutput,
    Uninhibit,
    Unshelve,
)
from gatehouse_edge.alarms.plan import DevicePlan, LadderStep, OutputKind, OutputPlan, Place, Plan
from gatehouse_edge.clock import Now
from gatehouse_edge.desk import Desk, Report, demands, replan, restore, step
from gatehouse_edge.reading import (
    ButtonEvent,
    ButtonReading,
    Car,
    GasFlag,
    GasReading,
    InputReading,
    LiftReading,
    OutputReading,
    Quality,
    Refusal,
    RefusalReason,
    Unit,
)
from gatehouse_edge.rules import RULES
from gatehouse_edge.rules.supervision import Supervision
from gatehouse_events.alarm import GATEWAY, SYSTEM, Actor, Alarm, DealStatus
from gatehouse_events.clock import ClockQuality
from gatehouse_events.states import AlarmState, Disposition, Kind, Priority

GUARD = Actor(name="示例甲", role="operator", station="local")
CHIEF = Actor(name="示例乙", role="supervisor", station="local")
REMOTE = Actor(name="示例丙", role="admin", station="fleet")
PLACE = Place(building="3", unit="2")
CALM = Supervision(max_silence_s=1e9)


def settings(kind):
    fields = RULES[kind].settings.__struct_fields__
    return RULES[kind].settings(supervision=CALM) if "supervision" in fields else RULES[kind].settings()


def make_plan(**more):
    kinds = {"gas-1": "gas", "lift-1": "lift", "io-1": "io"} | {f"btn-{n}": "button" for n in range(20)}
    return Plan(
        devices={
            d: DevicePlan(device_id=d, kind=k, settings=settings(k), place=PLACE) for d, k in kinds.items()
        },
        outputs={
            "siren": OutputPlan(output_id="siren", kind=OutputKind.SIREN),
            "quiet": OutputPlan(output_id="quiet", kind=OutputKind.SIREN, is_quiet=True),
            "lamp": OutputPlan(output_id="lamp", kind=OutputKind.LAMP),
            "voice": OutputPlan(output_id="voice", kind=OutputKind.VOICE, serves=("lift-1",)),
            "valve": OutputPlan(output_id="valve", kind=OutputKind.GAS_VALVE, serves=("gas-1",)),
        },
        **more,
    )


class Site:
    """A desk with its disk and a clock that the test sets."""

    def __init__(self, plan=None):
        self.plan = plan or make_plan()
        self.s = 1000.0
        self.disk: dict[str, bytes] = {}
        self.records = []
        self.desk = replan(Desk(), self.plan, self.now())
        self.serial = 0

    def now(self) -> Now:
        return Now(
            wall=datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=self.s),
            service_s=self.s,
            boot="b" * 32,
            mono_ns=int(self.s * 1e9),
            clock=ClockQuality(synced=True, offset_ms=1.0),
        )

    def do(self, item):
        self.desk, outcome = step(self.desk, item, self.now(), self.plan)
        for key, value in outcome.state.items():
            if value is None:
                self.disk.pop(key, None)
            else:
                self.disk[key] = value
        self.records += outcome.records
        return outcome

    def give(self, command, **fields):
        self.serial += 1
        fields.setdefault("actor", GUARD)
        return self.do(command(command_id=f"c{self.serial}", **fields)).result

    def wait(self, seconds, every=1.0):
        end = self.s + seconds
        while self.s < end:
            self.s = min(end, self.s + every)
            self.do(None)

    def restart(self, down_s=0.0):
        self.s += down_s
        self.desk = restore(self.disk, self.plan, self.now())

    def gas(self, *flags, value=1.0):
        self.do(
            GasReading(
                device_id="gas-1",
                at=self.now(),
                value=value,
                unit=Unit.PCT_LEL,
                quality=Quality.GOOD,
                flags=frozenset(flags),
                low_set=20.0,
                high_set=50.0,
                full_scale=100.0,
            )
        )

    def gas_goes(self):
        for _ in range(8):
            self.s += 1
            self.gas()

    def press(self, button="btn-0", counter=None):
        self.serial += 1
        self.do(
            ButtonReading(
                device_id=button,
                at=self.now(),
                event=ButtonEvent.PRESS,
                counter=counter or self.serial,
                key_id=1,
            )
        )

    def alarm(self, code) -> Alarm:
        found = [a for a in self.desk.board.alarms.values() if a.code == code]
        assert len(found) == 1, [a.code for a in self.desk.board.alarms.values()]
        return found[0]

    def codes(self):
        return sorted(a.code for a in self.desk.board.alarms.values())

    def on(self, output):
        return demands(self.desk, self.plan, self.now())[output].is_on

    def said(self, kind):
        return [r.body for r in self.records if r.kind == kind]


@pytest.fixture
def site():
    return Site()


def test_a_leak_is_raised_taken_reset_and_each_revision_is_written(site):
    site.gas(GasFlag.LOW_ALARM)
    alarm = site.alarm("gas.low_alarm")
    assert site.give(Acknowledge, alarm_id=alarm.alarm_id, seen_seq=1).refused is None
    refused = site.give(Reset, alarm_id=alarm.alarm_id).refused
    assert refused.reason == "still_active"
    site.gas_goes()
    assert site.alarm("gas.low_alarm").state is AlarmState.LATCHED
    assert site.give(Reset, alarm_id=alarm.alarm_id).refused is None
    seqs = [c.alarm.seq for c in site.said("alarm") if c.alarm.code == "gas.low_alarm"]
    assert seqs == list(range(1, len(seqs) + 1))
    assert site.desk.board.alarms == {}
    assert not [key for key in site.disk if key.startswith("alarm/")]


def test_acknowledging_a_fault_leaves_the_alarm_behind_it(site):
    site.gas(GasFlag.LOW_ALARM, GasFlag.CALIBRATION_DUE)
    site.give(Acknowledge, alarm_id=site.alarm("gas.calibration_due").alarm_id)
    assert site.alarm("gas.low_alarm").state is AlarmState.UNACK


def test_the_first_acknowledgement_wins_and_the_second_is_recorded(site):
    site.press()
    alarm = site.alarm("sos.pressed")
    first = site.give(Acknowledge, alarm_id=alarm.alarm_id, seen_seq=alarm.seq)
    second = site.give(Acknowledge, alarm_id=alarm.alarm_id, seen_seq=1, actor=CHIEF)
    assert (first.was_first, second.was_first, second.refused) == (True, False, None)
    assert site.alarm("sos.pressed").acked_by == GUARD.name
    assert len(site.said("outcome")) == 2


def test_a_command_that_saw_another_state_is_refused_in_both_languages(site):
    site.gas(GasFlag.PRE_WARNING)
    alarm = site.alarm("gas.pre_warning")
    site.gas_goes()
    refused = site.give(Acknowledge, alarm_id=alarm.alarm_id, seen_seq=alarm.seq).refused
    assert refused.reason == "stale"
    assert refused.text.zh
    assert refused.text.en
    assert site.alarm("gas.pre_warning").state is AlarmState.RTN


def test_a_command_sent_twice_is_done_once(site):
    site.press()
    alarm = site.alarm("sos.pressed")
    command = AddNote(actor=GUARD, command_id="same", alarm_id=alarm.alarm_id, text="已联系家属（示例）")
    assert site.do(command).result == site.do(command).result
    assert len(site.alarm("sos.pressed").notes) == 1


def test_p1_is_never_shelved_and_safety_at_most_15_minutes(site):
    site.gas(GasFlag.HIGH_ALARM, GasFlag.LOW_ALARM, GasFlag.CALIBRATION_DUE)
    high, low, cal = (site.alarm(f"gas.{n}").alarm_id for n in ("high_alarm", "low_alarm", "calibration_due"))
    assert site.give(Shelve, alarm_id=high, duration_s=1, reason="r").refused.reason == "never_shelved"
    assert site.give(Shelve, alarm_id=low, duration_s=901, reason="r").refused.reason == "term"
    assert site.give(Shelve, alarm_id=low, duration_s=900, reason=" ").refused.reason == "reason_missing"
    assert site.give(Shelve, alarm_id=cal, duration_s=8 * 3600 + 1, reason="r").refused.reason == "term"
    assert site.give(Shelve, alarm_id=low, duration_s=900, reason="维修").refused is None
    site.wait(899)
    assert site.alarm("gas.low_alarm").state is AlarmState.SHELVED
    site.wait(1)
    assert site.alarm("gas.low_alarm").state is AlarmState.UNACK
    assert site.give(Unshelve, alarm_id=low).refused.reason == "wrong_state"


def test_the_ladder_of_a_help_call_is_climbed_at_0_30_90_and_180_seconds(site):
    site.press()
    at = {}
    for _ in range(200):
        for entry in site.said("escalation"):
            at.setdefault(entry.step, (site.s - 1000.0, entry.notify))
        site.s += 1
        site.do(None)
    assert at == {
        0: (0.0, ("desk",)),
        1: (30.0, ("second",)),
        2: (90.0, ("manager", "family")),
        3: (180.0, ("prompt_120",)),
    }
    assert len(site.said("escalation")) == 4 + 1 + 2  # console_unheard is P2 and climbs its own


def test_the_ladder_stops_when_somebody_comes(site):
    site.press()
    site.wait(31)
    site.give(Acknowledge, alarm_id=site.alarm("sos.pressed").alarm_id)
    site.wait(300)
    assert [e.step for e in site.said("escalation") if e.code == "sos.pressed"] == [0, 1]


def test_a_restart_neither_repeats_nor_skips_a_step(site):
    site.press()
    for _ in range(100):
        site.restart()
        site.wait(1)
    site.restart(down_s=500)
    site.do(None)
    assert [e.step for e in site.said("escalation") if e.code == "sos.pressed"] == [0, 1, 2, 3]


def test_a_ladder_of_the_configuration_is_taken_by_code_or_category():
    plan = make_plan(escalation={"sos": (LadderStep(after_s=5.0, notify=("x",)),)})
    site = Site(plan)
    site.press()
    site.wait(4)
    assert not [e for e in site.said("escalation") if e.code == "sos.pressed"]
    site.wait(1)
    assert [e.notify for e in site.said("escalation") if e.code == "sos.pressed"] == [("x",)]


def test_an_unanswered_call_is_overdue_after_a_minute(site):
    site.press()
    site.wait(59)
    assert not site.alarm("sos.pressed").is_overdue
    site.wait(1)
    assert site.alarm("sos.pressed").is_overdue


def test_ten_alarms_in_ten_minutes_are_a_flood_and_criticals_stay_on_top(site):
    from gatehouse_edge.alarms.flood import figures, order

    for n in range(8):
        site.press(f"btn-{n}")
        site.give(Acknowledge, alarm_id=site.alarm("sos.pressed").alarm_id) if n == 0 else None
        site.s += 30
    site.gas(GasFlag.PRE_WARNING, GasFlag.CALIBRATION_DUE)
    assert "gateway.alarm_flood" in site.codes()
    listed = sorted(site.desk.board.alarms.values(), key=order)
    assert [a.priority for a in listed] == sorted(a.priority for a in listed)
    assert listed[0].priority is Priority.P1
    assert figures(site.desk.board.load, listed, site.now()).is_flood
    site.wait(700)
    assert site.alarm("gateway.alarm_flood").state is AlarmState.RTN
    assert not figures(site.desk.board.load, listed, site.now()).is_flood


def test_nine_alarms_in_ten_minutes_are_no_flood(site):
    for n in range(8):
        site.press(f"btn-{n}")
    assert "gateway.alarm_flood" not in site.codes()


def test_alarms_of_one_stairwell_become_one_incident(site):
    site.gas(GasFlag.LOW_ALARM)
    site.s += 100
    site.press()
    gas, sos = site.alarm("gas.low_alarm"), site.alarm("sos.pressed")
    assert gas.incident_id == sos.incident_id
    assert (gas.first_out, sos.first_out) == (True, False)
    incident = site.desk.board.incidents["3/2"]
    assert incident.is_correlated
    assert incident.alarm_ids == (gas.alarm_id, sos.alarm_id)
    site.restart(down_s=601)
    site.press("btn-1")
    later = next(a for a in site.desk.board.alarms.values() if a.device_id == "btn-1")
    assert later.incident_id != gas.incident_id
    assert later.first_out


def test_the_siren_sounds_until_taken_and_any_new_alarm_ends_the_silence(site):
    site.press()
    assert site.on("siren")
    site.give(SilenceSounder)
    assert not site.on("siren")
    site.restart()
    assert not site.on("siren")
    site.press("btn-1")
    assert site.on("siren")
    for alarm in list(site.desk.board.alarms.values()):  # or the missing receipt would sound it again
        site.give(Annunciated, alarm_id=alarm.alarm_id, seq=alarm.seq, visible=True, audible=True)
    site.give(SilenceSounder)
    site.wait(119)
    assert not site.on("siren")
    site.wait(2)
    assert site.on("siren")
    for alarm in list(site.desk.board.alarms.values()):
        site.give(Acknowledge, alarm_id=alarm.alarm_id)
    assert not site.on("siren")
    assert site.on("lamp")


def test_an_alarm_that_no_console_shows_drives_even_a_quiet_siren(site):
    site.press()
    alarm = site.alarm("sos.pressed")
    site.wait(4)
    assert not site.on("quiet")
    site.wait(1)
    assert site.on("quiet")
    assert "gateway.console_unheard" in site.codes()
    site.give(
        Annunciated, alarm_id=alarm.alarm_id, seq=site.alarm("sos.pressed").seq, visible=True, audible=True
    )
    assert not site.on("quiet")
    assert site.alarm("gateway.console_unheard").state is AlarmState.RTN


def test_a_receipt_of_a_hidden_page_does_not_count(site):
    site.press()
    alarm = site.alarm("sos.pressed")
    site.give(Annunciated, alarm_id=alarm.alarm_id, seq=alarm.seq, visible=False, audible=True)
    assert not site.on("quiet")
    site.wait(5)
    assert site.on("quiet")


def test_a_mute_page_makes_the_quiet_siren_sound_at_once(site):
    site.press()
    alarm = site.alarm("sos.pressed")
    site.give(Annunciated, alarm_id=alarm.alarm_id, seq=alarm.seq, visible=True, audible=False)
    assert site.on("quiet")
    assert "gateway.console_unheard" not in site.codes()
    site.wait(5)
    assert site.alarm("gateway.console_unheard").text == "page is mute"
    site.give(
        Annunciated, alarm_id=alarm.alarm_id, seq=site.alarm("sos.pressed").seq, visible=True, audible=True
    )
    assert not site.on("quiet")


@pytest.mark.parametrize(
    "actor",
    [
        REMOTE,
        Actor(name="示例丁", role="viewer", station="local"),
        Actor(name="示例戊", role="operator", station="remote 10.1.1.1"),
    ],
    ids=lambda actor: f"{actor.role} {actor.station}",
)
def test_only_a_screen_at_the_desk_tells_an_alarm(site, actor):
    site.press()
    alarm = site.alarm("sos.pressed")
    site.give(Annunciated, alarm_id=alarm.alarm_id, seq=alarm.seq, visible=True, audible=True, actor=actor)
    site.wait(5)
    assert site.on("quiet")
    assert "gateway.console_unheard" in site.codes()


def test_when_the_last_screen_has_gone_what_it_told_counts_as_untold(site):
    site.press()
    alarm = site.alarm("sos.pressed")
    site.give(Annunciated, alarm_id=alarm.alarm_id, seq=alarm.seq, visible=True, audible=True)
    site.wait(60)
    site.give(DeskLeft, actor=SYSTEM)
    site.wait(1)
    assert site.on("quiet")
    assert "gateway.console_unheard" in site.codes()
    site.restart()
    assert site.on("quiet")
    site.give(
        Annunciated, alarm_id=alarm.alarm_id, seq=site.alarm("sos.pressed").seq, visible=True, audible=True
    )
    assert not site.on("quiet")


def test_an_alarm_that_somebody_took_stays_told_when_the_screen_goes(site):
    site.press()
    site.give(Acknowledge, alarm_id=site.alarm("sos.pressed").alarm_id)
    site.give(DeskLeft, actor=SYSTEM)
    site.wait(6)
    assert not site.on("quiet")


def test_a_receipt_in_time_keeps_everything_quiet_also_over_a_restart(site):
    site.press()
    alarm = site.alarm("sos.pressed")
    site.give(Annunciated, alarm_id=alarm.alarm_id, seq=alarm.seq, visible=True, audible=True)
    site.restart()
    site.wait(10)
    assert "gateway.console_unheard" not in site.codes()


def test_gas_closes_the_valve_and_one_person_cannot_open_it(site):
    site.gas(GasFlag.HIGH_ALARM)
    assert site.on("valve")
    site.restart()
    assert site.on("valve")
    assert site.give(RequestValveOpen, output_id="valve", reason="r").refused.reason == "gas_present"
    site.gas_goes()
    assert site.on("valve")
    assert (
        site.give(RequestValveOpen, output_id="valve", reason="r", actor=REMOTE).refused.reason
        == "not_on_site"
    )
    assert site.give(ConfirmValveOpen, output_id="valve", actor=CHIEF).refused.reason == "no_request"
    assert (
        site.give(RequestValveOpen, output_id="valve", reason="已通风检测（示例）", actor=CHIEF).refused
        is None
    )
    assert site.give(ConfirmValveOpen, output_id="valve", actor=CHIEF).refused.reason == "same_person"
    assert site.give(ConfirmValveOpen, output_id="valve", actor=GUARD).refused.reason == "role"
    assert site.give(ConfirmValveOpen, output_id="valve", actor=REMOTE).refused.reason == "not_on_site"
    assert site.on("valve")


def test_two_people_on_site_open_the_valve_within_two_minutes(site):
    site.gas(GasFlag.HIGH_ALARM)
    site.gas_goes()
    site.give(RequestValveOpen, output_id="valve", reason="r")
    site.s += 121
    assert site.give(ConfirmValveOpen, output_id="valve", actor=CHIEF).refused.reason == "no_request"
    site.give(RequestValveOpen, output_id="valve", reason="r")
    site.restart(down_s=100)
    assert site.give(ConfirmValveOpen, output_id="valve", actor=CHIEF).refused is None
    assert not site.on("valve")
    assert [(m.is_closed, len(m.actors)) for m in site.said("output")] == [(True, 1), (False, 2)]
    site.gas(GasFlag.HIGH_ALARM)
    assert site.on("valve")


def test_gas_that_comes_back_between_request_and_confirmation_keeps_the_valve_closed(site):
    site.gas(GasFlag.HIGH_ALARM)
    site.gas_goes()
    site.give(RequestValveOpen, output_id="valve", reason="r")
    site.gas(GasFlag.HIGH_ALARM)
    site.gas_goes()
    assert site.give(ConfirmValveOpen, output_id="valve", actor=CHIEF).refused.reason == "no_request"


def test_a_blind_detector_keeps_the_valve_closed(site):
    site.gas(GasFlag.HIGH_ALARM)
    site.gas_goes()
    site.gas(GasFlag.SENSOR_FAULT)
    assert site.give(RequestValveOpen, output_id="valve", reason="r").refused.reason == "detector_blind"


def test_a_drill_sounds_but_moves_no_valve_calls_no_family_and_ends(site):
    result = site.give(StartTest, device_id="gas-1", code="gas.high_alarm", duration_s=60)
    assert result.refused is None
    assert site.alarm("gas.high_alarm").kind is Kind.TEST
    assert site.on("siren")
    assert not site.on("valve")
    site.restart()
    site.wait(59)
    assert [e.step for e in site.said("escalation") if e.is_test] == [0]
    site.wait(1)
    assert "gas.high_alarm" not in site.codes()
    assert {c.word.value for c in site.said("alarm") if c.alarm.kind is Kind.TEST} == {"test"}


def test_a_real_alarm_ends_every_drill_and_is_an_alarm_of_its_own(site):
    site.give(StartTest, device_id="gas-1", code="gas.high_alarm")
    site.give(StartTest, device_id="lift-1", code="lift.trapped")
    site.gas(GasFlag.HIGH_ALARM)
    assert {(a.kind, a.code) for a in site.desk.board.alarms.values()} == {(Kind.ALARM, "gas.high_alarm")}
    assert site.on("siren")
    assert site.on("valve")
    ended = [one.alarm for one in site.said("alarm") if one.alarm.disposition is Disposition.TEST]
    assert {alarm.close_reason for alarm in ended} == {REAL_ALARM}
    assert site.give(EndTest, alarm_id=site.alarm("gas.high_alarm").alarm_id).refused.reason == "no_test"


def test_no_drill_begins_while_a_real_alarm_wants_a_person(site):
    site.press()
    refused = site.give(StartTest, device_id="gas-1", code="gas.high_alarm").refused
    assert refused.reason == "real_alarm"
    site.give(Acknowledge, alarm_id=site.alarm("sos.pressed").alarm_id)
    assert site.give(StartTest, device_id="gas-1", code="gas.high_alarm").refused is None


def test_what_a_drill_brings_to_light_does_not_end_it(site):
    drill = site.give(StartTest, device_id="gas-1", code="gas.high_alarm")
    site.wait(6)
    assert "gateway.console_unheard" in site.codes()
    assert drill.alarm_id in site.desk.board.alarms


def test_a_drill_of_gas_never_moves_a_valve(site):
    site.give(StartTest, device_id="gas-1", code="gas.high_alarm")
    assert site.on("siren")
    assert not site.on("valve")


def test_an_output_is_tested_beside_the_alarms_never_against_them(site):
    assert site.give(TestOutput, output_id="quiet", duration_s=3).refused is None
    assert site.on("quiet")
    site.wait(4)
    assert not site.on("quiet")
    site.press()
    assert site.on("siren")
    site.give(TestOutput, output_id="siren", duration_s=1)
    site.wait(2)
    assert site.on("siren")


def test_a_test_of_an_output_is_short_known_and_never_a_valve(site):
    for output_id, duration_s, reason in (
        ("valve", 3, "valve_never_tested"),
        ("nothing", 3, "unknown_output"),
        ("lamp", 11, "term"),
        ("lamp", 0, "term"),
        ("lamp", float("nan"), "term"),
    ):
        refused = site.give(TestOutput, output_id=output_id, duration_s=duration_s).refused
        assert refused.reason == reason, (output_id, duration_s)
    site.give(TestOutput, output_id="siren", duration_s=10)
    site.restart()
    assert not site.on("siren")


def test_an_inhibited_detector_is_recorded_and_quiet_for_15_minutes_at_most(site):
    assert site.give(Inhibit, device_id="gas-1", duration_s=901, reason="标定").refused.reason == "term"
    assert site.give(Inhibit, device_id="gas-1", duration_s=900, reason="标定").refused is None
    assert site.alarm("gateway.device_inhibited").kind is Kind.INHIBITED
    assert site.alarm("gateway.device_inhibited").state is AlarmState.ACKED
    site.gas(GasFlag.HIGH_ALARM)
    assert site.alarm("gas.high_alarm").state is AlarmState.SUPPRESSED
    assert not site.on("siren")
    assert site.on("valve")
    site.restart()
    site.wait(899)
    assert site.alarm("gas.high_alarm").state is AlarmState.SUPPRESSED
    site.wait(2)
    assert site.alarm("gas.high_alarm").state is AlarmState.UNACK
    assert "gateway.device_inhibited" not in site.codes()
    assert site.on("siren")


def test_an_inhibition_ended_by_hand_shows_what_it_hid_at_once(site):
    site.give(Inhibit, device_id="gas-1", duration_s=60, reason="r")
    site.gas(GasFlag.LOW_ALARM)
    site.give(Uninhibit, device_id="gas-1")
    assert site.alarm("gas.low_alarm").state is AlarmState.UNACK


def test_an_alarm_that_stands_already_is_not_hidden_by_an_inhibition(site):
    site.press()
    site.give(Inhibit, device_id="btn-0", duration_s=60, reason="r")
    site.wait(5)
    assert site.alarm("sos.pressed").state is AlarmState.UNACK


def trap(site):
    for _ in range(200):
        site.s += 1
        site.do(
            LiftReading(
                device_id="lift-1",
                at=site.now(),
                car=Car.STOPPED,
                door_zone=False,
                door_closed=True,
                passenger=True,
                floor="7",
                faults=frozenset({"trapped_off_level"}),
            )
        )
        found = [a for a in site.desk.board.alarms.values() if a.code.startswith("lift.trapped")]
        if found:
            return found[0]
    raise AssertionError("nobody is trapped")


def test_a_rescue_keeps_its_chain_and_half_hour(site):
    alarm = trap(site)
    assert alarm.deadline_s == alarm.raised_s + 1800
    assert demands(site.desk, site.plan, site.now())["voice"].message == "trapped_comfort"
    who = {"alarm_id": alarm.alarm_id}
    assert site.give(RescueReport, step=RescueStep.CLOSED, **who).refused.reason == "rescue_order"
    site.give(RescueReport, step=RescueStep.RESPONDED, **who)
    site.restart()
    site.give(RescueReport, step=RescueStep.ARRIVED, **who)
    site.give(RescueReport, step=RescueStep.CLOSED, **who)
    rescue = site.desk.board.alarms[alarm.alarm_id].rescue
    assert rescue.deal_status is DealStatus.DONE
    assert None not in {rescue.responded_at, rescue.arrived_at, rescue.ended_at}
    assert not rescue.is_late


def test_a_rescue_without_arrival_is_late_after_half_an_hour(site):
    alarm = trap(site)
    site.give(RescueReport, step=RescueStep.RESPONDED, alarm_id=alarm.alarm_id)
    site.restart(down_s=1799 - (site.s - alarm.raised_s))
    site.do(None)
    assert not site.desk.board.alarms[alarm.alarm_id].rescue.is_late
    site.wait(1)
    assert site.desk.board.alarms[alarm.alarm_id].rescue.is_late


def test_a_person_may_close_a_trapped_alarm_that_the_sensor_still_reports_for_a_while(site):
    alarm = trap(site)
    fields = {"alarm_id": alarm.alarm_id, "disposition": Disposition.HANDLED, "reason": "已救出（示例）"}
    assert site.give(CloseAlarm, **fields).refused.reason == "wrong_state"
    site.give(Acknowledge, alarm_id=alarm.alarm_id)
    assert site.give(CloseAlarm, **fields).refused is None
    site.wait(890)
    assert alarm.code not in site.codes()
    site.wait(20)
    assert alarm.code in site.codes()


def test_measured_gas_cannot_be_closed_away(site):
    site.gas(GasFlag.LOW_ALARM)
    alarm = site.alarm("gas.low_alarm")
    site.give(Acknowledge, alarm_id=alarm.alarm_id)
    refused = site.give(
        CloseAlarm, alarm_id=alarm.alarm_id, disposition=Disposition.FALSE_ALARM, reason="r"
    ).refused
    assert refused.reason == "still_active"


def test_an_unknown_node_is_a_security_alarm_and_never_a_crash(site):
    site.do(
        ButtonReading(device_id="evil\n\x1b[31m", at=site.now(), event=ButtonEvent.PRESS, counter=1, key_id=1)
    )
    alarm = site.alarm("gateway.node_refused")
    assert alarm.device_id == GATEWAY
    assert alarm.text.isprintable()


def test_a_flood_of_refusals_is_one_alarm_with_few_revisions(site):
    for _ in range(10_000):
        site.do(
            Refusal(
                device_id="nobody",
                at=site.now(),
                reason=RefusalReason.REPLAY,
                count=1,
                source="C3:28:40:00:00:01",
            )
        )
        site.s += 0.01
    assert len([c for c in site.said("alarm") if c.alarm.code == "gateway.replay_refused"]) < 10


def test_an_absence_is_kept_and_a_stranger_has_none(site):
    assert site.give(SetAbsence, device_id="btn-0", duration_s=86400).refused is None
    assert site.give(SetAbsence, device_id="gas-1", duration_s=1).refused.reason == "unknown_device"
    assert b"absent_until_s" in site.disk["rule/btn-0"]


def test_an_output_that_does_not_obey_is_a_fault_until_it_does(site):
    reading = {"device_id": "siren", "wanted": True}
    site.do(OutputReading(at=site.now(), is_ok=False, detail="reads back off", **reading))
    site.restart()
    site.wait(3)
    assert site.alarm("gateway.output_failed").state is AlarmState.UNACK
    site.do(OutputReading(at=site.now(), is_ok=True, **reading))
    assert site.alarm("gateway.output_failed").state is AlarmState.RTN


def test_what_the_gateway_says_of_itself_stands_until_it_says_otherwise(site):
    site.do(Report(code="gateway.storage_filling", is_true=True, text="81%"))
    site.restart()
    site.wait(2)
    assert site.alarm("gateway.storage_filling").is_active
    site.do(Report(code="gateway.storage_filling", is_true=False))
    assert site.alarm("gateway.storage_filling").state is AlarmState.RTN


def test_a_device_taken_out_of_the_configuration_leaves_its_alarm_to_a_person(site):
    site.press()
    smaller = make_plan()
    site.plan = Plan(
        devices={k: v for k, v in smaller.devices.items() if k != "btn-0"}, outputs=smaller.outputs
    )
    site.desk = replan(site.desk, site.plan, site.now())
    site.wait(2)
    assert site.alarm("sos.pressed").state is AlarmState.UNACK
    assert not site.alarm("sos.pressed").is_active


def test_state_that_cannot_be_read_is_an_integrity_fault_and_the_rest_is_kept(site):
    site.press()
    site.disk["rule/gas-1"] = b"{nonsense"
    site.disk["alarm/x"] = b"[]"
    site.restart()
    site.wait(1)
    assert "gateway.integrity" in site.codes()
    assert "sos.pressed" in site.codes()


def into(site, state):
    """Bring a gas low alarm (or the nearest code that knows this state) into `state`."""
    code = "gas.pre_warning" if state is AlarmState.RTN else "gas.low_alarm"
    if state is AlarmState.SUPPRESSED:
        site.give(Inhibit, device_id="gas-1", duration_s=900, reason="r")
    site.gas(GasFlag.PRE_WARNING if state is AlarmState.RTN else GasFlag.LOW_ALARM)
    alarm_id = site.alarm(code).alarm_id
    if state in {AlarmState.ACKED, AlarmState.LATCHED}:
        site.give(Acknowledge, alarm_id=alarm_id)
    if state is AlarmState.SHELVED:
        site.give(Shelve, alarm_id=alarm_id, duration_s=600, reason="r")
    if state in {AlarmState.LATCHED, AlarmState.RTN}:
        site.gas_goes()
    return alarm_id


@pytest.mark.parametrize("state", [s for s in AlarmState if s is not AlarmState.CLOSED])
def test_a_restart_in_the_middle_of_every_state_changes_nothing(site, state):
    alarm_id = into(site, state)
    before = site.desk.board.alarms
    assert before[alarm_id].state is state
    site.restart()
    assert site.desk.board.alarms == before
    assert {o: site.on(o) for o in site.plan.outputs} == {
        o: d.is_on for o, d in demands(site.desk, site.plan, site.now()).items()
    }
    site.s += 1
    if state in {AlarmState.LATCHED, AlarmState.RTN}:
        site.gas()
    else:
        site.gas(GasFlag.LOW_ALARM)
    site.do(None)
    assert site.desk.board.alarms[alarm_id].state is state


def test_a_clock_at_1970_changes_no_timer(site):
    site.press()
    wall = datetime(1970, 1, 1, tzinfo=UTC)
    now = msgspec.structs.replace(site.now(), wall=wall, service_s=site.s + 60, mono_ns=5)
    desk, outcome = step(site.desk, None, now, site.plan)
    assert any(r.kind == "escalation" for r in outcome.records)
    assert next(a for a in desk.board.alarms.values() if a.code == "sos.pressed").is_overdue


@pytest.mark.parametrize("text", ["\ud800", "长" * 5000])
def test_text_that_cannot_be_stored_is_refused_and_not_written(site, text):
    site.press()
    result = site.give(AddNote, alarm_id=site.alarm("sos.pressed").alarm_id, text=text)
    assert result.refused.reason == "malformed"
    assert not site.said("outcome")


def test_a_valve_that_does_not_close_is_a_fault_also_after_a_restart(site):
    site.gas(GasFlag.HIGH_ALARM)
    for n in range(20):
        site.s += 1
        if n == 5:
            site.restart()
        site.do(
            InputReading(device_id="io-1", at=site.now(), role="valve_closed", is_on=False, subject="valve")
        )
    assert "valve should be closed" in site.alarm("gateway.valve_disagrees").text


def test_an_ebike_in_the_car_is_told_by_lamp_and_voice(site):
    def camera(is_on):
        site.do(InputReading(device_id="io-1", at=site.now(), role="ebike", is_on=is_on, subject="lift-1"))

    camera(True)
    site.wait(1)
    camera(True)
    assert "lift.ebike_in_car" in site.codes()
    voice = demands(site.desk, site.plan, site.now())["voice"]
    assert (voice.is_on, voice.message) == (True, "ebike")
    assert site.on("lamp")


def test_a_lift_in_inspection_raises_nothing_that_sounds(site):
    from gatehouse_edge.reading import ServiceMode

    for _ in range(10):
        site.s += 1
        site.do(
            LiftReading(
                device_id="lift-1",
                at=site.now(),
                car=Car.STOPPED,
                door_zone=True,
                door_closed=True,
                service_mode=ServiceMode.INSPECTION,
                faults=frozenset({"overspeed"}),
            )
        )
    shown = [a for a in site.desk.board.alarms.values() if a.state is not AlarmState.SUPPRESSED]
    assert shown == []
    assert not site.on("siren")
