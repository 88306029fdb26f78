"""What each dialect puts on the wire, byte for byte, and what it refuses to say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import targets
from city_events import VECTORS, example, lift, revised, varied
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_events.event import EventError, EventState, decode
from gatehouse_fleet.city.envelopes import Envelope, envelope_for, text_frames
from gatehouse_fleet.city.envelopes.one_hot import load_dialect
from gatehouse_fleet.city.errors import CityError, FrameError, UnsayableError
from gatehouse_fleet.city.gbt26875 import Status, read_components
from gatehouse_fleet.city.target import parse

OPEN = ("lift.trapped_off_level",)


def envelope(text: str, *, beside: Path = Path()) -> Envelope:
    return envelope_for(parse(text, name="t.yaml"), beside=beside)


@pytest.mark.parametrize("name", ["gas", "lift", "sos", "throw"])
def test_our_own_dialect_says_the_event_as_it_is(name: str) -> None:
    event = example(name)
    message = envelope(targets.CLOUDEVENTS).render(event, ())
    assert message is not None
    assert message.event_id == event.id
    # Compared as events: the same time may be written with three digits or with six.
    assert decode(message.body).event == decode((VECTORS / "events" / f"{name}.json").read_bytes()).event


def test_the_sdk_of_the_standard_reads_our_event() -> None:
    message = envelope(targets.CLOUDEVENTS).render(example("gas"), ())
    assert message is not None
    read = JSONFormat().read(CloudEvent, message.body)
    assert (read.get_id(), read.get_type()) == ("01KAR7W3N8Z4E6Q2V9T5X1YB0M-1", "scg.alarm.gas.v1")


def test_prefix_datum_and_code_are_the_target_s() -> None:
    text = targets.CLOUDEVENTS.replace("{kind: cloudevents}", "{kind: cloudevents, prefix: cn.weihai}")
    message = envelope(text + "crs: GCJ02\ncodes: {map: maixin}\n").render(example("lift"), OPEN)
    assert message is not None
    told = decode(message.body).event
    assert (told.type, told.source) == ("cn.weihai.alarm.lift.v1", "urn:cn:gateway:wh-371002-0007-gw1")
    assert told.data.codes["platform"] == "8"
    assert told.data.site.position is not None
    assert told.data.site.position.crs == "GCJ02"
    assert told.data.site.position.lon == pytest.approx(122.1256, abs=2e-3)


def test_a_code_without_a_row_is_parked_unless_the_file_says_to_leave_it_out() -> None:
    mapped = targets.CLOUDEVENTS + "codes: {map: maixin}\n"
    with pytest.raises(UnsayableError, match="no code for gas"):
        envelope(mapped).render(example("gas"), ())
    loose = envelope(mapped.replace("maixin}", "maixin, unmapped: leave_out}"))
    message = loose.render(example("gas"), ())
    assert message is not None
    assert "platform" not in json.loads(message.body)["data"]["codes"]


def test_an_event_that_breaks_the_schema_does_not_leave() -> None:
    with pytest.raises(EventError):
        envelope(targets.CLOUDEVENTS).render(varied(example("gas"), severity="terrible"), ())


def test_one_hot_bytes_are_those_of_the_dialect() -> None:
    message = envelope(targets.ONE_HOT).render(lift(), OPEN)
    assert message is not None
    assert message.path == "/hjdata-server/fault/postLiftFault"
    assert message.body.decode() == (
        '{"fault":{"data":{"F9999":"N","F9998":"N","F9997":"N","F9996":"N","F9995":"N","F9994":"Y","F9993":"N",'
        '"F9992":"N","F9991":"N","F9990":"N","F9989":"N","F9988":"N"},"time":"1795440374","remark":""},'
        '"projectId":"1001","projectName":"示例小区","address":"","deviceNo":"D-77","buildNo":"3",'
        '"locationeCode":"L-0302","liftNo":"2","messageId":"01KAR7W3N8Z4E6Q2V9T5X1YB1M-1","timeStamp":"1795440374310"}'
    )


def test_an_e_bike_goes_to_the_url_for_events() -> None:
    message = envelope(targets.ONE_HOT).render(lift("lift.ebike_in_car"), ())
    assert message is not None
    assert message.path == "/hjdata-server/event/postEventFault"
    document = json.loads(message.body)
    assert document["event"]["data"] == {"E9899": "N", "E9898": "N", "E9897": "N", "E9896": "Y", "E9895": "N"}
    assert (document["imgAddress"], document["videoAddress"]) == ("null", "null")


def test_one_hot_has_no_word_for_an_end() -> None:
    ended = revised(lift(), 2, EventState.CLEARED)
    assert envelope(targets.ONE_HOT).render(ended, ()) is None


def test_a_lift_the_platform_has_not_registered_is_named() -> None:
    text = targets.ONE_HOT.replace("lift-3-2:", "lift-9-9:")
    with pytest.raises(UnsayableError, match="lift-3-2: deviceNo, locationeCode, liftNo"):
        envelope(text).render(lift(), OPEN)


def test_a_map_with_keys_the_dialect_does_not_have_is_refused() -> None:
    with pytest.raises(CityError, match="has no key"):
        envelope(targets.ONE_HOT.replace("map: songjiang_telecom", "map: maixin"))


def test_every_shipped_dialect_has_a_source() -> None:
    assert "DianXinSender.java" in load_dialect("songjiang_telecom", beside=Path()).provenance


def test_text_frame_bytes_are_those_of_the_dialect() -> None:
    message = envelope(targets.TEXT_FRAMES).render(lift(direction="none"), OPEN)
    assert message is not None
    assert message.body == (
        b'#10#{"cmd":"info","sn":"SN-302","direction":0,"inposition":0,"floor":"7","haspeople":1,'
        b'"fault":["1"]}#13#'
    )


def test_a_frame_tells_all_faults_that_stand_not_only_the_one_that_changed() -> None:
    ended = revised(lift(), 2, EventState.CLEARED)
    message = envelope(targets.TEXT_FRAMES).render(ended, ("lift.overspeed", "lift.offline"))
    assert message is not None
    (document,) = text_frames.Splitter().feed(message.body)
    assert document["fault"] == ["5"]


def test_a_field_whose_values_nobody_told_is_not_sent() -> None:
    text = targets.TEXT_FRAMES.replace("    direction: {up: 1, down: 2, none: 0}\n", "")
    message = envelope(text).render(lift(direction="up"), OPEN)
    assert message is not None
    assert b"direction" not in message.body


@given(
    st.lists(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=4), max_size=5),
    st.integers(1, 9),
)
def test_frames_come_back_however_the_stream_is_cut(documents: list[dict[str, str]], step: int) -> None:
    stream = b"".join(text_frames.encode(document) for document in documents)
    splitter = text_frames.Splitter()
    found = [one for at in range(0, len(stream), step) for one in splitter.feed(stream[at : at + step])]
    assert found == documents


@pytest.mark.parametrize(
    "noise", [b"GET / HTTP/1.1\r\n", b"#10#[]#13#", b"#10#{#13#", b"#1x", b"#10#{}#13#x"]
)
def test_what_is_no_frame_is_refused(noise: bytes) -> None:
    with pytest.raises(FrameError):
        text_frames.Splitter().feed(noise)


def test_a_frame_without_end_does_not_fill_the_memory() -> None:
    splitter = text_frames.Splitter()
    with pytest.raises(FrameError, match="more than"):
        splitter.feed(b"#10#" + b"x" * (text_frames.MAX_FRAME_BYTES + 1))


def status_of(event_seq: int, state: EventState, standing: tuple[str, ...]) -> Status:
    message = envelope(targets.FIRE).render(revised(example("gas"), event_seq, state), standing)
    assert message is not None
    (component,) = read_components(message.body)
    assert (component.address, component.component_type) == (501, 12)
    return component.status


def test_a_detector_in_alarm_and_fault_is_both_then_one_then_normal() -> None:
    assert status_of(1, EventState.RAISED, ("gas.low_alarm", "gas.sensor_fault")) == 6
    assert status_of(2, EventState.CLEARED, ("gas.sensor_fault",)) == Status.FAULT
    assert status_of(3, EventState.CLEARED, ()) == Status.NORMAL


def test_a_detector_the_centre_has_not_numbered_is_named() -> None:
    with pytest.raises(UnsayableError, match="gas-3-2-501"):
        envelope(targets.FIRE.replace("gas-3-2-501", "gas-x")).render(example("gas"), ())
