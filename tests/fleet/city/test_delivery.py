"""Delivery against a platform that is a process of its own: once each, in order, through everything that goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import targets
from city_fleet import Fleet
from city_process import CityProcess, city
from delivering import QUICK, courier_for, delivering, received, until

from gatehouse_events.ids import new_id
from gatehouse_events.orders import CityReceipt, Order, orders_of
from gatehouse_events.states import Kind
from gatehouse_fleet.city import parking, switch
from gatehouse_fleet.city.switch import TargetState
from gatehouse_fleet.city.target import Target, parse
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.orders import lane
from gatehouse_fleet.store import Store, Wake
from gatehouse_hil.postgres import PostgresCluster


@pytest.fixture
async def fleet(sqlite_url: Callable[[str], str]) -> AsyncIterator[Fleet]:
    """On SQLite; what depends on the database takes `both`."""
    store = Store.open(sqlite_url("fleet"))
    await store.create_all()
    yield Fleet(store, SystemClock(), Wake())
    await store.close()


@pytest.fixture
async def both(store: Store) -> Fleet:
    """Once on each database."""
    return Fleet(store, SystemClock(), Wake())


@pytest.fixture(scope="module")
def shared_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcess]:
    with city(tmp_path_factory.mktemp("city")) as process:
        yield process


@pytest.fixture
async def platform(shared_platform: CityProcess) -> CityProcess:
    await shared_platform.fresh()
    return shared_platform


@pytest.fixture
async def postgres(cluster: PostgresCluster) -> AsyncIterator[Fleet]:
    """For what SQLite cannot do: one writer there, one process."""
    store = Store.open(cluster.url(cluster.create_database()))
    await store.create_all()
    yield Fleet(store, SystemClock(), Wake())
    await store.close()


def http_target(platform: CityProcess, text: str = targets.CLOUDEVENTS + QUICK) -> Target:
    return parse(text.replace("http://127.0.0.1:9", platform.url), name="t.yaml")


async def test_an_alarm_is_at_the_city_with_its_receipt_stored(both: Fleet, platform: CityProcess) -> None:
    fleet = both
    no = await fleet.gateway("gw-1")
    seq = await fleet.tell(no, fleet.change())
    async with delivering(courier_for(fleet, http_target(platform))):
        await received(fleet, "weihai", 1)
    (receipt,) = await fleet.receipts("weihai")
    assert platform.stored() == [receipt.event_id]
    assert (receipt.seq, receipt.tries, receipt.is_verified) == (seq, 1, True)
    assert b"R-" in receipt.receipt
    assert receipt.sent_at <= receipt.receipt_at


async def test_revisions_arrive_in_order_and_each_once(fleet: Fleet, platform: CityProcess) -> None:
    alarm_id = new_id(fleet.clock.now())
    no = await fleet.gateway("gw-1")
    words = ["raised", "acknowledged", "updated", "cleared"]
    await fleet.tell(no, *[fleet.change(word, alarm_id=alarm_id, seq=n + 1) for n, word in enumerate(words)])
    async with delivering(courier_for(fleet, http_target(platform))):
        await received(fleet, "weihai", 4)
    assert platform.stored() == [f"{alarm_id}-{n}" for n in (1, 2, 3, 4)]
    assert [line["body"]["data"]["state"] for line in platform.kept()] == words


async def test_a_refused_event_stands_aside_with_its_reason_and_later_ones_go_on(
    both: Fleet, platform: CityProcess
) -> None:
    fleet = both
    bad = new_id(fleet.clock.now())
    await platform.behave(refuse_alarms=[bad])
    no = await fleet.gateway("gw-1")
    await fleet.tell(no, fleet.change(alarm_id=bad), fleet.change(), fleet.change())
    async with delivering(courier_for(fleet, http_target(platform))):
        await received(fleet, "weihai", 2)
        (parked,) = await fleet.parked("weihai")
        assert (parked.event_id, parked.reason, parked.tries) == (f"{bad}-1", "refused", 1)
        assert "422" in parked.detail
        await platform.behave()
        async with fleet.store.begin() as db:
            assert await parking.ask_again(db, "weihai", None, by="op") == 1
        await received(fleet, "weihai", 3)
    (parked,) = await fleet.parked("weihai")
    assert (parked.resolution, parked.resolved_by) == ("received", "op")
    assert len(platform.stored()) == 3


async def test_a_parked_revision_is_not_told_behind_a_later_one(both: Fleet, platform: CityProcess) -> None:
    fleet = both
    alarm_id = new_id(fleet.clock.now())
    await platform.behave(refuse_alarms=[alarm_id])
    no = await fleet.gateway("gw-1")
    await fleet.tell(no, fleet.change(alarm_id=alarm_id))
    async with delivering(courier_for(fleet, http_target(platform))):

        async def is_parked() -> bool:
            return len(await fleet.parked("weihai")) == 1

        await until(is_parked)
        await platform.behave()
        await fleet.tell(no, fleet.change("cleared", alarm_id=alarm_id, seq=2))
        await received(fleet, "weihai", 1)
        async with fleet.store.begin() as db:
            await parking.ask_again(db, "weihai", f"{alarm_id}-1", by="op")

        async def is_resolved() -> bool:
            return (await fleet.parked("weihai"))[0].resolution is not None

        await until(is_resolved)
    assert (await fleet.parked("weihai"))[0].resolution == "superseded"
    assert platform.stored() == [f"{alarm_id}-2"]


async def test_a_target_that_refuses_everything_stops_itself_instead_of_parking_the_world(
    fleet: Fleet, platform: CityProcess
) -> None:
    await platform.behave(refuse=400)
    no = await fleet.gateway("gw-1")
    await fleet.tell(no, *[fleet.change() for _ in range(10)])

    async def is_stopped() -> bool:
        standing = await switch_standing(fleet)
        return standing is not None and standing.state is TargetState.STOPPED

    async with delivering(courier_for(fleet, http_target(platform))):
        await until(is_stopped)

        async def are_parked() -> bool:
            return len(await fleet.parked("weihai")) == 4

        await until(are_parked)
        assert "4 events in a row" in (await standing_of(fleet)).reason
        await platform.behave()
        await turn(fleet, TargetState.RUNNING)
        await received(fleet, "weihai", 6)
    assert len(platform.stored()) == 6


async def test_a_wrong_credential_parks_nothing(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sixteen letters of a key")
    (tmp_path / "wrong").write_text("another sixteen letters!")
    signature = "signature: {kind: hmac_sha256, key_file: KEY}\n"
    with city(tmp_path, f"--key-file={tmp_path / 'key'}") as platform:
        no = await fleet.gateway("gw-1")
        await fleet.tell(no, fleet.change())
        wrong = http_target(platform, targets.CLOUDEVENTS + QUICK + signature.replace("KEY", "wrong"))
        async with delivering(courier_for(fleet, wrong, beside=tmp_path)):

            async def is_troubled() -> bool:
                standing = await switch_standing(fleet)
                return standing is not None and standing.trouble is not None

            await until(is_troubled)
        assert "401" in str((await standing_of(fleet)).trouble)
        assert await fleet.parked("weihai") == []
        right = http_target(platform, targets.CLOUDEVENTS + QUICK + signature.replace("KEY", "key"))
        async with delivering(courier_for(fleet, right, beside=tmp_path)):
            await received(fleet, "weihai", 1)
        assert (await standing_of(fleet)).trouble is None


async def test_a_target_that_was_down_catches_up_in_order_and_blocks_no_other(
    fleet: Fleet, platform: CityProcess, tmp_path: Path
) -> None:
    (tmp_path / "second").mkdir()
    with city(tmp_path / "second") as second:
        numbers = [await fleet.gateway(f"gw-{n}") for n in range(3)]
        down = http_target(platform)
        up = http_target(second, targets.CLOUDEVENTS.replace("id: weihai", "id: province") + QUICK)
        platform.kill()
        async with delivering(courier_for(fleet, down), courier_for(fleet, up)):
            for _ in range(10):
                for no in numbers:
                    await fleet.tell(no, fleet.change())
            await received(fleet, "province", 30)
            assert await fleet.receipts("weihai") == []
            platform.start()
            await received(fleet, "weihai", 30)
    by_gateway = {
        no: [r.event_id for r in await fleet.receipts("weihai") if r.gateway_no == no] for no in numbers
    }
    for events in by_gateway.values():
        assert [one for one in platform.stored() if one in events] == events


async def test_a_platform_that_dies_between_storing_and_answering_has_the_event_once(
    fleet: Fleet, platform: CityProcess
) -> None:
    await platform.behave(crash_after=1)
    no = await fleet.gateway("gw-1")
    await fleet.tell(no, fleet.change())
    async with delivering(courier_for(fleet, http_target(platform))):
        assert await asyncio.to_thread(platform.end) == 9
        platform.start()
        await received(fleet, "weihai", 1)
    assert [line["verdict"] for line in platform.kept()] == ["stored", "repeat"]
    assert len(set(platform.stored())) == 1


async def test_an_event_the_platform_always_fails_on_is_parked_once_others_get_through(
    fleet: Fleet, platform: CityProcess
) -> None:
    poison = new_id(fleet.clock.now())
    await platform.behave(fail_alarms=[poison])
    first, second = await fleet.gateway("gw-1"), await fleet.gateway("gw-2")
    await fleet.tell(first, fleet.change(alarm_id=poison), fleet.change())
    async with delivering(courier_for(fleet, http_target(platform))):
        async with asyncio.timeout(60):
            while not await fleet.parked("weihai"):
                await fleet.tell(second, fleet.change())
                await asyncio.sleep(0.05)
        (parked,) = await fleet.parked("weihai")

        async def went_on() -> bool:
            return any(receipt.gateway_no == first for receipt in await fleet.receipts("weihai"))

        await until(went_on)
    assert (parked.reason, parked.tries >= 3) == ("fails", True)


async def test_a_platform_that_is_merely_out_of_service_parks_nothing(
    fleet: Fleet, platform: CityProcess
) -> None:
    await platform.behave(refuse=503)
    no = await fleet.gateway("gw-1")
    await fleet.tell(no, fleet.change())
    async with delivering(courier_for(fleet, http_target(platform))):

        async def is_troubled() -> bool:
            standing = await switch_standing(fleet)
            return standing is not None and standing.trouble is not None

        await until(is_troubled)
        await platform.behave()
        await received(fleet, "weihai", 1)
    assert await fleet.parked("weihai") == []


async def test_a_doubtful_alarm_goes_out_marked(both: Fleet, platform: CityProcess) -> None:
    fleet = both
    no = await fleet.gateway("gw-1")
    await fleet.tell(no, fleet.change())
    async with fleet.store.begin() as db:  # a restored disk tells other things under the same numbers
        await fleet.run(db, no, same_epoch=True, first=2)
    await fleet.tell(no, fleet.change(), doubt="history")
    async with delivering(courier_for(fleet, http_target(platform))):
        await received(fleet, "weihai", 2)
    assert [line["body"]["data"].get("doubtful") for line in platform.kept()] == [None, True]
    assert [receipt.is_verified for receipt in await fleet.receipts("weihai")].count(False) == 1


async def test_only_what_the_file_names_is_sent(fleet: Fleet, platform: CityProcess) -> None:
    no = await fleet.gateway("gw-1")
    await fleet.tell(no, fleet.change(kind=Kind.TEST), fleet.change(code="gateway.lid_open"), fleet.change())
    async with delivering(courier_for(fleet, http_target(platform))):
        await received(fleet, "weihai", 1)
    assert len(platform.stored()) == 1
    assert await fleet.parked("weihai") == []


async def test_an_alarm_this_server_does_not_understand_is_shown_not_dropped(
    fleet: Fleet, platform: CityProcess
) -> None:
    no = await fleet.gateway("gw-1")
    await fleet.tell(no, fleet.change(code="gas.of_tomorrow"), b"{}", fleet.change())
    async with delivering(courier_for(fleet, http_target(platform))):
        await received(fleet, "weihai", 1)
    assert [parked.reason for parked in await fleet.parked("weihai")] == ["unreadable", "unreadable"]


async def test_a_gateway_without_card_is_told_with_what_the_fleet_knows(
    fleet: Fleet, platform: CityProcess
) -> None:
    no = await fleet.gateway("gw-1", with_card=False)
    await fleet.tell(no, fleet.change())
    async with delivering(courier_for(fleet, http_target(platform))):
        await received(fleet, "weihai", 1)
    (line,) = platform.kept()
    assert line["body"]["data"]["site"]["division_code"] == "371002002"


async def test_the_receipt_goes_down_to_the_gateway_never_past_what_is_parked(
    both: Fleet, platform: CityProcess
) -> None:
    fleet = both
    bad = new_id(fleet.clock.now())
    await platform.behave(refuse_alarms=[bad])
    no = await fleet.gateway("gw-1")
    first = await fleet.tell(no, fleet.change())
    async with delivering(courier_for(fleet, http_target(platform))):
        await received(fleet, "weihai", 1)
        refused = await fleet.tell(no, fleet.change(alarm_id=bad))
        await fleet.tell(no, fleet.change())
        await received(fleet, "weihai", 2)
    async with fleet.store.read() as db:
        batch = await lane.read(db, no, "", 0)
    assert batch is not None
    actions = [order.action for order in orders_of(batch) if isinstance(order, Order)]
    assert [a.through_seq for a in actions if isinstance(a, CityReceipt)] == [first, refused - 1]
    assert all(isinstance(a, CityReceipt) and a.target == "weihai" and "R-" in a.receipt for a in actions)


async def test_a_new_target_that_starts_now_is_told_only_what_comes(
    both: Fleet, platform: CityProcess
) -> None:
    fleet = both
    no = await fleet.gateway("gw-1")
    await fleet.tell(no, fleet.change())
    target = http_target(platform, targets.CLOUDEVENTS.replace("start: beginning", "start: now") + QUICK)
    async with delivering(courier_for(fleet, target)):

        async def is_known() -> bool:
            return await switch_standing(fleet) is not None

        await until(is_known)
        await fleet.tell(no, fleet.change())
        await received(fleet, "weihai", 1)
    assert len(platform.stored()) == 1


async def test_a_paused_target_receives_nothing_until_it_is_resumed(
    fleet: Fleet, platform: CityProcess
) -> None:
    no = await fleet.gateway("gw-1")
    target = http_target(platform)
    async with fleet.store.begin() as db:
        await switch.introduce(db, target, now=fleet.clock.now())
    await turn(fleet, TargetState.PAUSED)
    other = http_target(platform, targets.CLOUDEVENTS.replace("id: weihai", "id: province") + QUICK)
    async with delivering(courier_for(fleet, target), courier_for(fleet, other)):
        await fleet.tell(no, fleet.change())
        await received(fleet, "province", 1)
        assert await fleet.receipts("weihai") == []
        await turn(fleet, TargetState.RUNNING)
        await received(fleet, "weihai", 1)


async def test_an_entry_committed_late_is_delivered_though_later_ids_were_seen_before(
    postgres: Fleet, platform: CityProcess
) -> None:
    fleet = postgres
    slow, quick = await fleet.gateway("gw-slow"), await fleet.gateway("gw-quick")
    async with delivering(courier_for(fleet, http_target(platform))):
        async with fleet.held_open() as db:
            await fleet.append(db, slow, [("alarm", fleet.change())])
            await fleet.tell(quick, fleet.change())
            await received(fleet, "weihai", 1)
        fleet.wake.notify("journal")
        await received(fleet, "weihai", 2)
    assert {receipt.gateway_no for receipt in await fleet.receipts("weihai")} == {slow, quick}


async def test_two_servers_of_one_database_deliver_to_a_target_one_at_a_time(
    postgres: Fleet, platform: CityProcess
) -> None:
    fleet = postgres
    no = await fleet.gateway("gw-1")
    first, second = (courier_for(fleet, http_target(platform)) for _ in range(2))
    async with delivering(first, second):
        for _ in range(10):
            await fleet.tell(no, fleet.change())
        await received(fleet, "weihai", 10)
    assert sorted((first.accepted, second.accepted)) == [0, 10]
    assert len(platform.kept()) == 10


async def switch_standing(fleet: Fleet) -> switch.Standing | None:
    async with fleet.store.read() as db:
        return await switch.standing(db, "weihai")


async def standing_of(fleet: Fleet) -> switch.Standing:
    found = await switch_standing(fleet)
    assert found is not None
    return found


async def turn(fleet: Fleet, state: TargetState) -> None:
    async with fleet.store.begin() as db:
        await switch.turn(db, "weihai", state, reason="a test", by="op", now=fleet.clock.now())
