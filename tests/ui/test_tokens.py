"""Contrast of every colour that carries meaning, by the formula of WCAG 2.2, in every theme."""

from __future__ import annotations

import re

import pytest

from gatehouse_ui import STATIC

TEXT = 4.5
GRAPHIC = 3.0
THEMES = ("light", "dark", "outdoor")
GROUNDS = ("page", "panel", "card")
ON_TINT = ("p1", "p2", "p3", "p4")


def tokens(theme):
    text = (STATIC / "tokens.css").read_text(encoding="utf-8")
    blocks = {"light": re.search(r":root \{(.*?)\}", text, re.DOTALL)[1]}
    for name in ("dark", "outdoor"):
        blocks[name] = re.search(rf'\[data-theme="{name}"\] \{{(.*?)\}}', text, re.DOTALL)[1]
    found = dict(re.findall(r"--([\w-]+): ([^;]+);", blocks["light"]))
    found |= dict(re.findall(r"--([\w-]+): ([^;]+);", blocks[theme]))
    while any(value.startswith("var(") for value in found.values()):
        found = {
            name: found[value[6:-1]] if value.startswith("var(") else value for name, value in found.items()
        }
    return found


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_formula_agrees_with_known_pairs():
    # Black on white is 21 by definition; #767676 on white is the best known grey that just passes (4.54).
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("ink", ["ink", "ink-2", "ink-3"])
def test_text_is_readable_on_every_ground(theme, ink):
    found = tokens(theme)
    # The hint colour is not used on the bare page of the light theme.
    for ground in GROUNDS if ink != "ink-3" else ("panel", "card"):
        assert contrast(found[ink], found[ground]) >= TEXT, ground


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("p", ON_TINT)
def test_words_of_a_priority_are_readable(theme, p):
    found = tokens(theme)
    assert contrast(found[f"on-{p}"], found[p]) >= TEXT
    for ground in (f"{p}-tint", "card", "panel"):
        assert contrast(found[f"{p}-ink"], found[ground]) >= TEXT, ground
    assert contrast(found["ink"], found[f"{p}-tint"]) >= TEXT


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("p", ON_TINT)
def test_every_mark_stands_out_from_what_it_lies_on(theme, p):
    # The edge is what makes the shape: the fill of orange and yellow is too pale on white. On the façade each mark lies on
    # a rim of the card's colour.
    found = tokens(theme)
    for ground in ("card", "panel", f"{p}-tint"):
        best = max(contrast(found[f"{p}-edge"], found[ground]), contrast(found[p], found[ground]))
        assert best >= GRAPHIC, ground


@pytest.mark.parametrize("theme", THEMES)
def test_tags_bars_and_the_focus_stand_out(theme):
    found = tokens(theme)
    assert contrast(found["on-tag"], found["tag"]) >= TEXT
    assert contrast(found["tag"], found["wall"]) >= GRAPHIC
    for bar in ("bar", "bar-2"):
        assert contrast(found["on-bar"], found[bar]) >= TEXT
        assert contrast(found["on-bar-2"], found[bar]) >= TEXT
    for ground in GROUNDS:
        assert contrast(found["focus"], found[ground]) >= GRAPHIC
