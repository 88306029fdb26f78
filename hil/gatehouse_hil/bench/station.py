"""One board's place on the bench, and the protocols that a test may ask it for.

The words are labgrid's: a resource is what exists, a protocol is what may be asked of it, and the rig file decides
which resource answers. A test never learns whether a relay, a hub, labgrid or a simulator switched the power.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from gatehouse_hil.bench.kind import Kind
from gatehouse_hil.bench.rig import Expected, Reset


class PowerPort(Protocol):
    """Switches a board's supply."""

    resource: str

    async def on(self) -> None:
        """Switch on."""
        ...

    async def off(self) -> None:
        """Order it off. Whether it is off, `power.cut` finds out."""
        ...


class Relay(Protocol):
    """One contact."""

    resource: str

    async def set(self, *, is_closed: bool) -> None:
        """Close or open the contact."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One reading of an instrument."""

    value: float
    unit: str


class Meter(Protocol):
    """An instrument that gives one number."""

    resource: str

    async def read(self) -> Quantity:
        """Return what it measures now.

        Raises:
            BenchError: INSTRUMENT_SILENT.
        """
        ...


class HandTask(StrEnum):
    """What only a person (or the simulator) can do. Sentences are in `words.py` as `task.<name>`."""

    HOLD_BOOT = "hold_boot"
    ZERO_GAS = "zero_gas"
    SPAN_GAS = "span_gas"
    GO_TO_FLOOR = "go_to_floor"


class Hands(Protocol):
    """Whoever does what no relay can: the technician, or the simulator's surroundings."""

    async def do(self, task: HandTask, **facts: str | float) -> None:
        """Return when it is done.

        Raises:
            BenchError: nobody is there to do it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A board's place."""

    name: str
    kind: Kind
    port: str
    """Console: a path that is stable over unplugging, or a pyserial URL."""
    expects: Expected
    reset: Reset
    hands: Hands
    power: PowerPort | None = None
    strap: Relay | None = None
    uart: str | None = None
    meters: Mapping[str, Meter] = field(default_factory=dict)
    is_loader_real: bool = True
    """False: the loader is simulated and cannot run esptool's stub, so esptool talks to the ROM alone."""
    is_simulated: bool = False
