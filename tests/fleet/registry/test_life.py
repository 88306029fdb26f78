"""The life of a thing as a table: every pair of states is decided, and decided as written here."""

from __future__ import annotations

import pytest

from gatehouse_fleet.registry.life import LABELS, NEXT, LifeError, LifeState, step

ALLOWED = {
    "stored": "deployed repair lost scrapped",
    "deployed": "stored repair lost scrapped",
    "repair": "stored deployed lost scrapped",
    "lost": "stored scrapped",
    "scrapped": "",
}


@pytest.mark.parametrize("old", list(LifeState))
@pytest.mark.parametrize("new", list(LifeState))
def test_each_step_is_allowed_or_refused_as_the_table_says(old: LifeState, new: LifeState) -> None:
    if new is old or new.value in ALLOWED[old.value].split():
        assert step(old, new) is new
    else:
        with pytest.raises(LifeError, match=f"{old} cannot become {new}"):
            step(old, new)


def test_scrapped_is_the_end_and_a_found_thing_is_looked_at_before_it_is_used() -> None:
    assert NEXT[LifeState.SCRAPPED] == frozenset()
    assert LifeState.DEPLOYED not in NEXT[LifeState.LOST]


def test_every_state_has_a_name_in_both_languages() -> None:
    assert set(LABELS) == set(LifeState) == set(NEXT)
