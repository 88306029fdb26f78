"""An invented city: two districts, three communities with a gateway each, people of every reach; alarms are put in as rows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import Request
from msgspec import structs
from sqlalchemy import insert, select
from ulid import ULID

from gatehouse_events.alarm import Alarm
from gatehouse_events.codes import CODES
from gatehouse_events.states import AlarmState
from gatehouse_fleet.api.app import create_app
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.people.roles import Actor, Caller, Role
from gatehouse_fleet.registry import gateways, org
from gatehouse_fleet.registry.org import NewNode, NodeKind
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.store.schema.alarms import alarm as alarm_table
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.web.problems import ProblemError

CARD = {
    "gateway_id": "wh-1",
    "site": {
        "division_code": "371002",
        "community_id": "c1",
        "position": {"lon": 122.1, "lat": 37.5, "crs": "CGCS2000"},
    },
    "assets": {},
}


@dataclass(kw_only=True)
class Town:
    """`get` asks as one of `people`; `raise_alarm` puts an alarm where its projection would."""

    store: Store
    clock: SetClock
    client: httpx.AsyncClient
    people: dict[str, Caller]
    nodes: dict[str, int]
    gateway_nos: dict[str, int] = field(default_factory=dict)

    async def get(self, path: str, who: str = "city", **params: Any) -> httpx.Response:
        return await self.client.get(f"/api/v1{path}", params=params, headers={"x-who": who})

    async def raise_alarm(
        self,
        gateway_id: str = "wh-1",
        code: str = "gas.high_alarm",
        *,
        ago: timedelta = timedelta(),
        state: AlarmState = AlarmState.UNACK,
        **more: Any,
    ) -> str:
        row, raised = CODES[code], self.clock.now() - ago
        one = Alarm(
            alarm_id=str(ULID()),
            seq=1,
            device_id=more.pop("device_id", "gas-1"),
            code=code,
            kind=more.pop("kind", row.kind),
            priority=row.priority,
            state=state,
            is_active=True,
            raised_at=raised,
            raised_s=0.0,
            changed_at=raised,
            changed_s=0.0,
            unack_since_s=0.0,
            **more,
        )
        async with self.store.begin() as db:
            node = (
                await db.execute(select(gateway.c.node_id).where(gateway.c.id == gateway_id))
            ).scalar_one()
            await db.execute(
                insert(alarm_table).values(
                    alarm_id=one.alarm_id,
                    gateway_no=self.gateway_nos[gateway_id],
                    node_id=node,
                    device_id=one.device_id,
                    seq=1,
                    entry_epoch="0" * 32,
                    entry_seq=1,
                    code=code,
                    category=code.partition(".")[0],
                    kind=one.kind.value,
                    priority=one.priority.value,
                    state=state.value,
                    is_open=one.is_open,
                    raised_at=raised,
                    changed_at=raised,
                    committed_at=raised,
                    is_verified=True,
                    body=msgspec.json.encode(one).decode(),
                )
            )
        return one.alarm_id

    async def heard(self, gateway_id: str, at: datetime | None, **more: Any) -> None:
        async with self.store.begin() as db:
            await db.execute(
                gateway.update().where(gateway.c.id == gateway_id).values(last_contact_at=at, **more)
            )


@pytest.fixture
async def town(store: Store, clock: SetClock, tmp_path: Path) -> AsyncIterator[Town]:
    now = clock.now()
    async with store.begin() as db:
        city = await org.ensure_city(db, code="shili", name="示例市", at=now)
        nodes = {"city": city}
        paths = {"city": f"/{city}/"}
        for kind, code, parent, name in (
            (NodeKind.DISTRICT, "east", "city", "东区（示例）"),
            (NodeKind.DISTRICT, "west", "city", "西区（示例）"),
            (NodeKind.COMMUNITY, "c1", "east", "翠湖（示例）"),
            (NodeKind.COMMUNITY, "c2", "east", "金海（示例）"),
            (NodeKind.COMMUNITY, "c3", "west", "东山（示例）"),
        ):
            new = NewNode(kind=kind, parent_id=nodes[parent], code=code, name=name)
            made = await org.make(db, new, at=now)
            nodes[code], paths[code] = made.id, made.path
        numbers = {}
        for gateway_id, community in (("wh-1", "c1"), ("wh-2", "c2"), ("wh-3", "c3")):
            numbers[gateway_id] = (await gateways.make(db, gateway_id, nodes[community], at=now)).no
        await db.execute(gateway.update().where(gateway.c.id == "wh-1").values(site_card=json.dumps(CARD)))

    def person(role: Role, place: str) -> Caller:
        actor = Actor(name=f"{role}", role=role.value, unit="示例", station="test")
        return Caller(user_id=1, actor=actor, role=role, scope_id=nodes[place], scope_path=paths[place])

    people = {
        "city": person(Role.CITY_OPERATOR, "city"),
        "east": person(Role.DISTRICT_OPERATOR, "east"),
        "auditor": person(Role.AUDITOR, "city"),
        "technician": person(Role.TECHNICIAN, "city"),
        "guard": person(Role.GUARD, "c1"),
    }
    people["contractor"] = structs.replace(person(Role.PROPERTY_MANAGER, "city"), is_contractor=True)

    async def believe(request: Request) -> Caller:
        found = people.get(request.headers.get("x-who", ""))
        if found is None:
            raise ProblemError(401, "login", org.LABELS[NodeKind.CITY])
        return found

    services = Services(
        settings=FleetSettings(directory=tmp_path / "fleet"), store=store, clock=clock, wake=Wake()
    )
    transport = httpx.ASGITransport(create_app(services, believe))
    async with httpx.AsyncClient(transport=transport, base_url="http://fleet") as client:
        yield Town(store=store, clock=clock, client=client, people=people, nodes=nodes, gateway_nos=numbers)
