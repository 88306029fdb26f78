"""Life of a device or a gateway: stored, deployed, repair, lost, scrapped (GB/T 22239-2019 IoT extension; domain row 20)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from gatehouse_events.states import Label
from gatehouse_fleet.errors import FleetError


class LifeState(StrEnum):
    """Where in its life a thing is."""

    STORED = "stored"
    DEPLOYED = "deployed"
    REPAIR = "repair"
    LOST = "lost"
    SCRAPPED = "scrapped"


LABELS: Final[dict[LifeState, Label]] = {
    LifeState.STORED: Label("在库", "stored"),
    LifeState.DEPLOYED: Label("在用", "deployed"),
    LifeState.REPAIR: Label("维修", "in repair"),
    LifeState.LOST: Label("遗失", "lost"),
    LifeState.SCRAPPED: Label("报废", "scrapped"),
}

NEXT: Final[dict[LifeState, frozenset[LifeState]]] = {
    LifeState.STORED: frozenset({LifeState.DEPLOYED, LifeState.REPAIR, LifeState.LOST, LifeState.SCRAPPED}),
    LifeState.DEPLOYED: frozenset({LifeState.STORED, LifeState.REPAIR, LifeState.LOST, LifeState.SCRAPPED}),
    LifeState.REPAIR: frozenset({LifeState.STORED, LifeState.DEPLOYED, LifeState.LOST, LifeState.SCRAPPED}),
    LifeState.LOST: frozenset({LifeState.STORED, LifeState.SCRAPPED}),
    LifeState.SCRAPPED: frozenset(),
}
"""What may follow. A lost thing that is found is looked at (stored) before it is used again; scrapped is the end."""

SHUT_OUT: Final = frozenset({LifeState.LOST, LifeState.SCRAPPED})
"""A gateway in these states has no valid certificate."""


class LifeError(FleetError):
    """This step is not in the table."""


def step(old: LifeState, new: LifeState) -> LifeState:
    """Return `new` if it may follow `old`; the same state again is no step.

    Raises:
        LifeError: it may not; the text names what may.
    """
    if new is old or new in NEXT[old]:
        return new
    possible = ", ".join(sorted(NEXT[old])) or "nothing"
    raise LifeError(f"{old} cannot become {new}; possible: {possible}")
