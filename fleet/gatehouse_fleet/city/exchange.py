"""What passes between an envelope, a transport and the courier: one message out, one outcome back."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

MAX_RECEIPT_BYTES: Final = 2000
"""What is kept of an answer; `CityReceipt.receipt` of the orders lane has the same bound."""


class Message(Struct, frozen=True, kw_only=True):
    """One event as the platform will get it."""

    event_id: str
    """Same at every try: the platform's idempotency key."""
    body: bytes
    content_type: str = "application/json"
    path: str = ""
    """Behind the target's URL or topic, where the dialect has several."""


class Receipt(Struct, frozen=True, kw_only=True):
    """The platform says it has the event."""

    raw: bytes
    """Its answer, at most `MAX_RECEIPT_BYTES` of it."""


class Refusal(Struct, frozen=True, kw_only=True):
    """The platform will never take this event as it is: a person has to look."""

    reason: str
    detail: str = ""


class Scope(StrEnum):
    """What a trouble is about."""

    TARGET = "target"
    """Nobody gets through: unreachable, credentials, closed."""
    EVENT = "event"
    """It answered, but not this time: others may get through."""


class Trouble(Struct, frozen=True, kw_only=True):
    """Not now: try again later, same id."""

    reason: str
    scope: Scope
    retry_after_s: float | None = None
    """When the platform asked for patience."""


Outcome = Receipt | Refusal | Trouble


def printable(raw: bytes, limit: int = MAX_RECEIPT_BYTES) -> str:
    """Return what a peer said as one line that can be shown: control characters gone, cut to `limit` characters."""
    text = raw[: 4 * limit].decode("utf-8", errors="replace")
    return "".join(char if char.isprintable() else " " for char in text)[:limit].strip()
