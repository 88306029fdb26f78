"""Numbers for Prometheus: what they say, and to whom."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import Request
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode: a neighbour is found through its folder
from fleet_site import Gateway, alarm_change, hand_in, register

from gatehouse_events.orders import Command, Issuer
from gatehouse_fleet import metrics
from gatehouse_fleet.api.app import create_app
from gatehouse_fleet.cases.intake import CaseSteps
from gatehouse_fleet.cases.shelf import Shelf
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.orders.lane import issue
from gatehouse_fleet.people.roles import Caller
from gatehouse_fleet.projection.service import Projector
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.web.problems import NOT_FOUND

LIFT = "01JDEXAMPLE0000000000000F2"
GAS = "01JDEXAMPLE0000000000000G1"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Gateway, Gateway]]:
    found = Gateway(tmp_path / "gw1", "gw-one"), Gateway(tmp_path / "gw2", "gw-two")
    yield found
    for one in found:
        one.close()


def services_of(store: Store, clock: SetClock, **settings: object) -> Services:
    return Services(settings=FleetSettings.model_validate(settings), store=store, clock=clock, wake=Wake())


def client_of(services: Services, address: str) -> httpx.AsyncClient:
    async def nobody(_: Request) -> Caller:
        raise NOT_FOUND

    transport = httpx.ASGITransport(create_app(services, nobody), client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://fleet")


def values(raw: bytes) -> dict[str, float]:
    return {
        sample.name + "".join(f"/{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(raw.decode())
        for sample in family.samples
    }


async def test_the_numbers_are_what_the_database_says(
    store: Store, clock: SetClock, pair: tuple[Gateway, Gateway]
) -> None:
    identities = await register(store, clock, *pair)
    services = services_of(store, clock)
    projector = Projector(services, steps=(CaseSteps(Shelf(), clock),))
    pair[0].write(body=alarm_change(LIFT, 1, code="lift.trapped", device_id="lift-1"))
    await hand_in(store, clock, identities[0], pair[0])
    await projector.catch_up()
    pair[1].write(body=alarm_change(GAS, 1))
    pair[1].write(body=alarm_change(GAS, 2))
    await hand_in(store, clock, identities[1], pair[1])  # not read yet
    async with store.begin() as db:
        await db.execute(
            update(gateway).where(gateway.c.no == identities[0].no).values(last_contact_at=clock.now())
        )
        await issue(
            db,
            identities[0].no,
            Command(name="report_status"),
            issuer=Issuer(name="示例", role="r", unit="u"),
            expires_at=clock.now() + timedelta(hours=1),
            now=clock.now(),
        )
    async with store.read() as db:
        told = values(metrics.text(await metrics.read(db, clock.now())))
    waiting = len(pair[1].entries())
    assert told["gatehouse_fleet_entries_total"] == len(pair[0].entries()) + waiting
    assert told["gatehouse_fleet_reader_lag_entries/projection"] == waiting
    assert told["gatehouse_fleet_reader_lag_gateways/projection"] == 1
    assert told["gatehouse_fleet_gateways/present"] == 1
    assert told["gatehouse_fleet_gateways/never"] == 1
    assert told["gatehouse_fleet_alarms_open/P1"] == 1
    # raised on 25 November at midnight UTC, an hour ago: the rescue is late
    assert told["gatehouse_fleet_cases_open/red"] == 1
    assert told["gatehouse_fleet_orders_open"] == 1
    clock.move_to(clock.now() + timedelta(seconds=91))
    async with store.read() as db:
        later = values(metrics.text(await metrics.read(db, clock.now())))
    assert later["gatehouse_fleet_gateways/silent"] == 1
    assert later["gatehouse_fleet_gateways/present"] == 0


async def test_an_empty_server_has_numbers_too(store: Store, clock: SetClock) -> None:
    async with store.read() as db:
        told = values(metrics.text(await metrics.read(db, clock.now())))
    assert told["gatehouse_fleet_entries_total"] == 0
    assert told["gatehouse_fleet_cases_open/green"] == 0


@pytest.mark.parametrize(
    ("settings", "address", "header", "status"),
    [
        ({}, "127.0.0.1", "", 200),
        ({}, "::1", "", 200),
        ({}, "10.0.0.9", "", 404),
        ({"server": {"tls": "proxy", "proxy_address": "127.0.0.1"}}, "127.0.0.1", "", 404),
        ({"metrics": {"token_file": "token"}}, "10.0.0.9", "Bearer the-token", 200),
        ({"metrics": {"token_file": "token"}}, "127.0.0.1", "", 404),
        ({"metrics": {"token_file": "token"}}, "10.0.0.9", "Bearer other", 404),
        ({"metrics": {"token_file": "token"}}, "10.0.0.9", "Basic the-token", 404),
        ({"metrics": {"token_file": "missing"}}, "127.0.0.1", "Bearer ", 404),
    ],
)
async def test_only_this_machine_or_who_has_the_token_reads_them(
    settings: dict[str, object], address: str, header: str, status: int, tmp_path: Path, clock: SetClock
) -> None:
    (tmp_path / "token").write_text("the-token\n")
    store = Store.open(f"sqlite:///{tmp_path}/fleet.db")
    await store.create_all()
    services = services_of(store, clock, directory=tmp_path, **settings)
    async with client_of(services, address) as client:
        answer = await client.get("/metrics", headers={"Authorization": header} if header else {})
    await store.close()
    assert answer.status_code == status
    assert (b"gatehouse_fleet_entries_total" in answer.content) is (status == 200)
