"""What may be done with each revision of an alarm, inside the transaction that first shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    is_news: bool
    """False: the fleet already knows a later revision of this alarm (told late, or told otherwise)."""
    tell: list[FeedItem] = field(default_factory=list)
    """What screens are to hear beside the alarm itself; published at the end of the transaction."""


@runtime_checkable
class RegisterStep(Protocol):
    """A step that also reads what gateways say of their evidence (entries of kind `evidence`), in their order."""

    async def on_register(self, db: AsyncConnection, source: Source, stored: StoredEntry) -> None:
        """Do it; as a step, and before the steps of the alarms of that portion."""
        ...


class Step(Protocol):
    """Called for every revision in the gateway's order; the `alarm` row already shows the latest one.

    What a step writes commits together with the reader's cursor, so it happens once. An exception undoes the whole batch of
    that gateway, which is then tried again: raise only for what another try can cure.
    """

    async def on_alarm(self, db: AsyncConnection, context: AlarmContext) -> None:
        """Do it."""
        ...
