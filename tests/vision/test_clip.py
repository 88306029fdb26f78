"""Clips as they come: damaged, without time stamps, of two sizes, or no clips at all."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_video import WriteVideo, falling

from gatehouse_edge.drivers.clip import Clip, ClipError


def test_frames_come_in_order_with_the_times_of_the_file(write_video: WriteVideo) -> None:
    ticks = [0, 40, 83, 119, 200, 240, 1000]
    frames = list(Clip(write_video("a.mkv", falling(7), ticks=ticks)).frames())
    assert [frame.number for frame in frames] == list(range(7))
    assert [frame.at_s - frames[0].at_s for frame in frames] == pytest.approx(
        [t / 1000 for t in ticks], abs=1e-3
    )
    assert all(frame.is_timed for frame in frames)
    assert frames[0].luma.shape == (96, 128)


def test_a_picture_that_is_kept_stays_as_it_was_decoded_and_nobody_can_paint_on_it(
    write_video: WriteVideo,
) -> None:
    path = write_video("a.mkv", falling(40))
    kept = [(frame.luma, frame.luma.copy()) for frame in Clip(path).frames()]
    assert len({copy.tobytes() for _, copy in kept}) > 30
    assert all((luma == copy).all() for luma, copy in kept)
    with pytest.raises(ValueError, match="read-only"):
        kept[0][0][0, 0] = 0


def test_damaged_packets_are_counted_and_the_rest_is_played(write_video: WriteVideo) -> None:
    path = write_video("a.mkv")
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    octets = path.read_bytes()
    for packet in packets[6:11]:
        octets = octets.replace(packet, b"\xff" * len(packet), 1)
    path.write_bytes(octets)
    clip = Clip(path)
    assert (
        sum(1 for _ in clip.frames()) >= 30 - 12
    )  # what refers to the lost ones may be lost too, until the next key frame
    assert clip.undecodable == 5


def test_without_time_stamps_the_rate_counts_and_that_is_said(write_video: WriteVideo) -> None:
    frames = list(Clip(write_video("a.h264", falling(10))).frames())
    assert len(frames) == 10
    steps = np.diff([frame.at_s for frame in frames])
    assert steps == pytest.approx(np.full(9, 0.04), abs=1e-6)
    assert not any(frame.is_timed for frame in frames)


def test_time_never_stands_or_goes_back(write_video: WriteVideo) -> None:
    first, second = (
        write_video("a.ts", falling(12)).read_bytes(),
        write_video("b.ts", falling(12)).read_bytes(),
    )
    path = write_video("c.ts")
    path.write_bytes(first + second)  # as after a camera's restart: the time stamps begin again
    times = [frame.at_s for frame in Clip(path).frames()]
    assert len(times) == 24
    assert (np.diff(times) > 0).all()


def test_a_change_of_size_in_mid_stream_is_two_sizes_of_frames(write_video: WriteVideo) -> None:
    small = write_video("a.h264", falling(8)).read_bytes()
    large = write_video("b.h264", falling(8, width=192, height=144)).read_bytes()
    path = write_video("c.h264")
    path.write_bytes(small + large)
    shapes = [frame.luma.shape for frame in Clip(path).frames()]
    assert shapes == [(96, 128)] * 8 + [(144, 192)] * 8


@pytest.mark.parametrize("octets", [b"", b"not a video at all", b"\x00" * 4096])
def test_what_is_no_video_is_named(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(octets)
    with pytest.raises(ClipError, match=r"a\.mp4"):
        list(Clip(path).frames())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match=r"b\.mp4 is not a file"):
        Clip(tmp_path / "b.mp4")


@given(
    damage=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=40)), min_size=1, max_size=8)
)
@settings(max_examples=25)
def test_whatever_is_damaged_the_answer_is_frames_or_a_named_fault(
    write_video: WriteVideo, damage: list[tuple[float, bytes]]
) -> None:
    path = write_video("a.mkv", falling(10))
    octets = bytearray(path.read_bytes())
    for share, junk in damage:
        at = int(share * (len(octets) - 1))
        octets[at : at + len(junk)] = junk
    path.write_bytes(octets)
    try:
        count = sum(1 for _ in Clip(path).frames())
    except ClipError:
        return
    assert count <= 40
