"""The gateway's terse tokens in words, for what the gateway writes itself; `static/say.js` says the same on the pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

PHRASES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"^put aside after (?P<n>\d+) failures$"), "aside"),
    (re.compile(r"^floor (?P<n>\S+)$"), "floor"),
    (re.compile(r"^floors (?P<a>[^-\s]+)-(?P<b>\S+)$"), "floors"),
    (re.compile(r"^last floor (?P<n>\S+)$"), "last_floor"),
    (re.compile(r"^last (?P<v>.+)$"), "last"),
    (re.compile(r"^since (?P<d>\S+)$"), "since"),
    (re.compile(r"^ends (?P<d>\S+)$"), "ends"),
    (re.compile(r"^(?P<id>\S+) should be closed$"), "should_closed"),
    (re.compile(r"^(?P<id>\S+) should be open$"), "should_open"),
    (re.compile(r"^(?P<n>\d+\+) messages, first from (?P<from>.*)$"), "messages"),
    (re.compile(r"^warming up for more than (?P<n>\S+) s$"), "warming"),
    (re.compile(r"^(?P<n>\d+\+) / (?P<m>\d+) min$"), "flood"),
    (re.compile(r"^nothing changed for (?P<n>\d+) s$"), "frozen"),
)
_HEAD: Final = re.compile(r"^(\w+): (.*)$", re.DOTALL)
_PARTS: Final = re.compile(r"; |, (?=\S+ should be )")


def explain(text: str, words: Mapping[str, str]) -> str:
    """Return the text of a condition (`no_answer: no answer; put aside after 2 failures`) in words; what is not known as it is."""
    parts: list[str] = []
    for part in _PARTS.split(text):
        head = _HEAD.match(part)
        if head is not None and token(head[1], words) != head[1]:
            parts += [head[1], head[2]]
        else:
            parts.append(part)
    said = (_phrase(part, words) for part in parts)
    return " · ".join(dict.fromkeys(one for one in said if one))


def token(text: str, words: Mapping[str, str]) -> str:
    """Return one token in words, an unknown one as it is."""
    return words.get(f"token_{text.strip().replace(' ', '_')}", text)


def _phrase(part: str, words: Mapping[str, str]) -> str:
    for pattern, key in PHRASES:
        found = pattern.match(part)
        if found is not None:
            return fill(words[f"phrase_{key}"], found.groupdict())
    return token(part, words)


def fill(text: str, values: Mapping[str, object]) -> str:
    """Return words with `{name}` filled in; unlike `str.format` it reads nothing else into braces."""
    return re.sub(r"\{(\w+)\}", lambda gap: str(values.get(gap[1], "")), text)
