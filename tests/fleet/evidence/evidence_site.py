"""A worker with one enrolled gateway, clips on the gateway's disk, people of several roles."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from city_fleet import Fleet

from gatehouse_edge.uplink.fleet_client import FleetClient
from gatehouse_edge.uplink.identity import new_request, store, tls_context
from gatehouse_events.chain import canonical
from gatehouse_events.fleet_api import EnrolAnswer, EnrolRequest, decode
from gatehouse_events.ids import new_id
from gatehouse_fleet.pki.enrolment import issue_code
from gatehouse_fleet.registry import gateways, org
from gatehouse_fleet.registry.org import NewNode, NodeKind

GATEWAY = "wh-371002-0007-gw1"
PASSWORD = "gatehouse 示例 2026"  # of accounts that live as long as a test
LiveServer = Callable[..., AbstractAsyncContextManager[Any]]


@dataclass(kw_only=True)
class Site:
    """Everything a test needs."""

    server: Any
    fleet: Fleet
    no: int
    community: int
    client: FleetClient
    people: httpx.AsyncClient
    """The first user: city operator."""
    folder: Path
    stack: AsyncExitStack

    def clip(self, content: bytes) -> str:
        """Put a file onto the gateway's disk and return its hash."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{sha256}.mp4").write_bytes(content)
        return sha256

    async def raised(
        self, *clips: tuple[str, bool], code: str = "throw.object_falling", at: datetime | None = None
    ) -> str:
        """Raise an alarm with clips (hash, is it masked) and wait until it is on the list."""
        now = at or self.server.clock.now()
        alarm_id = new_id(now)
        evidence = tuple(
            {
                "kind": "clip",
                "sha256": sha256,
                "captured_at": now.isoformat(),
                "retention_until": now.isoformat(),
                "privacy_masked": is_masked,
            }
            for sha256, is_masked in clips
        )
        await self.fleet.tell(self.no, self.fleet.change(alarm_id=alarm_id, code=code, evidence=evidence))
        await self.until(f"/api/v1/alarms/{alarm_id}/evidence", lambda rows: len(rows) == len(clips))
        return alarm_id

    async def until(self, path: str, is_so: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(60):
            while True:
                answer = await self.people.get(path)
                if answer.status_code == 200 and is_so(answer.json()):
                    return answer.json()
                await asyncio.sleep(0.05)

    async def look(self, sha256: str, who: httpx.AsyncClient | None = None, **body: str) -> httpx.Response:
        asked = {"reason": "核实报警"} | body
        return await (who or self.people).post(f"/api/v1/evidence/{GATEWAY}/{sha256}/views", json=asked)

    async def person(self, name: str, role: str, *, is_contractor: bool = False) -> httpx.AsyncClient:
        """Make a user of a role for the whole city and log in."""
        scope = (await self.people.get("/api/v1/me")).json()["scope_id"]
        made = await self.people.post(
            "/api/v1/users",
            json={
                "name": name,
                "full_name": f"{name}示例",
                "unit": "示例单位",
                "role": role,
                "scope_id": scope,
                "password": PASSWORD,
                "is_contractor": is_contractor,
            },
        )
        assert made.status_code == 201, made.text
        client = await self.stack.enter_async_context(self.server.client())
        done = await client.post("/api/v1/login", json={"name": name, "password": PASSWORD})
        assert done.status_code == 200, done.text
        return client


@asynccontextmanager
async def site(live_server: LiveServer, folder: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(live_server())
        people = await stack.enter_async_context(server.client())
        await server.log_in_first(people)
        services = server.services
        now = server.clock.now()
        async with services.store.begin() as db:
            city = await org.ensure_city(db, code="shili", name="示例市", at=now)
            new = NewNode(kind=NodeKind.COMMUNITY, parent_id=city, code="yuan", name="示例花园")
            community = await org.make(db, new, at=now)
            gateway = await gateways.make(db, GATEWAY, community.id, at=now)
            code = await issue_code(db, gateway.no, by="zhou", at=now)
        await enrol(server, folder, code)
        client = FleetClient(server.url, GATEWAY, tls=tls_context(folder))
        await stack.enter_async_context(client)
        fleet = Fleet(services.store, services.clock, services.wake)
        async with services.store.begin() as db:
            await fleet.run(db, gateway.no)
            await fleet.append(db, gateway.no, [("config", canonical({}))])
        yield Site(
            server=server,
            fleet=fleet,
            no=gateway.no,
            community=community.id,
            client=client,
            people=people,
            folder=folder / "evidence",
            stack=stack,
        )


async def enrol(server: Any, folder: Path, code: str) -> None:
    """Enrol as the gateway's own program does."""
    request = new_request(GATEWAY)
    async with server.client() as plain:
        body = EnrolRequest(
            gateway_id=GATEWAY, code=code, csr=request.csr_pem, journal_key="ab" * 32, version="0.1.0"
        )
        answer = await plain.post(
            "/api/v1/enrol", content=canonical(body), headers={"content-type": "application/json"}
        )
    assert answer.status_code == 201, answer.text
    store(folder, request, decode(answer.content, EnrolAnswer))


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.05)
