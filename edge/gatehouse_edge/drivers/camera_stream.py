"""Reads one camera with PyAV, in a thread of its own, and opens it again whenever it breaks.

Decodes once and keeps luma only. FFmpeg calls are bounded by an interrupt deadline, so a camera that stalls costs its own
thread two seconds and its neighbours nothing (frigate #3436: one hanging stream delayed all others).
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import Final

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from msgspec import Struct

from gatehouse_edge.clock import Clock
from gatehouse_edge.drivers.camera_picture import PictureJudge, PictureSettings, Verdict
from gatehouse_edge.drivers.camera_port import DetectorPort, Luma, LumaFrame
from gatehouse_edge.drivers.camera_ring import PacketRing, StoredPacket

_log = logging.getLogger(__name__)

OPEN_TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 2.0
"""The longest a stalled camera keeps the thread from noticing that it should stop or reconnect."""
FIRST_RETRY_S: Final = 0.5
LAST_RETRY_S: Final = 5.0
_PLANAR_LUMA: Final = frozenset(
    {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"}
)
"""Formats whose first plane is 8 bit luma; others are converted."""
_LIVE_OPTIONS: Final = {"fflags": "nobuffer", "analyzeduration": "500000", "probesize": "500000"}
"""A live stream should show its first frame within about a second; FFmpeg would look for five."""
MAX_PIXELS: Final = 3840 * 2160 * 2
"""A stream that claims more than twice 4K is broken or hostile."""


class StreamSettings(Struct, frozen=True, kw_only=True):
    """One camera as it is read."""

    camera_id: str
    url: str
    """rtsp://, tcp://, udp:// or a file's path; may hold a password and is therefore never shown."""
    picture: PictureSettings = PictureSettings()


class Pulse(Struct, frozen=True, kw_only=True):
    """How a stream is doing; replaced as a whole, so any thread may look."""

    frame_s: float | None = None
    """Service time of the last decoded frame; None before the first."""
    frames: int = 0
    verdict: Verdict | None = None
    fault: str = ""
    """Why the stream last broke; empty while it runs."""
    undecodable: int = 0
    """Packets the decoder refused."""
    openings: int = 0


class CameraStream:
    """The reader of one camera: `start` its thread once, `stop` it once."""

    def __init__(
        self,
        settings: StreamSettings,
        *,
        clock: Clock,
        ring: PacketRing,
        detector: DetectorPort | None,
        on_change: Callable[[], None],
    ) -> None:
        """Prepare. `on_change` is called in the reader thread when the verdict or the fault changed."""
        self.settings: Final = settings
        self.pulse = Pulse()
        self.bug: Exception | None = None
        """What ended the thread though it should never happen; the listener raises it."""
        self._clock: Final = clock
        self._ring: Final = ring
        self._detector: Final = detector
        self._on_change: Final = on_change
        self._stop: Final = threading.Event()
        self._is_file: Final = "://" not in settings.url
        # A daemon: a thread inside an FFmpeg call must not keep a stopping gateway waiting for its deadline.
        self._thread: Final = threading.Thread(
            target=self._guarded, name=f"camera {settings.camera_id}", daemon=True
        )

    def start(self) -> None:
        """Begin reading."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end, without waiting: it does within `READ_TIMEOUT_S` and reports nothing more."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end and return whether it came. Blocks."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _guarded(self) -> None:
        try:
            self._run()
        except Exception as error:  # noqa: BLE001  # not swallowed: carried to the event loop, which ends loudly
            self.bug = error
            if not self._stop.is_set():
                self._on_change()

    def _run(self) -> None:
        retry_s = FIRST_RETRY_S
        while not self._stop.is_set():
            frames_before = self.pulse.frames
            try:
                self._watch()
                fault = "the stream ended"
            except (av.FFmpegError, OSError, ValueError) as error:
                fault = _reason(error)
            if self._stop.is_set():
                return
            if self.pulse.frames > frames_before:
                retry_s = FIRST_RETRY_S
            if self._is_file and fault == "the stream ended" and self.pulse.frames > frames_before:
                continue
            self._change(fault=fault, verdict=None)
            # Jitter: forty cameras behind one switch must not all knock at the same instant.
            self._stop.wait(retry_s * random.uniform(0.75, 1.25))  # noqa: S311  # not a secret
            retry_s = min(retry_s * 2, LAST_RETRY_S)

    def _watch(self) -> None:
        """Open the camera and read until it ends, breaks or `stop` is called.

        Raises:
            av.FFmpegError: the stream cannot be opened or read on.
            ValueError: it has no usable video.
        """
        settings = self.settings
        options = {} if self._is_file else dict(_LIVE_OPTIONS)
        if settings.url.startswith("rtsp"):
            options["rtsp_transport"] = "tcp"  # UDP loses packets that evidence needs
        limits = (OPEN_TIMEOUT_S, READ_TIMEOUT_S)
        with av.open(settings.url, timeout=limits, options=options, metadata_errors="ignore") as container:
            if not container.streams.video:
                raise ValueError("no video in the stream")
            video = container.streams.video[0]
            video.thread_type = "NONE"  # frame threads would each hold reference pictures
            if not 0 < video.width * video.height <= MAX_PIXELS:
                raise ValueError(f"impossible picture size {video.width} x {video.height}")
            self._ring.clear()
            self._change(fault="", verdict=None, openings=self.pulse.openings + 1)
            judge = PictureJudge(settings.picture)
            began_s, first_pts_s = self._clock.now().service_s, None
            for packet in container.demux(video):
                if self._stop.is_set():
                    return
                self._keep(packet)
                for frame in self._decode(packet):
                    if self._is_file and frame.time is not None:
                        first_pts_s = frame.time if first_pts_s is None else first_pts_s
                        self._pace(began_s + frame.time - first_pts_s)
                    self._show(frame, judge)

    def _keep(self, packet: Packet[VideoStream]) -> None:
        if packet.size == 0 or packet.time_base is None:  # the flush at the end of a file
            return
        self._ring.add(
            StoredPacket(
                octets=bytes(packet),
                pts=packet.pts,
                dts=packet.dts,
                duration=packet.duration,
                time_base=packet.time_base,
                is_key=packet.is_keyframe,
                arrived_s=self._clock.now().service_s,
            )
        )

    def _decode(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        try:
            return list(packet.decode())
        except av.error.InvalidDataError:
            self._change(undecodable=self.pulse.undecodable + 1)
            return []

    def _pace(self, due_s: float) -> None:
        """Play a file at its own speed."""
        self._stop.wait(max(0.0, due_s - self._clock.now().service_s))

    def _show(self, frame: VideoFrame, judge: PictureJudge) -> None:
        if frame.is_corrupt:
            return
        now = self._clock.now()
        luma = luma_of(frame)
        judge.see(luma, pts_s=frame.time, is_key=bool(frame.key_frame), now_s=now.service_s)
        self._change(
            frame_s=now.service_s,
            frames=self.pulse.frames + 1,
            verdict=judge.verdict(now.service_s),
            fault="",
        )
        if self._detector is not None:
            self._detector.offer(
                LumaFrame(camera_id=self.settings.camera_id, luma=luma, pts_s=frame.time, at=now)
            )

    def _change(self, **news: object) -> None:
        """Replace the pulse; wake the listener if what people see has changed."""
        before = self.pulse
        fields = {name: getattr(before, name) for name in Pulse.__struct_fields__} | news
        self.pulse = Pulse(**fields)
        is_news = _seen(before) != _seen(self.pulse)
        if is_news and not self._stop.is_set():
            self._on_change()


def luma_of(frame: VideoFrame) -> Luma:
    """Return a copy of the frame's luma, converting only if its first plane is not luma already."""
    source = frame if frame.format.name in _PLANAR_LUMA else frame.reformat(format="gray")
    plane = source.planes[0]
    rows: Luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: source.height, : source.width].copy()


def _seen(pulse: Pulse) -> tuple[object, ...]:
    return (pulse.verdict.picture if pulse.verdict else None, pulse.fault)


def _reason(error: Exception) -> str:
    """Say why in a few words. Never `str` of an FFmpeg error: that holds the address, hence perhaps a password."""
    if isinstance(error, av.error.ExitError):  # our own deadline interrupted FFmpeg
        return "no answer"
    text = error.strerror if isinstance(error, av.FFmpegError | OSError) else str(error)
    return "".join(char for char in text or "unreadable" if char.isprintable())[:120]
