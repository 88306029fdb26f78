"""The page's words fit what the gateway can say. What holds for every console stands in tests/ui."""

from __future__ import annotations

import pytest

from gatehouse_edge.reading import ButtonEvent, Car, PictureState, Quality, ServiceMode, SilenceReason
from gatehouse_events.alarm import What
from gatehouse_events.codes import CODES
from gatehouse_events.states import STATE_LABELS, Kind, Priority
from gatehouse_ui import words


@pytest.mark.parametrize(
    "tokens",
    [SilenceReason, Quality, ServiceMode, ButtonEvent, PictureState, Car],
    ids=lambda one: one.__name__,
)
def test_what_a_device_can_say_has_words(tokens):
    assert {f"token_{token.value}" for token in tokens} <= words("zh", "field").keys()


def test_every_urgent_code_has_advice():
    known = words("zh", "duty").keys()
    for code in CODES.values():
        if code.priority in {Priority.P1, Priority.P2} and code.kind is Kind.ALARM:
            assert {f"next_{code.name.replace('.', '_')}", f"next_{code.category}"} & known, code.name


def test_every_step_of_an_alarm_that_the_log_shows_has_words():
    hidden = {What.CHANGED, What.GROUPED, What.ESCALATED}
    assert {f"what_{what}" for what in set(What) - hidden} <= words("zh", "duty").keys()


def test_the_words_for_states_are_those_of_the_one_table():
    # English is shorter on a card; Chinese is what the table says.
    known = words("zh", "duty")
    assert {state: known[f"st_{state}"] for state in STATE_LABELS} == {
        state: label.zh for state, label in STATE_LABELS.items()
    }
