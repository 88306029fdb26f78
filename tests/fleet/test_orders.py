"""The orders lane at the fleet: gapless over failures and rivals, answered once, read by stream and by poll."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import httpx
import pytest
import uvicorn
from sqlalchemy import insert, select

from gatehouse_events.orders import (
    Acknowledgement,
    AlarmSeen,
    Command,
    Issuer,
    Order,
    OrderBatch,
    OrderOutcome,
    OrderResult,
    decode_batch,
    decode_order,
    encode,
    orders_of,
)
from gatehouse_events.states import Label
from gatehouse_fleet.api.app import create_app
from gatehouse_fleet.api.problems import ProblemError
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.ingest.identity import GatewayIdentity
from gatehouse_fleet.orders import IssuedOrder, issue, orders_topic, take_outcome
from gatehouse_fleet.orders import lane as lanes
from gatehouse_fleet.orders.downlink import OrderDownlink, Scope
from gatehouse_fleet.people.roles import Actor, Caller, Role
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.orders import order
from gatehouse_fleet.store.schema.org import org_node

GATEWAY = "wh-371002-0007-gw1"
ALARM = "01KB0000000000000000000001"
ISSUER = Issuer(name="示例甲", role="district_operator", unit="示例区")
REPORT = Command(name="report_status")


@pytest.fixture
async def gateway_no(store: Store, clock: SetClock) -> int:
    """One gateway in one community."""
    async with store.begin() as db:
        place = {
            "kind": "community",
            "path": "/1/",
            "code": "c",
            "name": "示例小区",
            "created_at": clock.now(),
        }
        await db.execute(insert(org_node).values(place))
        node_id = (await db.execute(select(org_node.c.id))).scalar_one()
        values = {"id": GATEWAY, "node_id": node_id, "state": "deployed", "created_at": clock.now()}
        await db.execute(insert(gateway).values(values))
        return (await db.execute(select(gateway.c.no))).scalar_one()


async def give(store: Store, gateway_no: int, now: datetime, action: object = REPORT) -> IssuedOrder:
    async with store.begin() as db:
        return await issue(
            db,
            gateway_no,
            action,
            issuer=ISSUER,
            expires_at=now + timedelta(hours=1),
            now=now,  # type: ignore[arg-type]
        )


async def whole(store: Store, gateway_no: int, epoch: str = "", after: int = 0) -> OrderBatch:
    async with store.read() as db:
        batch = await lanes.read(db, gateway_no, epoch, after)
    assert batch is not None
    return batch


async def test_a_lane_has_no_gap_when_transactions_fail_and_rivals_write(
    store: Store, clock: SetClock, gateway_no: int
) -> None:
    async def fail() -> None:
        async with store.begin() as db:
            await issue(db, gateway_no, REPORT, issuer=ISSUER, expires_at=clock.now(), now=clock.now())
            raise ValueError("undone")

    async def both() -> None:
        await give(store, gateway_no, clock.now())
        with contextlib.suppress(ValueError):
            await fail()

    async with asyncio.TaskGroup() as tasks:
        for n in range(8):
            tasks.create_task(both(), name=f"issuer {n}")
    found = orders_of(await whole(store, gateway_no))
    assert [one.seq for one in found] == list(range(1, 9))
    assert len({one.epoch for one in found}) == 1


async def test_an_order_for_nobody_is_refused(store: Store, clock: SetClock, gateway_no: int) -> None:
    with pytest.raises(lanes.OrderError, match="no gateway"):
        await give(store, gateway_no + 1, clock.now())


async def test_a_cursor_of_another_epoch_is_given_the_lane_from_its_start(
    store: Store, clock: SetClock, gateway_no: int
) -> None:
    first = await give(store, gateway_no, clock.now())
    await give(store, gateway_no, clock.now())
    assert len((await whole(store, gateway_no, first.epoch, 1)).orders) == 1
    assert len((await whole(store, gateway_no, "e" * 32, 1)).orders) == 2


async def test_an_outcome_is_written_beside_its_order_and_a_second_one_changes_nothing(
    store: Store, clock: SetClock, gateway_no: int
) -> None:
    given = await give(store, gateway_no, clock.now())

    async def answer(result: OrderResult) -> OrderOutcome | None:
        seen = AlarmSeen(alarm_id=ALARM, seq=7)
        outcome = OrderOutcome(epoch=given.epoch, seq=given.seq, result=result, at=clock.now(), alarm=seen)
        async with store.begin() as db:
            return await take_outcome(db, gateway_no, encode(outcome))

    assert await answer(OrderResult.STALE) is not None
    assert await answer(OrderResult.DONE) is None
    async with store.begin() as db:
        assert await take_outcome(db, gateway_no, b'{"command":{"type":"Acknowledge"},"result":{}}') is None
        row = (await db.execute(select(order))).one()
    assert (row.result, row.result_alarm_seq) == ("stale", 7)


async def test_a_restored_server_gives_unanswered_orders_out_again_under_a_new_epoch(
    store: Store, clock: SetClock, gateway_no: int
) -> None:
    answered, open_one = (
        await give(store, gateway_no, clock.now()),
        await give(store, gateway_no, clock.now()),
    )
    async with store.begin() as db:
        done = OrderOutcome(epoch=answered.epoch, seq=1, result=OrderResult.DONE, at=clock.now())
        await take_outcome(db, gateway_no, encode(done))
        assert await lanes.begin_epochs(db, clock.now()) == 1
    again = orders_of(await whole(store, gateway_no, open_one.epoch, 2))
    assert [(one.seq, one.epoch != open_one.epoch) for one in again] == [(1, True)]


# --- over HTTP


class Site:
    """A real server on loopback with the downlink and the people's interface."""

    def __init__(self, store: Store, clock: SetClock, gateway_no: int) -> None:
        self.wake = Wake()
        self.store = store
        self.clock = clock
        self.gateway_no = gateway_no
        self.downlink = OrderDownlink(store, self.wake, clock, self._who, heartbeat_s=0.2)
        self.caller = Caller(
            user_id=1,
            actor=Actor(name="示例甲", role="district_operator", unit="示例区", station="desk"),
            role=Role.DISTRICT_OPERATOR,
            scope_id=1,
            scope_path="/1/",
        )
        services = Services(settings=FleetSettings(), store=store, clock=clock, wake=self.wake)
        app = create_app(services, self._person)

        async def front(scope: Scope, receive: object, send: object) -> None:
            wants = scope["type"] == "http" and OrderDownlink.wants(scope["path"])
            await (self.downlink if wants else app)(scope, receive, send)  # type: ignore[arg-type]

        self.front = front
        self.base = ""

    async def _who(self, _: Scope, name: str) -> GatewayIdentity:
        if name != GATEWAY:
            raise ProblemError(
                403, "certificate", Label("证书不符", "this certificate is of another gateway")
            )
        return GatewayIdentity(no=self.gateway_no, id=name, node_id=1, node_path="/1/")

    async def _person(self, _: object) -> Caller:
        return self.caller

    async def give(self, action: object = REPORT) -> IssuedOrder:
        given = await give(self.store, self.gateway_no, self.clock.now(), action)
        self.wake.notify(orders_topic(given.gateway_id))
        return given

    def url(self, what: str) -> str:
        return f"{self.base}/api/v1/gateways/{GATEWAY}/{what}"


@pytest.fixture
async def site(store: Store, clock: SetClock, gateway_no: int) -> AsyncIterator[Site]:
    site = Site(store, clock, gateway_no)
    config = uvicorn.Config(
        site.front, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(), name="server")
        async with asyncio.timeout(20):
            while not server.started:
                await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        site.base = f"http://127.0.0.1:{port}"
        yield site
        server.should_exit = True
        server.force_exit = True


@pytest.fixture
async def web() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        yield client


async def told(lines: AsyncIterator[str]) -> Order:
    """The next order of a stream."""
    async for line in lines:
        if line.startswith("data: "):
            found = decode_order(line[6:].encode())
            assert isinstance(found, Order)
            return found
    raise AssertionError("the stream ended")


async def test_an_open_stream_tells_orders_in_order_and_resumes_after_the_cursor(
    site: Site, web: httpx.AsyncClient
) -> None:
    first = await site.give()
    async with web.stream("GET", site.url("orders/stream")) as stream:
        lines = stream.aiter_lines()
        assert (await told(lines)).seq == 1
        await site.give()
        assert (await told(lines)).seq == 2
    await site.give()
    url = site.url(f"orders/stream?epoch={first.epoch}&after=2")
    async with web.stream("GET", url) as stream:
        assert (await told(stream.aiter_lines())).seq == 3


async def test_a_stream_that_was_left_is_forgotten(site: Site, web: httpx.AsyncClient) -> None:
    async with web.stream("GET", site.url("orders/stream")) as stream:
        async for line in stream.aiter_lines():
            assert line.startswith("retry:")
            break
        assert site.downlink.streams == 1
    async with asyncio.timeout(20):
        while site.downlink.streams:
            await asyncio.sleep(0.05)


async def test_a_poll_waits_for_an_order_and_answers_when_there_is_one(
    site: Site, web: httpx.AsyncClient
) -> None:
    given = await site.give()
    url = site.url(f"orders?epoch={given.epoch}&after=1&wait_s=20")
    async with asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(web.get(url), name="poll")
        await site.give()
    batch = decode_batch(poll.result().content)
    assert [one.seq for one in orders_of(batch)] == [2]
    empty = await web.get(site.url(f"orders?epoch={given.epoch}&after=2"))
    assert decode_batch(empty.content).orders == ()


async def test_a_gateway_nobody_ordered_anything_of_is_told_so(site: Site, web: httpx.AsyncClient) -> None:
    assert (await web.get(site.url("orders"))).status_code == 204


async def test_a_gateway_that_has_seen_more_than_the_server_knows_begins_a_new_epoch(
    site: Site, web: httpx.AsyncClient
) -> None:
    given = await site.give(Acknowledgement(alarm=AlarmSeen(alarm_id=ALARM, seq=1)))
    batch = decode_batch((await web.get(site.url(f"orders?epoch={given.epoch}&after=40"))).content)
    assert batch.epoch != given.epoch
    assert [one.seq for one in orders_of(batch)] == [1]


@pytest.mark.parametrize("query", ["after=-1", "after=x", "epoch=zz", "wait_s=nan", "wait_s=-1"])
async def test_a_cursor_that_is_none_is_refused(site: Site, web: httpx.AsyncClient, query: str) -> None:
    answer = await web.get(site.url(f"orders?{query}"))
    assert (answer.status_code, answer.json()["reason"]) == (422, "cursor")


async def test_a_foreign_gateway_is_refused(site: Site, web: httpx.AsyncClient) -> None:
    answer = await web.get(f"{site.base}/api/v1/gateways/other-gateway/orders")
    assert (answer.status_code, answer.json()["reason"]) == (403, "certificate")
    assert (await web.post(site.url("orders"))).status_code == 405


async def add_alarm(site: Site, *, is_open: bool = True) -> None:
    now = site.clock.now()
    values = {
        "alarm_id": ALARM, "gateway_no": site.gateway_no, "node_id": 1, "device_id": "gas-1", "seq": 3,
        "entry_epoch": "a" * 32, "entry_seq": 1, "code": "gas.high_alarm", "category": "gas", "kind": "alarm",
        "priority": "P1", "state": "unack", "is_open": is_open, "raised_at": now, "changed_at": now,
        "committed_at": now, "is_verified": True, "body": "{}",
    }  # fmt: skip
    async with site.store.begin() as db:
        node_id = (await db.execute(select(org_node.c.id))).scalar_one()
        await db.execute(insert(alarm).values(values | {"node_id": node_id}))


async def test_a_person_at_the_fleet_orders_with_the_revision_on_the_screen(
    site: Site, web: httpx.AsyncClient
) -> None:
    await add_alarm(site)
    answer = await web.post(f"{site.base}/api/v1/alarms/{ALARM}/acknowledge", json={"seq": 3})
    assert answer.status_code == 202
    closing = {"seq": 4, "disposition": "handled", "reason": "示例"}
    await web.post(f"{site.base}/api/v1/alarms/{ALARM}/close", json=closing)
    found = orders_of(await whole(site.store, site.gateway_no))
    assert [one.action.alarm.seq for one in found] == [3, 4]  # type: ignore[union-attr]
    assert found[0].issuer == Issuer(name="示例甲", role="district_operator", unit="示例区")  # type: ignore[union-attr]
    assert answer.json() == {"gateway_id": GATEWAY, "epoch": found[0].epoch, "seq": 1}


async def test_an_alarm_out_of_reach_does_not_exist_and_a_closed_one_is_not_acted_on(
    site: Site, web: httpx.AsyncClient
) -> None:
    url = f"{site.base}/api/v1/alarms/{ALARM}/acknowledge"
    assert (await web.post(url, json={"seq": 3})).status_code == 404
    await add_alarm(site, is_open=False)
    assert (await web.post(url, json={"seq": 3})).status_code == 409
    site.caller = Caller(
        user_id=1, actor=site.caller.actor, role=Role.GUARD, scope_id=9, scope_path="/9/"
    )  # fmt: skip
    assert (await web.post(url, json={"seq": 3})).status_code == 404
    history = f"{site.base}/api/v1/gateways/{GATEWAY}/order-history"
    assert (await web.get(history)).status_code == 404
    site.caller = Caller(
        user_id=1, actor=site.caller.actor, role=Role.AUDITOR, scope_id=1, scope_path="/1/"
    )  # fmt: skip
    assert (await web.post(url, json={"seq": 3})).status_code == 403


async def test_the_history_pages_through_orders_and_their_outcomes_newest_first(
    site: Site, web: httpx.AsyncClient
) -> None:
    given = [await site.give() for _ in range(5)]
    async with site.store.begin() as db:
        done = OrderOutcome(epoch=given[0].epoch, seq=1, result=OrderResult.DONE, at=site.clock.now())
        await take_outcome(db, site.gateway_no, encode(done))
    url = f"{site.base}/api/v1/gateways/{GATEWAY}/order-history?limit=3"
    first = (await web.get(url)).json()
    rest = (await web.get(url, params={"after": first["next"], "limit": 3})).json()
    assert [row["seq"] for row in first["items"] + rest["items"]] == [5, 4, 3, 2, 1]
    assert [row["result"] for row in rest["items"]] == [None, "done"]
    assert rest["next"] is None
    assert (await web.get(url, params={"after": "xx"})).status_code == 422
