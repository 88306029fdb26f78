"""A configuration seen away from its gateway: the same models, no file is read, and what must lie there is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gatehouse_config import Examined, examine

if TYPE_CHECKING:
    from conftest import Yard  # type: ignore[import-not-found]  # pytest loads it


def seen(data: object) -> Examined:
    return examine(yaml.safe_dump(data, allow_unicode=True, sort_keys=False))


def test_a_sound_text_needs_no_key_here_and_names_every_file_that_must_be_there(yard: Yard) -> None:
    found = seen(yard.data() | {"profiles_directory": "profiles"})
    assert found.faults == ()
    assert {(one.path, one.file) for one in found.files} == {
        ("profiles_directory", "profiles"),
        ("devices[2].keys[0].file", "keys/lift-3-2.1.key"),
        ("devices[3].keys[0].file", "keys/btn-17.1.key"),
        ("devices[4].keys[0].file", "keys/beacon-1.1.key"),
    }


def spoil_unit(data: dict[str, Any]) -> None:
    data["devices"][1]["unit_id"] = data["devices"][0]["unit_id"]


def spoil_key(data: dict[str, Any]) -> None:
    data["gateway"]["lanuage"] = "zh"


def spoil_bus(data: dict[str, Any]) -> None:
    data["devices"][0]["bus"] = "rs485-9"


@pytest.mark.parametrize("spoil", [spoil_unit, spoil_key, spoil_bus])
def test_what_the_gateway_would_refuse_is_refused_with_the_same_words(
    yard: Yard, spoil: Callable[[dict[str, Any]], None]
) -> None:
    there = yard.faults(spoil)
    assert there
    assert list(examine(yard.path.read_text(encoding="utf-8")).faults) == there


def test_one_key_file_for_two_devices_is_noticed_without_reading_it(yard: Yard) -> None:
    data = yard.data()
    data["devices"][4]["keys"][0]["file"] = data["devices"][3]["keys"][0]["file"]
    assert [one.path for one in seen(data).faults] == ["devices[4].keys[0].file"]


def test_a_profile_of_ones_own_passes_only_where_a_folder_for_it_is_named(yard: Yard) -> None:
    data = yard.data()
    data["devices"][0]["profile"] = "mine"
    assert [one.path for one in seen(data).faults] == ["devices[0].profile"]
    assert seen(data | {"profiles_directory": "profiles"}).faults == ()


def test_a_text_too_large_for_any_gateway_is_refused_unread() -> None:
    assert [one.message for one in examine("#" * (1024 * 1024 + 1)).faults] == ["larger than 1048576 bytes"]
