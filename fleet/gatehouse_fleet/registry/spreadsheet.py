"""Tables for spreadsheet programs: UTF-8 with a mark, and no cell that one of them would run. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from typing import Final

BOM: Final = "\ufeff"
"""Without it the spreadsheet program of most offices shows Chinese as rubbish."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def safe(text: str) -> str:
    """Return a cell that no spreadsheet program takes for a formula: names come from people."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def line(cells: Iterable[str]) -> str:
    """Return one line with its end."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([safe(cell) for cell in cells])
    return out.getvalue()


def when(at: datetime | None) -> str:
    """Return a time as a cell, empty without; the offset stands in it."""
    return "" if at is None else at.isoformat(timespec="seconds")
