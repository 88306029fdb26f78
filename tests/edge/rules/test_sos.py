"""Help buttons: presses, repeats, supervision, two days of silence."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import ButtonEvent, ButtonReading, Silence, SilenceReason
from gatehouse_edge.rules import sos
from gatehouse_events.clock import ClockQuality

HOUR_S = 3600.0


def at(s: float) -> Now:
    clock = ClockQuality(synced=False, offset_ms=None)
    return Now(
        wall=datetime(1970, 1, 1, tzinfo=UTC), service_s=s, boot="b" * 32, mono_ns=int(s * 1e9), clock=clock
    )


def advert(s: float, counter: int, event: ButtonEvent = ButtonEvent.PRESS, **more) -> ButtonReading:
    return ButtonReading(device_id="btn-1", at=at(s), event=event, counter=counter, key_id=1, **more)


class Button:
    """Drives one rule along a trace."""

    def __init__(self, settings: sos.Settings | None = None) -> None:
        self.settings = settings or sos.Settings(lives_alone=True)
        self.state = sos.initial(self.settings, at(0))
        self.conditions = ()

    def see(self, observation) -> set[str]:
        self.state, self.conditions = sos.step(self.state, observation, observation.at, self.settings)
        return self.codes

    def tick(self, s: float) -> set[str]:
        self.state, self.conditions = sos.step(self.state, None, at(s), self.settings)
        return self.codes

    @property
    def codes(self) -> set[str]:
        return {condition.code for condition in self.conditions}


def test_a_press_is_an_alarm_at_once_and_carries_the_buttons_counter() -> None:
    button = Button()
    assert button.see(advert(1, 41)) == {"sos.pressed"}
    assert button.conditions[0].occurrence == 41


def test_the_same_advert_twice_is_one_press_and_a_second_press_a_repeat() -> None:
    button = Button()
    button.see(advert(1, 41))
    button.see(advert(2, 41))
    assert button.tick(31) == set()
    assert button.see(advert(32, 41)) == set()
    assert button.see(advert(33, 42)) == {"sos.pressed"}
    assert button.conditions[0].occurrence == 42


def test_a_press_is_not_ended_by_silence_or_a_heartbeat() -> None:
    button = Button()
    button.see(advert(1, 41))
    assert button.see(Silence(device_id="btn-1", at=at(2), reason=SilenceReason.PORT_LOST)) == {"sos.pressed"}
    assert button.see(advert(3, 42, ButtonEvent.ALIVE)) == {"sos.pressed"}


def test_a_press_shortly_before_a_restart_is_still_there_after_it() -> None:
    button = Button()
    button.see(advert(1, 41))
    loaded = msgspec.json.decode(msgspec.json.encode(button.state), type=sos.State)
    button.state = sos.resume(loaded, at(7200), button.settings)
    assert button.tick(7200) == {"sos.pressed"}


def test_low_battery_comes_with_the_alarm_and_has_hysteresis() -> None:
    button = Button()
    assert button.see(advert(1, 1, battery_pct=14.0)) == {"sos.pressed", "sos.low_battery"}
    button.tick(40)
    assert button.see(advert(41, 2, ButtonEvent.ALIVE, battery_pct=20.0)) == {"sos.low_battery"}
    assert button.see(advert(42, 3, ButtonEvent.ALIVE)) == {"sos.low_battery"}
    assert button.see(advert(43, 4, ButtonEvent.ALIVE, battery_pct=25.0)) == set()


def test_a_tampered_button_stays_so_until_it_sends_a_calm_heartbeat() -> None:
    button = Button()
    assert button.see(advert(1, 1, ButtonEvent.TAMPER)) == {"sos.tamper"}
    assert button.see(advert(100, 2)) == {"sos.pressed", "sos.tamper"}
    assert button.see(advert(200, 3, ButtonEvent.ALIVE)) == set()


def test_supervision_is_lost_after_three_missed_heartbeats_and_back_with_the_next() -> None:
    button = Button()
    button.see(advert(0, 1, ButtonEvent.ALIVE))
    assert button.tick(18 * HOUR_S) == set()
    assert button.tick(18 * HOUR_S + 1) == {"sos.supervision_lost"}
    assert button.see(advert(19 * HOUR_S, 2, ButtonEvent.ALIVE)) == set()


def test_a_crash_forgets_at_most_an_eighth_of_a_long_silence() -> None:
    settings = sos.Settings()
    state = sos.initial(settings, at(0))
    on_disk = state
    for s in range(0, int(17 * HOUR_S), 60):
        before = state
        state, _ = sos.step(state, None, at(s), settings)
        if any(
            getattr(before, n) != getattr(state, n) for n in state.__struct_fields__ if n not in sos.VOLATILE
        ):
            on_disk = state
    state = sos.resume(on_disk, at(20 * HOUR_S), settings)
    state, conditions = sos.step(state, None, at(20 * HOUR_S), settings)
    assert conditions == ()
    _, conditions = sos.step(state, None, at(24 * HOUR_S), settings)
    assert [condition.code for condition in conditions] == ["sos.supervision_lost"]


def test_48_h_without_a_sign_of_life_ask_for_a_visit() -> None:
    button = Button()
    button.see(advert(100, 1, ButtonEvent.ALIVE))
    assert "sos.visit_due" not in button.tick(48 * HOUR_S + 99)
    assert "sos.visit_due" in button.tick(48 * HOUR_S + 100)
    assert button.see(advert(49 * HOUR_S, 2, ButtonEvent.ALIVE)) == set()


def test_nobody_is_visited_who_does_not_live_alone() -> None:
    assert Button(sos.Settings()).tick(500 * HOUR_S) == {"sos.supervision_lost"}


def test_a_site_may_count_presses_only_as_signs_of_life() -> None:
    button = Button(sos.Settings(lives_alone=True, heartbeat_is_life=False))
    for hour in range(0, 48, 6):
        assert button.see(advert(hour * HOUR_S, hour, ButtonEvent.ALIVE)) == set()
    assert button.see(advert(48 * HOUR_S, 99, ButtonEvent.ALIVE)) == {"sos.visit_due"}


def test_an_absence_suppresses_the_visit_and_the_48_h_begin_anew_at_its_end() -> None:
    button = Button()
    button.state = sos.with_absence(button.state, 100 * HOUR_S)
    button.tick(60 * HOUR_S)
    assert {c.code: c.is_suppressed for c in button.conditions}["sos.visit_due"]
    assert "sos.visit_due" not in button.tick(100 * HOUR_S)
    assert "sos.visit_due" not in button.tick(147 * HOUR_S)
    assert "sos.visit_due" in button.tick(148 * HOUR_S)
    assert not {c.code: c.is_suppressed for c in button.conditions}["sos.visit_due"]


def test_coming_home_early_starts_the_48_h_then() -> None:
    button = Button()
    button.state = sos.with_absence(button.state, 100 * HOUR_S)
    button.tick(60 * HOUR_S)
    button.state = sos.with_absence(button.state, None)
    assert "sos.visit_due" not in button.tick(107 * HOUR_S)
    assert "sos.visit_due" in button.tick(108 * HOUR_S)
