"""Every dialect end to end, against a platform that was written separately: what it understood is what we meant."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import targets
from city_fleet import Fleet
from city_process import CityProcess, broker, city
from delivering import QUICK, courier_for, delivering, received, until

from gatehouse_events.ids import new_id
from gatehouse_fleet.city import switch
from gatehouse_fleet.city.target import parse
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.store import Store, Wake

LIFT = "lift.trapped_off_level"


@pytest.fixture
async def fleet(sqlite_url: Callable[[str], str]) -> AsyncIterator[Fleet]:
    store = Store.open(sqlite_url("fleet"))
    await store.create_all()
    yield Fleet(store, SystemClock(), Wake())
    await store.close()


@pytest.fixture(scope="module")
def shared_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcess]:
    with city(tmp_path_factory.mktemp("city")) as process:
        yield process


@pytest.fixture
async def platform(shared_platform: CityProcess) -> CityProcess:
    await shared_platform.fresh()
    return shared_platform


async def trouble_of(fleet: Fleet, target: str) -> str:
    async with fleet.store.read() as db:
        standing = await switch.standing(db, target)
    return "" if standing is None else standing.trouble or ""


async def test_one_hot_reaches_each_of_its_urls(fleet: Fleet, platform: CityProcess) -> None:
    text = targets.ONE_HOT.replace("http://127.0.0.1:9", platform.url) + "start: beginning\n" + QUICK
    no = await fleet.gateway("gw-1")
    alarm_id = new_id(fleet.clock.now())
    await fleet.tell(
        no,
        fleet.change(code=LIFT, alarm_id=alarm_id),
        fleet.change("cleared", code=LIFT, alarm_id=alarm_id, seq=2),
        fleet.change(code="lift.ebike_in_car"),
        fleet.change(code="lift.safety_circuit_open"),
    )
    async with delivering(courier_for(fleet, parse(text, name="t"))):
        await received(fleet, "lift-cloud", 2)

        async def is_parked() -> bool:
            return bool(await fleet.parked("lift-cloud"))

        await until(is_parked)
    first, second = (line["body"] for line in platform.kept())
    assert [key for key, value in first["fault"]["data"].items() if value == "Y"] == ["F9994"]
    assert (first["locationeCode"], first["messageId"]) == ("L-0302", f"{alarm_id}-1")
    assert [key for key, value in second["event"]["data"].items() if value == "Y"] == ["E9896"]
    (parked,) = await fleet.parked("lift-cloud")
    assert (parked.reason, parked.detail) == (
        "unsayable",
        "songjiang_telecom has no code for lift.safety_circuit_open",
    )


def text_target(port: int) -> str:
    return targets.TEXT_FRAMES.replace("port: 9", f"port: {port}") + "start: beginning\n" + QUICK


async def test_text_frames_are_read_behind_a_login(fleet: Fleet, platform: CityProcess) -> None:
    no = await fleet.gateway("gw-1")
    alarm_id = new_id(fleet.clock.now())
    await fleet.tell(
        no,
        fleet.change(code=LIFT, alarm_id=alarm_id),
        fleet.change("cleared", code=LIFT, alarm_id=alarm_id, seq=2),
    )
    async with delivering(courier_for(fleet, parse(text_target(platform.ports["text"]), name="t"))):
        await received(fleet, "frames", 2)
    assert [(line["body"]["sn"], line["body"]["fault"]) for line in platform.kept()] == [
        ("SN-302", ["1"]),
        ("SN-302", []),
    ]
    assert [receipt.receipt for receipt in await fleet.receipts("frames")] == [b"cping", b"cping"]


async def test_a_platform_that_sends_us_away_is_called_again(fleet: Fleet, platform: CityProcess) -> None:
    await platform.behave(refuse=400)  # in this dialect: kick
    no = await fleet.gateway("gw-1")
    await fleet.tell(no, fleet.change(code=LIFT))
    async with delivering(courier_for(fleet, parse(text_target(platform.ports["text"]), name="t"))):

        async def was_kicked() -> bool:
            return "code 2" in await trouble_of(fleet, "frames")

        await until(was_kicked)
        await platform.behave()
        await received(fleet, "frames", 1)
    assert await fleet.parked("frames") == []


async def test_a_platform_that_reads_and_never_answers_gives_no_receipt(
    fleet: Fleet, platform: CityProcess
) -> None:
    await platform.behave(deaf=True)
    no = await fleet.gateway("gw-1")
    await fleet.tell(no, fleet.change(code=LIFT))
    text = text_target(platform.ports["text"]).replace("host: 127.0.0.1,", "host: 127.0.0.1, timeout_s: 0.5,")
    async with delivering(courier_for(fleet, parse(text, name="t"))):

        async def is_missed() -> bool:
            return "no answer in 0.5 s" in await trouble_of(fleet, "frames")

        await until(is_missed)
        assert await fleet.receipts("frames") == []
        await platform.behave()
        await received(fleet, "frames", 1)


def fire_target(port: int) -> str:
    return targets.FIRE.replace("port: 9", f"port: {port}") + "start: beginning\n" + QUICK


async def test_a_fire_centre_confirms_component_states(fleet: Fleet, platform: CityProcess) -> None:
    no = await fleet.gateway("gw-1")
    alarm_id = new_id(fleet.clock.now())
    await fleet.tell(no, fleet.change(alarm_id=alarm_id), fleet.change("cleared", alarm_id=alarm_id, seq=2))
    async with delivering(courier_for(fleet, parse(fire_target(platform.ports["fire"]), name="t"))):
        await received(fleet, "fire", 2)
    told = [
        (line["body"]["address"], line["body"]["component"], line["body"]["status"])
        for line in platform.kept()
    ]
    assert told == [(501, 12, 2), (501, 12, 1)]
    assert platform.kept()[0]["body"]["text"].startswith("3号楼2单元")
    assert all(receipt.receipt[26] == 3 for receipt in await fleet.receipts("fire"))


async def test_a_state_the_centre_denies_is_parked(fleet: Fleet, platform: CityProcess) -> None:
    await platform.behave(refuse=400)
    no = await fleet.gateway("gw-1")
    await fleet.tell(no, fleet.change())
    async with delivering(courier_for(fleet, parse(fire_target(platform.ports["fire"]), name="t"))):

        async def is_parked() -> bool:
            return bool(await fleet.parked("fire"))

        await until(is_parked)
    assert (await fleet.parked("fire"))[0].detail == "denied (command 6)"


def mqtt_target(port: int) -> str:
    return (
        targets.MQTT.replace(
            "port: 1\n", f"port: {port}\n  timeout_s: 1\n  accept: {{field: code, values: ['0']}}\n"
        )
        + QUICK
    )


async def test_over_mqtt_an_event_is_done_with_the_platform_s_receipt_not_with_the_broker_s(
    fleet: Fleet, tmp_path: Path
) -> None:
    no = await fleet.gateway("gw-1")
    async with broker(tmp_path) as bus:
        port = bus.port
        await fleet.tell(no, fleet.change())
        async with delivering(courier_for(fleet, parse(mqtt_target(port), name="t"))):
            # The broker takes it and nobody is there: no receipt, whatever it acknowledges.
            await asyncio.to_thread(published, port)
            assert await fleet.receipts("bus") == []
            with city(tmp_path, f"--mqtt=127.0.0.1:{port}") as platform:
                await received(fleet, "bus", 1)
                (receipt,) = await fleet.receipts("bus")
                assert receipt.receipt.startswith(b'{"code": "0", "receipt": "R-')
                assert platform.kept()[0]["body"]["type"] == "cn.example.alarm.gas.v1"
                bad = new_id(fleet.clock.now())
                await platform.behave(refuse_alarms=[bad])
                await fleet.tell(no, fleet.change(alarm_id=bad), fleet.change())
                await received(fleet, "bus", 2)
    (parked,) = await fleet.parked("bus")
    assert (parked.event_id, parked.detail.startswith("answered code 422")) == (f"{bad}-1", True)


async def test_a_broker_that_dies_is_called_again(fleet: Fleet, tmp_path: Path) -> None:
    no = await fleet.gateway("gw-1")
    async with broker(tmp_path) as bus:
        port = bus.port
        with city(tmp_path, f"--mqtt=127.0.0.1:{port}") as platform:
            async with delivering(courier_for(fleet, parse(mqtt_target(port), name="t"))):
                await fleet.tell(no, fleet.change())
                await received(fleet, "bus", 1)
                bus.kill()
                await fleet.tell(no, fleet.change())
                await bus.start()
                await received(fleet, "bus", 2)
            assert len(platform.stored()) == 2


def published(port: int) -> None:
    """Wait until the broker has acknowledged a message of ours: what it took before is then taken too."""
    command = ["mosquitto_sub", "-V", "5", "-p", str(port), "-t", "up/events", "-C", "1", "-W", "30"]
    subprocess.run(command, check=True, capture_output=True)
