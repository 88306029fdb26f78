"""Keeping what we do not understand: the part of a document that its typed reading left out, and putting it back."""

from __future__ import annotations

from typing import Any, Final

_INDEX: Final = "#"
"""Unknown fields of the n-th element of a list stand under `#n`; list elements themselves are always known."""


def unknown_part(document: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of `document` that `known` (its typed reading) does not have, nested as they were."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        if key not in known:
            found[key] = value
            continue
        inner = _unknown_inside(value, known[key])
        if inner:
            found[key] = inner
    return found


def merged(known: dict[str, Any], unknown: dict[str, Any]) -> dict[str, Any]:
    """Return `known` with the fields of `unknown` added; where both have a value, the known one counts."""
    result = dict(known)
    for key, value in unknown.items():
        if key not in result:
            result[key] = value
        elif isinstance(result[key], dict) and isinstance(value, dict):
            result[key] = merged(result[key], value)
        elif isinstance(result[key], list) and isinstance(value, dict):
            result[key] = [
                _merged_item(item, value.get(f"{_INDEX}{n}")) for n, item in enumerate(result[key])
            ]
    return result


def _unknown_inside(value: object, known: object) -> dict[str, Any]:
    if isinstance(value, dict) and isinstance(known, dict):
        return unknown_part(value, known)
    if isinstance(value, list) and isinstance(known, list | tuple):
        pairs = zip(value, known, strict=False)
        parts = ((f"{_INDEX}{n}", _unknown_inside(item, other)) for n, (item, other) in enumerate(pairs))
        return {key: part for key, part in parts if part}
    return {}


def _merged_item(item: object, extra: object) -> object:
    return merged(item, extra) if isinstance(item, dict) and isinstance(extra, dict) else item
