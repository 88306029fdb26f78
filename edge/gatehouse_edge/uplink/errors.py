"""What can go wrong on the way to the fleet. All of it is expected and tried again; nothing local waits for it."""

from __future__ import annotations

from typing import Final


class UplinkError(Exception):
    """Base: the fleet could not be told or asked something."""


class UnreachableError(UplinkError):
    """No answer: network, proxy, TLS, time-out."""


class AnswerError(UplinkError):
    """The answer is not what the contract says: another server, or a proxy's own page."""


class RefusedError(UplinkError):
    """The fleet answered with a refusal."""

    def __init__(self, status: int, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"refused with {status} {reason}".rstrip())
        self.status: Final = status
        self.reason: Final = reason
        self.retry_after_s: Final = retry_after_s

    @property
    def is_of_identity(self) -> bool:
        """It does not know us, or no longer: a person has to look."""
        return self.status in {401, 403}

    @property
    def is_of_content(self) -> bool:
        """What was sent can never be taken as it is."""
        return self.status in {400, 413, 415, 422}


class NotEnrolledError(UplinkError):
    """There is no key or certificate yet, or it cannot be used."""
