"""Alarm ids are ULIDs in the order of their time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gatehouse_events.ids import is_id, new_id

AT = datetime(2026, 11, 23, tzinfo=UTC)


def test_ids_sort_by_their_time() -> None:
    ids = [new_id(AT + timedelta(milliseconds=n)) for n in range(50)]
    assert ids == sorted(ids)


def test_two_ids_of_one_time_differ() -> None:
    assert new_id(AT) != new_id(AT)


@pytest.mark.parametrize("at", [datetime(1970, 1, 1, tzinfo=UTC), datetime(1931, 5, 1, tzinfo=UTC)])
def test_a_clock_that_stands_wrong_still_gives_an_id(at: datetime) -> None:
    assert is_id(new_id(at))


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        new_id(AT.replace(tzinfo=None))


@pytest.mark.parametrize("text", ["", "01KAR7W3N8Z4E6Q2V9T5X1YB0", "01kar7w3n8z4e6q2v9t5x1yb0m", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01KAR7W3N8Z4E6Q2V9T5X1YB0I"])  # fmt: skip
def test_other_spellings_are_not_ids(text: str) -> None:
    assert not is_id(text)
