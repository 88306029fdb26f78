"""What can go wrong between an alarm and a telephone."""

from __future__ import annotations


class NotifierError(Exception):
    """A notification did not get out. `reason` is one printable line, free of secrets and of residents' names."""

    def __init__(self, reason: str) -> None:
        self.reason = "".join(char if char.isprintable() else "?" for char in reason)[:160]
        super().__init__(self.reason)


class TryAgainError(NotifierError):
    """Not now: no network, modem unplugged, server busy. Worth another try."""


class RefusedError(NotifierError):
    """Never: no such number, address refused. Trying again would change nothing."""
