"""What may be done with each revision of an alarm once it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.alarm import Change
from gatehouse_events.chain import Entry
from gatehouse_fleet.projection.feed import FeedItem
from gatehouse_fleet.projection.readers import Source, StoredEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmContext:
    """One revision of one alarm, where it comes from and whether it can be believed."""

    gateway_no: int
    gateway_id: str
    node_id: int
    """The community, `org_node.id`."""
    node_path: str
    entry: Entry
    change: Change
    is_verified: bool
    committed_at: datetime
    """When the fleet had stored the entry."""


@runtime_checkable
class RegisterStep(Protocol):
    """A step that also reads what gateways say of their evidence (entries of kind `evidence`), in their order."""

    async def on_register(self, db: AsyncConnection, source: Source, stored: StoredEntry) -> None:
        """Do it; as a step, and before the steps of the alarms of that portion."""
        ...


class Step(Protocol):
    """Called for every revision in the gateway's order; the `alarm` row already shows this one or a later one.

    What a step writes commits together with its reader's cursor, so it happens once. An exception undoes the whole batch of
    that gateway, which is then tried again: raise only for what another try can cure.
    """

    async def on_alarms(self, db: AsyncConnection, told: Sequence[AlarmContext]) -> Sequence[FeedItem]:
        """Do it for revisions of one gateway or many, in their order; return what screens are to hear of it."""
        ...
