"""The projection: alarms as they stand now, devices, the gateway's site card, and the feed.

Everything of one batch commits together with the reader's cursors, so a revision is shown once, in the gateway's order. What
else is to happen with it (`steps`) follows in a transaction of its own: no case keeps an alarm from its screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import EntryKind
from gatehouse_events.city import AssetCard, SiteCard
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.projection.feed import FeedItem, FeedTopic, publish
from gatehouse_fleet.projection.readers import Portion, Source, StoredEntry
from gatehouse_fleet.projection.reading import (
    OFFLINE_CODES,
    category_of,
    derived_id,
    is_short_name,
    read_card,
)
from gatehouse_fleet.projection.revision import Told, told_by
from gatehouse_fleet.store.schema.alarms import alarm as alarm_table
from gatehouse_fleet.store.schema.alarms import alarm_revision
from gatehouse_fleet.store.schema.gateways import device, gateway

READER: Final = "projection"
_TEXT: Final = 32
"""Longest building, unit, floor, room and device kind."""


class AlarmLine(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a feed line about an alarm: what a list needs, nothing personal."""

    alarm_id: str
    gateway: str
    device_id: str
    code: str
    kind: str
    priority: str
    state: str
    what: str
    revision: int
    is_verified: bool
    raised_at: Any
    changed_at: Any


class Projection:
    """The work of the reader `projection`."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock

    async def __call__(
        self,
        db: AsyncConnection,
        read: Sequence[Portion],
        *,
        is_careful: bool,  # noqa: ARG002  # nothing here is ever left out
    ) -> None:
        """Show what the entries say; see `follower.Work`."""
        told = [one for portion in read for one in told_by(portion)]
        cards = [(portion.source, card) for portion in read if (card := _card(portion.entries)) is not None]
        for source, card in cards:
            await _take_card(db, source, card)
        await _take_alarms(db, told)
        await _take_presence(db, told)
        lines = [_line(one) for one in told]
        lines += [
            FeedItem(topic=FeedTopic.GATEWAY, subject=source.id, node_path=source.node_path, body="{}")
            for source, _ in cards
        ]
        await publish(db, lines, at=self._clock.now())


def _card(entries: Sequence[StoredEntry]) -> SiteCard | None:
    """Return the latest site card among the entries."""
    for read in reversed(entries):
        if read.entry.kind == EntryKind.CONFIG and read.entry.body is not None:
            card = read_card(read.entry.body)
            if card is not None:
                return card
    return None


async def _take_alarms(db: AsyncConnection, told: Sequence[Told]) -> None:
    """Bring every alarm to its latest revision; marks in `told` what is no news."""
    if not told:
        return
    ids = {one.change.alarm.alarm_id for one in told}
    ids |= {derived_id(one.source.id, one.change.alarm.alarm_id) for one in told}
    rows = (await db.execute(select(alarm_table).where(alarm_table.c.alarm_id.in_(sorted(ids))))).all()
    standing: dict[str, dict[str, Any]] = {row.alarm_id: dict(row._mapping) for row in rows}  # noqa: SLF001  # SQLAlchemy's own name
    fresh: dict[str, None] = {}
    for one in told:
        key = one.change.alarm.alarm_id
        if key in standing and standing[key]["gateway_no"] != one.source.no:
            # Another gateway has raised an alarm of this name: theirs stays theirs, ours is shown beside it.
            key = derived_id(one.source.id, key)
            one.rename(key)
        before = standing.get(key)
        if before is None:
            standing[key] = _row(one)
            fresh[key] = None
            continue
        one.is_news = _is_news(one, before)
        if one.is_news:
            standing[key] = {
                **_row(one),
                "committed_at": before["committed_at"],
                "node_id": before["node_id"],
                "case_id": before["case_id"],
            }
        elif not one.is_verified:
            before["is_verified"] = False
    await db.execute(
        insert(alarm_revision),
        [
            {
                "alarm_id": one.change.alarm.alarm_id,
                "epoch_number": one.read.mark.number,
                "entry_seq": one.read.mark.seq,
                "gateway_no": one.source.no,
            }
            for one in told
        ],
    )
    new = [standing[key] for key in fresh]
    # In the order of the keys, as cases write them too: two transactions must not wait for each other in a circle.
    old = [row for key, row in sorted(standing.items()) if key not in fresh]
    if new:
        await db.execute(insert(alarm_table), new)
    if old:
        changing: dict[str, Any] = {
            column.name: bindparam(f"new_{column.name}")
            for column in alarm_table.c
            if column.name not in {"alarm_id", "case_id", "committed_at", "node_id", "gateway_no"}
        }
        await db.execute(
            update(alarm_table).where(alarm_table.c.alarm_id == bindparam("key")).values(changing),
            [{"key": row["alarm_id"], **{f"new_{name}": row[name] for name in changing}} for row in old],
        )


def _is_news(one: Told, before: dict[str, Any]) -> bool:
    """A later revision is news; of two stories about the same one, that which is still open is shown."""
    alarm = one.change.alarm
    if alarm.seq != before["seq"]:
        return bool(alarm.seq > before["seq"])
    return alarm.is_open and not before["is_open"]


def _row(one: Told) -> dict[str, Any]:
    source, alarm, read = one.source, one.change.alarm, one.read
    return {
        "alarm_id": alarm.alarm_id,
        "gateway_no": source.no,
        "node_id": source.node_id,
        "device_id": alarm.device_id,
        "seq": alarm.seq,
        "entry_epoch": read.entry.epoch,
        "entry_seq": read.entry.seq,
        "code": alarm.code,
        "category": category_of(alarm.code),
        "kind": alarm.kind.value,
        "priority": alarm.priority.value,
        "state": alarm.state.value,
        "is_open": alarm.is_open,
        "raised_at": alarm.raised_at,
        "changed_at": alarm.changed_at,
        "committed_at": read.committed_at,
        "case_id": None,
        "is_verified": one.is_verified,
        "body": msgspec.json.encode(alarm).decode(),
    }


async def _take_card(db: AsyncConnection, source: Source, card: SiteCard) -> None:
    """Keep the card; its devices are entered or brought up to date, none is ever removed by it."""
    await db.execute(
        update(gateway).where(gateway.c.no == source.no).values(site_card=msgspec.json.encode(card).decode())
    )
    known = set((await db.execute(select(device.c.id).where(device.c.gateway_no == source.no))).scalars())
    wanted = {name: asset for name, asset in card.assets.items() if is_short_name(name)}
    new = [
        {"gateway_no": source.no, "id": name, "state": "deployed", **_facts(asset)}
        for name, asset in wanted.items()
        if name not in known
    ]
    old = [{"gateway": source.no, "name": name, **_facts(wanted[name])} for name in known & set(wanted)]
    if new:
        await db.execute(insert(device), new)
    if old:
        mine = (device.c.gateway_no == bindparam("gateway")) & (device.c.id == bindparam("name"))
        await db.execute(update(device).where(mine), old)


def _facts(asset: AssetCard) -> dict[str, Any]:
    return {
        "kind": _clean(asset.asset.kind),
        "building": _clean(asset.building),
        "unit": _clean(asset.unit),
        "floor": _clean(asset.floor),
        "room": _clean(asset.room),
        "is_personal": asset.is_personal,
        "card": msgspec.json.encode(asset).decode(),
    }


def _clean(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:_TEXT]


async def _take_presence(db: AsyncConnection, told: Sequence[Told]) -> None:
    """A device is offline while an alarm says so; anything else it reports shows that it is there."""
    states: dict[tuple[int, str], dict[str, Any]] = {}
    for one in told:
        alarm = one.change.alarm
        if one.is_news:
            is_online = not (alarm.code in OFFLINE_CODES and alarm.is_active)
            states[one.source.no, alarm.device_id] = {
                "gateway": one.source.no, "name": alarm.device_id, "online": is_online, "seen_at": alarm.changed_at,
            }  # fmt: skip
    if states:
        mine = (device.c.gateway_no == bindparam("gateway")) & (device.c.id == bindparam("name"))
        await db.execute(update(device).where(mine), list(states.values()))


def _line(one: Told) -> FeedItem:
    source, alarm = one.source, one.change.alarm
    line = AlarmLine(
        alarm_id=alarm.alarm_id,
        gateway=source.id,
        device_id=alarm.device_id,
        code=alarm.code,
        kind=alarm.kind.value,
        priority=alarm.priority.value,
        state=alarm.state.value,
        what=one.change.what.value,
        revision=alarm.seq,
        is_verified=one.is_verified,
        raised_at=alarm.raised_at,
        changed_at=alarm.changed_at,
    )
    return FeedItem(
        topic=FeedTopic.ALARM,
        subject=alarm.alarm_id,
        node_path=source.node_path,
        body=msgspec.json.encode(line).decode(),
    )
