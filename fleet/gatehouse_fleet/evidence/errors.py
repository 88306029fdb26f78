"""What evidence refuses on purpose."""

from __future__ import annotations

from gatehouse_fleet.errors import FleetError


class EvidenceError(FleetError):
    """Base of this package."""


class VaultError(EvidenceError):
    """The place where files are kept does not answer or does not have the file."""


class DamagedError(EvidenceError):
    """A file is not what its hash says; nothing of it is kept."""


class SpoolBusyError(EvidenceError):
    """Somebody else is writing this file just now."""


class NoHoldError(EvidenceError):
    """A clip has no such hold that stands."""
