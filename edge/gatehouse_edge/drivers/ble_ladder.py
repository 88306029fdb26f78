"""What to do about a scanner that hears nothing, in rising order of violence. Pure.

BlueZ can say "discovering" and deliver nothing until somebody power cycles the adapter (home-assistant/core#77664,
#93481; bluez/bluez#807), so silence of the beacon, not BlueZ's word, decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Rung(StrEnum):
    """One measure against a silent scanner."""

    RESTART_SCAN = "restart_scan"
    """Stop and start discovery with the same scanner."""
    RECREATE_SCANNER = "recreate_scanner"
    """A new scanner over a new D-Bus connection."""
    POWER_CYCLE = "power_cycle"
    """Adapter off and on over D-Bus; ends every connection of that adapter."""


RUNGS: Final = (Rung.RESTART_SCAN, Rung.RECREATE_SCANNER, Rung.POWER_CYCLE)
"""What comes after needs hardware and is not done here: take the dongle's USB port down and up (`usbreset`, or the port
power of a hub that really switches it), change the dongle. Until then the bus stays a named fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """How long to listen after each measure before the next, in seconds.

    After the whole ladder the pause doubles up to ``longest_s``: a dead dongle is not power cycled every 10 s for years.
    """

    first_s: float = 4.0
    longest_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Do this, then listen this long."""

    rung: Rung
    listen_s: float


def measure(attempt: int, pauses: Pauses) -> Measure:
    """Return what to do at the ``attempt``-th try (0 is the first) since the beacon was last heard."""
    rounds, step = divmod(attempt, len(RUNGS))
    listen_s = min(pauses.first_s * 2.0 ** min(rounds, 30), pauses.longest_s)
    return Measure(rung=RUNGS[step], listen_s=listen_s)
