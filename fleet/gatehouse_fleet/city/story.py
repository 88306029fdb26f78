"""From a gateway's journal entries to events: which card was in force, how its clock stood, what cannot be read."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.alarm import Change
from gatehouse_events.chain import EntryKind, moment
from gatehouse_events.city import SiteCard, event_of
from gatehouse_events.event import Event, EventSite
from gatehouse_events.records import ClockCorrection, RecordError, decode
from gatehouse_fleet.city.progress import Line, Place, of_kind
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_journal.clockwork import ClockTable

BUFFERED_AFTER: Final = timedelta(seconds=60)
"""An alarm that took longer from the gateway's journal to this server has waited for the line."""


class Told(Struct, frozen=True, kw_only=True):
    """One alarm entry as the city may be told of it."""

    line: Line
    event: Event | None
    """None: it cannot be made an event."""
    fault: str = ""
    """Why not; a sentence."""

    @property
    def event_id(self) -> str:
        """The event's id; of what cannot be read, its place in the journal."""
        return self.event.id if self.event is not None else f"{self.line.entry.epoch}-{self.line.entry.seq}"


class _Config(Struct, frozen=True):
    """What matters here of a `config` entry."""

    card: SiteCard | None = None


class Story:
    """What must be remembered of one gateway while its entries are read in order. Make it with `begin`."""

    def __init__(self, card: SiteCard, clocks: ClockTable) -> None:
        self._card = card
        self._clocks = clocks

    @classmethod
    async def begin(cls, db: AsyncConnection, gateway_no: int, at: Place) -> Story:
        """Return the story as it stands at a place: the card last told before it, every clock correction known."""
        card = None
        for line in await of_kind(db, gateway_no, EntryKind.CONFIG, through=at):
            card = _card_in(line)
            if card is not None:
                break
        clocks = await of_kind(db, gateway_no, EntryKind.CLOCK)
        return cls(
            card or await _registered_card(db, gateway_no),
            ClockTable.of(line.entry for line in reversed(clocks)),
        )

    def next(self, line: Line) -> Told | None:
        """Return what the city may be told of one entry; None: it is not about an alarm, or its body is erased."""
        match line.entry.kind:
            case EntryKind.CONFIG:
                self._card = _card_in(line) or self._card
            case EntryKind.CLOCK:
                self._learn(line)
            case EntryKind.ALARM if line.entry.body is not None:
                return self._told(line, line.entry.body)
            case _:
                pass
        return None

    def _told(self, line: Line, body: bytes) -> Told:
        reported_at = self._clocks.best(line.entry)
        try:
            event = event_of(
                msgspec.json.decode(body, type=Change),
                self._card,
                reported_at=reported_at,
                is_buffered=moment(line.received_us) - reported_at > BUFFERED_AFTER,
            )
        except KeyError as error:
            return Told(line=line, event=None, fault=f"a code this server does not know yet: {error}")
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            return Told(
                line=line, event=None, fault=f"the entry is not an alarm as this server knows it: {error}"
            )
        if not line.is_verified:
            event = msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, doubtful=True))
        return Told(line=line, event=event)

    def _learn(self, line: Line) -> None:
        try:
            correction = decode(line.entry.body or b"", ClockCorrection)
        except RecordError:
            return
        known = self._clocks.boots.get(correction.boot, ())
        item = (line.entry.mono_ns, correction)
        if item not in known:
            self._clocks = ClockTable(boots={**self._clocks.boots, correction.boot: (*known, item)})


def _card_in(line: Line) -> SiteCard | None:
    try:
        return msgspec.json.decode(line.entry.body or b"", type=_Config).card
    except (msgspec.DecodeError, RecursionError):
        return None


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
