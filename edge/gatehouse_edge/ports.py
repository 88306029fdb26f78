"""The doors between the parts of the gateway: what a driver may call, and what the console may ask."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from gatehouse_edge.reading import AnyObservation
from gatehouse_events.evidence import KeptFiles


class Inbox(Protocol):
    """Where drivers hand over what they have seen."""

    async def put(self, observation: AnyObservation) -> None:
        """Return once everything the observation led to is on disk.

        A wire acknowledgement (to a lift node, to a button) may be sent after this returns and not before.
        Bounded: waits while the gateway is busy. An observation without consequence returns at once.
        """
        ...


class StillError(Exception):
    """A camera gives no picture now; the text says why."""


@runtime_checkable
class GivesStills(Protocol):
    """A driver of a camera that can be asked for a picture to draw on."""

    async def still(self) -> bytes:
        """Return the newest picture as JPEG, shield zones burnt in; raises `StillError`."""
        ...


class NoEvidenceError(Exception):
    """There is no such evidence, or no such file of it; the text says which."""


class EvidenceInbox(Protocol):
    """Where the drivers of cameras hand over what their processes have put on the disk (`evidence_desk.py` is it)."""

    def alarm_of(self, camera_id: str) -> str:
        """Return the open throw alarm of a camera, for its promise; empty: there is none."""
        ...

    async def adopt(self, kept: KeptFiles) -> None:
        """Enter it into the journal, signed, and name its files in its alarm; again: nothing happens."""
        ...

    async def failing(self, why: str) -> None:
        """Say that something promised is not on the disk yet; it is tried again."""
        ...

    async def missed(self, *, camera_id: str, event_id: str, alarm_id: str, why: str) -> None:
        """Write down that promised evidence could not be kept, and raise the fault."""
        ...

    async def recover(self, camera_id: str) -> None:
        """Finish what a camera's ended process left; before the next one begins."""
        ...


class Counters(Protocol):
    """Per-device counters that commit with the alarm entries (button replay counters, event-ring positions)."""

    def get(self, key: str) -> int | None:
        """Return the last committed value, None if the key was never written."""
        ...
