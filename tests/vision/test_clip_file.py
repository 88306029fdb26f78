"""Evidence is what the camera sent: cut from packets, and every coded unit is the same bytes afterwards."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_video import WriteVideo

from gatehouse_edge.drivers.camera_ring import StoredPacket
from gatehouse_edge.drivers.clip import Clip
from gatehouse_edge.drivers.clip_file import ClipFileError, StreamShape, parameter_sets, units_of, write_clip

SETS = {"h264": {7, 8, 9}, "hevc": {32, 33, 34, 35}}
"""Parameter sets and access unit delimiters: a container may keep them beside the packets."""


def stored(path: Path) -> tuple[list[StoredPacket], StreamShape]:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        packets = [
            StoredPacket(
                octets=bytes(packet),
                pts=packet.pts,
                dts=packet.dts,
                duration=packet.duration,
                time_base=packet.time_base,
                is_key=packet.is_keyframe,
                arrived_s=float(n),
            )
            for n, packet in enumerate(container.demux(video))
            if packet.size
        ]
        shape = StreamShape(
            codec=video.codec_context.name,
            width_px=video.width,
            height_px=video.height,
            extradata=bytes(video.codec_context.extradata or b""),
            time_base=video.time_base,
        )
    return packets, shape


def coded(packets: list[StoredPacket], shape: StreamShape) -> list[list[bytes]]:
    def kind(unit: bytes) -> int:
        return unit[0] & 31 if shape.codec == "h264" else unit[0] >> 1 & 63

    return [[u for u in units_of(p.octets, shape) if kind(u) not in SETS[shape.codec]] for p in packets]


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("source", ["ts", "mkv", "mp4"])
@pytest.mark.parametrize("target", ["mkv", "mp4"])
def test_every_coded_unit_is_kept_bit_for_bit(
    write_video: WriteVideo, tmp_path: Path, codec: str, source: str, target: str
) -> None:
    packets, shape = stored(write_video(f"camera.{source}", codec=codec))
    keys = [n for n, packet in enumerate(packets) if packet.is_key]
    cut = packets[keys[1] :]
    out = tmp_path / f"clip.{target}"
    write_clip(cut, shape, out)
    (first, *rest), (wanted, *others) = coded(*stored(out)), coded(cut, shape)
    assert first[-len(wanted) :] == wanted  # before them: what the stream's description held
    assert rest == others
    frames = list(Clip(out).frames())
    assert len(frames) == len(cut)
    spans = [(b.pts - a.pts) * a.time_base for a, b in pairwise(cut)]
    told = [b.at_s - a.at_s for a, b in pairwise(frames)]
    assert told == pytest.approx([float(span) for span in spans], abs=2e-3)


def test_a_clip_has_its_name_only_when_it_is_whole(write_video: WriteVideo, tmp_path: Path) -> None:
    packets, shape = stored(write_video("camera.ts"))
    with pytest.raises(ClipFileError, match="cannot be written"):
        write_clip(packets, shape, tmp_path / "no such folder" / "clip.mp4")
    write_clip(packets, shape, tmp_path / "clip.mp4")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["camera.ts", "clip.mp4"]


def test_a_clip_begins_with_a_key_frame_or_is_refused(write_video: WriteVideo, tmp_path: Path) -> None:
    packets, shape = stored(write_video("camera.ts"))
    with pytest.raises(ClipFileError, match="key frame"):
        write_clip(packets[1:], shape, tmp_path / "clip.mp4")
    with pytest.raises(ClipFileError, match="key frame"):
        write_clip([], shape, tmp_path / "clip.mp4")


def test_a_codec_nobody_keeps_evidence_in_is_named(write_video: WriteVideo, tmp_path: Path) -> None:
    packets, shape = stored(write_video("camera.avi", codec="mpeg4"))
    with pytest.raises(ClipFileError, match="mpeg4"):
        write_clip(packets, shape, tmp_path / "clip.mp4")


@given(raw=st.binary(max_size=120), codec=st.sampled_from(["h264", "hevc"]))
def test_a_strangers_stream_description_is_parsed_or_refused(raw: bytes, codec: str) -> None:
    shape = StreamShape(
        codec=codec, width_px=64, height_px=64, extradata=b"\x01" + raw, time_base=av.time_base
    )
    try:
        told = parameter_sets(shape)
    except ClipFileError:
        return
    assert len(told) <= 256 * 256 * (len(raw) + 4)


@given(units=st.lists(st.binary(min_size=1, max_size=50), max_size=5), junk=st.binary(max_size=3))
def test_length_prefixed_units_come_apart_as_they_were_put_together(units: list[bytes], junk: bytes) -> None:
    shape = StreamShape(
        codec="h264",
        width_px=64,
        height_px=64,
        extradata=b"\x01\x42\x00\x1e\xff\xe0\x00",
        time_base=av.time_base,
    )
    octets = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
    assert units_of(octets, shape) == units
    if junk:
        with pytest.raises(ClipFileError, match="add up"):
            units_of(octets + junk, shape)
