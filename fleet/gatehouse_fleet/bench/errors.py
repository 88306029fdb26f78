"""What is refused of a bench."""

from __future__ import annotations

from typing import Final

from gatehouse_fleet.errors import FleetError


class BenchError(FleetError):
    """A bench's hand-in, token or key is refused; `reason` is a stable token, the text says what to do."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason: Final = reason
