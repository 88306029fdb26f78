"""Reads one camera with PyAV, in a thread of its own, and opens it again whenever it breaks.

Decodes once and keeps luma only. Runs in the process of its camera. FFmpeg calls are bounded by an interrupt deadline, so a camera that stalls costs its own
thread two seconds and its neighbours nothing (frigate #3436: one hanging stream delayed all others).
"""

from __future__ import annotations

import random
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from msgspec import Struct

from gatehouse_edge.clock import Clock
from gatehouse_edge.drivers import camera_complaints
from gatehouse_edge.drivers.camera_flow import FlowJudge, FlowSettings
from gatehouse_edge.drivers.camera_picture import PictureJudge, PictureSettings, Verdict
from gatehouse_edge.drivers.camera_port import DetectorPort, Luma, LumaFrame
from gatehouse_edge.drivers.camera_ring import PacketRing, StoredPacket
from gatehouse_edge.drivers.camera_time import BELIEVED_S, CaptureClock
from gatehouse_edge.drivers.camera_view import ViewJudge
from gatehouse_edge.drivers.camera_wire import CameraSettings
from gatehouse_edge.drivers.clip_file import StreamShape
from gatehouse_edge.reading import Flaw, PictureState
from gatehouse_events.evidence import ClockBasis

_PLANAR_LUMA: Final = frozenset(
    {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"}
)
"""Formats whose first plane is 8 bit luma; others are converted."""
_LIVE_OPTIONS: Final = {"fflags": "nobuffer", "analyzeduration": "500000", "probesize": "500000"}
"""A live stream should show its first frame within about a second; FFmpeg would look for five."""
_UDP_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""A key frame of 4 Mbit/s video comes in one burst of 100 packets and more; the kernel's default holds a third of that."""
_PRODUCER_TIME: Final = struct.Struct("=q")
STILL_S: Final = 3.0
Picture = npt.NDArray[np.uint8]
"""One picture in colour, shape (height, width, 3), blue first."""
_FLAWS_EVERY_S: Final = 0.5
_DAY_S: Final = 86_400.0
MAX_PIXELS: Final = 3840 * 2160 * 2
"""A stream that claims more than twice 4K is broken or hostile."""


class Pulse(Struct, frozen=True, kw_only=True):
    """How a stream is doing; replaced as a whole, so any thread may look."""

    frame_s: float | None = None
    """Service time of the last decoded frame; None before the first."""
    frames: int = 0
    verdict: Verdict | None = None
    flaws: dict[Flaw, str] = {}
    """As in `CameraReading`; kept while there is no picture."""
    frames_per_s: float | None = None
    fault: str = ""
    """Why the stream last broke; empty while it runs."""
    undecodable: int = 0
    """Packets the decoder refused, and pictures it gave up."""
    openings: int = 0
    size_px: tuple[int, int] | None = None
    clock: ClockBasis = ClockBasis.ARRIVAL
    clock_offset_s: float | None = None
    lag_s: float = 0.0


class CameraStream:
    """The reader of one camera: `start` its thread once, `stop` it once."""

    def __init__(
        self,
        settings: CameraSettings,
        *,
        clock: Clock,
        ring: PacketRing,
        detector: DetectorPort | None,
        on_change: Callable[[], None],
        on_break: Callable[[str], None] = lambda _: None,
        view: ViewJudge | None = None,
    ) -> None:
        """Prepare.

        Args:
            settings: of the camera.
            clock: the gateway's time scale.
            ring: filled here, emptied when a stream begins.
            detector: takes the frames; None: nobody does.
            on_change: called in the reader thread when the verdict, a flaw or the fault changed.
            on_break: called in the reader thread with the reason before the ring is emptied: what was promised of it must be taken now.
            view: judges blur and aim; None: nobody does.
        """
        self.settings: Final = settings
        self.pulse = Pulse()
        self.shape: StreamShape | None = None
        """What a clip has to know of the stream; None before the first opening."""
        self.drawn_size_px: tuple[int, int] | None = None
        """Size of the still that was drawn on; None: nothing was. Set by whoever knows."""
        self.view = view
        self.bug: Exception | None = None
        """What ended the thread though it should never happen; the listener raises it."""
        self.stepped_s = clock.now().service_s
        """Service time at which the thread last did something; it stands still while FFmpeg hangs."""
        self._clock: Final = clock
        self._ring: Final = ring
        self._detector: Final = detector
        self._on_change: Final = on_change
        self._on_break: Final = on_break
        self._stop: Final = threading.Event()
        self._source: Final = source_of(settings)
        self._flow: Final = FlowJudge(
            FlowSettings(
                min_frames_per_s=settings.min_frames_per_s,
                window_s=settings.flaw_window_s,
                breaks_window_s=settings.breaks_window_s,
            )
        )
        self._still: Picture | None = None
        self._still_s: float | None = None
        """Since when a picture is asked for."""
        self._first_size_px: tuple[int, int] | None = None
        # A daemon: a thread inside an FFmpeg call must not keep a stopping process waiting for its deadline.
        self._thread: Final = threading.Thread(
            target=self._guarded, name=f"camera {settings.camera_id}", daemon=True
        )

    def start(self) -> None:
        """Begin reading."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end, without waiting: it does within `read_limit_s` and reports nothing more."""
        self._stop.set()

    def ask_still(self) -> None:
        """Ask for the next picture in colour; `take_still` has it soon after."""
        self._still_s = self._clock.now().service_s

    def take_still(self, *, give_up: bool = False) -> Picture | None:
        """Return the picture that was asked for, once; None: it has not come yet. `give_up` asks no more."""
        picture, self._still = self._still, None
        if picture is not None or give_up:
            self._still_s = None
        return picture

    @property
    def is_still_overdue(self) -> bool:
        """A picture was asked for, and none has come within `STILL_S`."""
        return self._still_s is not None and self._clock.now().service_s - self._still_s > STILL_S

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end and return whether it came. Blocks."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _guarded(self) -> None:
        camera_complaints.listen()
        try:
            self._run()
        except Exception as error:  # noqa: BLE001  # not swallowed: carried to the event loop, which ends loudly
            self.bug = error
            if not self._stop.is_set():
                self._on_change()

    def _run(self) -> None:
        retry_s = self.settings.first_retry_s
        while not self._stop.is_set():
            frames_before = self.pulse.frames
            try:
                self._watch()
                fault = "码流结束 the stream ended"
            except (av.FFmpegError, OSError, ValueError) as error:
                fault = _reason(error)
            if self._stop.is_set():
                return
            has_played = self.pulse.frames > frames_before
            if has_played:
                retry_s = self.settings.first_retry_s
                self._on_break(fault)
            if self._source.is_file and has_played:
                if self.settings.repeat_file:
                    continue
                fault = "文件已播放完毕 the file has ended"
            self._change(fault=fault, verdict=None)
            # Jitter: forty cameras behind one switch must not all knock at the same instant.
            wait_s = retry_s * random.uniform(0.75, 1.25)  # noqa: S311  # not a secret
            is_over = self._source.is_file and has_played
            self._rest(wait_s if not is_over else float("inf"))
            retry_s = min(retry_s * 2, self.settings.last_retry_s)

    def _rest(self, wait_s: float) -> None:
        """Wait, and show that it is a wait and not a hang."""
        until_s = self._clock.now().service_s + wait_s
        while not self._stop.is_set():
            self.stepped_s = now_s = self._clock.now().service_s
            if now_s >= until_s:
                return
            self._stop.wait(min(1.0, until_s - now_s))

    def _watch(self) -> None:
        """Open the camera and read until it ends, breaks or `stop` is called.

        Raises:
            av.FFmpegError: the stream cannot be opened or read on.
            ValueError: it has no usable video.
        """
        self.stepped_s = self._clock.now().service_s
        limits = (self.settings.open_limit_s, self.settings.read_limit_s)
        source = self._source
        with av.open(
            source.address,
            format=source.format,
            timeout=limits,
            options=dict(source.options),
            metadata_errors="ignore",
        ) as container:
            if not container.streams.video:
                raise ValueError("码流中无视频 no video in the stream")
            video = container.streams.video[0]
            video.thread_type = "NONE"  # frame threads would each hold reference pictures
            if not 0 < video.width * video.height <= MAX_PIXELS:
                raise ValueError(f"画面尺寸异常 impossible picture size {video.width} x {video.height}")
            self._begin(video)
            reading = _Reading(
                judge=PictureJudge(
                    PictureSettings(
                        frozen_after_s=self.settings.frozen_after_s, black_after_s=self.settings.black_after_s
                    )
                ),
                capture=CaptureClock(is_file=source.is_file),
                began_s=self._clock.now().service_s,
            )
            for packet in container.demux(video):
                if self._stop.is_set():
                    return
                self._take(packet, reading)

    def _begin(self, video: VideoStream) -> None:
        """A stream is open: what was known of the last one is old."""
        self._ring.clear()
        now_s = self._clock.now().service_s
        self._flow.opened(now_s, is_counted=not self._source.is_file)
        if self.view is not None:
            self.view.restart()
        self.shape = StreamShape(
            codec=video.codec_context.name,
            width_px=video.width,
            height_px=video.height,
            extradata=bytes(video.codec_context.extradata or b""),
            time_base=video.time_base or Fraction(1, 90_000),
        )
        self._change(fault="", verdict=None, openings=self.pulse.openings + 1)

    def _take(self, packet: Packet[VideoStream], reading: _Reading) -> None:
        """Keep one packet, decode it and show what comes of it."""
        self.stepped_s = now_s = self._clock.now().service_s
        self._keep(packet)
        self._flow.packet(now_s)
        told_s = camera_wall_s(packet)
        if told_s is not None and packet.pts is not None and packet.time_base is not None:
            reading.capture.tell(pts_s=float(packet.pts * packet.time_base), camera_wall_s=told_s)
        frames = self._decode(packet, reading)
        self._heed(packet, reading, now_s)
        for frame in frames:
            if self._source.is_file and frame.time is not None:
                if reading.first_pts_s is None:
                    reading.first_pts_s = frame.time
                self._pace(reading.began_s + frame.time - reading.first_pts_s)
            self._show(frame, reading)

    def _heed(self, packet: Packet[VideoStream], reading: _Reading, now_s: float) -> None:
        """Count a packet of which FFmpeg has complained; before the first key frame it has every reason to."""
        complaints = camera_complaints.heard()
        if complaints > reading.complaints and reading.has_key:
            self._flow.bad(now_s)
            self._change(undecodable=self.pulse.undecodable + 1)
        reading.complaints = complaints
        reading.has_key = reading.has_key or packet.is_keyframe

    def _keep(self, packet: Packet[VideoStream]) -> None:
        if packet.size == 0 or packet.time_base is None:  # the flush at the end of a file
            return
        if (
            self.shape is not None and self.shape.codec == "rawvideo"
        ):  # 60 MB a second, and nothing can play it
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

    def _decode(self, packet: Packet[VideoStream], reading: _Reading) -> list[VideoFrame]:
        try:
            return list(packet.decode())
        except av.error.InvalidDataError:
            reading.complaints -= 1  # so that it counts also if nothing was logged
            return []

    def _pace(self, due_s: float) -> None:
        """Play a file at its own speed."""
        self._stop.wait(max(0.0, due_s - self._clock.now().service_s))

    def _show(self, frame: VideoFrame, reading: _Reading) -> None:
        now = self._clock.now()
        if frame.is_corrupt:  # joined in the middle of a group, or broken: complained of above if it matters
            return
        if self._still_s is not None and self._still is None:
            self._still = np.ascontiguousarray(frame.to_ndarray(format="bgr24"))
        luma = luma_of(frame)
        size_px = (luma.shape[1], luma.shape[0])
        if self.pulse.size_px not in {None, size_px} and reading.has_shown:
            self._on_break("画面尺寸改变 the picture size changed")
            self._ring.begin_anew()
            if self.shape is not None:
                self.shape = replace(self.shape, width_px=size_px[0], height_px=size_px[1])
            reading.judge = PictureJudge(reading.judge.settings)
        reading.has_shown = True
        stamp = reading.capture.stamp(frame.time, now)
        reading.runs += stamp.is_new_run
        reading.judge.see(luma, pts_s=frame.time, is_key=bool(frame.key_frame), now_s=now.service_s)
        verdict = reading.judge.verdict(now.service_s)
        self._flow.frame(now.service_s, stamp.capture_s, is_timed=stamp.is_timed)
        if self.view is not None and verdict.picture is PictureState.OK:
            self.view.see(luma, now.service_s)
        if now.service_s >= reading.judged_s + _FLAWS_EVERY_S:
            reading.judged_s = now.service_s
            self._change(flaws=self._flaws(size_px, reading, verdict, now.service_s))
        self._change(
            frame_s=now.service_s,
            frames=self.pulse.frames + 1,
            verdict=verdict,
            fault="",
            size_px=size_px,
            clock=stamp.clock,
            clock_offset_s=reading.capture.clock_offset_s,
            lag_s=reading.capture.lag_s,
            frames_per_s=self._flow.frames_per_s,
        )
        if self._detector is not None:
            self._detector.offer(
                LumaFrame(
                    camera_id=self.settings.camera_id,
                    luma=luma,
                    pts_s=frame.time,
                    stamp=stamp,
                    opening=self.pulse.openings * 1000 + reading.runs,
                    at=now,
                )
            )

    def _flaws(
        self, size_px: tuple[int, int], reading: _Reading, verdict: Verdict, now_s: float
    ) -> dict[Flaw, str]:
        found = self._flow.flaws(now_s)
        if self.view is not None and verdict.picture is PictureState.OK:
            found |= self.view.flaws
        self._first_size_px = self._first_size_px or size_px
        wanted_px = self.drawn_size_px or self._first_size_px
        found[Flaw.RESIZED] = "" if wanted_px == size_px else _resized(wanted_px, size_px)
        offset_s = reading.capture.clock_offset_s
        found[Flaw.CLOCK] = "" if offset_s is None or abs(offset_s) <= BELIEVED_S else _astray(offset_s)
        return found

    def _change(self, **news: object) -> None:
        """Replace the pulse; wake the listener if what people see has changed."""
        before = self.pulse
        fields = {name: getattr(before, name) for name in Pulse.__struct_fields__} | news
        self.pulse = Pulse(**fields)
        is_news = _seen(before) != _seen(self.pulse)
        if is_news and not self._stop.is_set():
            self._on_change()


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What belongs to one opened stream."""

    judge: PictureJudge
    capture: CaptureClock
    began_s: float
    first_pts_s: float | None = None
    has_shown: bool = False
    has_key: bool = False
    complaints: int = 0
    """Of FFmpeg, heard by this thread when the last packet had been decoded."""
    runs: int = 0
    """Leaps of the time stamps so far."""
    judged_s: float = 0.0


class Source(Struct, frozen=True, kw_only=True):
    """How FFmpeg is to open a camera."""

    address: str
    format: str | None
    options: dict[str, str]
    is_file: bool


def source_of(settings: CameraSettings) -> Source:
    """Return how to open what a camera's address names."""
    url = settings.url
    if url.startswith("/dev/video"):
        return Source(address=url, format="v4l2", options={}, is_file=False)
    if "://" not in url:
        return Source(address=url, format=None, options={}, is_file=True)
    options = dict(_LIVE_OPTIONS)
    if url.startswith("rtsp"):
        options["rtsp_transport"] = settings.transport
        if settings.transport == "udp":
            options["buffer_size"] = str(_UDP_BUFFER_BYTES)
    return Source(address=url, format=None, options=options, is_file=False)


def camera_wall_s(packet: Packet[VideoStream]) -> float | None:
    """Return what the camera's clock said when it took this picture, seconds since 1970; None: it has not said.

    FFmpeg extends the camera's last RTCP sender report to each packet (`AVProducerReferenceTime`: microseconds, flags).
    """
    if not packet.has_sidedata("prft"):
        return None
    raw = bytes(packet.get_sidedata("prft"))
    if len(raw) < _PRODUCER_TIME.size:
        return None
    (wall_us,) = _PRODUCER_TIME.unpack_from(raw)
    return float(wall_us) / 1e6


def luma_of(frame: VideoFrame) -> Luma:
    """Return the frame's luma, not to be written to, converting only if its first plane is not luma already. It keeps the decoder's picture alive."""
    source = frame if frame.format.name in _PLANAR_LUMA else frame.reformat(format="gray")
    plane = source.planes[0]
    rows: Luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    luma = rows[: source.height, : source.width]
    luma.flags.writeable = False  # the decoder may still foretell other pictures from it
    return luma


def _seen(pulse: Pulse) -> tuple[object, ...]:
    standing = frozenset(flaw for flaw, words in pulse.flaws.items() if words)
    return (pulse.verdict.picture if pulse.verdict else None, pulse.fault, standing)


def _resized(wanted_px: tuple[int, int], size_px: tuple[int, int]) -> str:
    wanted, found = ("x".join(map(str, size)) for size in (wanted_px, size_px))
    return f"画面由{wanted}变为{found}：恢复设置或重新标定 picture {found}, not {wanted}: set it back or draw it anew"


def _astray(offset_s: float) -> str:
    size = f"{offset_s:+.1f} s" if abs(offset_s) < _DAY_S else f"{offset_s / _DAY_S:+.0f} d"
    return f"摄像机时钟相差{size}：设置NTP camera clock off by {size}: set its NTP server; arrival times are used"


def _reason(error: Exception) -> str:
    """Say why in a few words. Never `str` of an FFmpeg error: that holds the address, hence perhaps a password."""
    if isinstance(error, av.error.ExitError):  # our own deadline interrupted FFmpeg
        return "无应答 no answer"
    text = error.strerror if isinstance(error, av.FFmpegError | OSError) else str(error)
    return "".join(char for char in text or "unreadable" if char.isprintable())[:120]
