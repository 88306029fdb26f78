"""GB/T 26875.3: bytes read in public parsers, and what must be refused."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from city_events import VECTORS
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_fleet.city import gbt26875
from gatehouse_fleet.city.errors import FrameError
from gatehouse_fleet.city.gbt26875 import Command, Component, Frame, Status

SHANGHAI = ZoneInfo("Asia/Shanghai")


def published(name: str) -> bytes:
    for line in (VECTORS / "city/gbt26875.txt").read_text(encoding="utf-8").splitlines():
        parts = [part.strip() for part in line.split("|")]
        if parts[0] == name:
            return bytes.fromhex(parts[1])
    raise KeyError(name)


frames = st.builds(
    Frame,
    serial=st.integers(0, 65535),
    user_version=st.integers(0, 255),
    time=st.binary(min_size=6, max_size=6),
    source=st.binary(min_size=6, max_size=6),
    destination=st.binary(min_size=6, max_size=6),
    command=st.sampled_from(list(Command)).map(int),
    data=st.binary(max_size=200),
    main_version=st.just(1),
)


@pytest.mark.parametrize("name", ["type25_send", "confirm", "component_alarm"])
def test_published_bytes_come_out_of_encoding_what_was_decoded(name: str) -> None:
    raw = published(name)
    assert gbt26875.encode(gbt26875.decode(raw)) == raw


def test_the_published_component_says_alarm_at_its_place() -> None:
    frame = gbt26875.decode(published("component_alarm"))
    (component,) = gbt26875.read_components(frame.data)
    assert (component.system_type, component.system_address, component.component_type) == (1, 3, 0)
    assert (component.address, component.status) == (0x000600D9, Status.ALARM)
    assert component.description.startswith("Ａ区１层")
    assert gbt26875.read_time(component.time, SHANGHAI).isoformat() == "2020-08-01T19:18:48+08:00"
    assert gbt26875.component_data((component,)) == frame.data


def test_a_confirmation_is_the_published_one() -> None:
    sent = gbt26875.decode(published("type25_send"))
    answer = gbt26875.confirm(sent)
    expected = gbt26875.decode(published("confirm"))
    assert (answer.serial, answer.source, answer.destination) == (0, sent.destination, sent.source)
    assert (answer.command, answer.data, len(gbt26875.encode(answer))) == (3, b"", 30)
    # Published one second earlier than its question; all else is equal.
    assert gbt26875.encode(answer)[12:-3] == gbt26875.encode(expected)[12:-3]


def test_alarm_and_fault_together_are_both_bits() -> None:
    both = component(Status.ALARM | Status.FAULT)
    data = gbt26875.component_data((both,))
    assert data[2 + 7 : 2 + 9] == b"\x06\x00"
    (read,) = gbt26875.read_components(data)
    assert Status.ALARM in read.status
    assert Status.FAULT in read.status


@given(frames)
def test_every_frame_comes_back(frame: Frame) -> None:
    assert gbt26875.decode(gbt26875.encode(frame)) == frame


@given(frames, st.data())
def test_one_changed_byte_is_never_taken_for_the_frame(frame: Frame, data: st.DataObject) -> None:
    raw = bytearray(gbt26875.encode(frame))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FrameError):
        gbt26875.decode(bytes(raw))


@given(st.lists(frames, max_size=4), st.integers(1, 50))
def test_a_stream_is_cut_the_same_however_it_arrives(sent: list[Frame], step: int) -> None:
    stream = b"".join(gbt26875.encode(frame) for frame in sent)
    splitter = gbt26875.Splitter()
    found = [frame for at in range(0, len(stream), step) for frame in splitter.feed(stream[at : at + step])]
    assert found == sent


@given(st.binary(max_size=200))
def test_noise_ends_in_frames_or_an_error_of_ours(noise: bytes) -> None:
    splitter = gbt26875.Splitter()
    try:
        splitter.feed(noise)
    except FrameError:
        return
    assert len(noise) < gbt26875.MIN_FRAME_BYTES + gbt26875.MAX_DATA_BYTES


def test_a_text_is_cut_between_characters() -> None:
    assert gbt26875.described("门" * 20) == ("门" * 15).encode("gb18030") + b"\0"


def test_a_duty_check_is_recognised_and_answered() -> None:
    asked = Frame(
        serial=7,
        user_version=1,
        time=bytes(6),
        source=bytes(6),
        destination=bytes(6),
        command=Command.CONTROL,
        data=bytes([91, 1, 10]),
    )
    assert gbt26875.duty_check_minutes(asked) == 10
    assert gbt26875.duty_check_minutes(gbt26875.decode(published("component_alarm"))) is None
    at = gbt26875.time_label(datetime(2026, 11, 25, 1, 2, 3, tzinfo=UTC), SHANGHAI)
    assert gbt26875.duty_answer(3, at) == bytes([24, 1, 32, 3, 3, 2, 9, 25, 11, 26])


def component(status: Status) -> Component:
    return Component(
        system_type=1,
        system_address=1,
        component_type=12,
        address=1,
        status=status,
        description="示例",
        time=bytes([0, 0, 0, 1, 1, 26]),
    )
