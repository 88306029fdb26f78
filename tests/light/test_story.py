"""What light gateways write is what the city's schema accepts, over every life an alarm can have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gatehouse_events.alarm import Change
from gatehouse_events.city import event_of
from gatehouse_events.event import decode, encode
from gatehouse_events.states import Kind
from gatehouse_hil.light import Community
from gatehouse_hil.light.story import KINDS, Story

START = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)


@given(st.integers(1, 5000), st.integers(0, 10_000), st.integers(1, 40))
def test_every_revision_is_a_valid_event_of_its_community(number: int, seed: int, steps: int) -> None:
    community, story = Community(number), Story(Random(seed))
    for n in range(steps):
        at = START + timedelta(seconds=7 * n)
        event = event_of(story.go_on(at), community.card(), reported_at=at)
        received = decode(encode(event))
        assert received.event.data.site.community_id == community.community_id


@given(st.integers(0, 10_000))
def test_revisions_of_one_alarm_count_up_by_one(seed: int) -> None:
    story, last = Story(Random(seed)), dict[str, int]()
    for n in range(60):
        change: Change = story.go_on(START + timedelta(seconds=n))
        assert change.alarm.seq == last.get(change.alarm.alarm_id, 0) + 1
        last[change.alarm.alarm_id] = change.alarm.seq


def test_a_drill_stays_a_drill() -> None:
    story = Story(Random(1))
    change = story.raise_alarm(START, code="sos.pressed", kind=Kind.TEST)
    assert (change.alarm.kind, change.word.value) == (Kind.TEST, "test")


def test_each_kind_of_alarm_comes_up_sooner_or_later() -> None:
    story = Story(Random(3))
    told = {story.raise_alarm(START + timedelta(seconds=n)).alarm.code for n in range(200)}
    assert told == {row[0] for row in KINDS}
