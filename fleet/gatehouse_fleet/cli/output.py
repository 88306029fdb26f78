"""What the commands print: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text


class Output:
    """Standard output and error; everything shown is cleaned of control characters."""

    def __init__(self, *, is_json: bool) -> None:
        self.is_json: Final = is_json
        self._out: Final = Console(highlight=False, soft_wrap=True)
        self._error: Final = Console(stderr=True, highlight=False, soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
        """Print rows: the named columns as a table, or everything as JSON."""
        if self.is_json:
            self.json(rows)
            return
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in columns:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(Text(_shown(row.get(name))) for name in columns))
        self._out.print(table)

    def fact(self, values: dict[str, Any], text: str) -> None:
        """Print one result: `text` for people, `values` as JSON."""
        if self.is_json:
            self.json(values)
        else:
            self._out.print(Text(text))

    def json(self, value: object) -> None:
        """Print JSON."""
        self._out.file.write(msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n")
        self._out.file.flush()

    def raw(self, data: str) -> None:
        """Print as it is: PEM, JSONL."""
        self._out.file.write(data)
        self._out.file.flush()

    def note(self, text: str) -> None:
        """Say something beside the result, on standard error."""
        self._error.print(Text(_printable(text)))

    def fault(self, text: str) -> None:
        """Say what went wrong, on standard error."""
        self._error.print(Text(f"gatehouse-fleet: {_printable(text)}"))


def _shown(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return " ".join(_printable(str(item)) for item in value)
        case _:
            return _printable(str(value))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
