"""The gateway's own surroundings: inputs, valves, buses, beacons, cameras, throws, refused messages."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import (
    BeaconReading,
    BusReading,
    CameraReading,
    EvidenceReading,
    Flaw,
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
from gatehouse_events.codes import CODES


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


def test_flaws_stand_beside_one_another_and_each_goes_by_itself() -> None:
    eye = Device("camera")

    def look(s: float, **flaws: str) -> CameraReading:
        found = {Flaw(name): words for name, words in flaws.items()}
        return CameraReading(device_id="c", at=at(s), picture=PictureState.OK, flaws=found)

    assert eye.see(look(1, blurred="why", slow="5 fps", moved="")) == {
        "throw.camera_blurred",
        "throw.camera_slow",
    }
    assert eye.see(look(2, slow="4 fps", blurred="")) == {"throw.camera_blurred", "throw.camera_slow"}
    assert eye.conditions[1].text == "5 fps", "a figure that changes is no news"
    assert eye.see(*(look(s, slow="4 fps", blurred="") for s in range(3, 8))) == {"throw.camera_slow"}
    assert eye.see(look(8, detector="no models")) == {"throw.camera_slow", "throw.detector_failed"}


def test_a_flaw_that_cannot_be_judged_stays_as_it_was_also_while_the_camera_is_lost() -> None:
    eye = Device("camera")
    eye.see(CameraReading(device_id="c", at=at(1), picture=PictureState.OK, flaws={Flaw.MOVED: "12 %"}))
    lost = (CameraReading(device_id="c", at=at(s), picture=PictureState.LOST) for s in range(2, 30, 3))
    assert eye.see(*lost) == {"throw.camera_lost", "throw.camera_moved"}


def test_every_flaw_has_a_code_of_its_own() -> None:
    for flaw in Flaw:
        eye = Device("camera")
        reading = CameraReading(device_id="c", at=at(1), picture=PictureState.OK, flaws={flaw: "words"})
        (code,) = eye.see(reading)
        assert CODES[code].label.zh


def test_a_camera_that_says_nothing_is_lost_whatever_its_last_picture_was() -> None:
    eye = Device("camera", camera.Settings(supervision=Supervision(max_silence_s=5)))
    eye.see(CameraReading(device_id="c", at=at(1), picture=PictureState.BLACK))
    assert eye.tick(7) == {"throw.camera_lost"}


def thrown(s: float, name: str, **fields) -> ThrowReading:
    return ThrowReading(
        device_id="c",
        at=at(s),
        throw_id=name,
        confidence=0.9,
        track_points=14,
        awaits_evidence=True,
        **fields,
    )


PATIENT = camera.Settings(supervision=Supervision(max_silence_s=1000))


def test_a_throw_is_raised_at_once_and_its_files_follow() -> None:
    eye = Device("camera", PATIENT)
    assert eye.see(thrown(1, "t1", floor_low=12, floor_high=14, column=3)) == {"throw.object_falling"}
    assert eye.conditions[0].text == "12–14层 第3列 floor 12–14, column 3"
    assert eye.conditions[0].evidence == ()
    eye.see(EvidenceReading(device_id="c", at=at(8), throw_id="t1"))
    assert eye.tick(90) == set(), "nothing is missing"


def test_what_is_only_watched_raises_nothing() -> None:
    eye = Device("camera", PATIENT)
    assert eye.see(thrown(1, "t1", is_alarm=False)) == set()
    assert eye.tick(90) == set(), "nor is a clip of it missed"


def test_a_clip_that_cannot_be_kept_is_said_beside_the_alarm() -> None:
    eye = Device("camera", PATIENT)
    eye.see(thrown(1, "t1"))
    full = EvidenceReading(device_id="c", at=at(8), throw_id="t1", missing="the disk is full")
    assert eye.see(full) == {"throw.object_falling", "throw.evidence_missing"}
    assert eye.conditions[1].text == "the disk is full"
    assert eye.tick(200) == {"throw.evidence_missing"}
    assert eye.tick(309) == set()


def test_a_clip_nobody_brings_is_missing_after_a_minute_also_over_a_restart() -> None:
    eye = Device("camera", PATIENT)
    eye.see(thrown(1, "t1"))
    rule = RULES["camera"]
    kept = msgspec.json.decode(msgspec.json.encode(eye.state), type=rule.state)
    eye.state = rule.resume(kept, at(30), eye.settings)
    assert "throw.evidence_missing" not in eye.tick(60)
    assert "throw.evidence_missing" in eye.tick(62)


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
