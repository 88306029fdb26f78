"""The index over the alarm lane: it says what the journal says, can be lost at any moment, and searches in words."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from gatehouse_edge.alarms import life_cycle
from gatehouse_edge.alarms.commands import Acknowledge, AddNote, Inhibit, Reset, Shelve
from gatehouse_edge.clock import Now
from gatehouse_edge.desk import CommandOutcome
from gatehouse_edge.history import Cursor, History, Term, Wanted, search_text
from gatehouse_edge.history.rows import FOREVER
from gatehouse_edge.rules.condition import Condition
from gatehouse_events.alarm import Actor, Alarm
from gatehouse_events.chain import EntryKind, Lane
from gatehouse_events.clock import ClockQuality
from gatehouse_events.records import ClockCorrection
from gatehouse_journal import Batch, Journal, Limits, NewEntry, Reader, Signer, Stamp, canonical

NOON = datetime(2026, 11, 26, 4, tzinfo=UTC)
GUARD = Actor(name="示例甲", role="operator", station="local")


def now_at(s, *, boot="b1", wall=None):
    return Now(
        service_s=float(s),
        wall=wall or NOON + timedelta(seconds=s),
        mono_ns=int(s * 1e9),
        boot=boot,
        clock=ClockQuality(synced=True, offset_ms=1.0),
    )


def us(s):
    return int((NOON + timedelta(seconds=s)).timestamp() * 1e6)


def between(start, end, **more):
    return Wanted(from_us=us(start), to_us=us(end), **more)


class Site:
    """A journal that a test writes, and the index over it."""

    def __init__(self, folder):
        self.folder = folder
        self.journal = Journal.open(
            folder,
            limits=Limits(ballast_bytes=0),
            signer=Signer.load_or_create(folder),
            stamp=Stamp(at=NOON, boot="b1", mono_ns=0),
        )
        self.reader = Reader.open(folder)
        self.history = History(folder / "history.db", self.reader)
        self.serial = 0

    def write(self, kind, body, now):
        entry = NewEntry(
            kind=str(kind),
            body=canonical(body),
            stamp=Stamp(at=now.wall, boot=now.boot, mono_ns=now.mono_ns),
        )
        self.journal.commit(Batch(entries=(entry,)))

    def change(self, change, now):
        self.write("alarm", structs.replace(change, clock=now.clock), now)
        return change.alarm

    def alarm(self, s, device_id="gas-1", code="gas.high_alarm", text="", **clock):
        self.serial += 1
        now = now_at(s, **clock)
        condition = Condition(code=code, text=text)
        return self.change(life_cycle.begin(device_id, condition, now, cause=str(self.serial)), now)

    def ack(self, alarm, s):
        now = now_at(s)
        self.serial += 1
        command = Acknowledge(actor=GUARD, command_id=f"c{self.serial}", alarm_id=alarm.alarm_id)
        return self.change(life_cycle.acknowledge(alarm, now, command), now)

    def end(self, alarm, s):
        now = now_at(s)
        self.serial += 1
        gone = self.change(life_cycle.leave(alarm, now), now)
        if not gone.is_open:
            return gone
        command = Reset(actor=GUARD, command_id=f"c{self.serial}", alarm_id=alarm.alarm_id)
        return self.change(life_cycle.reset(gone, now, command), now)

    def caught_up(self):
        assert self.history.catch_up(budget_s=60).behind == 0
        return self.history

    def close(self):
        self.history.close()
        self.reader.close()
        self.journal.close()


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path)
    yield found
    found.close()


def test_an_alarm_is_found_while_it_was_open_and_not_before_or_after(site):
    alarm = site.end(site.ack(site.alarm(100), 130), 200)
    history = site.caught_up()
    (found,), following = history.alarms(between(0, 1000))
    assert following is None
    assert (found.alarm_id, found.state, found.acked_by) == (alarm.alarm_id, "closed", "示例甲")
    assert (found.raised_us, found.closed_us) == (us(100), us(200))
    for start, end, is_found in (
        (0, 100, False),
        (0, 101, True),
        (150, 160, True),
        (200, 300, True),
        (201, 300, False),
    ):
        assert bool(history.alarms(between(start, end))[0]) is is_found, (start, end)


def test_an_open_alarm_is_found_in_every_later_hour(site):
    site.alarm(100)
    (found,), _ = site.caught_up().alarms(between(90_000, 100_000))
    assert found.closed_us is None


def test_pages_hold_every_alarm_once_newest_first_also_when_some_share_an_instant(site):
    for n in range(25):
        site.alarm(100 + n // 10, f"gas-{n}")
    history = site.caught_up()
    pages, after = [], None
    while True:
        found, after = history.alarms(between(0, 1000), after=after, limit=7)
        pages.append(found)
        if after is None:
            break
        after = Cursor.parse(str(after))
    assert [len(page) for page in pages] == [7, 7, 7, 4]
    whole = [(one.raised_us, one.alarm_id) for page in pages for one in page]
    assert whole == sorted(whole, reverse=True)
    assert len(set(whole)) == 25


def test_filters_hold_together(site):
    site.alarm(1, "gas-1", "gas.high_alarm")
    site.alarm(2, "lift-1", "lift.trapped")
    site.alarm(3, "gas-2", "gas.offline")
    history = site.caught_up()

    def codes(**more):
        return [one.code for one in history.alarms(between(0, 10, **more))[0]]

    assert codes(categories=("gas",)) == ["gas.offline", "gas.high_alarm"]
    assert codes(categories=("gas",), priorities=("P1",)) == ["gas.high_alarm"]
    assert codes(kinds=("fault",)) == ["gas.offline"]
    assert codes(devices=("lift-1",)) == ["lift.trapped"]
    assert codes(has_evidence=True) == []


def test_words_are_found_in_an_alarm_or_name_its_device(site):
    site.alarm(1, "gas-1", "gas.high_alarm", text="２３．４ %LEL")
    site.alarm(2, "gas-2", "gas.low_alarm")
    history = site.caught_up()

    def found(*terms):
        return {one.device_id for one in history.alarms(between(0, 10, terms=terms))[0]}

    assert found(Term(text=search_text("23.4"))) == {"gas-1"}
    assert found(Term(text=search_text("燃气"))) == {"gas-1", "gas-2"}
    assert found(Term(text=search_text("HIGH alarm"))) == {"gas-1"}
    assert found(Term(text="501", devices=("gas-2",))) == {"gas-2"}
    assert found(Term(text="501", devices=("gas-2",)), Term(text=search_text("高报"))) == set()
    assert found(Term(text="%")) == {"gas-1"}
    assert found(Term(text="_")) == {"gas-1", "gas-2"}  # the underscore of the code, no wildcard
    assert found(Term(text="__")) == set()


def test_tallies_count_what_was_raised_in_each_stretch(site):
    for s, code in ((5, "gas.high_alarm"), (7, "gas.high_alarm"), (15, "gas.offline"), (99, "lift.trapped")):
        site.alarm(s, code=code)
    rows = site.caught_up().tallies(between(0, 100), bucket_us=10_000_000)
    assert {(one.category, one.priority, one.bucket): one.count for one in rows} == {
        ("gas", "P1", 0): 2,
        ("gas", "P4", 1): 1,
        ("lift", "P1", 9): 1,
    }


def test_a_story_tells_every_revision_with_who_and_how_long_it_waited(site):
    site.end(site.ack(site.alarm(100), 130), 200)
    history = site.caught_up()
    (found,), _ = history.alarms(between(0, 1000))
    story = history.story(found.alarm_id)
    assert [(one.what, one.actor) for one in story] == [
        ("raised", "gateway"),
        ("acknowledged", "示例甲"),
        ("returned", "gateway"),
        ("reset", "示例甲"),
    ]
    assert story[1].wait_s == 30.0
    assert [one.what for one in history.story(found.alarm_id, after=story[1].seq)] == ["returned", "reset"]
    assert history.revisions(us(0), us(1000), what="acknowledged", limit=10) == [story[1]]


def test_what_the_screen_knew_at_a_moment_is_what_the_journal_had_then(site):
    first = site.alarm(100)
    second = site.alarm(150, "lift-1", "lift.trapped")
    taken = site.ack(first, 160)
    site.end(taken, 300)
    history = site.caught_up()
    assert history.moment(us(99)).seq == 0
    assert history.moment(us(120)).alarms == (first,)
    assert {alarm.alarm_id for alarm in history.moment(us(155)).alarms} == {
        first.alarm_id,
        second.alarm_id,
    }
    then = {alarm.alarm_id: alarm for alarm in history.moment(us(200)).alarms}
    assert then == {first.alarm_id: taken, second.alarm_id: second}
    assert history.moment(us(200)).service_s == 200.0
    assert history.moment(us(400)).alarms == (second,)


def test_orders_and_outputs_are_told_refused_ones_and_looks_are_not(site):
    from gatehouse_edge.alarms.commands import CommandResult, Refused
    from gatehouse_edge.console.state import Audit
    from gatehouse_events.states import Label

    command = Inhibit(actor=GUARD, command_id="i1", device_id="gas-1", duration_s=600, reason="标定")
    site.write("outcome", CommandOutcome(command=command, result=CommandResult(command_id="i1")), now_at(1))
    refused = Refused(reason="term", text=Label("不", "no"))
    site.write(
        "outcome",
        CommandOutcome(command=command, result=CommandResult(command_id="i1", refused=refused)),
        now_at(2),
    )
    site.write("audit", Audit(what="journal_read", who="示例甲", station="local"), now_at(3))
    site.write("audit", Audit(what="login", who="示例甲", station="local"), now_at(4))
    history = site.caught_up()
    rows = history.deeds(us(0), us(10), kinds=("outcome", "audit"))
    assert [(one.what, one.actor, one.subject) for one in rows] == [
        ("login", "示例甲", ""),
        ("inhibited", "示例甲", "gas-1"),
    ]
    assert history.deeds_of("gas-1")[0].text == "10 min: 标定"


def test_a_gateway_that_woke_in_1970_is_put_right_by_its_clock_entry(site):
    lost = datetime(1970, 1, 1, tzinfo=UTC)
    site.alarm(10, boot="b2", wall=lost + timedelta(seconds=10))
    history = site.caught_up()
    assert history.tallies(between(0, 1000), bucket_us=10**9) == []
    zero_us = us(0)
    site.write(EntryKind.CLOCK, ClockCorrection(boot="b2", zero_us=zero_us), now_at(20, boot="b2"))
    site.alarm(30, "gas-2", boot="b2", wall=lost + timedelta(seconds=30))
    history = site.caught_up()
    assert [one.raised_us for one in history.alarms(between(0, 1000))[0]] == [us(30), us(10)]
    assert history.moment(us(15)).alarms != ()


@pytest.mark.parametrize("harm", ["lost", "garbage", "other version"])
def test_an_index_that_is_gone_or_damaged_is_made_anew(site, harm):
    site.end(site.ack(site.alarm(100), 130), 200)
    before = site.caught_up().alarms(between(0, 1000))
    site.history.close()
    path = site.folder / "history.db"
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    match harm:
        case "lost":
            path.unlink()
        case "garbage":
            path.write_bytes(b"\x00garbage" * 4096)
        case _:
            with sqlite3.connect(path) as db:
                db.execute("PRAGMA user_version = 99")
            db.close()
    site.history = History(path, site.reader)
    assert site.caught_up().alarms(between(0, 1000)) == before


def test_the_index_of_another_journal_is_not_believed(site, tmp_path_factory):
    site.alarm(100)
    site.caught_up()
    site.history.close()
    other = Site(tmp_path_factory.mktemp("other"))
    try:
        for n in range(3):
            other.alarm(500 + n, f"gas-{n}")
        other.history.close()
        (other.folder / "history.db").write_bytes((site.folder / "history.db").read_bytes())
        other.history = History(other.folder / "history.db", other.reader)
        assert [one.raised_us for one in other.caught_up().alarms(between(0, 1000))[0]] == [
            us(502),
            us(501),
            us(500),
        ]
    finally:
        other.close()


def test_reading_on_stops_when_its_time_is_up_and_goes_on_from_there(site):
    entries = []
    for n in range(4500):
        now = now_at(n)
        change = life_cycle.begin(f"gas-{n}", Condition(code="gas.offline"), now)
        body = canonical(structs.replace(change, clock=now.clock))
        entries.append(
            NewEntry(kind="alarm", body=body, stamp=Stamp(at=now.wall, boot="b1", mono_ns=now.mono_ns))
        )
    site.journal.commit(Batch(entries=tuple(entries)))
    first = site.history.catch_up(budget_s=0)
    assert first.behind > 0
    assert first.seq > 0
    assert site.history.catch_up(budget_s=60).behind == 0
    assert sum(one.count for one in site.history.tallies(between(0, 5000), bucket_us=10**9)) == 4500


def test_what_is_erased_from_the_journal_goes_from_the_index_too(site):
    alarm = site.alarm(100, "btn-1", "sos.pressed", text="示例住户")
    site.alarm(200)
    seq = next(entry.seq for entry in site.reader.read(Lane.ALARM, 0, 100) if entry.kind == "alarm")
    site.caught_up()
    site.journal.erase(
        Lane.ALARM, [(seq, seq)], reason="privacy", stamp=Stamp(at=NOON, boot="b1", mono_ns=10**12)
    )
    history = site.caught_up()
    assert history.alarm(alarm.alarm_id) is None
    assert history.alarms(between(0, 1000, terms=(Term(text=search_text("示例住户")),)))[0] == []


TEXTS = st.text(max_size=20) | st.sampled_from(
    ["<b>甲</b>", "\u202egnp.exe", "a'); DROP TABLE alarm;--", "\x00", "％"]
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(TEXTS, max_size=4), st.text(max_size=24), st.integers(-(2**70), 2**70))
def test_no_text_or_cursor_makes_a_question_stumble(site, texts, cursor, number):
    site.alarm(100)
    terms = tuple(Term(text=search_text(text), devices=(text,)) for text in texts)
    found, _ = site.caught_up().alarms(between(0, 10**6, terms=terms))
    assert all(isinstance(one.alarm_id, str) for one in found)
    for text in (cursor, f"{number}.{cursor}"):
        try:
            after = Cursor.parse(text)
        except ValueError:
            continue
        site.history.alarms(between(0, 10**6), after=after)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_index_says_of_each_moment_what_a_reading_of_the_whole_journal_says(tmp_path_factory, data):
    """The other oracle: every entry read in order, with no index at all."""
    site = Site(tmp_path_factory.mktemp("model"))
    try:
        open_, s = [], 0
        for _ in range(data.draw(st.integers(1, 25))):
            s += data.draw(st.integers(0, 60))
            act = data.draw(st.sampled_from(["raise", "ack", "end", "look"]))
            if act == "raise":
                open_.append(site.alarm(s, f"gas-{data.draw(st.integers(0, 3))}"))
            elif act == "look":
                site.caught_up()
            elif open_:
                at = data.draw(st.integers(0, len(open_) - 1))
                alarm = open_[at]
                if act == "ack" and alarm.state == "unack":
                    open_[at] = site.ack(alarm, s)
                elif act == "end" and alarm.state == "acked":
                    site.end(open_.pop(at), s)
        history = site.caught_up()
        moment = data.draw(st.integers(-10, s + 10))
        known: dict[str, Alarm] = {}
        from gatehouse_edge.history.fold import change_of

        for entry in site.reader.read(Lane.ALARM, 0, 10_000):
            change = change_of(entry) if entry.kind == "alarm" else None
            if change is not None and entry.at_us <= us(moment):
                known[change.alarm.alarm_id] = change.alarm
        expected = {alarm_id: alarm for alarm_id, alarm in known.items() if alarm.is_open}
        assert {alarm.alarm_id: alarm for alarm in history.moment(us(moment)).alarms} == expected
        assert {one.alarm_id for one in history.alarms(between(-10, s + 100), limit=500)[0]} >= set(known)
    finally:
        site.close()


def test_a_time_without_end_is_beyond_every_question():
    assert us(10**9) < FOREVER


def test_why_it_was_shelved_is_told(site):
    alarm = site.alarm(100, code="gas.low_alarm")
    now = now_at(120)
    command = Shelve(actor=GUARD, command_id="s1", alarm_id=alarm.alarm_id, duration_s=600, reason="现场检修")
    site.change(life_cycle.shelve(alarm, now, command, duration_s=600, reason=command.reason), now)
    assert site.caught_up().story(alarm.alarm_id)[-1].text == "现场检修"


def test_a_note_is_told_as_it_was_written(site):
    alarm = site.alarm(100)
    now = now_at(120)
    command = AddNote(actor=GUARD, command_id="n1", alarm_id=alarm.alarm_id, text="<i>已联系</i>住户")
    site.change(life_cycle.note(alarm, now, command, command.text), now)
    history = site.caught_up()
    assert history.story(alarm.alarm_id)[-1].text == "<i>已联系</i>住户"
    assert history.alarms(between(0, 1000, terms=(Term(text=search_text("已联系")),)))[0]
