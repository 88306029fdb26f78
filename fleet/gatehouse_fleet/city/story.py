"""From a gateway's journal entries to events: which card was in force, how its clock stood, what cannot be read."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import EntryKind, Lane
from gatehouse_events.city import SiteCard, event_of
from gatehouse_events.event import Event, EventSite
from gatehouse_events.records import ClockCorrection, RecordError, decode
from gatehouse_fleet.projection.readers import Mark, StoredEntry, newest_of_kind
from gatehouse_fleet.projection.reading import ERASED_AFTER, Unreadable, read_card, read_change
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_journal.clockwork import ClockTable

BUFFERED_AFTER: Final = timedelta(seconds=60)
"""An alarm that took longer from the gateway's journal to this server has waited for the stored."""
_CONFIGS: Final = 20
"""Configurations looked back through for one with a card."""
_CLOCKS: Final = 2000


class Told(Struct, frozen=True, kw_only=True):
    """One alarm entry as the city may be told of it."""

    stored: StoredEntry
    event: Event | None
    """None: it cannot be made an event."""
    fault: str = ""
    """Why not; a sentence."""

    @property
    def event_id(self) -> str:
        """The event's id; of what cannot be read, its place in the journal."""
        return (
            self.event.id if self.event is not None else f"{self.stored.entry.epoch}-{self.stored.entry.seq}"
        )


class Story:
    """What must be remembered of one gateway while its entries are read in order. Make it with `begin`."""

    def __init__(self, card: SiteCard, clocks: ClockTable) -> None:
        self._card = card
        self._clocks = clocks

    @classmethod
    async def begin(cls, db: AsyncConnection, gateway_no: int, at: Mark) -> Story:
        """Return the story as it stands at a place: the card last told before it, every clock correction known."""
        card = None
        for stored in await newest_of_kind(
            db, gateway_no, Lane.ALARM, EntryKind.CONFIG, through=at, limit=_CONFIGS
        ):
            card = read_card(stored.entry.body or b"")
            if card is not None:
                break
        clocks = await newest_of_kind(
            db, gateway_no, Lane.ALARM, EntryKind.CLOCK, through=None, limit=_CLOCKS
        )
        return cls(
            card or await _registered_card(db, gateway_no),
            ClockTable.of(stored.entry for stored in reversed(clocks)),
        )

    def next(self, stored: StoredEntry) -> Told | None:
        """Return what the city may be told of one entry; None: it is not about an alarm, or retention has erased it."""
        match stored.entry.kind:
            case EntryKind.CONFIG:
                self._card = read_card(stored.entry.body or b"") or self._card
            case EntryKind.CLOCK:
                self._learn(stored)
            case EntryKind.ALARM:
                return self._told(stored)
            case _:
                pass
        return None

    def _told(self, stored: StoredEntry) -> Told | None:
        if stored.entry.body is None:
            if stored.committed_at - stored.entry.at > ERASED_AFTER:
                return None
            return Told(stored=stored, event=None, fault="its body was taken away before it came here")
        change = read_change(stored.entry.body)
        if isinstance(change, Unreadable):
            return Told(stored=stored, event=None, fault=change.reason)
        reported_at = self._clocks.best(stored.entry)
        try:
            event = event_of(
                change,
                self._card,
                reported_at=reported_at,
                is_buffered=stored.committed_at - reported_at > BUFFERED_AFTER,
            )
        except KeyError as error:
            return Told(stored=stored, event=None, fault=f"a code this server does not know yet: {error}")
        except (msgspec.ValidationError, ValueError) as error:
            return Told(stored=stored, event=None, fault=f"it cannot be made an event: {error}")
        if stored.doubt is not None:
            event = msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, doubtful=True))
        return Told(stored=stored, event=event)

    def _learn(self, stored: StoredEntry) -> None:
        try:
            correction = decode(stored.entry.body or b"", ClockCorrection)
        except RecordError:
            return
        known = self._clocks.boots.get(correction.boot, ())
        item = (stored.entry.mono_ns, correction)
        if item not in known:
            self._clocks = ClockTable(boots={**self._clocks.boots, correction.boot: (*known, item)})


async def _registered_card(db: AsyncConnection, gateway_no: int) -> SiteCard:
    """Return what this server itself knows of the site, for a gateway that has not told its card (or it was erased)."""
    row = (
        await db.execute(
            select(gateway.c.id, gateway.c.site_card, org_node)
            .join(org_node, org_node.c.id == gateway.c.node_id)
            .where(gateway.c.no == gateway_no)
        )
    ).one()
    if row.site_card is not None:
        return msgspec.json.decode(row.site_card, type=SiteCard)
    above = [int(part) for part in row.path.strip("/").split("/") if part.isdigit()]
    codes = await db.execute(
        select(org_node.c.division_code, org_node.c.division_standard)
        .where(org_node.c.id.in_(above), org_node.c.division_code.is_not(None))
        .order_by(org_node.c.path.desc())
    )
    nearest = codes.first()
    site = EventSite(
        division_code="" if nearest is None else nearest.division_code,
        division_standard=None if nearest is None else nearest.division_standard,
        community_id=row.code,
        estate=row.name,
    )
    return SiteCard(gateway_id=row.id, site=site, assets={})
