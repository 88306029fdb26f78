"""What can go wrong on the way to a city platform, by whose hand it is put right."""

from __future__ import annotations

from gatehouse_fleet.errors import FleetError


class CityError(FleetError):
    """Base of everything this package refuses on purpose."""


class TargetFileError(CityError):
    """A target's YAML is refused; every fault at once, each with its place."""

    def __init__(self, name: str, faults: tuple[str, ...]) -> None:
        super().__init__(f"{name}: " + "; ".join(faults))
        self.name = name
        self.faults = faults


class FrameError(CityError):
    """Bytes from the other side are not what the dialect says they should be."""


class UnsayableError(CityError):
    """The dialect has no word for this event, or the target's file does not say what it needs. Shown, never dropped."""


class SigningError(CityError):
    """A key cannot be used for signing."""


class LostError(CityError):
    """The way to a platform cannot be opened; the text says why, without secrets."""
