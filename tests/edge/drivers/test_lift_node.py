from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatehouse_edge.clock import SystemClock
from gatehouse_edge.drivers.lift_node import LiftNodeDriver, NodeSettings, ring_counter
from gatehouse_edge.drivers.serial_port import Chunk, SerialSettings
from gatehouse_edge.reading import (
    AnyObservation,
    BusReading,
    Car,
    LiftReading,
    Quality,
    Refusal,
    RefusalReason,
    ServiceMode,
    Silence,
)
from gatehouse_hil.lift_node import LiftNode
from gatehouse_hil.pty_pair import PtyPair
from gatehouse_wire import lift_link

KEY = bytes(range(16))
OTHER_KEY = bytes(range(16, 32))


class Ledger:
    """An inbox that commits when it is let; what it has committed survives the driver."""

    def __init__(self) -> None:
        self.items: list[AnyObservation] = []
        self.committed: dict[str, int] = {}
        self.may_commit = asyncio.Event()
        self.may_commit.set()
        self._news = asyncio.Condition()

    def get(self, key: str) -> int | None:
        return self.committed.get(key)

    async def put(self, observation: AnyObservation) -> None:
        if isinstance(observation, LiftReading) and observation.source_seq is not None:
            await self.may_commit.wait()
            known = self.committed.get(ring_counter(observation.device_id))
            if known is not None and observation.source_seq <= known and not observation.is_ring_renewed:
                return
            self.committed[ring_counter(observation.device_id)] = observation.source_seq
        async with self._news:
            self.items.append(observation)
            self._news.notify_all()

    @property
    def events(self) -> list[int]:
        return [item.source_seq for item in self.items if isinstance(item, LiftReading) and item.source_seq]

    @property
    def refusals(self) -> list[Refusal]:
        return [item for item in self.items if isinstance(item, Refusal)]

    async def until(self, is_true) -> None:
        async with asyncio.timeout(8), self._news:
            await self._news.wait_for(is_true)

    async def until_any(self, is_wanted) -> None:
        await self.until(lambda: any(is_wanted(item) for item in self.items))


@pytest.fixture
def cable(tmp_path: Path):
    with PtyPair(tmp_path / "adapter") as pair:
        yield pair


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def driver_on(cable: PtyPair, ledger: Ledger, keys=None) -> LiftNodeDriver:
    return LiftNodeDriver(
        NodeSettings(
            bus_id="line-1", device_id="lift-1", node_id=7,
            port=SerialSettings(path=str(cable.path), baud=115200),
        ),
        keys=keys or {1: KEY}, inbox=ledger, clock=SystemClock(), counters=ledger,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def running(driver: LiftNodeDriver):
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(driver.run())
        yield driver
        task.cancel()


def node_on(cable: PtyPair, tmp_path: Path, **traits) -> LiftNode:
    traits = {"status_every_s": 0.05, "repeat_every_s": 0.05, "key": KEY} | traits
    return LiftNode(cable, node_id=7, ring_file=tmp_path / "ring.json", **traits)


async def acknowledged(node: LiftNode, seq: int) -> None:
    async with asyncio.timeout(8):
        while seq not in node.acknowledged:  # the simulator has no event for it
            await asyncio.sleep(0.01)


async def test_a_live_state_becomes_a_reading(cable: PtyPair, tmp_path: Path, ledger: Ledger) -> None:
    async with node_on(cable, tmp_path) as node, running(driver_on(cable, ledger)):
        node.state = lift_link.State(
            car=lift_link.CAR_RUNNING, direction=lift_link.DIRECTION_UP, door_zone=False, door_closed=True,
            passenger=True, mode=2, speed_mm_s=-1500, floor="B2",
        )  # fmt: skip
        await ledger.until_any(lambda item: isinstance(item, LiftReading) and item.floor == "B2")
        reading = next(item for item in ledger.items if isinstance(item, LiftReading) and item.floor == "B2")
    assert (reading.car, reading.door_zone, reading.door_closed, reading.passenger) == (
        Car.RUNNING,
        False,
        True,
        True,
    )
    assert (reading.speed_mps, reading.service_mode) == (-1.5, ServiceMode.INSPECTION)
    assert (reading.quality, reading.is_alarm_button, reading.source_seq) == (Quality.GOOD, False, None)


async def test_a_node_with_a_broken_door_sensor_is_not_believed(
    cable: PtyPair, tmp_path: Path, ledger: Ledger
) -> None:
    async with node_on(cable, tmp_path) as node, running(driver_on(cable, ledger)):
        node.set(faults=lift_link.FAULT_DOOR_SENSOR)
        await ledger.until_any(lambda item: isinstance(item, LiftReading) and item.quality is Quality.FAULT)


async def test_an_event_is_acknowledged_only_after_it_is_on_disk(
    cable: PtyPair, tmp_path: Path, ledger: Ledger
) -> None:
    async with node_on(cable, tmp_path) as node, running(driver_on(cable, ledger)):
        await ledger.until_any(lambda item: isinstance(item, LiftReading))
        ledger.may_commit.clear()
        node.press_alarm_button()
        await asyncio.sleep(0.4)  # several repeats
        assert node.acknowledged == []
        assert node.unacknowledged == [1]
        ledger.may_commit.set()
        await acknowledged(node, 1)
    assert ledger.events == [1]
    assert any(isinstance(item, LiftReading) and item.is_alarm_button for item in ledger.items)


async def test_a_node_that_reboots_with_a_full_ring_delivers_each_event_once_in_order(
    cable: PtyPair, tmp_path: Path, ledger: Ledger
) -> None:
    async with node_on(cable, tmp_path) as node:
        for floor in range(12):  # nobody listens yet
            node.set(floor=str(floor))
        node.power_off()
        node.power_on()
        async with running(driver_on(cable, ledger)):
            await acknowledged(node, 6)
            node.power_off()
            node.power_on()
            node.press_alarm_button()
            await acknowledged(node, 13)
    assert ledger.events == list(range(1, 14))


async def test_a_gateway_killed_between_commit_and_acknowledgement_does_not_count_twice(
    cable: PtyPair, tmp_path: Path, ledger: Ledger
) -> None:
    async with node_on(cable, tmp_path) as node:
        ledger.committed[ring_counter("lift-1")] = 2
        for floor in "123":
            node.set(floor=floor)
        async with running(driver_on(cable, ledger)):
            await acknowledged(node, 3)
    assert ledger.events == [3]


async def test_a_restart_of_the_gateway_loses_and_repeats_nothing(
    cable: PtyPair, tmp_path: Path, ledger: Ledger
) -> None:
    async with node_on(cable, tmp_path) as node:
        for number in range(1, 9):
            node.set(floor=str(number))
        async with running(driver_on(cable, ledger)):
            await ledger.until(lambda: len(ledger.events) >= 2)
        async with running(driver_on(cable, ledger)):
            node.set(floor="9")
            await acknowledged(node, 9)
    assert ledger.events == list(range(1, 10))


async def test_a_lost_frame_never_lets_a_later_event_acknowledge_it(
    cable: PtyPair, tmp_path: Path, ledger: Ledger
) -> None:
    async with node_on(cable, tmp_path) as node, running(driver_on(cable, ledger)):
        await ledger.until_any(lambda item: isinstance(item, LiftReading))
        real_send, dropped = cable.send, []

        def lossy(octets: bytes) -> None:
            is_first_event = len(octets) > 50 and not dropped
            dropped.append(octets) if is_first_event else real_send(octets)

        cable.send = lossy
        node.set(floor="2")
        node.set(floor="3")
        await acknowledged(node, 2)
    assert dropped
    assert ledger.events == [1, 2]


async def test_a_ring_that_overflowed_goes_on_and_says_that_events_were_lost(
    cable: PtyPair, tmp_path: Path, ledger: Ledger
) -> None:
    async with node_on(cable, tmp_path) as node:
        for number in range(40):
            node.set(floor=str(number))
        async with running(driver_on(cable, ledger)):
            await acknowledged(node, 40)
    assert ledger.events == list(range(9, 41))
    assert any(isinstance(item, LiftReading) and "events_lost" in item.foreign_codes for item in ledger.items)


async def test_a_replaced_node_with_an_empty_flash_is_heard(
    cable: PtyPair, tmp_path: Path, ledger: Ledger
) -> None:
    ledger.committed[ring_counter("lift-1")] = 500
    async with node_on(cable, tmp_path) as node, running(driver_on(cable, ledger)):
        node.press_alarm_button()
        await acknowledged(node, 1)
    assert ledger.events == [1]


async def test_keys_change_under_load_without_losing_an_event(
    cable: PtyPair, tmp_path: Path, ledger: Ledger
) -> None:
    driver = driver_on(cable, ledger)
    async with node_on(cable, tmp_path) as node, running(driver):
        for number in range(30):
            node.set(floor=str(number))
            if number == 10:
                driver.set_keys({1: KEY, 2: OTHER_KEY})
            if number == 15:
                node.use_key(2, OTHER_KEY)
            if number == 25:
                await acknowledged(node, 20)
                driver.set_keys({2: OTHER_KEY})
            await asyncio.sleep(0.01)
        await acknowledged(node, 30)
    assert ledger.events == list(range(1, 31))
    assert not [refusal for refusal in ledger.refusals if refusal.reason is RefusalReason.REPLAY]


async def test_a_pulled_and_replaced_adapter_loses_no_event(
    cable: PtyPair, tmp_path: Path, ledger: Ledger
) -> None:
    async with node_on(cable, tmp_path) as node, running(driver_on(cable, ledger)):
        node.set(floor="2")
        await acknowledged(node, 1)
        cable.unplug()
        node.press_alarm_button()
        await ledger.until_any(lambda item: isinstance(item, Silence))
        cable.plug()
        await acknowledged(node, 2)
    assert ledger.events == [1, 2]
    assert [item.is_up for item in ledger.items if isinstance(item, BusReading)] == [True, False, True]


async def test_a_recording_of_the_running_session_is_refused(
    cable: PtyPair, tmp_path: Path, ledger: Ledger
) -> None:
    async with node_on(cable, tmp_path) as node, running(driver_on(cable, ledger)):
        node.press_alarm_button()
        await acknowledged(node, 1)
        for octets in list(node.sent):
            cable.send(octets)
        await ledger.until(lambda: ledger.refusals)
    assert {refusal.reason for refusal in ledger.refusals} == {RefusalReason.REPLAY}
    assert ledger.events == [1]


async def test_a_recording_played_to_a_restarted_gateway_moves_nothing(
    cable: PtyPair, tmp_path: Path
) -> None:
    first, second = Ledger(), Ledger()
    async with node_on(cable, tmp_path) as node, running(driver_on(cable, first)):
        node.press_alarm_button()
        await acknowledged(node, 1)
    recording = list(node.sent)
    async with running(driver_on(cable, second)):
        await second.until_any(lambda item: isinstance(item, BusReading))
        for _ in range(3):
            for octets in recording:
                cable.send(octets)
            await asyncio.sleep(0.05)
    assert not [item for item in second.items if isinstance(item, LiftReading)]
    assert second.committed == {}


async def test_an_earlier_boot_played_into_a_running_session_is_refused(
    cable: PtyPair, tmp_path: Path, ledger: Ledger
) -> None:
    async with node_on(cable, tmp_path) as node, running(driver_on(cable, ledger)):
        await ledger.until_any(lambda item: isinstance(item, LiftReading))
        recording = list(node.sent)
        node.power_off()
        node.power_on()
        node.set(floor="4")
        await acknowledged(node, 1)
        for octets in recording:
            cable.send(octets)
        await ledger.until(lambda: ledger.refusals)
        node.set(floor="5")
        await acknowledged(node, 2)
    assert ledger.refusals[0].reason is RefusalReason.REPLAY


async def test_a_flood_from_a_rogue_node_is_one_refusal(
    cable: PtyPair, tmp_path: Path, ledger: Ledger
) -> None:
    async with node_on(cable, tmp_path) as node, running(driver_on(cable, ledger)):
        await ledger.until_any(lambda item: isinstance(item, LiftReading))
        for seq in range(500):
            header = lift_link.Header(node_id=8, key_id=1, boot=1, seq=seq)
            cable.send(lift_link.encode(lift_link.Status(header, node.state), lambda body: body[:8]))
            await asyncio.sleep(0)
        node.press_alarm_button()
        await acknowledged(node, 1)
    assert [(item.reason, item.device_id) for item in ledger.refusals] == [
        (RefusalReason.UNKNOWN_NODE, "line-1")
    ]
    assert {item.device_id for item in ledger.items if isinstance(item, LiftReading)} == {"lift-1"}


async def test_a_forged_tag_is_refused_and_named(cable: PtyPair, tmp_path: Path, ledger: Ledger) -> None:
    async with node_on(cable, tmp_path, key=OTHER_KEY), running(driver_on(cable, ledger)):
        await ledger.until(lambda: ledger.refusals)
    assert ledger.refusals[0].reason is RefusalReason.BAD_TAG
    assert not [item for item in ledger.items if isinstance(item, LiftReading)]


async def test_a_lid_opened_on_the_node_is_said_for_a_while(
    cable: PtyPair, tmp_path: Path, ledger: Ledger
) -> None:
    async with node_on(cable, tmp_path) as node, running(driver_on(cable, ledger)):
        node.tamper()
        await acknowledged(node, 1)
        await ledger.until(
            lambda: (
                isinstance(last := ledger.items[-1], LiftReading)
                and last.source_seq is None
                and last.foreign_codes == ("tamper",)
            )
        )


@settings(
    max_examples=settings().max_examples * 3 // 5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(pieces=st.lists(st.one_of(st.binary(max_size=80), st.just(b"\x00")), max_size=20))
async def test_garbage_on_the_line_is_refused_and_never_a_reading(pieces, tmp_path: Path) -> None:
    ledger = Ledger()
    driver = driver_on(PtyPair(tmp_path / "absent"), ledger)
    for octets in pieces:
        await driver._take(Chunk(at=SystemClock().now(), octets=octets))
    assert all(isinstance(item, Refusal) for item in ledger.items)
    assert len(ledger.items) <= len(RefusalReason)


@pytest.mark.parametrize("keys", [{}, {1: b"short"}, {1: KEY, 2: KEY, 3: KEY}])
def test_impossible_keys_are_refused_at_once(keys) -> None:
    driver = driver_on(PtyPair(Path("/nonexistent")), Ledger())
    with pytest.raises(ValueError, match="one or two keys"):
        driver.set_keys(keys)
