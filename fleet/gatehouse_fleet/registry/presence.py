"""Whether a gateway lives: from its last contact alone, never from an open socket (a half-open one lies for hours)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from gatehouse_events.fleet_api import SILENT_AFTER_S
from gatehouse_events.states import Label

SILENT_AFTER: Final = timedelta(seconds=SILENT_AFTER_S)


class Presence(StrEnum):
    """How a gateway stands towards the fleet."""

    ONLINE = "online"
    SILENT = "silent"
    """Expected, and not heard for more than 90 s: 失联."""
    STOPPED = "stopped"
    """It said that it was stopping; still not watching its community, but nobody need look for a broken line."""
    NEVER = "never"
    """Not heard of yet."""


LABELS: Final[dict[Presence, Label]] = {
    Presence.ONLINE: Label("在线", "online"),
    Presence.SILENT: Label("失联", "silent"),
    Presence.STOPPED: Label("已停机", "stopped"),
    Presence.NEVER: Label("未接入", "not heard of yet"),
}


def presence(last_contact_at: datetime | None, *, is_stopped: bool, now: datetime) -> Presence:
    """Return how a gateway stands.

    Args:
        last_contact_at: its last authenticated request of any kind.
        is_stopped: its last status said that it was stopping.
        now: this instant. A contact later than now (the server's clock was put back) counts as just now.
    """
    if last_contact_at is None:
        return Presence.NEVER
    if is_stopped:
        return Presence.STOPPED
    return Presence.ONLINE if now - last_contact_at <= SILENT_AFTER else Presence.SILENT
