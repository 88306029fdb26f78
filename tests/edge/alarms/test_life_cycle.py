from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from gatehouse_edge.alarms import life_cycle
from gatehouse_edge.alarms.alarm_id import ulid
from gatehouse_edge.alarms.commands import Acknowledge, Reset, Shelve, Unshelve
from gatehouse_edge.clock import Now
from gatehouse_edge.rules.condition import Condition
from gatehouse_events.alarm import Actor, Alarm, Change, Hidden, What, Word
from gatehouse_events.clock import ClockQuality
from gatehouse_events.codes import CODES
from gatehouse_events.states import AlarmState, Disposition

GUARD = Actor(name="示例值班员", role="operator", station="local")
LATCHED, PLAIN = "gas.low_alarm", "gas.pre_warning"
S = AlarmState


def at(service_s: float) -> Now:
    return Now(
        wall=datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=service_s),
        service_s=service_s,
        boot="b" * 32,
        mono_ns=int(service_s * 1e9),
        clock=ClockQuality(synced=True, offset_ms=1.0),
    )


def ack(alarm: Alarm, s: float = 200.0) -> Alarm:
    command = Acknowledge(actor=GUARD, command_id="c", alarm_id=alarm.alarm_id)
    return life_cycle.acknowledge(alarm, at(s), command).alarm


def gone(alarm: Alarm, s: float = 300.0) -> Alarm:
    change = life_cycle.leave(alarm, at(s))
    assert isinstance(change, Change)
    return change.alarm


def raised(code: str, s: float = 100.0) -> Alarm:
    return life_cycle.begin("dev", Condition(code=code), at(s)).alarm


def shelved(alarm: Alarm) -> Alarm:
    command = Shelve(actor=GUARD, command_id="c", alarm_id=alarm.alarm_id, duration_s=60.0, reason="r")
    return life_cycle.shelve(alarm, at(250), command, duration_s=60.0, reason="r").alarm


def unshelved(alarm: Alarm) -> Alarm:
    return life_cycle.unshelve(alarm, at(260), Unshelve(actor=GUARD, command_id="c", alarm_id="x")).alarm


def again(alarm: Alarm, s: float = 400.0, occurrence: int = 0, *, hidden: Hidden | None = None) -> Alarm:
    condition = Condition(code=alarm.code, occurrence=occurrence)
    change = life_cycle.observe(alarm, condition, at(s), hidden=hidden)
    assert isinstance(change, Change)
    return change.alarm


def suppressed(code: str) -> Alarm:
    return life_cycle.begin("dev", Condition(code=code), at(100), hidden=Hidden.DESIGN).alarm


TABLE = [
    # what happened, resulting alarm, state, active
    ("raised", raised(LATCHED), S.UNACK, True),
    ("raised hidden", suppressed(LATCHED), S.SUPPRESSED, True),
    ("latched goes before anybody came: keeps sounding", gone(raised(LATCHED)), S.UNACK, False),
    ("unlatched goes before anybody came", gone(raised(PLAIN)), S.RTN, False),
    ("taken", ack(raised(LATCHED)), S.ACKED, True),
    ("latched, taken after it went", ack(gone(raised(LATCHED), 150)), S.LATCHED, False),
    ("latched, taken, gone", gone(ack(raised(LATCHED))), S.LATCHED, False),
    ("unlatched, taken, gone", gone(ack(raised(PLAIN))), S.CLOSED, False),
    ("returned, then taken", ack(gone(raised(PLAIN), 150)), S.CLOSED, False),
    ("returned, comes back", again(gone(raised(PLAIN))), S.UNACK, True),
    ("latched state, comes back", again(gone(ack(raised(LATCHED)))), S.UNACK, True),
    ("gone unseen, comes back", again(gone(raised(LATCHED))), S.UNACK, True),
    ("taken, happens again", again(ack(raised("sos.pressed")), occurrence=7), S.UNACK, True),
    ("unseen, happens again", again(raised("sos.pressed"), occurrence=7), S.UNACK, True),
    ("shelved", shelved(raised(LATCHED)), S.SHELVED, True),
    ("shelved, gone", gone(shelved(raised(LATCHED))), S.SHELVED, False),
    ("shelved, happens again", again(shelved(raised(LATCHED)), occurrence=3), S.SHELVED, True),
    ("unshelved by a person", unshelved(shelved(raised(LATCHED))), S.ACKED, True),
    ("latched, unshelved after it went", unshelved(gone(shelved(raised(LATCHED)), 255)), S.LATCHED, False),
    ("unlatched, unshelved after it went", unshelved(gone(shelved(raised(PLAIN)), 255)), S.CLOSED, False),
    ("shelf over", life_cycle.expire_shelf(shelved(raised(LATCHED)), at(400)).alarm, S.UNACK, True),
    (
        "shelf over, latched gone",
        life_cycle.expire_shelf(gone(shelved(raised(LATCHED))), at(400)).alarm,
        S.UNACK,
        False,
    ),
    (
        "shelf over, unlatched gone",
        life_cycle.expire_shelf(gone(shelved(raised(PLAIN))), at(400)).alarm,
        S.RTN,
        False,
    ),
    ("suppressed, gone", gone(suppressed(LATCHED)), S.CLOSED, False),
    ("suppressed, shown again", again(suppressed(LATCHED)), S.UNACK, True),
    (
        "reset",
        life_cycle.reset(
            gone(ack(raised(LATCHED))), at(500), Reset(actor=GUARD, command_id="c", alarm_id="x")
        ).alarm,
        S.CLOSED,
        False,
    ),
]


@pytest.mark.parametrize(("what", "alarm", "state", "is_active"), TABLE, ids=[row[0] for row in TABLE])
def test_the_table_of_states_holds(what, alarm, state, is_active):
    assert (alarm.state, alarm.is_active) == (state, is_active)


@pytest.mark.parametrize(("what", "alarm", "state", "is_active"), TABLE, ids=[row[0] for row in TABLE])
def test_a_closed_alarm_says_how_and_when_it_ended(what, alarm, state, is_active):
    assert (alarm.closed_at is not None) is (state is S.CLOSED)
    assert (alarm.disposition is not None) is (state is S.CLOSED)
    assert state is not S.CLOSED or alarm.cleared_at is not None


def test_an_alarm_that_is_open_when_its_lift_goes_into_inspection_stays_shown():
    alarm = raised("lift.trapped")
    assert (
        life_cycle.observe(
            alarm, Condition(code="lift.trapped", is_suppressed=True), at(101), hidden=Hidden.DESIGN
        )
        is None
    )


def test_an_acknowledgement_that_saw_the_alarm_active_is_stale_once_it_has_returned():
    alarm = raised(PLAIN)
    assert gone(alarm).material_seq == 2
    assert (
        life_cycle.note(
            alarm, at(101), Acknowledge(actor=GUARD, command_id="c", alarm_id="x"), "n"
        ).alarm.material_seq
        == 1
    )


def test_coming_back_starts_limit_and_ladder_anew():
    alarm = structs.replace(gone(ack(raised(LATCHED))), escalation_step=3, is_overdue=True)
    back = again(alarm, 1000.0)
    assert (back.escalation_step, back.is_overdue, back.unack_since_s) == (0, False, 1000.0)
    assert back.ack_due_s == 1180.0
    assert back.acked_by is None


def test_limits_to_acknowledge_are_60_s_3_min_and_15_min():
    for code, limit in (("sos.pressed", 60), ("gas.low_alarm", 180), ("gas.pre_warning", 900)):
        alarm = raised(code, 0.0)
        assert not life_cycle.is_overdue_now(alarm, at(limit - 0.1))
        assert life_cycle.is_overdue_now(alarm, at(limit))
    assert not life_cycle.is_overdue_now(raised("gas.offline", 0.0), at(1e7))


def test_an_alarm_within_eight_hours_goes_on_with_the_count_of_the_one_before():
    recent = life_cycle.Recent(alarm_id="before", closed_s=100.0, repeats=12)
    joined = life_cycle.begin("d", Condition(code=PLAIN), at(100 + 8 * 3600), recent=recent).alarm
    apart = life_cycle.begin("d", Condition(code=PLAIN), at(101 + 8 * 3600), recent=recent).alarm
    assert (joined.times, joined.joins) == (14, "before")
    assert (apart.times, apart.joins) == (1, None)


def test_chatter_is_counted_and_told_once_a_minute():
    alarm = raised(PLAIN, 0.0)
    told = 0
    for second in range(1, 61):
        condition = Condition(code=PLAIN)
        outcome = (
            life_cycle.leave(alarm, at(second))
            if second % 2
            else life_cycle.observe(alarm, condition, at(second))
        )
        told += isinstance(outcome, Change)
        if outcome is not None:
            alarm = outcome.alarm if isinstance(outcome, Change) else outcome
    assert alarm.is_chattering
    assert alarm.is_active
    assert alarm.times == 31
    assert told <= 6


def test_chatter_ends_after_a_quiet_minute():
    alarm = raised(PLAIN, 0.0)
    for second in (1, 2, 3, 4, 5):
        outcome = (
            life_cycle.leave(alarm, at(second))
            if second % 2
            else life_cycle.observe(alarm, Condition(code=PLAIN), at(second))
        )
        if outcome is not None:
            alarm = outcome.alarm if isinstance(outcome, Change) else outcome
    assert alarm.is_held
    assert life_cycle.leave(alarm, at(63.9)) is None
    quiet = gone(alarm, 64.0)
    assert (quiet.state, quiet.is_chattering, quiet.is_held) == (S.RTN, False, False)


def test_a_value_that_moves_for_a_day_costs_few_revisions():
    alarm = raised(PLAIN, 0.0)
    for second in range(1, 86400, 10):
        outcome = life_cycle.observe(alarm, Condition(code=PLAIN, value=float(second)), at(second))
        if isinstance(outcome, Change):
            alarm = outcome.alarm
    assert alarm.seq < 200


def test_new_evidence_is_written_at_once():
    alarm = raised("throw.object_falling", 0.0)
    outcome = life_cycle.observe(alarm, Condition(code=alarm.code, evidence=({"kind": "clip"},)), at(1))
    assert isinstance(outcome, Change)
    assert outcome.what is What.CHANGED


def test_a_rule_that_gives_up_closes_with_disposition_auto():
    outcome = life_cycle.observe(
        ack(raised("lift.trapped")), Condition(code="lift.trapped", auto_close=True), at(9000)
    )
    assert isinstance(outcome, Change)
    assert (outcome.alarm.state, outcome.alarm.disposition) == (S.CLOSED, Disposition.AUTO)
    assert outcome.alarm.close_reason


def test_the_words_for_the_city_follow_the_change():
    alarm = raised(PLAIN)
    assert life_cycle.begin("d", Condition(code=PLAIN), at(0)).word is Word.RAISED
    left = life_cycle.leave(alarm, at(101))
    assert isinstance(left, Change)
    assert left.word is Word.UPDATED
    cleared = life_cycle.leave(ack(alarm), at(300))
    assert isinstance(cleared, Change)
    assert cleared.word is Word.CLEARED
    assert life_cycle.close(alarm, at(300), Disposition.FALSE_ALARM, "r").word is Word.FALSE_ALARM


def test_the_id_is_a_ulid_of_its_time_and_the_same_for_the_same_birth():
    first = ulid(at(1.0), "d", "gas.high_alarm")
    assert first == ulid(at(1.0), "d", "gas.high_alarm")
    assert first != ulid(at(1.0), "e", "gas.high_alarm")
    assert first < ulid(at(2.0), "d", "gas.high_alarm")
    assert len(first) == 26
    assert set(first) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_every_code_can_be_raised_taken_and_ended():
    for code in CODES:
        alarm = gone(ack(raised(code)))
        assert alarm.state is (S.LATCHED if CODES[code].latched else S.CLOSED)


def test_two_alarms_of_one_instant_never_share_an_id():
    from gatehouse_edge.alarms.alarm_id import ulid
    from gatehouse_edge.clock import Now
    from gatehouse_events.clock import ClockQuality

    now = Now(
        wall=datetime(2026, 11, 23, tzinfo=UTC),
        service_s=1.0,
        boot="b",
        mono_ns=1,
        clock=ClockQuality(synced=True, offset_ms=0.0),
    )
    condition = Condition(code="gateway.device_inhibited")
    first = life_cycle.begin("btn-1", condition, now, cause="c1").alarm
    again = life_cycle.begin("btn-1", condition, now, cause="c2").alarm
    assert first.alarm_id != again.alarm_id
    assert ulid(now, "a") == ulid(now, "a"), "a repeated step makes the same id"
