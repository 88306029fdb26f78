"""Three gateways of two communities, a person, and what the gateways would answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from sqlalchemy import insert, select, update

from gatehouse_events.clock import ClockQuality
from gatehouse_events.fleet_api import GatewayStatus, LaneStatus
from gatehouse_events.orders import ConfigVersion, Order, OrderOutcome, OrderResult, decode_order, encode
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.configs import clockwork, rollouts, versions
from gatehouse_fleet.configs.rollout import Member, Phase, Rollout
from gatehouse_fleet.configs.rollouts import NewRollout
from gatehouse_fleet.configs.versions import Draft, Version
from gatehouse_fleet.orders import take_outcome
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.registry import gateways
from gatehouse_fleet.registry.gateways import Gateway
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.orders import order
from gatehouse_fleet.store.schema.org import org_node

IDS = ("wh-gw1", "wh-gw2", "wh-gw3")
"""The first two watch one community."""
ACTOR = Actor(name="示例甲", role="district_operator", unit="示例区", station="test")


@dataclass(kw_only=True)
class Yard:
    """The fleet's half, and gateways that do as they are told by the test."""

    services: Services
    clock: SetClock

    @property
    def store(self) -> Store:
        return self.services.store

    def move(self, **delta: float) -> None:
        self.clock.move_to(self.clock.now() + timedelta(**delta))

    async def owner(self, gateway_id: str) -> Gateway:
        async with self.store.read() as db:
            found = await gateways.find(db, gateway_id)
        assert found is not None
        return found

    async def put(self, gateway_id: str, text: str) -> tuple[Version, bool]:
        draft = Draft(text=text, author=ACTOR, reason="示例")
        ready = await versions.checked(self.store, await self.owner(gateway_id), draft)
        async with self.store.begin() as db:
            return await versions.keep(db, ready, now=self.clock.now())

    async def begin(
        self, *ids: str, steps: Sequence[tuple[int | None, int | None]] = ((1, None),), max_failures: int = 0
    ) -> int:
        """Begin to bring out the newest version of each."""
        async with self.store.begin() as db:
            choices = []
            for one in ids:
                owner = await gateways.find(db, one)
                assert owner is not None
                version = await versions.latest(db, owner.no)
                assert version is not None
                choices.append((owner, version))
            new = NewRollout(
                choices=tuple(choices), steps=tuple(steps), max_failures=max_failures, answer_within_s=900,
                confirm_within_s=60, author=ACTOR, reason="示例",
            )  # fmt: skip
            return (await rollouts.make(db, new, now=self.clock.now())).id

    async def tick(self) -> int:
        return await clockwork.tick(self.services)

    async def look(self, rollout_id: int) -> tuple[Phase, dict[str, Member]]:
        """Where a rollout and each of its gateways stand."""
        async with self.store.read() as db:
            record = await rollouts.find(db, rollout_id)
            assert record is not None
            found: Rollout = await rollouts.load(db, record)
            names = {row.no: row.id for row in (await db.execute(select(gateway.c.no, gateway.c.id))).all()}
        return found.phase, {names[one.gateway_no]: one for one in found.members}

    async def orders(self, gateway_id: str) -> list[Order]:
        query = select(order.c.body).join(gateway, gateway.c.no == order.c.gateway_no)
        async with self.store.read() as db:
            bodies = (
                await db.execute(
                    query.where(gateway.c.id == gateway_id).order_by(order.c.issued_at, order.c.seq)
                )
            ).scalars()
            found = [decode_order(body.encode()) for body in bodies]
        assert all(isinstance(one, Order) for one in found)
        return found  # type: ignore[return-value]

    async def says(self, gateway_id: str, version: str = "", sha256: str = "") -> None:
        """Its status arrives."""
        now = self.clock.now()
        lane = LaneStatus(head=0, acknowledged=0)
        status = GatewayStatus(
            sent_at=now, version="0.1.0", boot="b", epoch="a" * 32, started_at=now, alarm=lane, telemetry=lane,
            clock=ClockQuality(synced=True, offset_ms=0.0),
            config_version=version, config_sha256=sha256,
        )  # fmt: skip
        values = {"status": msgspec.json.encode(status).decode(), "status_at": now, "last_contact_at": now}
        async with self.store.begin() as db:
            await db.execute(update(gateway).where(gateway.c.id == gateway_id).values(values))

    async def answers(self, gateway_id: str, result: OrderResult, detail: str = "") -> None:
        """It answers its last order; when it took it, its status says so."""
        last = (await self.orders(gateway_id))[-1]
        assert isinstance(last.action, ConfigVersion)
        outcome = OrderOutcome(
            epoch=last.epoch, seq=last.seq, result=result, at=self.clock.now(), detail=detail
        )
        owner = await self.owner(gateway_id)
        async with self.store.begin() as db:
            assert await take_outcome(db, owner.no, encode(outcome)) is not None
        if result is OrderResult.DONE:
            await self.says(gateway_id, last.action.version, last.action.sha256)

    async def raises(self, gateway_id: str, priority: str, *, is_open: bool = True) -> None:
        owner, now = await self.owner(gateway_id), self.clock.now()
        values = {
            "gateway_no": owner.no, "node_id": owner.node_id, "device_id": "gas-1", "seq": 1, "entry_epoch": "e",
            "entry_seq": 1, "code": "gas.high_alarm", "category": "gas", "kind": "alarm", "priority": priority,
            "state": "unack", "is_open": is_open, "raised_at": now, "changed_at": now, "committed_at": now,
            "is_verified": True, "body": "{}",
        }  # fmt: skip
        async with self.store.begin() as db:
            await db.execute(insert(alarm).values(alarm_id=f"01KB{owner.no:022d}", **values))

    async def closes(self) -> None:
        async with self.store.begin() as db:
            await db.execute(update(alarm).values(is_open=False))


@pytest.fixture
async def yard(store: Store, clock: SetClock) -> Yard:
    now = clock.now()
    async with store.begin() as db:
        places = (("city", None, "/1/"), ("community", 1, "/1/2/"), ("community", 1, "/1/3/"))
        for kind, parent, path in places:
            place = {"kind": kind, "parent_id": parent, "path": path, "code": f"c{path[-2]}", "name": "示例"}
            await db.execute(insert(org_node).values(created_at=now, **place))
        for name, node_id in zip(IDS, (2, 2, 3), strict=True):
            values = {
                "id": name,
                "node_id": node_id,
                "state": "deployed",
                "created_at": now,
                "tags": '["gas"]',
            }
            await db.execute(insert(gateway).values(values))
    services = Services(settings=FleetSettings(), store=store, clock=clock, wake=Wake())
    return Yard(services=services, clock=clock)


@dataclass(kw_only=True)
class FakeGateway:
    """What a gateway has before it enrols."""

    id: str
    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def enrol_body(self, code: str) -> dict[str, str]:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.id)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self.key, hashes.SHA256())
        return {
            "gateway_id": self.id,
            "code": code,
            "csr": request.public_bytes(serialization.Encoding.PEM).decode(),
            "journal_key": Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex(),
            "version": "0.1.0",
        }

    def keep(self, chain_pem: str) -> tuple[Path, Path]:
        """Write certificate chain and key as a TLS client takes them."""
        chain, key = self.folder / f"{self.id}.pem", self.folder / f"{self.id}.key"
        chain.write_text(chain_pem)
        plain = serialization.NoEncryption()
        pkcs8 = serialization.PrivateFormat.PKCS8
        key.write_bytes(self.key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
        return chain, key


@pytest.fixture
def fake_gateway(tmp_path: Path) -> Callable[[str], FakeGateway]:
    return lambda gateway_id: FakeGateway(id=gateway_id, folder=tmp_path)
