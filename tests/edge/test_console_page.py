"""The page: both languages whole, no foreign origin, no markup from data."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from gatehouse_edge.reading import ButtonEvent, Car, PictureState, Quality, ServiceMode, SilenceReason
from gatehouse_events.codes import CODES
from gatehouse_events.states import Kind, Priority

CONSOLE = Path(str(files("gatehouse_edge.console") / "static"))
UI = Path(str(files("gatehouse_ui") / "static"))
SCRIPTS = sorted([*CONSOLE.glob("*.js"), *UI.glob("*.js")])


def catalogue(language):
    text = (UI / "words.js").read_text(encoding="utf-8")
    block = re.search(rf"^  {language}: \{{(.*?)^  \}},", text, re.MULTILINE | re.DOTALL).group(1)
    return set(re.findall(r"(\w+): \"", block))


def test_both_languages_have_the_same_words():
    assert catalogue("zh") == catalogue("en")


def test_every_word_is_used_and_every_used_word_is_there():
    code = "".join(path.read_text(encoding="utf-8") for path in SCRIPTS if path.name != "words.js")
    used = set(re.findall(r"\bt\(\"(\w+)\"", code)) | set(re.findall(r"\b(?:field|button)\(\"(\w+)\"", code))
    used |= {word for pair in re.findall(r"\bt\([\w.]+ \? \"(\w+)\" : \"(\w+)\"\)", code) for word in pair}
    columns = re.search(r"\[((?:\"\w+\", )+\"\w+\")\]\.map\(\(key\) =>", code).group(1)
    used |= set(re.findall(r"\"(\w+)\"", columns))
    # Steps of a rescue are buttons named by a table; tokens, phrases and advice are looked up by what the gateway said.
    steps = re.search(r"RESCUE_STEPS = \{(.*?)\};", code).group(1)
    used |= set(re.findall(r"\"([a-z_]+)\"", steps))
    prefixes = (*re.findall(r"\b(?:t|either)\(`(\w+)\$", code), "silent_", "unknown_")
    known = catalogue("zh")
    assert used <= known
    computed = {word for word in known if word.startswith(prefixes)} | {"p1", "p2", "p3", "p4"}
    assert known - used - computed == set()


@pytest.mark.parametrize(
    "tokens",
    [SilenceReason, Quality, ServiceMode, ButtonEvent, PictureState, Car],
    ids=lambda one: one.__name__,
)
def test_what_a_device_can_say_has_words(tokens):
    assert {f"token_{token.value}" for token in tokens} <= catalogue("zh")


def test_every_urgent_code_has_advice():
    known = catalogue("zh")
    for code in CODES.values():
        if code.priority in {Priority.P1, Priority.P2} and code.kind is Kind.ALARM:
            assert {f"next_{code.name.replace('.', '_')}", f"next_{code.category}"} & known, code.name


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_writes_markup_evaluates_text_or_leaves_the_origin(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.style\b", text
    )
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_chinese_stands_in_the_catalogue_only():
    for path in SCRIPTS:
        if path.name != "words.js":
            assert not re.search(r"[一-鿿]", path.read_text(encoding="utf-8")), path.name


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_a_sound_module(path):
    result = subprocess.run(
        ["node", "--check", "--input-type=module"], input=path.read_bytes(), capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr.decode()
