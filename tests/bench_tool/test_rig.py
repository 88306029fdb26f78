"""Rig files: frozen, checked, a mistyped key named with the nearest known one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_hil.bench import rig
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.workplace import DEFAULT_RIG

EXAMPLES = sorted((Path(__file__).parents[2] / "docs/rigs").glob("*.yaml"))
LOCAL = {"backend": "local", "name": "x", "boards": [{"name": "a", "port": "/dev/ttyUSB0"}]}


@pytest.mark.parametrize("path", [*EXAMPLES, DEFAULT_RIG], ids=lambda path: path.name)
def test_every_rig_file_that_is_shown_is_understood(path: Path) -> None:
    assert rig.load(path).boards


def test_there_is_an_example_for_each_back_end() -> None:
    assert {rig.load(path).backend for path in EXAMPLES} == {"simulated", "local", "labgrid"}


@pytest.mark.parametrize(
    ("data", "key", "near"),
    [
        ({**LOCAL, "nane": "x"}, "nane", "name"),
        ({**LOCAL, "boards": [{"name": "a", "prot": "/dev/x"}]}, "prot", "port"),
        ({**LOCAL, "boards": [{"name": "a", "port": "x", "expects": {"chp": "esp32c3"}}]}, "chp", "chip"),
        ({**LOCAL, "resources": [{"type": "usb-hub", "name": "h", "hbu": "1-1", "port": 1}]}, "hbu", "hub"),
        (
            {**LOCAL, "resources": [{"type": "usb-relay", "name": "h", "port": "x", "chanel": 1}]},
            "chanel",
            "channel",
        ),
        (
            {**LOCAL, "fleet": {"url": "https://f.example", "token_file": "t", "wrap_key": "k"}},
            "wrap_key",
            "wrap_key_file",
        ),
        (
            {
                "backend": "simulated",
                "name": "x",
                "boards": [{"name": "a", "mac": "0" * 12, "practise": "none"}],
            },
            "practise",
            "practice",
        ),
        (
            {"backend": "labgrid", "name": "x", "cordinator": "h", "boards": [{"name": "a", "place": "p"}]},
            "cordinator",
            "coordinator",
        ),
    ],
)
def test_an_unknown_key_is_refused_and_the_nearest_known_one_named(data: object, key: str, near: str) -> None:
    with pytest.raises(BenchError) as caught:
        rig.parse(data)
    assert (caught.value.fault, caught.value.exit_code) == (Fault.RIG_UNKNOWN_KEY, 2)
    assert (caught.value.facts["key"], caught.value.facts["near"]) == (key, near)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"boards": [{"name": "a", "port": "x", "power": "hub"}]}, "no resource of this rig"),
        ({"boards": [{"name": "a", "port": "x", "reset": "strap"}]}, "needs power and strap"),
        ({"boards": [{"name": "a", "port": "x"}, {"name": "a", "port": "y"}]}, "'a' twice"),
        ({"boards": []}, "at least 1"),
        ({"name": "Has Blanks"}, "pattern"),
        ({"backend": "cloud"}, "expected tags"),
    ],
)
def test_a_rig_that_cannot_be_is_refused_with_its_place(change: dict[str, object], says: str) -> None:
    with pytest.raises(BenchError) as caught:
        rig.parse({**LOCAL, **change})
    assert caught.value.fault is Fault.RIG_WRONG
    assert says in caught.value.facts["why"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["backend", "name", "boards", "resources", "fleet"]), JSON) | JSON)
def test_any_file_is_a_rig_or_a_named_fault(data: object) -> None:
    with pytest.raises(BenchError):
        rig.parse(data)


def test_the_command_ends_with_2_and_says_what_was_meant(bench: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text("backend: local\nname: x\nboards: [{name: a, prot: /dev/ttyUSB0}]\n", encoding="utf-8")
    ran = bench("list", "--lang", "en", "--rig", path, "--directory", tmp_path)
    assert (ran.status, ran.out) == (2, "")
    assert "Unknown key 'prot'" in ran.err
    assert "Did you mean 'port'?" in ran.err
    assert "是不是想写“port”" in bench("list", "--lang", "zh", "--rig", path, "--directory", tmp_path).err


def test_a_rig_file_that_is_not_there_is_misuse(bench: Callable[..., Any], tmp_path: Path) -> None:
    assert bench("list", "--rig", tmp_path / "none.yaml", "--directory", tmp_path).status == 2
