"""One catalogue, two languages, nothing missing on either side."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from gatehouse_hil.bench.fault import MISUSE, BenchError, Fault
from gatehouse_hil.bench.words import CATALOGUE, Lang, Words, lang_of

SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for path in (Path(__file__).parents[2] / "hil/gatehouse_hil").rglob("*.py")
    if path.name != "words.py"
)


def holes(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", CATALOGUE)
def test_both_languages_say_it_and_neither_invents_a_fact(key: str) -> None:
    text = CATALOGUE[key]
    assert text.zh.strip()
    assert text.en.strip()
    # A measurement has a name in each language; everything else is the same fact in both.
    assert holes(text.zh) - {"zh"} == holes(text.en) - {"en"}


@pytest.mark.parametrize("key", [key for key in CATALOGUE if not key.startswith("help.")])
def test_chinese_is_chinese(key: str) -> None:
    assert re.search(r"[\u4e00-\u9fff]", CATALOGUE[key].zh)
    assert not re.search(r"[\u4e00-\u9fff]", CATALOGUE[key].en)


def test_every_fault_has_its_sentence_and_no_sentence_is_without_a_fault() -> None:
    assert {key.removeprefix("fault.") for key in CATALOGUE if key.startswith("fault.")} == {
        fault.value for fault in Fault
    }


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_is_raised_somewhere(fault: Fault) -> None:
    assert re.search(rf"Fault\.{fault.name}\b", SOURCES.replace(f"{fault.name} = ", ""))


@pytest.mark.parametrize("key", [key for key in CATALOGUE if not key.startswith("fault.")])
def test_no_sentence_is_kept_that_nobody_says(key: str) -> None:
    family = key.partition(".")[0]
    is_computed = f'"{family}.{{' in SOURCES  # words(f"step.{step}")
    assert re.search(rf"""["']{re.escape(key)}["']""", SOURCES) or is_computed


def test_misuse_ends_with_2_and_failure_with_1() -> None:
    assert {BenchError(fault).exit_code for fault in MISUSE} == {2}
    assert {BenchError(fault).exit_code for fault in set(Fault) - MISUSE} == {1}


@pytest.mark.parametrize(
    ("wanted", "environment", "lang"),
    [("en", "zh_CN.UTF-8", Lang.EN), (None, "en_GB.UTF-8", Lang.EN), (None, "C", Lang.ZH), (None, "", Lang.ZH), ("zh", "en_US", Lang.ZH)],
)  # fmt: skip
def test_the_language_is_asked_for_first_then_taken_from_lang_and_else_chinese(
    wanted: str | None, environment: str, lang: Lang
) -> None:
    assert lang_of(wanted, environment) is lang


def test_text_of_a_tool_is_cleaned_and_cut_before_it_stands_in_a_sentence() -> None:
    error = BenchError(Fault.TOOL_FAILED, tool="x", said="\x1b[31mred\n" + "y" * 500)
    sentence = Words(Lang.EN).fault(error)
    assert "\x1b" not in sentence
    assert len(sentence) < 300
