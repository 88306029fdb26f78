"""A film drawn here: the front of a building at dusk and a thing that falls from it. Nobody's footage."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import cv2
import numpy as np

from gatehouse_edge.drivers.camera_ring import StoredPacket
from gatehouse_edge.drivers.clip_file import StreamShape
from gatehouse_edge.drivers.clip_keep import keep
from gatehouse_edge.evidence.promise import Box, Promise
from gatehouse_edge.vision.origin import Origin
from gatehouse_events.clock import ClockQuality, ClockSource
from gatehouse_events.evidence import ClockBasis, EvidenceClock, EvidenceModel

WIDTH, HEIGHT, FPS = 360, 480, 10
LENGTH_S, FALL_AT_S, FALL_S = 18.0, 10.5, 1.6
COLUMNS, FLOORS = 9, 14
TICKS = 90_000


def front():
    rng = np.random.default_rng(7)
    picture = np.full((HEIGHT, WIDTH, 3), (150, 146, 140), np.uint8)
    cv2.rectangle(picture, (40, 24), (320, 446), (128, 124, 118), -1)
    cv2.rectangle(picture, (0, 446), (WIDTH, HEIGHT), (92, 96, 94), -1)
    for floor in range(FLOORS):
        for column in range(COLUMNS):
            left, top = 52 + column * 30, 36 + floor * 29
            shade = int(rng.integers(70, 100))
            colour = (shade + 14, shade + 6, shade) if rng.random() > 0.12 else (150, 190, 205)
            cv2.rectangle(picture, (left, top), (left + 20, top + 17), colour, -1)
            cv2.rectangle(picture, (left - 2, top + 19), (left + 22, top + 21), (112, 110, 106), -1)
    noise = rng.normal(0, 3, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def box_at(t_s):
    share = (t_s - FALL_AT_S) / FALL_S
    return 226.0 + 22 * share, 96.0 + 350.0 * share**2, 8.0, 8.0


def pictures():
    background = front()
    for number in range(round(LENGTH_S * FPS)):
        picture, t_s = background.copy(), number / FPS
        if FALL_AT_S <= t_s <= FALL_AT_S + FALL_S:
            x, y, w, h = (round(v) for v in box_at(t_s))
            picture[y : y + h, x : x + w] = (40, 40, 210)
        yield picture


def packets():
    raw = io.BytesIO()
    with av.open(raw, "w", format="h264") as out:
        options = {"crf": "20", "preset": "ultrafast", "g": "20", "bf": "0"}
        stream = out.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures():
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode(None))
    raw.seek(0)
    found = []
    with av.open(raw, format="h264") as told:
        video = told.streams.video[0]
        for packet in told.demux(video):
            if packet.size:
                pts = len(found) * TICKS // FPS
                found.append(
                    StoredPacket(
                        octets=bytes(packet), pts=pts, dts=pts, duration=TICKS // FPS, time_base=Fraction(1, TICKS),
                        is_key=packet.is_keyframe, arrived_s=1000 + len(found) / FPS,
                    )
                )  # fmt: skip
        extradata = bytes(video.codec_context.extradata or b"")
    shape = StreamShape(
        codec="h264", width_px=WIDTH, height_px=HEIGHT, extradata=extradata, time_base=Fraction(1, TICKS)
    )
    return found, shape


def keep_film(folder, camera_id, alarm_id, at):
    """Put the evidence of a throw into the drawer `folder`; returns what a camera's process tells the gateway."""
    boxes = tuple(
        Box(
            pts_s=number / FPS,
            arrived_s=1000 + number / FPS,
            **dict(zip(("x", "y", "width_px", "height_px"), box_at(number / FPS), strict=True)),
        )
        for number in range(round(FALL_AT_S * FPS), round((FALL_AT_S + FALL_S) * FPS) + 1)
    )
    promise = Promise(
        event_id=f"{camera_id}-{at:%Y%m%dT%H%M%S%f}", gateway_id="wh-371002-0007-gw1", camera_id=camera_id, boxes=boxes,
        first_seen_at=at, width_px=WIDTH, height_px=HEIGHT, config_sha256="c" * 64, alarm_id=alarm_id, drawn=None,
        clock=EvidenceClock(
            basis=ClockBasis.ARRIVAL, camera_offset_ms=None, boot="0" * 32, mono_ns=5_000_000_000,
            gateway=ClockQuality(synced=True, offset_ms=3.0, source=ClockSource.NTP),
        ),
        model=EvidenceModel(version="0.2", sha256="a" * 64, probability=0.93),
        origin=Origin(
            floor_low=17, floor_high=20, probability=0.93, column=7, landing_px=(248.0, 446.0), fall_s=1.6, speed_m_s=15.0
        ),
    )  # fmt: skip
    found, shape = packets()
    return keep(promise, found, shape, folder, made_at=at)
