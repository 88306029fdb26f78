"""What cases refuse on purpose."""

from __future__ import annotations

from gatehouse_events.states import Label
from gatehouse_fleet.errors import FleetError


class CaseError(FleetError):
    """Base of this package."""


class CalendarError(CaseError):
    """A file of holidays does not fit."""


class CalendarMissingError(CaseError):
    """Nobody has said yet which days of a year are holidays."""

    def __init__(self, year: int) -> None:
        super().__init__(
            f"{year} 年节假日安排尚未导入 the holidays of {year} are not imported yet: "
            f"gatehouse-fleet case calendar {year}.yaml"
        )
        self.year = year


class PolicyError(CaseError):
    """A city's table does not fit; the text names every place."""


class RefusedError(CaseError):
    """An action cannot be done now; `reason` is for programs, `text` for people."""

    def __init__(self, reason: str, text: Label) -> None:
        super().__init__(f"{reason}: {text.zh} {text.en}")
        self.reason = reason
        self.text = text
