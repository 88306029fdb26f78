"""Gas detectors: every flag, several at once, and what never clears an alarm."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import GasFlag, GasReading, Quality, Silence, SilenceReason, Unit
from gatehouse_edge.rules import RULES, gas, volatile_equal
from gatehouse_edge.rules.supervision import Supervision
from gatehouse_events.clock import ClockQuality
from gatehouse_events.codes import CODES

SETTINGS = gas.Settings(supervision=Supervision(max_silence_s=10.0))


def at(s: float, *, wall: datetime = datetime(2026, 1, 1, tzinfo=UTC), synced: bool = True) -> Now:
    clock = ClockQuality(synced=synced, offset_ms=None)
    return Now(wall=wall, service_s=s, boot="b" * 32, mono_ns=int(max(s, 0) * 1e9), clock=clock)


def reading(
    s: float, value: float | None = 0.0, *flags: GasFlag, quality: Quality = Quality.GOOD, **more
) -> GasReading:
    points = {"low_set": 10.0, "high_set": 25.0, "full_scale": 100.0, "unit": Unit.PCT_LEL} | more
    return GasReading(
        device_id="gas-1", at=at(s), value=value, quality=quality, flags=frozenset(flags), **points
    )


def silence(s: float, reason: SilenceReason = SilenceReason.NO_ANSWER) -> Silence:
    return Silence(device_id="gas-1", at=at(s), reason=reason)


class Detector:
    """Drives one rule along a trace."""

    def __init__(self, settings: gas.Settings = SETTINGS) -> None:
        self.settings = settings
        self.state = gas.initial(settings, at(0))
        self.conditions = ()

    def see(self, *observations) -> set[str]:
        for observation in observations:
            self.state, self.conditions = gas.step(self.state, observation, observation.at, self.settings)
        return self.codes

    def tick(self, now: Now) -> set[str]:
        self.state, self.conditions = gas.step(self.state, None, now, self.settings)
        return self.codes

    @property
    def codes(self) -> set[str]:
        return {condition.code for condition in self.conditions}


@pytest.mark.parametrize(("flag", "code"), gas.FLAG_CODES.items())
def test_every_flag_becomes_its_condition_on_the_reading_that_carries_it(flag: GasFlag, code: str) -> None:
    assert code in Detector().see(reading(1, None, flag, quality=Quality.FAULT))


def test_no_flag_is_without_a_code_and_every_code_exists() -> None:
    assert set(gas.FLAG_CODES) == set(GasFlag)
    assert set(gas.FLAG_CODES.values()) <= set(CODES)


def test_low_and_high_at_once_are_two_conditions_with_their_own_thresholds() -> None:
    detector = Detector()
    detector.see(reading(1, 30.0, GasFlag.LOW_ALARM, GasFlag.HIGH_ALARM))
    found = {
        condition.code: (condition.value, condition.threshold, condition.unit)
        for condition in detector.conditions
    }
    assert found == {"gas.low_alarm": (30.0, 10.0, "%LEL"), "gas.high_alarm": (30.0, 25.0, "%LEL")}


def test_a_detector_that_names_no_value_is_faulty_and_not_at_zero() -> None:
    assert Detector().see(reading(1, None)) == {"gas.data_fault"}
    assert Detector().see(reading(1, None, quality=Quality.FAULT)) == {"gas.sensor_fault"}
    assert Detector().see(reading(1, None, GasFlag.TIMEOUT, quality=Quality.FAULT)) == {"gas.comm_fault"}


def test_an_alarm_goes_only_after_several_good_readings_over_several_seconds() -> None:
    detector = Detector()
    detector.see(reading(1, 12.0, GasFlag.LOW_ALARM))
    assert detector.see(reading(2), reading(3), reading(4), reading(5), reading(6)) == {"gas.low_alarm"}
    assert detector.see(reading(7)) == set()


def test_an_alarm_that_flickers_is_one_alarm() -> None:
    detector = Detector()
    detector.see(reading(0, 12.0, GasFlag.LOW_ALARM))
    for s in range(1, 60):
        flags = (GasFlag.LOW_ALARM,) if s % 4 == 0 else ()
        assert detector.see(reading(s, 9.5, *flags)) == {"gas.low_alarm"}


@pytest.mark.parametrize(
    "blind",
    [
        lambda s: reading(s, None, GasFlag.WARMING_UP, quality=Quality.WARMING_UP),
        lambda s: reading(s, 100.0, GasFlag.OVER_RANGE, quality=Quality.OVER_RANGE),
        lambda s: reading(s, None, GasFlag.SENSOR_FAULT, quality=Quality.FAULT),
        lambda s: reading(s, 0.0, GasFlag.CALIBRATION_DUE),
        lambda s: reading(s, 0.0, quality=Quality.STALE),
        lambda s: reading(s, 0.0, unit=Unit.PPM),
        lambda s: reading(s, 500.0),
        lambda s: reading(s, float("nan")),
        silence,
        lambda s: silence(s, SilenceReason.WRONG_ANSWER),
        lambda s: silence(s, SilenceReason.QUARANTINED),
    ],
)
def test_what_is_no_measurement_never_clears_a_high_alarm(blind) -> None:
    detector = Detector()
    detector.see(reading(0, 30.0, GasFlag.HIGH_ALARM))
    for s in range(1, 120):
        assert "gas.high_alarm" in detector.see(blind(s))


def test_over_range_alone_is_a_fault_and_no_alarm() -> None:
    assert Detector().see(reading(1, 100.0, GasFlag.OVER_RANGE, quality=Quality.OVER_RANGE)) == {
        "gas.over_range"
    }


def test_over_range_after_a_low_alarm_means_more_gas_than_it_can_measure() -> None:
    detector = Detector()
    detector.see(reading(1, 20.0, GasFlag.LOW_ALARM))
    codes = detector.see(reading(2, None, GasFlag.OVER_RANGE, quality=Quality.OVER_RANGE))
    assert codes == {"gas.low_alarm", "gas.over_range", "gas.high_alarm"}


@pytest.mark.parametrize(("end_s", "is_late"), [(180, False), (182, True)])
def test_warm_up_that_outlasts_its_limit_is_a_sensor_fault(end_s: int, is_late: bool) -> None:
    detector = Detector()
    for s in range(1, end_s + 1):
        detector.see(reading(s, None, GasFlag.WARMING_UP, quality=Quality.WARMING_UP))
    assert ("gas.sensor_fault" in detector.codes) is is_late
    assert "gas.warming_up" in detector.codes


def test_a_believed_value_over_the_set_point_alarms_though_the_bit_is_missing() -> None:
    detector = Detector()
    assert detector.see(*(reading(s, 26.0) for s in range(1, 16))) == set()
    assert detector.see(reading(16, 26.0)) == {"gas.low_alarm", "gas.high_alarm"}
    assert detector.see(*(reading(s, 26.0) for s in range(17, 60))) == {"gas.low_alarm", "gas.high_alarm"}
    assert detector.see(*(reading(s, 12.0) for s in range(60, 80))) == {"gas.low_alarm"}


def test_there_is_no_second_opinion_on_oxygen() -> None:
    detector = Detector()
    for s in range(1, 60):
        low, high = 19.5, 23.5
        assert (
            detector.see(reading(s, 20.9, unit=Unit.PCT_VOL, low_set=low, high_set=high, full_scale=30.0))
            == set()
        )


@pytest.mark.parametrize(
    "odd", [reading(2, 12.0, unit=Unit.PPM), reading(2, 101.0), reading(2, -20.0), reading(2, 80.0)]
)
def test_an_implausible_reading_is_a_fault(odd: GasReading) -> None:
    detector = Detector()
    detector.see(reading(1, 0.0))
    assert detector.see(odd) == {"gas.implausible"}


def test_an_implausible_reading_never_holds_back_the_detectors_own_alarm() -> None:
    detector = Detector()
    detector.see(reading(1, 0.0))
    assert detector.see(reading(2, 99.0, GasFlag.HIGH_ALARM)) == {"gas.implausible", "gas.high_alarm"}


def test_a_device_that_answers_nonsense_has_a_data_fault_before_it_is_offline() -> None:
    detector = Detector()
    assert detector.see(silence(1, SilenceReason.WRONG_ANSWER)) == {"gas.data_fault"}


def test_a_silent_detector_is_offline_after_its_longest_silence_and_its_value_is_never_repeated_as_fresh() -> (
    None
):
    detector = Detector()
    detector.see(reading(0, 3.0))
    assert detector.tick(at(10.0)) == set()
    assert detector.tick(at(10.1)) == {"gas.offline"}
    assert "last 3 %LEL" in detector.conditions[0].text


def test_a_quarantine_neither_resets_the_timer_nor_hides_the_detector() -> None:
    detector = Detector()
    detector.see(reading(0))
    for s in range(1, 11):
        assert detector.see(silence(s, SilenceReason.QUARANTINED)) == set()
    assert detector.see(silence(11, SilenceReason.QUARANTINED)) == {"gas.offline"}


def test_one_answer_does_not_bring_a_lost_detector_back() -> None:
    detector = Detector()
    detector.tick(at(11))
    assert detector.see(reading(12)) == {"gas.offline"}
    assert detector.see(reading(13)) == set()


def test_nothing_is_wrong_before_anything_is_known() -> None:
    assert Detector().tick(at(5)) == set()


@pytest.mark.parametrize(
    ("days_left", "expected"),
    [(91, None), (90, ("gas.life_ending", 1)), (31, ("gas.life_ending", 1)), (30, ("gas.life_ending", 2)),
     (1, ("gas.life_ending", 2)), (0, ("gas.expired", 0)), (-400, ("gas.expired", 0))],
)  # fmt: skip
def test_the_end_of_a_detectors_life_is_announced_at_90_30_and_0_days(days_left: int, expected) -> None:
    detector = Detector(gas.Settings(installed_on=date(2022, 3, 1), life_years=5))
    wall = datetime(2027, 3, 1, tzinfo=UTC) - timedelta(days=days_left)
    detector.tick(at(1, wall=wall))
    found = [(condition.code, condition.occurrence) for condition in detector.conditions]
    assert found == ([] if expected is None else [expected])


def test_a_clock_at_1970_neither_forgets_nor_renews_an_expired_detector() -> None:
    detector = Detector(gas.Settings(installed_on=date(2020, 2, 29), life_years=3))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert detector.tick(at(1, wall=epoch, synced=False)) == set()
    assert detector.tick(at(2)) == {"gas.expired"}
    assert detector.tick(at(3, wall=epoch, synced=False)) == {"gas.expired"}
    assert detector.tick(at(4, wall=datetime(2025, 1, 2, tzinfo=UTC), synced=False)) == {"gas.expired"}


def test_only_a_synchronised_clock_takes_an_expiry_back() -> None:
    detector = Detector(gas.Settings(installed_on=date(2024, 1, 1), life_years=5))
    assert detector.tick(at(1, wall=datetime(2040, 1, 1, tzinfo=UTC), synced=False)) == {"gas.expired"}
    assert detector.tick(at(2, wall=datetime(2026, 1, 1, tzinfo=UTC))) == set()


def test_a_new_alarm_is_written_with_its_step_and_a_steady_reading_is_not() -> None:
    detector = Detector()
    detector.see(*(reading(s, 1.0) for s in range(1, 5)))
    before = detector.state
    detector.see(reading(5, 1.1))
    assert volatile_equal(RULES["gas"], before, detector.state)
    detector.see(reading(6, 30.0, GasFlag.HIGH_ALARM))
    assert not volatile_equal(RULES["gas"], before, detector.state)
