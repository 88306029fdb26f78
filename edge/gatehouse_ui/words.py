"""The catalogue for documents that a server writes (hand-over sheet, reports): the same files the pages read."""

from __future__ import annotations

import json
from functools import cache
from typing import Final

from gatehouse_ui.assets import STATIC

LANGUAGES: Final = ("zh", "en")


@cache
def words(language: str, *sections: str) -> dict[str, str]:
    """Return key -> words of these sections (`common`, `field`, `duty`, …) in `zh` or `en`.

    Raises:
        FileNotFoundError: there is no such section or language.
    """
    found: dict[str, str] = {}
    for section in sections:
        found |= json.loads((STATIC / "words" / language / f"{section}.json").read_text(encoding="utf-8"))
    return found
