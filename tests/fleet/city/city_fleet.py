"""A fleet's database with gateways that have told things, as ingest leaves it behind."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.alarm import Alarm, Change, What, Word
from gatehouse_events.chain import canonical, microseconds
from gatehouse_events.city import AssetCard, SiteCard
from gatehouse_events.clock import ClockQuality, ClockSource
from gatehouse_events.codes import CODES
from gatehouse_events.event import Asset, Crs, EventSite, Point
from gatehouse_events.ids import new_id
from gatehouse_events.states import AlarmState, Kind
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.store.schema.city import city_parked, city_receipt
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.journal import entry, epoch, lane_cursor
from gatehouse_fleet.store.schema.org import org_node

WORDS = {
    "raised": What.RAISED,
    "updated": What.CHANGED,
    "acknowledged": What.ACKNOWLEDGED,
    "cleared": What.CLEARED,
}


def card(gateway_id: str) -> SiteCard:
    return SiteCard(
        gateway_id=gateway_id,
        site=EventSite(
            division_code="371002002",
            division_standard="stats_gov",
            community_id="wh-371002-0007",
            estate="示例小区",
            position=Point(lon=122.1205, lat=37.5131, crs=Crs.CGCS2000),
        ),
        assets={
            "gas-3-2-501": AssetCard(
                asset=Asset(id="gas-3-2-501", kind="household_gas_detector"),
                building="3",
                unit="2",
                room="501",
            ),
            "lift-3-2": AssetCard(asset=Asset(id="lift-3-2", kind="lift"), building="3", unit="2"),
        },
    )


class Fleet:
    """Inserts what ingest would; wakes as ingest does."""

    def __init__(self, store: Store, clock: Clock, wake: Wake) -> None:
        self.store = store
        self.clock = clock
        self.wake = wake
        self._epochs: dict[int, bytes] = {}

    async def gateway(self, gateway_id: str, *, with_card: bool = True) -> int:
        now = self.clock.now()
        async with self.store.begin() as db:
            node = (
                await db.execute(
                    insert(org_node)
                    .values(
                        kind="community",
                        path=f"/{gateway_id}/",
                        code=gateway_id,
                        name="示例小区",
                        division_code="371002002",
                        division_standard="stats_gov",
                        created_at=now,
                    )
                    .returning(org_node.c.id)
                )
            ).scalar_one()
            await db.execute(update(org_node).where(org_node.c.id == node).values(path=f"/{node}/"))
            number = (
                await db.execute(
                    insert(gateway)
                    .values(id=gateway_id, node_id=node, state="deployed", created_at=now)
                    .returning(gateway.c.no)
                )
            ).scalar_one()
            await self.run(db, number)
            if with_card:
                await self.append(db, number, [("config", canonical({"card": card(gateway_id)}))])
        return int(number)

    async def run(
        self, db: AsyncConnection, number: int, *, same_epoch: bool = False, first: int = 1
    ) -> None:
        """Begin the next run of a gateway's alarm lane."""
        row = (await db.execute(select(lane_cursor).where(lane_cursor.c.gateway_no == number))).one_or_none()
        runs = 0 if row is None else row.epoch_number
        if not same_epoch or number not in self._epochs:
            self._epochs[number] = secrets.token_bytes(16)
        values = {
            "epoch": self._epochs[number],
            "seq": first - 1,
            "hash": bytes(32),
            "epoch_number": runs + 1,
        }
        values |= {"last_seq": 0, "moved_us": microseconds(self.clock.now())}
        if row is None:
            await db.execute(insert(lane_cursor).values(gateway_no=number, lane=1, **values))
        else:
            await db.execute(update(lane_cursor).where(lane_cursor.c.gateway_no == number).values(**values))
        await db.execute(
            insert(epoch).values(
                gateway_no=number,
                lane=1,
                number=runs + 1,
                epoch=self._epochs[number],
                first_seq=first,
                opened_us=microseconds(self.clock.now()),
            )
        )

    async def append(
        self, db: AsyncConnection, number: int, bodies: list[tuple[str, bytes]], *, doubt: str | None = None
    ) -> int:
        """Add entries to the running run and return the last sequence number."""
        row = (
            await db.execute(select(lane_cursor).where(lane_cursor.c.gateway_no == number).with_for_update())
        ).one()
        seq, now_us = row.seq, microseconds(self.clock.now())
        for kind, body in bodies:
            seq += 1
            await db.execute(
                insert(entry).values(
                    gateway_no=number,
                    lane=1,
                    epoch_number=row.epoch_number,
                    seq=seq,
                    at_us=now_us,
                    boot="boot",
                    mono_ns=seq,
                    kind=kind,
                    body_hash=bytes(32),
                    prev_hash=bytes(32),
                    body=body,
                    doubt=doubt,
                    received_us=now_us,
                )
            )
        await db.execute(
            update(lane_cursor)
            .where(lane_cursor.c.gateway_no == number)
            .values(seq=seq, last_seq=seq, moved_us=now_us)
        )
        return int(seq)

    async def tell(self, number: int, *changes: bytes, doubt: str | None = None) -> int:
        async with self.store.begin() as db:
            seq = await self.append(db, number, [("alarm", change) for change in changes], doubt=doubt)
        self.wake.notify("journal")
        return seq

    def change(
        self, word: str = "raised", *, alarm_id: str | None = None, seq: int = 1, **fields: Any
    ) -> bytes:
        return change(self.clock.now(), word, alarm_id=alarm_id, seq=seq, **fields)

    async def receipts(self, target: str) -> list[Any]:
        async with self.store.read() as db:
            query = select(city_receipt).where(city_receipt.c.target == target)
            return list(
                (await db.execute(query.order_by(city_receipt.c.gateway_no, city_receipt.c.seq))).all()
            )

    async def parked(self, target: str) -> list[Any]:
        async with self.store.read() as db:
            query = select(city_parked).where(city_parked.c.target == target).order_by(city_parked.c.seq)
            return list((await db.execute(query)).all())

    @asynccontextmanager
    async def held_open(self) -> AsyncIterator[AsyncConnection]:
        """A worker's transaction that has written and not yet committed."""
        async with self.store.engine.connect() as db, db.begin():
            yield db


def change(
    at: datetime, word: str = "raised", *, alarm_id: str | None = None, seq: int = 1, **fields: Any
) -> bytes:
    code = fields.pop("code", "gas.low_alarm")
    row = CODES.get(code)
    device = "lift-3-2" if code.startswith("lift.") else "gas-3-2-501"
    alarm = Alarm(
        alarm_id=alarm_id or new_id(at),
        seq=seq,
        device_id=fields.pop("device_id", device),
        code=code,
        kind=fields.pop("kind", row.kind if row else Kind.ALARM),
        priority=row.priority if row else "P1",  # type: ignore[arg-type]
        state=AlarmState.CLOSED if word == "cleared" else AlarmState.UNACK,
        is_active=word != "cleared",
        raised_at=at,
        raised_s=0.0,
        changed_at=at,
        changed_s=0.0,
        unack_since_s=0.0,
        value=11.0 if code.startswith("gas.") else None,
        unit="%LEL" if code.startswith("gas.") else None,
        **fields,
    )
    quality = ClockQuality(synced=True, offset_ms=1.0, source=ClockSource.NTP)
    return msgspec.json.encode(Change(alarm=alarm, what=WORDS[word], word=Word(word), clock=quality))
