"""Administrative division codes as data: which places exist, in which list, and where we read it.

The same digits can mean different things in different lists (zones such as 371071 stand in the statistics bureau's list only), so a
code never travels without the name of its standard.
"""

from __future__ import annotations

from enum import StrEnum
from importlib.resources import files
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

LENGTHS: Final = {6: "district", 9: "street", 12: "community"}
"""Digits and level (GB/T 2260: 6; GB/T 10114: 9; statistics bureau: 12)."""


class DivisionStandard(StrEnum):
    """Whose list a code is from."""

    GBT2260 = "gbt2260"
    """GB/T 2260 and, for 9 digits, GB/T 10114."""
    STATS_GOV = "stats_gov"
    """统计用区划代码 of the National Bureau of Statistics."""


class Division(Struct, frozen=True, kw_only=True):
    """One place of a list."""

    code: Annotated[str, Meta(pattern="^([0-9]{6}|[0-9]{9}|[0-9]{12})$")]
    name: str
    standard: DivisionStandard
    provenance: str
    """Where we read it; a code without a source does not ship."""


def shipped() -> tuple[Division, ...]:
    """Return the codes that ship with the server (Weihai)."""
    raw = (files("gatehouse_fleet.registry") / "divisions.json").read_bytes()
    return msgspec.json.decode(raw, type=tuple[Division, ...])


def check_division(code: str | None, standard: DivisionStandard | None) -> str | None:
    """Return what is wrong with a division code, None if it may stand.

    Codes that we do not ship are allowed: there are 700 000 of them, and a city knows its own.
    """
    if code is None:
        return None if standard is None else "a standard without a code says nothing"
    if standard is None:
        return "a division code needs the name of its standard (gbt2260 or stats_gov)"
    if len(code) not in LENGTHS or not (code.isascii() and code.isdigit()):
        return "a division code has 6, 9 or 12 digits"
    return None
