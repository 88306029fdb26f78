"""A fleet server over TLS with two places, and benches with keys of their own that hand in to it."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gatehouse_events.bench_api import DEVICES, RECORDS, WRAPPING_KEY
from gatehouse_events.bench_record import Record, Step, StepName, Verdict, Where, public_bytes, sign
from gatehouse_events.key_wrap import key_check, wrap

AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
DEVICE_KEY = bytes(range(16))


@dataclass(kw_only=True)
class Bench:
    """One bench: its key, its token, and the records it has made of each board."""

    client: httpx.AsyncClient
    name: str
    token: str
    token_id: int
    key: Ed25519PrivateKey
    past: dict[str, tuple[int, str]] = field(default_factory=dict)

    def record(
        self, serial: str = "GHG-02A0B1000001", *, by: Ed25519PrivateKey | None = None, **changes: Any
    ) -> bytes:
        """The next record of a board, signed."""
        number, previous = self.past.get(serial, (0, ""))
        fields: dict[str, Any] = {
            "serial": serial,
            "number": number + 1,
            "previous": previous,
            "kind": "gas",
            "verdict": Verdict.PASSED,
            "began_at": AT,
            "ended_at": AT + timedelta(seconds=30),
            "where": Where(
                bench=self.name, operator="示例 Zhang", rig="pi-1", station="left", backend="local",
                is_simulated=False, esptool="5.6.0", mpremote="1.29.0",
            ),
            "steps": (Step(name=StepName.FLASH, verdict=Verdict.PASSED, began_at=AT, took_s=12.5),),
        }  # fmt: skip
        made = sign(Record(**(fields | changes)), by or self.key)
        self.past[serial] = (number + 1, json.loads(made)["hash"])
        return made

    async def hand_in(self, content: bytes, **headers: str) -> httpx.Response:
        given = {"authorization": f"Bearer {self.token}", "content-type": "application/json"} | headers
        return await self.client.post(RECORDS, content=content, headers=given)

    async def wrapping_key(self) -> X25519PublicKey:
        answer = await self.client.get(WRAPPING_KEY, headers={"authorization": f"Bearer {self.token}"})
        key = load_pem_public_key(answer.json()["pem"].encode())
        assert isinstance(key, X25519PublicKey)
        return key

    async def register(
        self, serial: str = "GHB-02A0B1000002", *, key: bytes = DEVICE_KEY, **changes: Any
    ) -> httpx.Response:
        body = {
            "serial": serial,
            "kind": "button",
            "mac": serial[4:].lower(),
            "key_check": key_check(key),
            "wrapped_key": wrap(key, serial=serial, fleet=await self.wrapping_key()),
        } | changes
        return await self.client.post(DEVICES, json=body, headers={"authorization": f"Bearer {self.token}"})


@dataclass(kw_only=True)
class Fleet:
    """A live server: `boss` is logged in; east and west are districts, the garden a community in the east with gateway wh-gw1."""

    server: Any
    boss: httpx.AsyncClient
    plain: httpx.AsyncClient
    east: int
    west: int

    async def bench(self, name: str = "pi-1", *, node: int | None = None, **body: Any) -> Bench:
        """A bench of the east with a token of its own."""
        key = Ed25519PrivateKey.generate()
        public = base64.b64encode(public_bytes(key.public_key())).decode()
        asked = {"name": name, "node_id": node or self.east, "key": public} | body
        made = await self.boss.post("/api/v1/bench/tokens", json=asked)
        assert made.status_code == 201, made.text
        said = made.json()
        return Bench(client=self.plain, name=name, token=said["token"], token_id=said["id"], key=key)

    async def rows(self, **params: Any) -> list[dict[str, Any]]:
        """What the list of records says."""
        answer = await self.boss.get(RECORDS, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]


@pytest.fixture
def open_fleet(live_server: Callable[..., Any]) -> Callable[..., Any]:
    """`async with open_fleet(url) as fleet:`."""

    @contextlib.asynccontextmanager
    async def opened(database_url: str = "sqlite:///fleet.db") -> AsyncIterator[Fleet]:
        async with live_server(database_url) as server, server.client() as boss, server.client() as plain:
            await server.log_in_first(boss)
            del plain.headers["X-Gatehouse"]  # a bench is no browser
            places = {}
            for parent, kind, code in ((1, "district", "east"), (1, "district", "west")):
                body = {"kind": kind, "parent_id": parent, "code": code, "name": f"示例{code}"}
                places[code] = (await boss.post("/api/v1/nodes", json=body)).json()["id"]
            body = {"kind": "community", "parent_id": places["east"], "code": "garden", "name": "示例花园"}
            garden = (await boss.post("/api/v1/nodes", json=body)).json()["id"]
            assert (
                await boss.post("/api/v1/gateways", json={"id": "wh-gw1", "node_id": garden})
            ).status_code == 201
            yield Fleet(server=server, boss=boss, plain=plain, east=places["east"], west=places["west"])

    return opened


@pytest.fixture
async def fleet(open_fleet: Callable[..., Any], database_url: str) -> AsyncIterator[Fleet]:
    """A live server on each database."""
    async with open_fleet(database_url) as made:
        yield made


@pytest.fixture
async def small_fleet(open_fleet: Callable[..., Any]) -> AsyncIterator[Fleet]:
    """A live server on SQLite."""
    async with open_fleet() as made:
        yield made
