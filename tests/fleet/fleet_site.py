"""Communities for the fleet's tests: real journals written by the gateway's own code, and a real HTTP server.

Loaded through its folder: `sys.path.insert(0, str(Path(__file__).parent))`, as the neighbours do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvicorn
from sqlalchemy import insert, select

from gatehouse_events.alarm import Alarm, Change, What, Word
from gatehouse_events.chain import Entry, EntryKind, Lane, Stamp, canonical, microseconds
from gatehouse_events.city import AssetCard, SiteCard
from gatehouse_events.codes import CODES
from gatehouse_events.event import Asset, EventSite
from gatehouse_events.fleet_api import Cursor, journal_path
from gatehouse_events.replication import Answer, Gap, batch_of, decode_answer, encode
from gatehouse_events.states import AlarmState, Label
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.ingest.app import Downlink, front
from gatehouse_fleet.ingest.identity import GatewayIdentity, Refusal
from gatehouse_fleet.ingest.sealed import seal
from gatehouse_fleet.ingest.service import Ingest, vault_of
from gatehouse_fleet.ingest.vault import Submission
from gatehouse_fleet.ingest.writer import Committed
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.store.schema.gateways import gateway, journal_key
from gatehouse_fleet.store.schema.journal import entry
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_journal import Batch, Journal, Limits, NewEntry, Reader, Signer

GATEWAY_HEADER = "x-test-gateway"
LIMITS = Limits(ballast_bytes=0, telemetry_quota_bytes=256 * 1024, checkpoint_every=10)
START = datetime(2026, 11, 25, tzinfo=UTC)


def stamp(number: int, boot: str = "b" * 32) -> Stamp:
    return Stamp(at=START + timedelta(seconds=number), boot=boot, mono_ns=number * 1_000_000_000)


class Gateway:
    """A real journal in a folder, and the batches that an uplink would make of it."""

    def __init__(self, folder: Path, gateway_id: str = "wh-371002-0007-gw1") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.id = gateway_id
        self.folder = folder
        self.number = 0
        self.signer = Signer.load_or_create(folder)
        self.journal = self._open()
        self.reader = Reader.open(folder)

    def _open(self) -> Journal:
        return Journal.open(self.folder, limits=LIMITS, signer=self.signer, stamp=stamp(self.number))

    def write(self, count: int = 1, *, kind: str = EntryKind.ALARM, body: object = None) -> list[Entry]:
        """Commit `count` alarm-lane entries, one transaction each."""
        written: list[Entry] = []
        for _ in range(count):
            self.number += 1
            content = {"n": self.number, "text": "示例"} if body is None else body
            new = NewEntry(kind=kind, body=canonical(content), stamp=stamp(self.number))
            written += self.journal.commit(Batch(entries=[new]))
        return written

    def measure(self, count: int = 1) -> list[Entry]:
        """Append `count` readings to the telemetry lane."""
        self.number += 1
        new = [
            NewEntry(kind="reading", body=canonical({"n": self.number, "i": i}), stamp=stamp(self.number))
            for i in range(count)
        ]
        return self.journal.append_telemetry(new)

    def entries(self, lane: Lane = Lane.ALARM, *, after: int = 0, limit: int = 10_000) -> list[Entry]:
        return self.reader.read(lane, after, limit)

    def holes(self) -> list[bytes]:
        """Bodies of every signed declaration in the alarm lane."""
        return [e.body for e in self.entries() if e.kind == EntryKind.TRIMMED and e.body is not None]

    def batch(self, entries: Sequence[Entry], *, holes: Sequence[bytes] = ()) -> bytes:
        return encode(batch_of(self.id, entries, holes=holes))

    def close(self) -> None:
        self.reader.close()
        self.journal.close()


async def register(store: Store, clock: Clock, *gateways: Gateway) -> list[GatewayIdentity]:
    """Enter gateways with their keys below one invented community each; the first call makes the city too."""
    found = []
    async with store.begin() as db:
        city = (await db.execute(select(org_node.c.id).where(org_node.c.kind == "city"))).scalar()
        if city is None:
            city = (
                await db.execute(
                    insert(org_node)
                    .values(kind="city", path="/1/", code="city", name="示例市", created_at=clock.now())
                    .returning(org_node.c.id)
                )
            ).scalar_one()
        for one in gateways:
            path = f"/1/{one.id}/"
            node = (
                await db.execute(
                    insert(org_node)
                    .values(
                        kind="community",
                        parent_id=city,
                        path=path,
                        code=one.id,
                        name="示例小区",
                        created_at=clock.now(),
                    )
                    .returning(org_node.c.id)
                )
            ).scalar_one()
            no = (
                await db.execute(
                    insert(gateway)
                    .values(id=one.id, node_id=node, state="deployed", created_at=clock.now())
                    .returning(gateway.c.no)
                )
            ).scalar_one()
            await db.execute(
                insert(journal_key).values(
                    gateway_no=no, key=bytes.fromhex(one.signer.public_key), added_at=clock.now()
                )
            )
            found.append(GatewayIdentity(no=no, id=one.id, node_id=node, node_path=path))
    return found


class HeaderIdentity:
    """Believes a header: for tests of everything behind the certificate."""

    def __init__(self, known: Sequence[GatewayIdentity]) -> None:
        self.known = {one.id: one for one in known}

    async def __call__(self, scope: Mapping[str, Any]) -> GatewayIdentity | Refusal:
        name = dict(scope["headers"]).get(GATEWAY_HEADER.encode(), b"").decode()
        return self.known.get(name) or Refusal(
            status=401, reason="certificate", text=Label("需要客户端证书", "no client certificate")
        )


async def no_downlink(gateway_no: int) -> Downlink:
    return Downlink()


def services_for(store: Store, clock: Clock) -> Services:
    return Services(settings=FleetSettings(), store=store, clock=clock, wake=Wake())


async def nothing_else(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def serving(app: Any, *, port: int = 0) -> AsyncIterator[str]:
    """Serve an ASGI application with the real server on loopback; gives its address."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, http="httptools", loop="none", lifespan="off", log_config=None,
        access_log=False, ws="none", timeout_keep_alive=120, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    taken = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with asyncio.TaskGroup() as tasks:
            loop = tasks.create_task(server.main_loop(), name="server")
            yield f"http://127.0.0.1:{taken}"
            server.should_exit = True
            await loop
    finally:
        await server.shutdown()


@contextlib.asynccontextmanager
async def running_ingest(
    services: Services,
    known: Sequence[GatewayIdentity],
    *,
    on_committed: Callable[[Sequence[Committed]], None] = lambda _: None,
) -> AsyncIterator[httpx.AsyncClient]:
    """Run ingest behind real HTTP; gives a client with its address."""
    ingest = Ingest(
        services, identify=HeaderIdentity(known), find_downlink=no_downlink, on_committed=on_committed
    )
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(ingest.run(), name="ingest")
        async with (
            serving(front(ingest.app, nothing_else)) as url,
            httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client,
        ):
            yield client
        await ingest.contacts.flush()
        run.cancel()


async def post(client: httpx.AsyncClient, one: Gateway, raw: bytes, lane: Lane = Lane.ALARM) -> Answer:
    """Post a batch that is not refused."""
    response = await client.post(journal_path(one.id, lane), content=raw, headers={GATEWAY_HEADER: one.id})
    assert response.status_code == 200, response.text
    return decode_answer(response.content)


async def replicate(
    client: httpx.AsyncClient, one: Gateway, lane: Lane = Lane.ALARM, *, size: int = 7, after: int = 0
) -> Answer:
    """Send everything of a lane as an uplink does: after the cursor, from where a gap says."""
    answer: Answer | None = None
    while entries := one.entries(lane, after=after, limit=size):
        run = [e for e in entries if e.epoch == entries[0].epoch]
        answer = await post(client, one, one.batch(run, holes=one.holes()), lane)
        after = answer.wanted if isinstance(answer, Gap) else run[-1].seq
    assert answer is not None
    return answer


class Acked:
    """What the fleet has acknowledged of one lane, entry by entry."""

    def __init__(self) -> None:
        self.seqs: dict[str, int] = {}

    def note(self, answer: Answer) -> None:
        if not isinstance(answer, Gap):
            self.seqs[answer.epoch] = max(self.seqs.get(answer.epoch, 0), answer.cursor)


async def drain(
    client: httpx.AsyncClient, one: Gateway, lane: Lane, acked: Acked, *, size: int = 20, goal: int
) -> None:
    """Send a lane up to entry `goal` as an uplink does, through everything: servers that die, databases that are away."""
    after: int | None = None
    while after is None or after < goal:
        try:
            if after is None:
                raw = (await client.get(journal_path(one.id, lane), headers={GATEWAY_HEADER: one.id})).content
                after = msgspec.json.decode(raw, type=Cursor).seq
            entries = one.entries(lane, after=after, limit=size)
            if not entries:
                await asyncio.sleep(0.01)
                continue
            response = await client.post(
                journal_path(one.id, lane),
                content=one.batch(entries, holes=one.holes()),
                headers={GATEWAY_HEADER: one.id},
            )
        except (httpx.TransportError, msgspec.DecodeError):
            after = None
            await asyncio.sleep(0.05)
            continue
        if response.status_code in {500, 503, 507}:
            await asyncio.sleep(0.05)
            continue
        assert response.status_code == 200, response.text
        answer = decode_answer(response.content)
        acked.note(answer)
        after = answer.wanted if isinstance(answer, Gap) else answer.cursor


def a_card(gateway_id: str) -> SiteCard:
    """An invented community (示例) with a detector and a lift."""
    return SiteCard(
        gateway_id=gateway_id,
        site=EventSite(division_code="371002", community_id="0007", estate="示例小区"),
        assets={
            "gas-1": AssetCard(
                asset=Asset(id="gas-1", kind="gas_detector"), building="3", unit="1", floor="2"
            ),
            "lift-1": AssetCard(asset=Asset(id="lift-1", kind="lift"), building="5"),
        },
    )


def alarm_change(
    alarm_id: str,
    revision: int,
    *,
    code: str = "gas.high_alarm",
    state: AlarmState = AlarmState.UNACK,
    device_id: str = "gas-1",
    at: datetime = START,
) -> Change:
    """One revision of an invented alarm."""
    row = CODES[code]
    alarm = Alarm(
        alarm_id=alarm_id, seq=revision, device_id=device_id, code=code, kind=row.kind, priority=row.priority,
        state=state, is_active=state is not AlarmState.CLOSED, raised_at=at, raised_s=0.0,
        changed_at=at + timedelta(seconds=revision), changed_s=0.0, unack_since_s=0.0,
    )  # fmt: skip
    return Change(alarm=alarm, what=What.RAISED if revision == 1 else What.CHANGED, word=Word.RAISED)


async def hand_in(
    store: Store,
    clock: Clock,
    identity: GatewayIdentity,
    one: Gateway,
    entries: Sequence[Entry] | None = None,
    *,
    lane: Lane = Lane.ALARM,
) -> list[Answer]:
    """Commit entries (the whole lane when not given) through the vault, without HTTP."""
    vault = vault_of(services_for(store, clock))
    answers = []
    rest = list(one.entries(lane) if entries is None else entries)
    while rest:
        run = [e for e in rest[:500] if e.epoch == rest[0].epoch]
        rest = rest[len(run) :]
        sealed = seal(batch_of(one.id, run, holes=one.holes()), gateway_no=identity.no, size_bytes=0)
        at_us = microseconds(clock.now())
        answers.append((await vault.commit([Submission(sealed=sealed)], at_us=at_us))[0].answer)
    await vault.close()
    return answers


async def stored(store: Store, lane: int = 1, gateway_no: int = 1) -> list[Any]:
    """Return the rows of a lane in the order of their key: as readers see them."""
    async with store.read() as db:
        query = (
            select(entry)
            .where(entry.c.gateway_no == gateway_no, entry.c.lane == lane)
            .order_by(entry.c.epoch_number, entry.c.seq)
        )
        return list((await db.execute(query)).all())
