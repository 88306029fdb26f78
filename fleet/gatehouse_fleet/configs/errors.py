"""What configurations are refused for."""

from __future__ import annotations

from gatehouse_config import Fault
from gatehouse_fleet.errors import FleetError


class ConfigsError(FleetError):
    """Base of this package."""


class FaultyTextError(ConfigsError):
    """A configuration is not usable; every fault with its place."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults[:5]))
        self.faults = faults


class RolloutError(ConfigsError):
    """A rollout cannot be made or changed so; `reason` for programs."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason = reason
