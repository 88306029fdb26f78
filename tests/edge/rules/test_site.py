"""The gateway's own surroundings: inputs, valves, buses, beacons, cameras, throws, refused messages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import (
    BeaconReading,
    BusReading,
    CameraReading,
    InputReading,
    PictureState,
    Quality,
    Refusal,
    RefusalReason,
    Silence,
    SilenceReason,
    ThrowReading,
)
from gatehouse_edge.rules import RULES, beacon, bus, camera, node, power
from gatehouse_edge.rules.supervision import Supervision
from gatehouse_events.clock import ClockQuality


def at(s: float) -> Now:
    clock = ClockQuality(synced=False, offset_ms=None)
    return Now(
        wall=datetime(1970, 1, 1, tzinfo=UTC), service_s=s, boot="b" * 32, mono_ns=int(s * 1e9), clock=clock
    )


class Device:
    """Drives the rule of one kind along a trace."""

    def __init__(self, kind: str, settings=None) -> None:
        self.rule = RULES[kind]
        self.settings = settings or self.rule.settings()
        self.state = self.rule.initial(self.settings, at(0))
        self.conditions = ()

    def see(self, *observations) -> set[str]:
        for observation in observations:
            self.state, self.conditions = self.rule.step(
                self.state, observation, observation.at, self.settings
            )
        return self.codes

    def tick(self, s: float) -> set[str]:
        self.state, self.conditions = self.rule.step(self.state, None, at(s), self.settings)
        return self.codes

    @property
    def codes(self) -> set[str]:
        return {condition.code for condition in self.conditions}


def contact(
    s: float, role: str, is_on: bool, *, subject: str = "", quality: Quality = Quality.GOOD
) -> InputReading:
    return InputReading(device_id="io-1", at=at(s), role=role, is_on=is_on, subject=subject, quality=quality)


def silence(s: float) -> Silence:
    return Silence(device_id="x", at=at(s), reason=SilenceReason.NO_ANSWER)


@pytest.mark.parametrize(
    ("role", "wrong", "code"),
    [
        ("mains", False, "gateway.mains_lost"),
        ("ups_low", True, "gateway.ups_low"),
        ("lid", True, "gateway.lid_open"),
    ],
)
def test_an_input_stands_after_1_s_and_goes_after_10_s(role: str, wrong: bool, code: str) -> None:
    board = Device("io")
    assert board.see(contact(1, role, wrong)) == set()
    assert board.see(contact(2, role, wrong)) == {code}
    assert board.see(*(contact(s, role, not wrong) for s in range(3, 13))) == {code}
    assert board.see(contact(13, role, not wrong)) == set()


def test_a_relay_that_bounces_raises_nothing() -> None:
    board = Device("io")
    for i in range(100):
        assert board.see(contact(i / 4, "mains", i % 2 == 0)) == set()


def test_an_unread_input_is_unknown_and_the_board_is_offline_in_time() -> None:
    board = Device("io")
    assert board.tick(5) == set()
    assert board.tick(5.1) == {"gateway.io_offline"}


def test_a_silent_board_does_not_bring_the_mains_back() -> None:
    board = Device("io")
    board.see(contact(1, "mains", False), contact(2, "mains", False), contact(3, "mains", True))
    for s in range(4, 60):
        assert "gateway.mains_lost" in board.see(silence(s))


def test_a_faulty_input_is_no_reading() -> None:
    board = Device("io")
    board.see(*(contact(s, "mains", False, quality=Quality.FAULT) for s in range(1, 5)))
    assert board.tick(6) == {"gateway.io_offline"}


@pytest.mark.parametrize("role", ["valve_closed", "valve_open"])
def test_a_valve_that_does_not_follow_within_its_travel_time_disagrees(role: str) -> None:
    board = Device("io")
    followed = role == "valve_closed"
    board.state = power.with_demand(board.state, "valve-3", is_closed=True, now=at(0))
    for s in range(16):
        assert board.see(contact(s, role, not followed, subject="valve-3")) == set()
    assert board.see(contact(16, role, not followed, subject="valve-3")) == {"gateway.valve_disagrees"}
    assert board.conditions[0].text == "valve-3 should be closed"
    assert board.see(*(contact(s, role, followed, subject="valve-3") for s in range(17, 28))) == set()


def test_the_same_demand_again_does_not_restart_the_travel_time() -> None:
    state = power.with_demand(power.initial(power.Settings(), at(0)), "v", is_closed=True, now=at(0))
    assert power.with_demand(state, "v", is_closed=True, now=at(9)) is state


def test_a_bus_is_down_at_once_and_back_after_3_s() -> None:
    line = Device("bus")
    assert line.tick(9999) == set()
    down = BusReading(device_id="b", at=at(10000), is_up=False, detail="unplugged")
    assert line.see(down) == {"gateway.bus_down"}
    assert line.conditions[0].text == "unplugged"
    assert line.see(BusReading(device_id="b", at=at(10001), is_up=True)) == {"gateway.bus_down"}
    assert line.tick(10004) == set()


def test_a_deaf_scanner_is_noticed_within_8_s_of_its_last_beacon() -> None:
    radio = Device("bus", bus.Settings(supervision=Supervision(max_silence_s=8.0)))
    radio.see(BeaconReading(device_id="beacon-1", at=at(1), adapter="hci0"))
    assert radio.tick(9) == set()
    assert radio.tick(9.5) == {"gateway.radio_silent"}
    heard = (BeaconReading(device_id="beacon-1", at=at(s), adapter="hci0") for s in (10, 11))
    assert radio.see(*heard) == set()


def test_a_scanner_whose_driver_gave_up_is_silent_at_once() -> None:
    radio = Device("bus", bus.Settings(supervision=Supervision(max_silence_s=8.0)))
    down = BusReading(device_id="ble0", at=at(1), is_up=False, detail="no adapter")
    assert radio.see(down) == {"gateway.radio_silent"}


def test_a_beacon_not_heard_is_lost() -> None:
    one = Device("beacon", beacon.Settings())
    assert one.tick(8) == set()
    assert one.tick(8.1) == {"gateway.beacon_lost"}


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (PictureState.FROZEN, "throw.camera_frozen"),
        (PictureState.BLACK, "throw.camera_black"),
        (PictureState.LOST, "throw.camera_lost"),
    ],
)
def test_a_bad_picture_is_a_fault_until_a_good_one_has_lasted_5_s(picture: PictureState, code: str) -> None:
    eye = Device("camera")
    assert eye.see(CameraReading(device_id="c", at=at(1), picture=picture)) == {code}
    good = [CameraReading(device_id="c", at=at(s), picture=PictureState.OK) for s in range(2, 8)]
    assert eye.see(*good[:5]) == {code}
    assert eye.see(good[5]) == set()


def test_a_camera_that_says_nothing_is_lost_whatever_its_last_picture_was() -> None:
    eye = Device("camera", camera.Settings(supervision=Supervision(max_silence_s=5)))
    eye.see(CameraReading(device_id="c", at=at(1), picture=PictureState.BLACK))
    assert eye.tick(7) == {"throw.camera_lost"}


def test_each_throw_is_an_occurrence_with_its_own_evidence() -> None:
    eye = Device("camera")
    clip = {"kind": "clip", "sha256": "0" * 64}
    throw = {"device_id": "c", "floor_low": 7, "floor_high": 9, "confidence": 0.9, "track_points": 14}
    eye.see(ThrowReading(at=at(1), evidence=(clip,), **throw))
    assert (eye.conditions[0].occurrence, eye.conditions[0].evidence) == (1, (clip,))
    assert eye.conditions[0].facts["throw"]["floor_high"] == 9
    eye.see(ThrowReading(at=at(2), **throw))
    assert (eye.conditions[0].occurrence, eye.conditions[0].evidence) == (2, ())
    eye.see(CameraReading(device_id="c", at=at(31), picture=PictureState.OK))
    assert eye.tick(32) == set()


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (RefusalReason.UNKNOWN_NODE, "gateway.node_refused"),
        (RefusalReason.BAD_TAG, "gateway.node_refused"),
        (RefusalReason.REPLAY, "gateway.replay_refused"),
        (RefusalReason.BAD_FRAME, "gateway.frames_refused"),
    ],
)
@pytest.mark.parametrize("kind", sorted(RULES))
def test_ten_thousand_refusals_are_one_alarm_for_every_kind_of_device(
    kind: str, reason: RefusalReason, code: str
) -> None:
    device = Device(kind)
    texts = set()
    for i in range(200):
        refusal = Refusal(device_id="x", at=at(i / 100), reason=reason, count=50, source=f"\x1b{i:02X}:FF")
        assert device.see(refusal) == {code}
        texts.add(device.conditions[0].text)
    assert len(texts) < 6
    assert all(text.isprintable() for text in texts)


def test_refusals_end_after_a_quiet_time() -> None:
    gate = Device("gateway")
    gate.see(Refusal(device_id="x", at=at(0), reason=RefusalReason.REPLAY, count=1, source="C3:FF"))
    assert gate.tick(299) == {"gateway.replay_refused"}
    assert gate.tick(300) == set()


def test_a_noisy_line_is_no_flood_of_bad_frames() -> None:
    gate = Device("gateway")
    for s in range(3600):
        noise = Refusal(device_id="x", at=at(s), reason=RefusalReason.BAD_FRAME, count=1, source="rs485-1")
        assert (gate.see(noise) if s % 2 else gate.tick(s)) == set()


def test_a_refusal_that_grows_in_number_is_no_reason_to_write() -> None:
    gate = Device("gateway")
    refusals = [
        Refusal(device_id="x", at=at(s), reason=RefusalReason.UNKNOWN_NODE, count=1, source="a")
        for s in range(2)
    ]
    gate.see(refusals[0])
    before = gate.state
    gate.see(refusals[1])
    assert before.active == gate.state.active
    assert "tallies" in node.VOLATILE
