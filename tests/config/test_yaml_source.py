"""The file is read as people mean it, and a broken one never brings the check down."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gatehouse_config import check
from gatehouse_config.yaml_source import parse


def test_a_syntax_error_is_named_with_its_line(yard):
    (fault,) = yard.text_faults("gateway:\n  id: gw\nsite: [1, 2\nbuses: }\n")
    assert fault.line == 4
    assert "not YAML" in fault.message


def test_a_key_given_twice_is_named_with_both_lines(yard):
    faults = yard.text_faults("gateway: {id: gw}\nconsole:\n  port: 8443\n  port: 8444\n")
    (fault,) = [fault for fault in faults if "twice" in fault.message]
    assert (fault.path, fault.line) == ("console.port", 4)
    assert "line 3" in fault.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0501", "0501"), ("no", "no"), ("on", "on"), ("12:30", "12:30"), ("C3:28:40:11:22:33", "C3:28:40:11:22:33"),
        ("2024-05-01", "2024-05-01"), ("0x10", 16), ("10", 10), ("-3", -3), ("1.5", 1.5), ("1e3", 1000.0), ("true", True),
        ("~", None), ('"7"', "7"), (".nan", ".nan"), ("1_000", "1_000"), ("0o17", "0o17"), ("5", 5), ("0", 0),
    ],
)  # fmt: skip
def test_a_word_is_what_it_looks_like(text, value):
    found = parse(f"a: {text}").data
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


@pytest.mark.parametrize(
    "text", ["a: &x 1\nb: *x\n", "a: !!python/object:os.system {}\n", "a: !secret x\n", "? [a]\n: 1\n"]
)
def test_aliases_tags_and_odd_keys_are_refused(text):
    assert parse(text).faults


def test_a_billion_laughs_is_refused_at_once():
    text = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    assert parse(text).faults


def test_a_deep_nest_is_refused():
    assert parse("a: " + "[" * 30 + "]" * 30).faults
    assert parse("[" * 5000 + "]" * 5000).faults


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.text(max_size=8) | st.sampled_from(["gateway", "site", "buses", "devices", "outputs", "id", "kind", "console"]),
        inner, max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=plain)
@example(data={"buses": {}, "devices": "x", "outputs": [[]], "console": [], "notifiers": 3, "escalation": []})
@example(data={"buses": [{"kind": {}}, {"kind": []}, {"id": [], "kind": "ble"}]})
@example(data={"devices": [{"kind": "gas", "gas": {}}], "profiles_directory": "\0"})
def test_whatever_stands_in_the_file_is_answered_with_faults(tmp_path, data):
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8", errors="replace")
    assert check(path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_whatever_bytes_the_file_holds_are_answered_with_faults(tmp_path, data):
    path = tmp_path / "gateway.yaml"
    path.write_bytes(data)
    assert check(path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoiled=st.data())
def test_any_value_anywhere_in_a_right_file_is_answered(yard, spoiled):
    data = yard.data()
    node: object = data
    while isinstance(node, dict | list) and node:
        key = spoiled.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        if spoiled.draw(st.booleans()) or not isinstance(node[key], dict | list):
            node[key] = spoiled.draw(plain)
            break
        node = node[key]
    for fault in check(yard.write(data)):
        assert fault.message
