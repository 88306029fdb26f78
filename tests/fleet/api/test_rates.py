"""Rate limits: nobody is asked to wait who keeps to them, everybody who does not, and memory stays bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse

from gatehouse_fleet.api.rates import Allowance, Buckets, Rates
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store, Wake

SMALL = Allowance(burst=5, per_s=2.0)


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    buckets = Buckets(SMALL)
    assert [buckets.wait_s(b"a", 0.0) for _ in range(5)] == [0.0] * 5
    assert buckets.wait_s(b"a", 0.0) == 0.5
    assert buckets.wait_s(b"b", 0.0) == 0.0, "another one is not asked to wait"
    assert buckets.wait_s(b"a", 0.5) == 0.0
    assert buckets.wait_s(b"a", 0.5) > 0.0


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60))
def test_never_more_than_burst_and_rate_together(steps: list[float]) -> None:
    buckets, now_s, passed = Buckets(SMALL), 0.0, 0
    for step_s in steps:
        now_s += step_s
        passed += buckets.wait_s(b"a", now_s) == 0.0
        assert passed <= SMALL.burst + SMALL.per_s * now_s + 1e-6


@given(st.floats(0.5, 100))
def test_whoever_keeps_to_the_rate_never_waits(step_s: float) -> None:
    buckets = Buckets(SMALL)
    assert all(buckets.wait_s(b"a", n * step_s) == 0.0 for n in range(50))


def test_a_flood_of_addresses_costs_no_memory() -> None:
    buckets = Buckets(SMALL, max_keys=100)
    for n in range(10_000):
        buckets.wait_s(b"%d" % n, 0.0)
    assert len(buckets) == 100


@pytest.fixture
async def services(tmp_path: Path, clock: SetClock) -> AsyncIterator[Services]:
    store = Store.open(f"sqlite:///{tmp_path}/fleet.db")
    yield Services(settings=FleetSettings(), store=store, clock=clock, wake=Wake())
    await store.close()


async def statuses(services: Services, cookies: list[str], **allowances: Allowance) -> list[int]:
    guarded = Rates(PlainTextResponse("good"), services, **allowances)
    transport = httpx.ASGITransport(guarded, client=("203.0.113.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="https://fleet.example") as client:
        return [
            (
                await client.get("/api/v1/setup", headers={"Cookie": f"__Host-gatehouse-fleet={one}"})
            ).status_code
            for one in cookies
        ]


async def test_inventing_sessions_does_not_help_an_address(services: Services) -> None:
    slow = Allowance(burst=5, per_s=0.001)
    assert await statuses(services, [f"t{n}" for n in range(7)], address=slow) == [200] * 5 + [429] * 2


async def test_one_session_that_floods_leaves_the_office_its_share(services: Services) -> None:
    slow = Allowance(burst=5, per_s=0.001)
    seen = await statuses(services, ["loud"] * 7 + ["quiet"], session=slow)
    assert seen == [200] * 5 + [429] * 2 + [200]


async def test_a_refusal_says_how_long_to_wait(services: Services) -> None:
    guarded = Rates(PlainTextResponse("good"), services, address=Allowance(burst=0, per_s=0.1))
    transport = httpx.ASGITransport(guarded)
    async with httpx.AsyncClient(transport=transport, base_url="https://fleet.example") as client:
        refused = await client.get("/api/v1/setup")
        assert (refused.status_code, refused.json()["reason"]) == (429, "too_many_requests")
        assert refused.headers["Retry-After"] == "10"
        assert (await client.get("/")).status_code == 200, "pages are files, not looked up"
