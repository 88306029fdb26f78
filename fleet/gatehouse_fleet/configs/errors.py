"""What this package refuses on purpose."""

from __future__ import annotations

from typing import Final

from typing_extensions import override

from gatehouse_config import Fault
from gatehouse_events.states import Label
from gatehouse_fleet.errors import FleetError


class ConfigsError(FleetError):
    """It cannot be done so; `reason` is for programs, `text` for people."""

    def __init__(self, reason: str, text: Label) -> None:
        super().__init__(f"{text.zh} {text.en}")
        self.reason: Final = reason
        self.text: Final = text


class FaultyTextError(ConfigsError):
    """A configuration or a template has faults; every one is named with its place."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(
            "faulty", Label("配置有错误，未保存", "the configuration has faults; nothing was kept")
        )
        self.faults: Final = faults

    @override
    def __str__(self) -> str:
        """Return it with every fault on a line of its own."""
        return "\n".join([super().__str__(), *(f"  {fault}" for fault in self.faults)])
