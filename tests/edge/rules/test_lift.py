"""Lifts: traces at the edges of every timer, and the trapped passenger who must not be missed nor invented."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import (
    Car,
    Direction,
    InputReading,
    LiftReading,
    Quality,
    ServiceMode,
    Silence,
    SilenceReason,
)
from gatehouse_edge.rules import RULES, lift, trap, volatile_equal
from gatehouse_edge.rules.lift_motion import Limits
from gatehouse_events.clock import ClockQuality
from gatehouse_events.codes import CODES

SETTINGS = lift.Settings()


def at(s: float) -> Now:
    clock = ClockQuality(synced=False, offset_ms=None)
    return Now(
        wall=datetime(1970, 1, 1, tzinfo=UTC), service_s=s, boot="b" * 32, mono_ns=int(s * 1e9), clock=clock
    )


def reading(s: float, **points) -> LiftReading:
    parked = {"car": Car.STOPPED, "door_zone": True, "door_closed": True, "passenger": False, "floor": "3"}
    mode = {"service_mode": ServiceMode.NORMAL}
    return LiftReading(device_id="lift-1", at=at(s), **(mode | parked | points))


class Lift:
    """Drives one rule along a trace, one reading a second."""

    def __init__(self, settings: lift.Settings = SETTINGS) -> None:
        self.settings = settings
        self.state = lift.initial(settings, at(0))
        self.s = 0.0
        self.conditions = ()
        self.ever: set[str] = set()

    def see(self, observation) -> set[str]:
        self.state, self.conditions = lift.step(self.state, observation, observation.at, self.settings)
        self.ever |= self.codes
        return self.codes

    def run(self, seconds: float, **points) -> set[str]:
        for _ in range(int(seconds)):
            self.s += 1
            self.see(reading(self.s, **points))
        return self.codes

    def enter(self) -> None:
        """Somebody steps in while the door is open."""
        self.run(12, door_closed=False, passenger=True)

    def silent(self, seconds: float) -> set[str]:
        for _ in range(int(seconds)):
            self.s += 1
            self.see(Silence(device_id="lift-1", at=at(self.s), reason=SilenceReason.NO_ANSWER))
        return self.codes

    def restart(self, seconds: float) -> None:
        self.s += seconds
        loaded = msgspec.json.decode(msgspec.json.encode(self.state), type=lift.State)
        self.state = lift.resume(loaded, at(self.s), self.settings)

    @property
    def codes(self) -> set[str]:
        return {condition.code for condition in self.conditions}

    def condition(self, code: str):
        return next(condition for condition in self.conditions if condition.code == code)


def test_every_code_of_a_lift_exists() -> None:
    names = (
        lift.FAULTS | trap.FAULTS | {"alarm_button", "ebike_in_car", "other_fault", "sensor_fault", "offline"}
    )
    assert {f"lift.{name}" for name in names} <= set(CODES)


@pytest.mark.parametrize(("seconds", "is_fault"), [(44, False), (46, True)])
def test_a_stop_outside_the_zone_is_a_fault_after_45_s(seconds: int, is_fault: bool) -> None:
    car = Lift()
    car.run(5)
    start = car.s
    while car.s - start <= seconds:
        car.run(1, door_zone=False)
    assert ("lift.stopped_outside_unlocking_zone" in car.codes) is is_fault


@pytest.mark.parametrize(("seconds", "is_fault"), [(29, False), (31, True)])
def test_a_car_that_moves_with_an_open_door_is_a_fault_after_30_s(seconds: int, is_fault: bool) -> None:
    car = Lift()
    car.run(5, door_closed=False)
    car.run(seconds + 1, car=Car.RUNNING, door_zone=False, door_closed=False)
    assert ("lift.motion_door_open" in car.codes) is is_fault


def test_a_door_that_opens_under_way_has_its_own_name() -> None:
    car = Lift()
    car.run(5, car=Car.RUNNING, door_zone=False)
    assert car.run(32, car=Car.RUNNING, door_zone=False, door_closed=False) == {
        "lift.door_open_while_running"
    }


@pytest.mark.parametrize("name", sorted(lift.FAULTS))
def test_a_controllers_fault_stands_after_5_s_and_goes_after_5_s(name: str) -> None:
    car = Lift()
    assert car.run(5, faults=frozenset({name})) == set()
    assert car.run(1, faults=frozenset({name})) == {f"lift.{name}"}
    assert car.run(5) == {f"lift.{name}"}
    assert car.run(1) == set()


def test_a_foreign_code_is_shown_with_its_code_system_and_not_guessed_at() -> None:
    car = Lift(lift.Settings(code_system="elevatorcloud_ws"))
    car.run(6, foreign_codes=("77", "9\x07"))
    assert car.condition("lift.other_fault").text == "elevatorcloud_ws: 77, 9?"


def test_a_passenger_shut_in_at_a_landing_is_trapped_level() -> None:
    car = Lift()
    car.enter()
    assert car.run(59, passenger=True) == set()
    assert car.run(3, passenger=True) == {"lift.trapped_level"}
    found = car.condition("lift.trapped_level")
    assert (found.deadline_s, found.text, found.is_suppressed) == (1800.0, "floor 3", False)
    assert found.facts["lift"]["passenger"] is True


def test_a_passenger_shut_in_between_landings_is_trapped_off_level() -> None:
    car = Lift()
    car.enter()
    car.run(5, passenger=True, car=Car.RUNNING, door_zone=False)
    assert car.run(62, passenger=True, door_zone=False) == {
        "lift.trapped_off_level",
        "lift.stopped_outside_unlocking_zone",
    }


def test_a_flickering_radar_in_an_empty_shut_car_traps_nobody() -> None:
    car = Lift()
    car.run(15, door_closed=False)
    for i in range(3600):
        car.run(1, passenger=(i // 9) % 2 == 1)
    car.run(600, passenger=True)
    assert not car.ever


def test_a_radar_that_lags_behind_a_leaving_passenger_traps_nobody() -> None:
    car = Lift()
    car.enter()
    car.run(4, door_closed=False, passenger=True)
    car.run(4, passenger=True)
    car.run(600)
    assert not car.ever


def test_a_radar_that_loses_a_still_passenger_does_not_free_him() -> None:
    car = Lift()
    car.enter()
    car.run(20, passenger=True)
    assert car.run(60, passenger=False) == {"lift.trapped_level"}


def test_a_passenger_is_free_only_when_level_and_open() -> None:
    car = Lift()
    car.enter()
    car.run(5, passenger=True, car=Car.RUNNING, door_zone=False)
    car.run(70, passenger=True, door_zone=False)
    for points in (
        {"door_zone": False, "door_closed": False},
        {},
        {"car": Car.RUNNING},
        {"passenger": False},
    ):
        assert "lift.trapped_off_level" in car.run(30, **points)
    assert "lift.trapped_off_level" in car.run(5, door_closed=False)
    assert "lift.trapped_off_level" not in car.run(1, door_closed=False)


def test_silence_and_a_faulty_node_free_nobody() -> None:
    car = Lift()
    car.enter()
    car.run(70, passenger=True)
    assert car.silent(600) == {"lift.trapped_level", "lift.offline"}
    assert "lift.trapped_level" in car.run(60, quality=Quality.FAULT, door_closed=False)


def test_a_trap_of_150_minutes_asks_to_be_closed() -> None:
    car = Lift()
    car.enter()
    car.run(70, passenger=True)
    car.run(8980, passenger=True)
    assert not car.condition("lift.trapped_level").auto_close
    car.run(30, passenger=True)
    assert car.condition("lift.trapped_level").auto_close


def test_in_confirmed_mode_only_the_button_makes_a_trap() -> None:
    car = Lift(lift.Settings(trap=trap.Settings(mode=trap.Mode.CONFIRMED)))
    car.enter()
    assert car.run(600, passenger=True) == set()
    assert car.run(1, passenger=True, is_alarm_button=True) == {"lift.trapped_level", "lift.alarm_button"}


def test_the_controllers_word_traps_without_any_presence_sensor() -> None:
    car = Lift()
    none = {"door_zone": None, "door_closed": None, "passenger": None}
    assert car.run(6, faults=frozenset({"trapped", "trapped_off_level"}), **none) == {
        "lift.trapped_off_level"
    }
    assert car.run(6, **none) == set()


@pytest.mark.parametrize("mode", sorted(SETTINGS.suppressing_modes))
def test_inspection_and_fire_modes_suppress_faults_and_still_list_them(mode: ServiceMode) -> None:
    car = Lift()
    car.run(50, door_zone=False, service_mode=mode)
    assert car.condition("lift.stopped_outside_unlocking_zone").is_suppressed
    car.run(1, door_zone=False)
    assert not car.condition("lift.stopped_outside_unlocking_zone").is_suppressed


def test_a_trap_is_not_suppressed_when_the_rescuers_switch_to_inspection() -> None:
    car = Lift()
    car.enter()
    car.run(70, passenger=True)
    car.run(70, passenger=True, service_mode=ServiceMode.INSPECTION)
    assert not car.condition("lift.trapped_level").is_suppressed


def test_a_mechanic_in_an_inspected_car_is_suppressed_until_he_presses_the_button() -> None:
    car = Lift()
    car.run(12, door_closed=False, passenger=True, service_mode=ServiceMode.INSPECTION)
    car.run(70, passenger=True, service_mode=ServiceMode.INSPECTION)
    assert car.condition("lift.trapped_level").is_suppressed
    car.run(1, passenger=True, service_mode=ServiceMode.INSPECTION, is_alarm_button=True)
    assert not car.condition("lift.trapped_level").is_suppressed
    assert not car.condition("lift.alarm_button").is_suppressed
    car.run(60, passenger=True, service_mode=ServiceMode.INSPECTION)
    assert not car.condition("lift.trapped_level").is_suppressed


def test_each_press_of_the_alarm_button_is_a_new_occurrence() -> None:
    car = Lift()
    assert car.run(1, is_alarm_button=True) == {"lift.alarm_button"}
    car.run(3)
    car.run(2, is_alarm_button=True)
    assert car.condition("lift.alarm_button").occurrence == 2
    assert car.run(10) == set()


def test_the_alarm_button_of_a_faulty_node_is_believed() -> None:
    assert Lift().run(1, quality=Quality.FAULT, is_alarm_button=True) == {"lift.alarm_button"}


def test_an_e_bike_contact_acts_at_once_and_goes_after_a_while() -> None:
    car = Lift()
    car.run(3)
    contact = InputReading(device_id="lift-1", at=at(3), role="ebike", is_on=True)
    assert car.see(contact) == {"lift.ebike_in_car"}
    assert car.run(60) == {"lift.ebike_in_car"}
    car.see(InputReading(device_id="lift-1", at=at(car.s), role="ebike", is_on=False))
    assert car.run(9) == {"lift.ebike_in_car"}
    assert car.run(2) == set()


def test_overspeed_is_judged_against_the_rated_speed() -> None:
    car = Lift(lift.Settings(limits=Limits(rated_speed_mps=1.75)))
    assert car.run(20, car=Car.RUNNING, speed_mps=-2.0) == set()
    assert car.run(6, car=Car.RUNNING, speed_mps=-2.1) == {"lift.overspeed"}


def test_passing_the_top_landing_upwards_is_an_overrun_and_leaving_it_downwards_is_not() -> None:
    car = Lift(lift.Settings(limits=Limits(top_floor="18", bottom_floor="1")))
    car.run(9, car=Car.RUNNING, door_zone=False, direction=Direction.UP, floor="17")
    car.run(1, car=Car.RUNNING, direction=Direction.UP, floor="18")
    assert car.run(6, door_zone=False, floor="18") == {"lift.overrun_top"}
    car = Lift(lift.Settings(limits=Limits(top_floor="18", bottom_floor="1")))
    car.run(9, floor="18", direction=Direction.UP)
    assert car.run(9, car=Car.RUNNING, door_zone=False, direction=Direction.DOWN, floor="18") == set()


def test_a_door_that_opens_again_and_again_without_a_trip_is_a_fault() -> None:
    car = Lift()
    car.run(2)
    for _ in range(5):
        car.run(4, door_closed=False)
        car.run(4)
    assert "lift.repeated_door_cycle" in car.run(2)
    assert car.run(12, car=Car.RUNNING) == set()


def test_a_node_that_calls_its_points_faulty_is_a_fault_and_clears_nothing() -> None:
    car = Lift()
    car.run(50, door_zone=False)
    assert car.run(30, quality=Quality.FAULT) == {"lift.sensor_fault", "lift.stopped_outside_unlocking_zone"}


def test_a_trap_survives_a_restart_and_no_device_is_lost_by_it() -> None:
    car = Lift()
    car.enter()
    car.run(70, passenger=True)
    car.restart(3600)
    car.state, car.conditions = lift.step(car.state, None, at(car.s), SETTINGS)
    assert car.codes == {"lift.trapped_level"}


def test_an_old_timer_goes_on_over_a_restart_once_the_lift_is_seen_again() -> None:
    car = Lift()
    car.enter()
    car.run(30, passenger=True)
    car.restart(40)
    car.state, car.conditions = lift.step(car.state, None, at(car.s), SETTINGS)
    assert car.codes == set()
    assert car.run(1, passenger=True) == {"lift.trapped_level"}


def test_a_node_that_keeps_flickering_between_modes_does_not_hide_the_button() -> None:
    car = Lift()
    for mode in ServiceMode:
        car.run(1, service_mode=mode, is_alarm_button=True)
        assert not car.condition("lift.alarm_button").is_suppressed


def test_a_mode_told_as_a_fault_is_a_mode() -> None:
    car = Lift()
    car.run(7, service_mode=ServiceMode.UNKNOWN, faults=frozenset({"mode_inspection", "door_close_fault"}))
    assert car.codes == {"lift.door_close_fault"}
    assert car.condition("lift.door_close_fault").is_suppressed


def test_an_open_door_frees_nobody_while_the_controller_says_trapped() -> None:
    car = Lift()
    said = frozenset({"trapped_level"})
    car.run(6, faults=said)
    for _ in range(60):
        assert "lift.trapped_level" in car.run(1, faults=said, door_closed=False)
    assert "lift.trapped_level" not in car.run(6, door_closed=False)


@pytest.mark.parametrize("faults", [frozenset({"trapped"}), frozenset()])
def test_a_new_trap_is_written_with_its_step(faults: frozenset[str]) -> None:
    car = Lift()
    car.enter()
    before = car.state
    while car.state.trap is None:
        before = car.state
        car.run(1, passenger=True, faults=faults)
    assert not volatile_equal(RULES["lift"], before, car.state)


def test_an_ordinary_trip_costs_no_write() -> None:
    car = Lift()
    car.run(30)
    before = car.state
    car.run(8, door_closed=False)
    car.run(5, passenger=True)
    car.run(20, passenger=True, car=Car.RUNNING, door_zone=False, direction=Direction.UP)
    car.run(8, door_closed=False, passenger=True, floor="9")
    car.run(8, floor="9")
    assert volatile_equal(RULES["lift"], before, car.state)
