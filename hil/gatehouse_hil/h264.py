"""H.264 of drawn pictures (x264 through PyAV) and its RTP packets (RFC 6184, RFC 3550)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

import av
import numpy as np

from gatehouse_hil.facade import Luma

_PAYLOAD_BYTES: Final = 1400
"""Below an Ethernet frame, as cameras do even over TCP."""
_FU_A: Final = 28
_SPS, _PPS, _IDR = 7, 8, 5
_NTP_ZERO: Final = datetime(1900, 1, 1, tzinfo=UTC)
RTP_TYPE: Final = 96
RTP_HZ: Final = 90_000


class Encoder:
    """Turns luma pictures into access units without delay: no B frames, a key frame every second."""

    def __init__(self, width: int, height: int, fps: int) -> None:
        context = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.framerate = Fraction(fps)
        context.gop_size = fps
        context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "x264-params": f"keyint={fps}:log-level=-1",
        }
        self._context: Final = context
        self._shape: Final = (height * 3 // 2, width)

    def encode(self, luma: Luma, number: int) -> bytes:
        """Return the access unit (Annex B, start codes) of picture `number`."""
        planes = np.full(self._shape, 128, np.uint8)
        planes[: luma.shape[0]] = luma
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        return b"".join(bytes(packet) for packet in self._context.encode(frame))


def units(access_unit: bytes) -> list[bytes]:
    """Split an Annex B access unit into its NAL units (without start codes)."""
    parts = access_unit.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return [part for part in parts if part]


def is_key(access_unit: bytes) -> bool:
    """Whether a decoder can start here."""
    return any(unit[0] & 31 == _IDR for unit in units(access_unit))


def parameter_sets(access_unit: bytes) -> list[bytes]:
    """Return the sequence and picture parameter sets in a key access unit."""
    return [unit for unit in units(access_unit) if unit[0] & 31 in (_SPS, _PPS)]


class Packetizer:
    """RTP packets of one sender: 16 bit sequence, one timestamp per picture, marker on its last packet."""

    def __init__(self, ssrc: int = 0x47480001) -> None:
        self._ssrc: Final = ssrc
        self._sequence = 1
        self._packets = 0
        self._octets = 0

    def report(self, timestamp: int, at: datetime) -> bytes:
        """Return a compound RTCP packet that says what time it was at a timestamp (RFC 3550 §6.4.1 SR, §6.5 SDES)."""
        seconds = (at - _NTP_ZERO).total_seconds()
        whole = int(seconds)
        fraction = int((seconds - whole) * 2**32)
        report = struct.pack(
            ">BBHIIIIII",
            0x80,
            200,
            6,
            self._ssrc,
            whole & 0xFFFFFFFF,
            fraction,
            timestamp & 0xFFFFFFFF,
            self._packets & 0xFFFFFFFF,
            self._octets & 0xFFFFFFFF,
        )
        item = (
            b"\x01\x06camera\0\0\0\0"  # CNAME, its length, the name; at least one zero ends it, up to a word
        )
        return report + struct.pack(">BBHI", 0x81, 202, 1 + len(item) // 4, self._ssrc) + item

    def packets(self, access_unit: bytes, timestamp: int) -> Iterator[bytes]:
        """Yield the RTP packets of one picture (RFC 6184 §5.6 single units, §5.8 FU-A fragments)."""
        payloads = [payload for unit in units(access_unit) for payload in _payloads(unit)]
        for index, payload in enumerate(payloads):
            marker = 0x80 if index == len(payloads) - 1 else 0
            header = struct.pack(
                ">BBHII", 0x80, marker | RTP_TYPE, self._sequence, timestamp & 0xFFFFFFFF, self._ssrc
            )
            self._sequence = (self._sequence + 1) & 0xFFFF
            self._packets += 1
            self._octets += len(payload)
            yield header + payload


def _payloads(unit: bytes) -> Iterator[bytes]:
    if len(unit) <= _PAYLOAD_BYTES:
        yield unit
        return
    indicator, kind = unit[0] & 0xE0 | _FU_A, unit[0] & 31
    for offset in range(1, len(unit), _PAYLOAD_BYTES):
        part = unit[offset : offset + _PAYLOAD_BYTES]
        start = 0x80 if offset == 1 else 0
        end = 0x40 if offset + _PAYLOAD_BYTES >= len(unit) else 0
        yield bytes((indicator, start | end | kind)) + part
