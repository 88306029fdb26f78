"""What differs between two configurations, and what stands for `${name}`."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_fleet.configs.difference import What, changes, unified
from gatehouse_fleet.configs.rendering import render, variables

OLD = """\
# 示例 invented
site: {estate: 示例小区, floors: 5}
devices:
  - {id: gas-1, unit_id: 1}
  - {id: gas-2, unit_id: 2, on: true}
ladder: [{after_s: 0}, {after_s: 30}]
"""
NEW = """\
site: {estate: 示例二期, floors: "5"}
devices:
  - {id: gas-0, unit_id: 9}
  - {id: gas-2, unit_id: 2, on: 1}
  - {id: gas-1, unit_id: 3}
ladder: [{after_s: 0}]
fleet: {url: "https://fleet.example"}
"""
NAMES = st.sampled_from(["a", "b", "gateway", "x1"])
LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab示例 :#", max_size=4)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(NAMES, TREES, min_size=1, max_size=3)


def dump(data: object) -> str:
    return yaml.safe_dump(data, allow_unicode=True)


def test_each_place_that_differs_is_named_with_old_and_new() -> None:
    assert [(one.what.value, one.path, one.old, one.new) for one in changes(OLD, NEW)] == [
        ("changed", "site.estate", '"示例小区"', '"示例二期"'),
        ("changed", "site.floors", "5", '"5"'),
        ("changed", "devices[gas-1].unit_id", "1", "3"),
        ("changed", "devices[gas-2].on", "true", "1"),
        ("added", "devices[gas-0]", None, '{"id":"gas-0","unit_id":9}'),
        ("removed", "ladder[1]", '{"after_s":30}', None),
        ("added", "fleet", None, '{"url":"https://fleet.example"}'),
    ]


def test_comments_and_order_are_no_change_and_the_text_shows_them() -> None:
    other = "devices: [{id: b}, {id: a}]\n# 示例\n"
    assert changes("devices: [{id: a}, {id: b}]\n", other) == []
    assert (
        unified("a: 1\n", "a: 2\n", old_name="1", new_name="2") == "--- 1\n+++ 2\n@@ -1 +1 @@\n-a: 1\n+a: 2\n"
    )


@given(old=DOCUMENTS, new=DOCUMENTS)
def test_a_difference_read_backwards_is_its_mirror(old: object, new: object) -> None:
    there, back = changes(dump(old), dump(new)), changes(dump(new), dump(old))
    mirror = {What.ADDED: What.REMOVED, What.REMOVED: What.ADDED, What.CHANGED: What.CHANGED}
    assert {(one.path, one.what, one.old, one.new) for one in there} == {
        (one.path, mirror[one.what], one.new, one.old) for one in back
    }
    assert changes(dump(old), dump(old)) == []


@given(name=st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True), value=st.text(max_size=20))
def test_a_value_is_put_in_once_and_only_as_one_printable_line(name: str, value: str) -> None:
    text, faults = render(
        f"estate: ${{{name}}} ${{{name}}}\n", "wh-gw1", {} if name == "gateway_id" else {name: value}
    )
    if name == "gateway_id":
        value = "wh-gw1"
    if value.isprintable():
        assert (text, faults) == (f"estate: {value} {value}\n", ())
    else:
        assert (text, len(faults)) == ("", 1)


@given(text=st.text("${}a b\n_", max_size=30))
def test_whatever_begins_like_a_variable_is_one_or_a_fault(text: str) -> None:
    names, wrong = variables(text)
    done, faults = render(text, "wh-gw1", dict.fromkeys(names, "v"))
    assert bool(faults) == bool(wrong)
    if not faults:
        assert done.count("v") == text.count("${"), "every mark was a variable, and has its value"


def test_a_missing_value_and_one_too_many_are_named_with_the_line() -> None:
    _, faults = render("a: ${one}\nb: ${two}\n", "wh-gw1", {"one": "1", "three": "3"})
    assert [(one.line, one.message.split(" ")[0]) for one in faults] == [(2, "${two}"), (None, "three")]
    assert [one.line for one in variables("a: ${One}\nb: ${\n")[1]] == [1, 2]
