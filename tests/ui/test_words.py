"""The catalogue: whole in both languages, nothing missing, nothing left over, and no Chinese anywhere else."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from gatehouse_ui import STATIC, words

WORDS = STATIC / "words"
FOLDERS = [STATIC] + [
    folder
    for package, name in (
        ("gatehouse_edge.console", "static"),
        ("gatehouse_fleet", "console/static"),
        ("gatehouse_hil", "bench_page/static"),
    )
    if (folder := Path(str(files(package))) / name).is_dir()
]
"""Where the pages of the consoles are; a folder that does not exist yet is looked at once it does."""
SCRIPTS = sorted(path for folder in FOLDERS for path in folder.rglob("*.js") if "vendor" not in path.parts)
SECTIONS = sorted(path.stem for path in (WORDS / "zh").glob("*.json"))
TEXT = re.compile(r'"((?:[^"\\\n]|\\.)*)"|\'((?:[^\'\\\n]|\\.)*)\'')
COMMENT = re.compile(r"/\*.*?\*/|(?<![:\"'`])//[^\n]*", re.DOTALL)


def code_of(path):
    return COMMENT.sub("", path.read_text(encoding="utf-8"))


def everything(language):
    return words(language, *SECTIONS)


@pytest.mark.parametrize("section", SECTIONS)
def test_both_languages_have_the_same_keys_and_the_same_gaps_to_fill(section):
    zh, en = words("zh", section), words("en", section)
    assert zh.keys() == en.keys()
    gaps = {key: (set(re.findall(r"\{\w+\}", zh[key])), set(re.findall(r"\{\w+\}", en[key]))) for key in zh}
    assert {key: pair for key, pair in gaps.items() if pair[0] != pair[1]} == {}
    assert all(text.strip() for text in [*zh.values(), *en.values()])


def test_no_key_stands_in_two_sections_or_twice_in_one():
    seen = []
    for section in SECTIONS:
        text = (WORDS / "zh" / f"{section}.json").read_text(encoding="utf-8")
        seen += [key for key, _ in json.loads(text, object_pairs_hook=list)]
    assert sorted({key for key in seen if seen.count(key) > 1}) == []


def test_every_key_that_is_asked_for_is_there():
    known = everything("zh").keys()
    asked = {
        (path.name, key)
        for path in SCRIPTS
        for key in re.findall(r"(?<![\w.])t\(\s*\"(\w+)\"", code_of(path))
    }
    assert {(name, key) for name, key in asked if key not in known} == set()


def test_every_key_is_used():
    # A key is used where it stands as a text of its own, where a text is put together that begins like it, or where a
    # comment says so (`words: p1 p2 p3 p4`).
    code = "".join(code_of(path) for path in SCRIPTS)
    texts = {one or other for one, other in TEXT.findall(code)}
    for path in SCRIPTS:
        for named in re.findall(r"// words: ([\w ]+)", path.read_text(encoding="utf-8")):
            texts |= set(named.split())
    begun = tuple(re.findall(r"`(\w+_)\$\{", code))
    documents = "".join(
        path.read_text(encoding="utf-8")
        for folder in FOLDERS
        for path in [*folder.parent.rglob("*.html"), *folder.parent.rglob("*.jinja")]
    )
    unused = {
        key
        for key in everything("zh")
        if key not in texts and not key.startswith(begun) and not re.search(rf"\b{key}\b", documents)
    }
    assert unused == set()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_chinese_stands_in_the_catalogue_only(path):
    assert not re.search(r"[一-鿿]", code_of(path))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_writes_markup_evaluates_text_or_leaves_the_origin(path):
    text = code_of(path)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
    )
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", path.read_text(encoding="utf-8"))
