"""What differs between two configurations: by path, as their meaning, and as text. Pure.

Things with an `id` (devices, buses, outputs, contacts) are the same thing wherever they stand in their list, so a device that is put
in front changes one path and not every path behind it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from gatehouse_config import yaml_source

MAX_CHANGES: Final = 2000
"""Nobody reads more; the unified text has them all."""
MAX_VALUE: Final = 400
_NOTHING: Final = object()


class What(StrEnum):
    """How a place differs."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Change(Struct, frozen=True, kw_only=True):
    """One place that differs; values as JSON, cut at 400 characters."""

    path: str
    what: What
    old: str | None = None
    new: str | None = None


def changes(old: str, new: str) -> list[Change]:
    """Return what differs between two texts by path, at most 2000; comments and layout do not count."""
    found = _differing(yaml_source.parse(old).data, yaml_source.parse(new).data, "")
    return [change for change, _ in zip(found, range(MAX_CHANGES), strict=False)]


def unified(old: str, new: str, *, old_name: str, new_name: str) -> str:
    """Return the difference as `diff -u` writes it; empty when the texts are the same."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), old_name, new_name, lineterm="")
    return "".join(f"{line}\n" for line in lines)


def _differing(old: object, new: object, path: str) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            place = f"{path}.{key}" if path else str(key)
            yield from _differing(old.get(key, _NOTHING), new.get(key, _NOTHING), place)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _items(old, new, path)
    elif old is _NOTHING:
        yield Change(path=path, what=What.ADDED, new=_json(new))
    elif new is _NOTHING:
        yield Change(path=path, what=What.REMOVED, old=_json(old))
    # True is 1 to Python, and a switch is no number.
    elif old != new or type(old) is not type(new):
        yield Change(path=path, what=What.CHANGED, old=_json(old), new=_json(new))


def _items(old: list[object], new: list[object], path: str) -> Iterator[Change]:
    olds, news = _by_id(old), _by_id(new)
    if olds is not None and news is not None and (olds or news):
        for name in [*olds, *(name for name in news if name not in olds)]:
            yield from _differing(olds.get(name, _NOTHING), news.get(name, _NOTHING), f"{path}[{name}]")
        return
    for index in range(max(len(old), len(new))):
        yield from _differing(_at(old, index), _at(new, index), f"{path}[{index}]")


def _by_id(items: Sequence[object]) -> dict[str, object] | None:
    """Return the items by their id; None when one has none, or two have the same."""
    found = {}
    for item in items:
        name = item.get("id") if isinstance(item, dict) else None
        if not isinstance(name, str | int):
            return None
        found[str(name)] = item
    return found if len(found) == len(items) else None


def _at(items: Sequence[object], index: int) -> object:
    return items[index] if index < len(items) else _NOTHING


def _json(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"
