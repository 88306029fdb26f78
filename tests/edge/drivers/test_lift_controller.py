from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatehouse_config.profiles import LiftProfile, shipped
from gatehouse_edge.clock import SystemClock
from gatehouse_edge.drivers.lift_controller import (
    MAX_FAULTS,
    MAX_TEXT,
    Info,
    LiftControllerDriver,
    parse,
    reading,
)
from gatehouse_edge.drivers.serial_port import Chunk, SerialSettings
from gatehouse_edge.reading import AnyObservation, Car, Direction, LiftReading, Refusal, ServiceMode, Silence
from gatehouse_hil.lift_controller import LiftController
from gatehouse_hil.pty_pair import PtyPair

NOW = SystemClock().now()


class Noted:
    def __init__(self) -> None:
        self.items: list[AnyObservation] = []
        self._news = asyncio.Condition()

    async def put(self, observation: AnyObservation) -> None:
        async with self._news:
            self.items.append(observation)
            self._news.notify_all()

    async def until(self, is_wanted) -> AnyObservation:
        async with asyncio.timeout(5), self._news:
            await self._news.wait_for(lambda: any(is_wanted(item) for item in self.items))
        return next(item for item in self.items if is_wanted(item))


@pytest.fixture(scope="module")
def profile() -> LiftProfile:
    found = shipped()["elevatorcloud_ws"]
    assert isinstance(found, LiftProfile)
    return found


@pytest.fixture
def cable(tmp_path: Path):
    with PtyPair(tmp_path / "adapter") as pair:
        yield pair


def driver_on(cable: PtyPair, inbox: Noted, profile: LiftProfile) -> LiftControllerDriver:
    return LiftControllerDriver(
        bus_id="line-2", device_id="lift-2", port=SerialSettings(path=str(cable.path), baud=115200),
        profile=profile, inbox=inbox, clock=SystemClock(),
    )  # fmt: skip


@contextlib.asynccontextmanager
async def running(driver: LiftControllerDriver):
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(driver.run())
        yield driver
        task.cancel()


def read(profile: LiftProfile, **fields: object) -> LiftReading:
    info = parse(json.dumps(fields).encode())
    assert info is not None
    return reading(info, profile, device_id="lift-2", at=NOW)


async def test_a_trapped_passenger_reported_by_the_controller_arrives_by_its_canonical_name(
    cable, profile
) -> None:
    inbox = Noted()
    async with (
        LiftController(cable, push_every_s=0.1) as controller,
        running(driver_on(cable, inbox, profile)),
    ):
        controller.trap(floor=5)
        got = await inbox.until(lambda item: isinstance(item, LiftReading) and item.faults)
    assert got.faults == {"trapped_level"}
    assert (got.floor, got.passenger, got.door_closed, got.door_zone) == ("5", True, True, True)
    assert (got.car, got.service_mode) == (Car.STOPPED, ServiceMode.NORMAL)


async def test_not_one_byte_is_ever_sent_whatever_the_controller_demands(cable, profile) -> None:
    inbox = Noted()
    async with LiftController(cable, push_every_s=0.05) as controller:
        driver = driver_on(cable, inbox, profile)
        async with running(driver):
            await inbox.until(lambda item: isinstance(item, LiftReading))
            for message in ({"type": "need_login"}, {"type": "kick", "code": 1}, {"type": "ping"}):
                controller.say(message)
            controller.set(floor=8)
            await inbox.until(lambda item: isinstance(item, LiftReading) and item.floor == "8")
            cable.send(b"\x11\x13\x03\x04garbage#10#not json#13##10#{")
            cable.unplug()
            await inbox.until(lambda item: isinstance(item, Silence))
            cable.plug()
            inbox.items.clear()
            await inbox.until(lambda item: isinstance(item, LiftReading))
            assert controller.received_bytes == 0
    assert driver.ignored == 3
    assert not [name for name in dir(driver._port) if "write" in name or "send" in name]


async def test_garbage_between_frames_costs_only_what_it_hit(cable, profile) -> None:
    inbox = Noted()
    async with (
        LiftController(cable, push_every_s=60) as controller,
        running(driver_on(cable, inbox, profile)),
    ):
        await inbox.until(lambda item: isinstance(item, LiftReading) or not item.detail)
        cable.send(b'\xff\x00#10#{"floor":')
        controller.set(floor=9)
        await inbox.until(lambda item: isinstance(item, LiftReading) and item.floor == "9")
        await inbox.until(lambda item: isinstance(item, Refusal))


def test_a_code_that_the_profile_does_not_know_is_kept_foreign_and_never_guessed(profile) -> None:
    got = read(profile, fault=["1", 6, "E9896", "41", 99])
    assert got.faults == {"trapped_off_level", "overrun_top"}
    assert got.foreign_codes == ("E9896", "41", "99")


@pytest.mark.parametrize(
    ("field", "value"),
    [("door", 7), ("haspeople", "ja"), ("inposition", -1), ("direction", 3), ("direction", True)],
)
def test_a_value_without_a_meaning_is_shown_and_not_believed(profile, field: str, value: object) -> None:
    got = read(profile, **{field: value})
    assert (got.door_closed, got.passenger, got.door_zone, got.car) == (None, None, None, None)
    assert got.direction is Direction.NONE
    assert got.foreign_codes == (f"{field}={value}",)


@pytest.mark.parametrize(
    ("works", "mode"),
    [
        ({"reparing": 1, "inmaintenance": 0}, ServiceMode.INSPECTION),
        ({"inmaintenance": True}, ServiceMode.INSPECTION),
        ({"reparing": 0, "inmaintenance": 0}, ServiceMode.NORMAL),
        ({"reparing": 0}, ServiceMode.UNKNOWN),
    ],
)
def test_a_mechanic_at_work_is_a_service_mode(profile, works, mode) -> None:
    assert read(profile, floor=1, **works).service_mode is mode


def test_an_info_object_inside_the_message_is_read_as_well() -> None:
    assert parse(b'{"type":"info","info":{"floor":3}}') == Info(floor=3)


@pytest.mark.parametrize(
    "payload", [b'{"type":"need_login"}', b'{"type":"kick","code":2}', b'{"cping":1}', b"{}"]
)
def test_messages_that_are_not_about_the_state_are_left_alone(payload: bytes) -> None:
    assert parse(payload) is None


scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.text(max_size=40))
infos = st.fixed_dictionaries(
    {},
    optional={
        "direction": scalars, "inposition": scalars, "floor": scalars, "door": scalars, "haspeople": scalars,
        "reparing": scalars, "inmaintenance": scalars, "fault": st.one_of(scalars, st.lists(scalars, max_size=50)),
    },
)  # fmt: skip


@given(fields=infos)
def test_any_values_of_the_known_fields_give_a_bounded_printable_reading(profile, fields) -> None:
    info = parse(json.dumps(fields).encode())
    if info is None:
        return
    got = reading(info, profile, device_id="lift-2", at=NOW)
    assert len(got.faults) + len(got.foreign_codes) <= MAX_FAULTS + 8
    for text in (got.floor or "", *got.foreign_codes):
        assert text.isprintable()
        assert len(text) <= MAX_TEXT + len("inmaintenance=")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(
        st.one_of(st.binary(max_size=60), st.sampled_from([b"#10#", b"#13#", b"[" * 3000])), max_size=20
    )
)
async def test_garbage_on_the_line_never_ends_the_driver(pieces, profile, tmp_path: Path) -> None:
    inbox = Noted()
    driver = driver_on(PtyPair(tmp_path / "absent"), inbox, profile)
    for octets in pieces:
        await driver._take(Chunk(at=NOW, octets=octets))
    assert all(isinstance(item, Refusal) for item in inbox.items)
