"""The parts of a file that are right in themselves: what the checks between parts work on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gatehouse_config.buses import Bus
from gatehouse_config.devices import Device
from gatehouse_config.notifiers import Notifiers
from gatehouse_config.outputs import Output
from gatehouse_config.rulesets import Escalation
from gatehouse_config.site import Console
from gatehouse_config.yaml_source import Step

Found = tuple[tuple[Step, ...], str]
"""Place and message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The parts of a file that are right in themselves, by their index in the file."""

    buses: Mapping[int, Bus]
    devices: Mapping[int, Device]
    outputs: Mapping[int, Output]
    console: Console | None
    escalation: Escalation | None
    notifiers: Notifiers | None
    claimed: Mapping[str, list[tuple[int, str]]]
    """`buses`, `devices`, `outputs` -> (index, id), also of parts with faults: naming those is no second fault."""

    def ids(self, section: str) -> set[str]:
        """Return every id claimed in a section."""
        return {name for _, name in self.claimed[section]}

    @property
    def sound(self) -> set[str]:
        """Return ids of devices and outputs without faults of their own: only of these the kind is known."""
        return {part.id for parts in (self.devices, self.outputs) for part in parts.values()}


def near(name: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest known word, empty if none is near."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""
