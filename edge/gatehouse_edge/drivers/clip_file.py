"""Cutting a clip out of the ring: the packets as the camera sent them, put into a container, not one picture encoded anew.

Cameras send H.264 and H.265 with start codes (Annex B) or, out of files, with length prefixes (ISO/IEC 14496-15); the units inside
are the same bytes. Parameter sets that came beside the stream are put before the first key frame, so a clip stands alone.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.packet import Packet

from gatehouse_edge.drivers.camera_ring import StoredPacket


class ClipFileError(Exception):
    """The clip cannot be written; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamShape:
    """What a container has to know of a stream before its first packet."""

    codec: str
    """`h264`, `hevc`, …"""
    width_px: int
    height_px: int
    extradata: bytes
    """Parameter sets as the stream's description gave them; may be empty when they travel in the packets."""
    time_base: Fraction

    @property
    def is_length_prefixed(self) -> bool:
        """Packets carry lengths, not start codes: the description is a configuration record, whose first byte is 1."""
        return self.extradata[:1] == b"\x01"

    @property
    def length_bytes(self) -> int:
        """Size of a length prefix."""
        at = 4 if self.codec == "h264" else 21
        return (self.extradata[at] & 3) + 1 if len(self.extradata) > at else 4


_START_CODE: Final = re.compile(rb"\x00\x00\x00?\x01")


START: Final = b"\x00\x00\x00\x01"
_RAW: Final = {"h264": "h264", "hevc": "hevc"}
_FIRST_HVCC_ARRAY: Final = 22
"""Offset of the number of arrays in a decoder configuration record of H.265 (ISO/IEC 14496-15, 8.3.3.1)."""


def units_of(octets: bytes, shape: StreamShape) -> list[bytes]:
    """Return the units of one packet without start codes or length prefixes.

    Raises:
        ClipFileError: lengths that do not add up.
    """
    if not shape.is_length_prefixed:
        return [part for part in _START_CODE.split(octets) if part]
    found, at, size = [], 0, shape.length_bytes
    while at + size <= len(octets):
        length = int.from_bytes(octets[at : at + size], "big")
        found.append(octets[at + size : at + size + length])
        at += size + length
    if at != len(octets):
        raise ClipFileError("a packet's lengths do not add up")
    return found


def parameter_sets(shape: StreamShape) -> bytes:
    """Return the parameter sets that came beside the stream, with start codes; empty when they travel in the packets.

    Raises:
        ClipFileError: the record ends too early.
    """
    raw = shape.extradata
    if not raw:
        return b""
    if not shape.is_length_prefixed:
        return raw
    try:
        return b"".join(
            START + unit for unit in (_avc_sets(raw) if shape.codec == "h264" else _hevc_sets(raw))
        )
    except IndexError as error:
        raise ClipFileError("the stream's description ends too early") from error


def _avc_sets(raw: bytes) -> Iterator[bytes]:
    at, count = 6, raw[5] & 31
    for _ in range(2):  # sequence sets, then picture sets
        for _ in range(count):
            length = int.from_bytes(raw[at : at + 2], "big")
            yield raw[at + 2 : at + 2 + length]
            at += 2 + length
        count, at = (raw[at] if at < len(raw) else 0), at + 1


def _hevc_sets(raw: bytes) -> Iterator[bytes]:
    at = _FIRST_HVCC_ARRAY + 1
    for _ in range(raw[_FIRST_HVCC_ARRAY]):
        count = int.from_bytes(raw[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            length = int.from_bytes(raw[at : at + 2], "big")
            yield raw[at + 2 : at + 2 + length]
            at += 2 + length


def write_clip(packets: Sequence[StoredPacket], shape: StreamShape, path: Path) -> None:
    """Write packets that begin with a key frame to `path` (.mp4 or .mkv), synced to the disk before it gets its name.

    Raises:
        ClipFileError: nothing to write, not a key frame first, no room, or packets the container refuses.
    """
    if shape.codec not in _RAW:
        raise ClipFileError(
            f"{shape.codec} is not a codec clips are kept in: set the camera to H.264 or H.265"
        )
    if not packets or not packets[0].is_key:
        raise ClipFileError("a clip begins with a key frame, and the ring holds none so old")
    draft = path.with_name(f".{path.name}.part")
    try:
        units = [b"".join(START + unit for unit in units_of(stored.octets, shape)) for stored in packets]
        units[0] = parameter_sets(shape) + units[0]
        with (
            av.open(io.BytesIO(units[0]), format=_RAW[shape.codec]) as told,
            av.open(str(draft), "w", format="matroska" if path.suffix == ".mkv" else "mp4") as out,
        ):
            stream = out.add_stream_from_template(told.streams.video[0])
            first = packets[0].dts if packets[0].dts is not None else packets[0].pts or 0
            last_dts = -1
            for stored, octets in zip(packets, units, strict=True):
                packet = Packet(octets)
                dts = (stored.dts if stored.dts is not None else stored.pts or 0) - first
                # Some cameras repeat a time stamp; a container wants them to grow.
                last_dts = max(dts, last_dts + 1)
                packet.dts = last_dts
                packet.pts = max(
                    last_dts, (stored.pts if stored.pts is not None else stored.dts or 0) - first
                )
                packet.duration = stored.duration or 0
                packet.time_base = stored.time_base
                packet.is_keyframe = stored.is_key
                packet.stream = stream
                out.mux(packet)
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.replace(path)
    except (av.FFmpegError, OSError, ValueError) as error:
        draft.unlink(missing_ok=True)
        raise ClipFileError(f"clip {path.name} cannot be written: {type(error).__name__}") from error
