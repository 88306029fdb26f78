"""One light gateway: a real journal, a story, and a sender that empties the one into the fleet."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from msgspec import Struct

from gatehouse_events import fleet_api, replication
from gatehouse_events.alarm import Change
from gatehouse_events.chain import Entry, EntryKind, Lane, Stamp, canonical
from gatehouse_events.city import SiteCard
from gatehouse_events.orders import Order, OrderBatch, OrderOutcome, OrderResult, orders_of
from gatehouse_hil.light.community import Community
from gatehouse_hil.light.link import FleetLink, Identity, LinkError, status_of
from gatehouse_hil.light.story import Story
from gatehouse_journal import Batch, Journal, Limits, NewEntry, Reader, Signer
from gatehouse_journal.signer import public_keys

_BATCH: Final = 200
_LIMITS: Final = Limits(
    alarm_quota_bytes=64 * 2**20, telemetry_quota_bytes=8 * 2**20, ballast_bytes=256 * 1024
)
CURSOR: Final = "fleet"


class _Config(Struct, frozen=True, kw_only=True):
    """Body of a `config` entry, as far as readers use it."""

    is_accepted: bool = True
    card: SiteCard


class _Sample(Struct, frozen=True, kw_only=True):
    """Body of a `health` entry in the telemetry lane."""

    device: str
    value: float
    unit: str


class LightGateway:
    """Not thread safe. `open` first; `wrong_clock_by` shifts what it believes the time is."""

    def __init__(
        self, directory: Path, community: Community, *, url: str, now: Callable[[], datetime], seed: int = 0
    ) -> None:
        self.directory: Final = directory
        self.community: Final = community
        self.identity: Final = Identity(directory / "identity", community.gateway_id)
        self.story = Story(Random(f"{seed}-{community.number}"))
        self.wrong_clock_by = timedelta()
        self.is_online = True
        self._url: Final = url
        self._now: Final = now
        self._boot = f"{community.number:032x}"
        self._started_at = now()
        self._journal: Journal | None = None
        self._reader: Reader | None = None
        self._link: FleetLink | None = None
        self._orders_epoch = "0" * 32
        self._orders_after = 0
        self.acknowledged: dict[Lane, int] = {Lane.ALARM: 0, Lane.TELEMETRY: 0}

    @property
    def gateway_id(self) -> str:
        """Its name at the fleet."""
        return self.community.gateway_id

    @property
    def journal(self) -> Journal:
        """The journal; `open` has been called."""
        assert self._journal is not None  # noqa: S101  # callers open first
        return self._journal

    @property
    def journal_key(self) -> str:
        """Public key of its journal, hex."""
        return Signer.load_or_create(self.directory / "journal").public_key

    def now(self) -> datetime:
        """What its own clock says."""
        return self._now() + self.wrong_clock_by

    async def open(self) -> None:
        """Open the journal and write the site card, as every start does."""
        await asyncio.to_thread(self._open)

    async def close(self) -> None:
        """End it in order."""
        await self.hang_up()
        if self._reader is not None:
            self._reader.close()
        if self._journal is not None:
            await asyncio.to_thread(self._journal.close)
        self._journal = self._reader = None

    async def wipe(self) -> None:
        """Lose the disk: a new journal with a new key; the identity is restored from elsewhere."""
        await self.close()
        shutil.rmtree(self.directory / "journal")
        self.story.open.clear()
        await self.open()

    async def enrol(self, code: str, *, ca: Path) -> None:
        """Redeem a one-time code at the fleet whose root certificate is in `ca`.

        Raises:
            LinkError: unreachable or refused.
        """
        key, csr = self.identity.request()
        request = fleet_api.EnrolRequest(
            gateway_id=self.gateway_id,
            code=code,
            csr=csr,
            journal_key=self.journal_key,
            version="0.1.0-light",
        )
        async with FleetLink(self._url, self.gateway_id, self.identity.context(ca)) as link:
            self.identity.take(key, await link.enrol(request))

    async def renew(self) -> None:
        """Get the next certificate and tell the fleet every key the journal has had.

        Raises:
            LinkError: unreachable or refused.
        """
        key, csr = self.identity.request()
        keys = public_keys(self.directory / "journal")
        answer = await self._connected().renew(fleet_api.RenewRequest(csr=csr, journal_keys=keys))
        await self.hang_up()
        self.identity.take(key, answer)

    async def write(self, *changes: Change) -> None:
        """Write revisions of alarms into the alarm lane, one commit."""
        items = [self._new(EntryKind.ALARM, change) for change in changes]
        await asyncio.to_thread(self.journal.commit, Batch(entries=items))

    async def sample(self, count: int) -> None:
        """Write `count` readings into the telemetry lane."""
        items = [
            self._new(EntryKind.READING, _Sample(device="gas-1-101", value=round(n * 0.01, 2), unit="%LEL"))
            for n in range(count)
        ]
        await asyncio.to_thread(self.journal.append_telemetry, items)

    async def send(self) -> int:
        """Send everything the fleet has not acknowledged, alarms first; return how many entries were sent.

        Raises:
            LinkError: the fleet is out of reach; what was acknowledged stays so.
        """
        if not self.is_online:
            raise LinkError("this gateway is cut off, as the test wants it")
        sent = 0
        for lane in (Lane.ALARM, Lane.TELEMETRY):
            while entries := await asyncio.to_thread(self._unsent, lane):
                answer = await self._connected().post(replication.batch_of(self.gateway_id, entries))
                sent += len(entries)
                await self._take(lane, answer)
        return sent

    async def report(self) -> fleet_api.StatusAnswer:
        """Tell the fleet how it is.

        Raises:
            LinkError: out of reach.
        """
        if not self.is_online:
            raise LinkError("this gateway is cut off, as the test wants it")
        status = status_of(
            now=self.now(),
            boot=self._boot,
            epoch=self.journal.epoch,
            started_at=self._started_at,
            heads={lane: self.journal.head(lane).seq for lane in Lane},
            acknowledged=self.acknowledged,
            devices=len(self.community.card().assets),
            open_alarms=len(self.story.open),
        )
        return await self._connected().report(status)

    async def obey(self, *, wait_s: float = 0.0) -> int:
        """Fetch the orders that wait and answer each in the journal; return how many there were.

        A light gateway records every order; it executes none but acknowledgements of alarms it knows.

        Raises:
            LinkError: out of reach.
        """
        batch = await self._connected().orders(
            epoch=self._orders_epoch, after=self._orders_after, wait_s=wait_s
        )
        return 0 if batch is None else await self._answer(batch)

    async def hang_up(self) -> None:
        """Close the connection."""
        if self._link is not None:
            await self._link.__aexit__(None, None, None)
            self._link = None

    async def _answer(self, batch: OrderBatch) -> int:
        count = 0
        for order in orders_of(batch):
            result, detail = OrderResult.RECORDED, ""
            if isinstance(order, Order):
                if order.is_expired(self.now()):
                    result = OrderResult.EXPIRED
            else:
                result, detail = OrderResult.NOT_UNDERSTOOD, order.detail[:200]
            outcome = OrderOutcome(
                epoch=order.epoch, seq=order.seq, result=result, at=self.now(), detail=detail
            )
            await asyncio.to_thread(
                self.journal.commit, Batch(entries=[self._new(EntryKind.OUTCOME, outcome)])
            )
            self._orders_epoch, self._orders_after = order.epoch, order.seq
            count += 1
        return count

    async def _take(self, lane: Lane, answer: replication.Answer) -> None:
        match answer:
            case (
                replication.Accepted(epoch=epoch, cursor=cursor) | replication.Gap(epoch=epoch, wanted=cursor)
            ):
                if epoch == self.journal.epoch and cursor > self.journal.head(lane).seq:
                    # The fleet remembers more of this life than the disk does: it was put back.
                    await self._begin_again("the fleet knows more than this disk")
                    cursor = self.journal.head(lane).seq - 1
                self._move(lane, cursor)
            case replication.Unverified():
                await self._begin_again(f"the fleet doubts: {answer.doubt}")
                self._move(lane, answer.cursor)

    async def _begin_again(self, reason: str) -> None:
        await asyncio.to_thread(self.journal.new_epoch, reason, self._stamp())

    def _move(self, lane: Lane, cursor: int) -> None:
        assert self._reader is not None  # noqa: S101  # opened with the journal
        self.acknowledged[lane] = cursor
        self._reader.set_cursor(CURSOR, cursor, lane)

    def _open(self) -> None:
        folder = self.directory / "journal"
        self._journal = Journal.open(
            folder, limits=_LIMITS, signer=Signer.load_or_create(folder), stamp=self._stamp()
        )
        self._reader = Reader.open(folder)
        self.acknowledged = {lane: self._reader.cursor(CURSOR, lane) for lane in Lane}
        self._journal.commit(
            Batch(entries=[self._new(EntryKind.CONFIG, _Config(card=self.community.card()))])
        )

    def _unsent(self, lane: Lane) -> list[Entry]:
        assert self._reader is not None  # noqa: S101  # opened with the journal
        entries = self._reader.read(lane, self.acknowledged[lane], _BATCH)
        return [entry for entry in entries if entry.epoch == entries[0].epoch]

    def _connected(self) -> FleetLink:
        if self._link is None:
            context = self.identity.context() if self._url.startswith("https:") else None
            self._link = FleetLink(self._url, self.gateway_id, context)
        return self._link

    def _new(self, kind: EntryKind, body: Struct) -> NewEntry:
        return NewEntry(kind=kind.value, body=canonical(body), stamp=self._stamp())

    def _stamp(self) -> Stamp:
        return Stamp(at=self.now(), boot=self._boot, mono_ns=time.monotonic_ns())
