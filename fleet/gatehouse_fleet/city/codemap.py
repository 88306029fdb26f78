"""What a platform calls our alarms: tables as data, each row with its source.

There is no one lift fault code: eight tables were read and one digit means different things in each (domain notes 0.1).
A row without provenance is refused, and two of our codes may share a word only where the table says so.
"""

from __future__ import annotations

import contextlib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from gatehouse_events.codes import CODES
from gatehouse_events.event import Event
from gatehouse_fleet.city.errors import CityError, UnsayableError

_MAX_BYTES: Final = 256 * 1024
_Word = Annotated[str, Meta(min_length=1, max_length=64)]


class CodeMapError(CityError):
    """A code map is unusable."""


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of our codes in the platform's words."""

    code: _Word
    says: _Word
    provenance: Annotated[str, Meta(min_length=8, max_length=400)]
    """Where this row was read: document and place. Never invented."""
    direction: str | None = None
    """Only when the car moves so (`up`, `down`)."""
    shares_with: str | None = None
    """The row of our other code for which the platform has the same word."""


class CodeMap(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One platform's table."""

    id: _Word
    title: Annotated[str, Meta(min_length=1, max_length=120)]
    rows: Annotated[tuple[Row, ...], Meta(min_length=1, max_length=1000)]
    is_class: bool = False
    """Words are classes (alarm, fault), shared on purpose by many codes."""

    def word(self, event: Event) -> str:
        """Return what the platform calls this event.

        Raises:
            UnsayableError: the table has no row for it.
        """
        direction = event.data.lift.direction if event.data.lift is not None else None
        for row in self.rows:
            if row.code == event.data.code and row.direction in (None, direction):
                return row.says
        moving = f" moving {direction}" if direction in ("up", "down") else ""
        raise UnsayableError(f"{self.id} has no code for {event.data.code}{moving}")

    def words(self, event: Event, codes: tuple[str, ...]) -> set[str]:
        """Return the words of `codes` on the device of `event`; codes without a row are left out."""
        found = set()
        for code in codes:
            data = msgspec.structs.replace(event.data, code=code)
            with contextlib.suppress(UnsayableError):
                found.add(self.word(msgspec.structs.replace(event, data=data)))
        return found


def parse(raw: bytes, *, where: str) -> CodeMap:
    """Return the table in `raw`.

    Raises:
        CodeMapError: not a table, an unknown code, a double row, or a word shared without saying so.
    """
    if len(raw) > _MAX_BYTES:
        raise CodeMapError(f"{where}: larger than {_MAX_BYTES} bytes")
    try:
        found = msgspec.json.decode(raw, type=CodeMap)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CodeMapError(f"{where}: {error}") from error
    faults = [*_double_rows(found), *_silent_sharing(found)]
    faults += [f"{row.code} is no code of ours" for row in found.rows if row.code not in CODES]
    if faults:
        raise CodeMapError(f"{where}: " + "; ".join(faults))
    return found


def load(name: str, *, beside: Path) -> CodeMap:
    """Return the shipped table `name`, or the one in the file `name` (ending in .json) beside the target's file.

    Raises:
        CodeMapError: there is none, or it is unusable.
    """
    try:
        if name.endswith(".json"):
            return parse((beside / name).read_bytes(), where=name)
        if name in shipped():
            return parse(_folder().joinpath(f"{name}.json").read_bytes(), where=name)
    except OSError as error:
        raise CodeMapError(f"{name} cannot be read: {type(error).__name__}") from error
    raise CodeMapError(
        f"there is no code map {name}; shipped are {', '.join(shipped())}, or name a .json file"
    )


def shipped() -> tuple[str, ...]:
    """Return the names of the tables that come with the server."""
    names = (entry.name for entry in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


def _folder() -> Path:
    return Path(str(files("gatehouse_fleet.city"))) / "maps"


def _double_rows(found: CodeMap) -> list[str]:
    seen: set[tuple[str, str | None]] = set()
    faults = []
    for row in found.rows:
        key = (row.code, row.direction)
        if key in seen:
            faults.append(f"{row.code} stands twice")
        seen.add(key)
    return faults


def _silent_sharing(found: CodeMap) -> list[str]:
    if found.is_class:
        return []
    owners: dict[str, str] = {}
    faults = []
    for row in found.rows:
        owner = owners.setdefault(row.says, row.code)
        if owner not in (row.code, row.shares_with):
            faults.append(f"{row.code} and {owner} both say {row.says}: one of them must say `shares_with`")
    return faults
