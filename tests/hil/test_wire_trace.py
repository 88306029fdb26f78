"""Golden traces: what is the same, what is not, what a file may look like."""

from __future__ import annotations

from pathlib import Path

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_hil.gas_detector import Cn6in1Detector
from gatehouse_hil.line import Line
from gatehouse_hil.wire_trace import HEAD, Recorder, TraceError, Turn, check, decode, differences, encode


def turn(talker: str, text: str, at_s: float = 0.0) -> Turn:
    octets = tuple(None if part == "??" else int(part, 16) for part in text.split())
    return Turn(at_s=at_s, talker=talker, octets=octets)


def test_a_trace_reads_as_a_reviewer_would_write_it() -> None:
    text = f"{HEAD}\n# a note\n\n0.000 host  01 03\n0.012 gas-1 01 ?? ff\n"
    assert decode(text) == [turn("host", "01 03"), turn("gas-1", "01 ?? ff", 0.012)]


def test_times_and_pieces_do_not_matter_and_a_wildcard_fits_any_byte() -> None:
    recorder = Recorder()
    recorder.heard(10.0, "host", b"\x01")
    recorder.heard(10.1, "host", b"\x03")
    recorder.heard(10.2, "gas-1", b"\x01\x44\xff")
    assert differences([turn("host", "01 03"), turn("gas-1", "01 ?? ff")], recorder.turns) == []


@pytest.mark.parametrize(
    ("talker", "text"), [("host", "01 04"), ("gas-1", "01 03"), ("host", "01 03 00"), ("host", "01")]
)
def test_another_byte_talker_or_length_is_told(talker: str, text: str) -> None:
    (difference,) = differences([turn("host", "01 03")], [turn(talker, text)])
    assert difference == f"turn 1: wanted host 01 03, got {talker} {text}"


def test_a_byte_that_may_be_anything_has_to_be_there() -> None:
    assert differences([turn("host", "01 ??")], [turn("host", "01")]) != []


def test_a_turn_too_few_and_one_too_many_are_told() -> None:
    one, two = turn("host", "01"), turn("gas-1", "02")
    assert differences([one, two], [one]) == ["turn 2: wanted gas-1 02, got nothing"]
    assert differences([one], [one, two]) == ["turn 2: wanted nothing, got gas-1 02"]


@pytest.mark.parametrize(
    "text", ["", "# something else\n", f"{HEAD}\n0.0\n", f"{HEAD}\n0 host 100\n", f"{HEAD}\nx host 01\n"]
)
def test_what_is_no_trace_is_refused(text: str) -> None:
    with pytest.raises(TraceError, match=r"line \d"):
        decode(text)


talkers = st.text("abcdefghij-0123456789", min_size=1, max_size=8)
turns = st.lists(
    st.builds(
        Turn,
        at_s=st.integers(0, 9000).map(lambda ms: ms / 1000),
        talker=talkers,
        octets=st.lists(st.none() | st.integers(0, 255), min_size=1, max_size=20).map(tuple),
    )
)


@given(turns)
def test_what_is_written_is_read(written: list[Turn]) -> None:
    assert decode(encode(written, note="any")) == written


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, f"{HEAD}\n{text}"):
        try:
            decode(candidate)
        except TraceError:
            continue


def test_a_golden_file_that_is_not_there_is_written_and_has_to_be_read_first(tmp_path: Path) -> None:
    recorder = Recorder(note="first")
    recorder.heard(0.0, "host", b"\x01")
    golden = tmp_path / "golden" / "new.trace"
    assert check(golden, recorder) == ["new.trace was not there; it is now, read it before you commit it"]
    assert check(golden, recorder) == []
    other = Recorder()
    other.heard(0.0, "host", b"\x02")
    assert check(golden, other) == ["turn 1: wanted host 01, got host 02"]
    assert check(golden, other, is_renewed=True) == []
    assert check(golden, other) == []


def test_a_line_is_recorded_as_it_was_heard() -> None:
    recorder = Recorder()
    with Line(baud=115_200) as line:
        detector = Cn6in1Detector(1)
        line.attach(detector)
        line.record(recorder)
        with serial.Serial(str(line.port), 115_200, timeout=5) as port:
            port.write(bytes.fromhex("01030000000ac5cd"))
            reply = port.read(25)
    said = [(one.talker, bytes(octet for octet in one.octets if octet is not None)) for one in recorder.turns]
    assert said == [("host", bytes.fromhex("01030000000ac5cd")), ("line", reply)]
