"""What is wrong with a configuration: every fault at once, each with its place in the file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing an installer has to correct."""

    path: str
    """Place in the yaml, e.g. `devices[3].unit_id`; empty for the file as a whole."""
    message: str
    """A sentence that says what is wrong and, where known, what would be right. Never a secret."""
    line: int | None = None
    """Line in the file, from 1; None where there is none (a missing file, a profile)."""

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line is not None else ""
        return f"{place}{self.path + ': ' if self.path else ''}{self.message}"


class ConfigError(Exception):
    """Base of every expected fault of this package."""


class FaultyConfigError(ConfigError):
    """The configuration is refused; `faults` lists everything that is wrong with it."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class ProfileError(ConfigError):
    """A device said something its profile cannot explain (unknown unit, unknown status), or a profile is unusable."""
