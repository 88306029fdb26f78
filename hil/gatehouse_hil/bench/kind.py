"""The four kinds of node, as the firmware numbers them (`firmware/node/README.md`)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a board becomes."""

    GAS = "gas"
    LIFT = "lift"
    BUTTON = "button"
    BEACON = "beacon"


NUMBERS: Final = {Kind.GAS: 1, Kind.LIFT: 2, Kind.BUTTON: 3, Kind.BEACON: 4}

_LETTERS: Final = {Kind.GAS: "G", Kind.LIFT: "L", Kind.BUTTON: "B", Kind.BEACON: "C"}


def serial_number(kind: Kind, mac: str) -> str:
    """Return the serial number of the board with this MAC (12 hex digits): `GHG-A0B112345678`.

    Taken from the MAC, so that two benches which have never met cannot give the same one. At most 24 ASCII characters.
    """
    return f"GH{_LETTERS[kind]}-{mac.upper()}"
