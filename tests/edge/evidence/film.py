"""A small film made here: a house wall with windows of different brightness and a dot that falls. No footage of anybody."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import av
import numpy as np

from gatehouse_edge.drivers.camera_ring import StoredPacket
from gatehouse_edge.drivers.clip_file import StreamShape
from gatehouse_edge.evidence.promise import Box, Drawn, Promise
from gatehouse_edge.vision.facade import Calibration, FloorLine, Origin
from gatehouse_events.clock import ClockQuality, ClockSource
from gatehouse_events.evidence import ClockBasis, EvidenceClock, EvidenceModel

WIDTH, HEIGHT, FPS = 320, 240, 10
FALL_AT_S, FALL_S = 12.0, 1.0
AT = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)
BASE_PTS = 9_000_000
"""A camera's own time begins anywhere."""


def wall(seed: int = 1) -> np.ndarray:
    """A façade: fine texture everywhere, so that coarse and clear can be told apart."""
    rng = np.random.default_rng(seed)
    picture = np.repeat(rng.integers(60, 200, (HEIGHT, WIDTH, 1), np.uint8), 3, axis=2)
    picture[20:200:40, :, :] = 220
    return picture


def box_at(t_s: float) -> tuple[float, float, float, float]:
    share = (t_s - FALL_AT_S) / FALL_S
    return 150.0, 30.0 + 170.0 * share**2, 6.0, 6.0


def pictures(seconds: float):
    background = wall()
    for number in range(round(seconds * FPS)):
        picture, t_s = background.copy(), number / FPS
        if FALL_AT_S <= t_s <= FALL_AT_S + FALL_S:
            x, y, w, h = (round(v) for v in box_at(t_s))
            picture[y : y + h, x : x + w] = (0, 0, 255)
        yield picture


def film(
    seconds: float = 20.0, *, codec: str = "libx264", form: str = "h264", arrived_from_s: float = 1000.0
):
    """Return packets as a ring holds them and the stream's shape."""
    raw = io.BytesIO()
    with av.open(raw, "w", format=form) as out:
        stream = out.add_stream(
            codec,
            rate=FPS,
            options={
                "crf": "18",
                "preset": "ultrafast",
                "g": "20",
                "bf": "0",
                "x265-params": "log-level=none:bframes=0:keyint=20",
            },
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures(seconds):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode(None))
    raw.seek(0)
    packets = []
    with av.open(raw, format=form) as told:
        video = told.streams.video[0]
        extradata = bytes(video.codec_context.extradata or b"")
        for packet in told.demux(video):
            if packet.size == 0:
                continue
            number = len(packets)
            pts = BASE_PTS + number * 90_000 // FPS
            packets.append(
                StoredPacket(
                    octets=bytes(packet), pts=pts, dts=pts, duration=90_000 // FPS, time_base=Fraction(1, 90_000),
                    is_key=packet.is_keyframe, arrived_s=arrived_from_s + number / FPS + 0.04,
                )
            )  # fmt: skip
    name = {"h264": "h264", "hevc": "hevc"}[form]
    shape = StreamShape(
        codec=name, width_px=WIDTH, height_px=HEIGHT, extradata=extradata, time_base=Fraction(1, 90_000)
    )
    return packets, shape


def calibration(**changes) -> Calibration:
    fields = {
        "width_px": WIDTH, "height_px": HEIGHT,
        "facade": ((40.0, 10.0), (280.0, 12.0), (290.0, 220.0), (30.0, 222.0)),
        "floors": tuple(
            FloorLine(floor=n, left=(30.0 + n, 222.0 - 32 * (n - 1)), right=(290.0 - n, 220.0 - 32 * (n - 1)))
            for n in range(1, 7)
        ),
        "columns": 6, "landing": (((100.0, 205.0), (200.0, 205.0), (200.0, 239.0), (100.0, 239.0)),),
    }  # fmt: skip
    return Calibration(**fields | changes)


def promised(*, arrived_from_s: float = 1000.0, drawn: Calibration | None = None, **changes) -> Promise:
    """Return what a camera's process would have seen in `film`."""
    boxes = []
    for number in range(round(FALL_AT_S * FPS), round((FALL_AT_S + FALL_S) * FPS) + 1):
        x, y, w, h = box_at(number / FPS)
        boxes.append(
            Box(
                pts_s=BASE_PTS / 90_000 + number / FPS, arrived_s=arrived_from_s + number / FPS + 0.04,
                x=x, y=y, width_px=w, height_px=h,
            )
        )  # fmt: skip
    fields = {
        "event_id": "cam-1-20261126T030000000000", "gateway_id": "gw-test", "camera_id": "cam-1", "boxes": tuple(boxes),
        "first_seen_at": AT, "width_px": WIDTH, "height_px": HEIGHT, "config_sha256": "c" * 64,
        "clock": EvidenceClock(
            basis=ClockBasis.ARRIVAL, camera_offset_ms=None, boot="0" * 32, mono_ns=5_000_000_000,
            gateway=ClockQuality(synced=True, offset_ms=3.0, source=ClockSource.NTP),
        ),
        "model": EvidenceModel(version="0.1", sha256="a" * 64, probability=0.91),
        "drawn": Drawn(version=1, sha256="b" * 64, calibration=drawn or calibration()),
        "origin": Origin(
            floor_low=5, floor_high=6, probability=0.93, column=3, landing_px=(153.0, 203.0), fall_s=1.1, speed_m_s=11.0
        ),
    }  # fmt: skip
    return Promise(**fields | changes)


MADE_AT = AT + timedelta(seconds=20)
