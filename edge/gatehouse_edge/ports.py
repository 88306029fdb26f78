"""The doors between the parts of the gateway: what a driver may call, and what the console may ask."""

from __future__ import annotations

from typing import Protocol

from gatehouse_edge.reading import AnyObservation


class Inbox(Protocol):
    """Where drivers hand over what they have seen."""

    async def put(self, observation: AnyObservation) -> None:
        """Return once everything the observation led to is on disk.

        A wire acknowledgement (to a lift node, to a button) may be sent after this returns and not before.
        Bounded: waits while the gateway is busy. An observation without consequence returns at once.
        """
        ...


class Counters(Protocol):
    """Per-device counters that commit with the alarm entries (button replay counters, event-ring positions)."""

    def get(self, key: str) -> int | None:
        """Return the last committed value, None if the key was never written."""
        ...
