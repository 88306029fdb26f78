"""One camera: frames to the detector, packets to the ring, and a name for everything that is wrong with the picture."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from msgspec import Struct

from gatehouse_edge.clock import Clock
from gatehouse_edge.drivers.camera_picture import PictureSettings, Verdict
from gatehouse_edge.drivers.camera_port import DetectorPort
from gatehouse_edge.drivers.camera_ring import PacketRing
from gatehouse_edge.drivers.camera_stream import CameraStream, StreamSettings
from gatehouse_edge.ports import Inbox
from gatehouse_edge.reading import CameraReading, PictureState

_log = logging.getLogger(__name__)


class CameraSettings(Struct, frozen=True, kw_only=True):
    """One camera of gateway.yaml, as the driver needs it."""

    camera_id: str
    url: str
    frozen_after_s: float = 5.0
    lost_after_s: float = 5.0
    """No decoded frame for so long is a lost camera (`max_silence_s` of the configuration)."""
    report_every_s: float = 5.0
    ring_s: float = 30.0
    """Evidence reaches 10 s before an event and is cut a little after it ended."""
    ring_bytes: int = 32 * 1024 * 1024
    """30 s at 8 Mbit/s, the most an estate camera sends."""
    black_after_s: float = 2.0


class CameraDriver:
    """Watches one camera for ever; its expected faults are `CameraReading`s, never exceptions."""

    def __init__(
        self, settings: CameraSettings, *, inbox: Inbox, clock: Clock, detector: DetectorPort | None = None
    ) -> None:
        self.settings: Final = settings
        self.ring: Final = PacketRing(keep_s=settings.ring_s, limit_bytes=settings.ring_bytes)
        self._inbox: Final = inbox
        self._clock: Final = clock
        self._detector: Final = detector

    async def run(self) -> None:
        """Read the camera until cancelled. Reports on each change and every `report_every_s`."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed while the thread was in FFmpeg
                loop.call_soon_threadsafe(changed.set)

        stream = CameraStream(
            StreamSettings(
                camera_id=self.settings.camera_id,
                url=self.settings.url,
                picture=PictureSettings(
                    frozen_after_s=self.settings.frozen_after_s, black_after_s=self.settings.black_after_s
                ),
            ),
            clock=self._clock,
            ring=self.ring,
            detector=self._detector,
            on_change=wake,
        )
        stream.start()
        try:
            await self._report(stream, changed)
        finally:
            stream.stop()

    async def _report(self, stream: CameraStream, changed: asyncio.Event) -> None:
        began_s = self._clock.now().service_s
        told: PictureState | None = None
        told_s, told_frames = began_s, 0
        while True:
            changed.clear()
            if stream.bug is not None:
                raise stream.bug
            now = self._clock.now()
            verdict = self._judge(stream, began_s, now.service_s)
            elapsed_s = now.service_s - told_s
            if verdict is not None and (
                verdict.picture is not told or elapsed_s >= self.settings.report_every_s
            ):
                frames = stream.pulse.frames
                rate = (frames - told_frames) / elapsed_s if elapsed_s > 0 else None
                self._log_change(told, verdict)
                told, told_s, told_frames = verdict.picture, now.service_s, frames
                await self._inbox.put(
                    CameraReading(
                        device_id=self.settings.camera_id,
                        at=now,
                        picture=verdict.picture,
                        frames_per_s=None if rate is None else round(rate, 1),
                        detail=verdict.detail,
                    )
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._wait_s(stream, told_s)):
                    await changed.wait()

    def _judge(self, stream: CameraStream, began_s: float, now_s: float) -> Verdict | None:
        """Return the verdict on the picture; None while the first frame may still come, or a reconnect is under way."""
        pulse = stream.pulse
        heard_s = began_s if pulse.frame_s is None else pulse.frame_s
        if now_s - heard_s >= self.settings.lost_after_s:
            why = pulse.fault or (
                f"{pulse.undecodable} packets cannot be decoded" if pulse.undecodable else "no packets"
            )
            return Verdict(PictureState.LOST, f"{why}, no picture for {self.settings.lost_after_s:g} s")
        return pulse.verdict

    def _wait_s(self, stream: CameraStream, told_s: float) -> float:
        """Return how long nothing need be looked at: until the next report or until the picture would be lost."""
        now_s = self._clock.now().service_s
        due_s = told_s + self.settings.report_every_s - now_s
        if stream.pulse.frame_s is not None:
            lost_s = stream.pulse.frame_s + self.settings.lost_after_s - now_s
            due_s = min(due_s, lost_s) if lost_s > 0 else due_s
        return max(0.25, min(due_s, self.settings.lost_after_s))

    def _log_change(self, told: PictureState | None, verdict: Verdict) -> None:
        if verdict.picture is told:
            return
        extra = {"device_id": self.settings.camera_id}
        if verdict.picture is PictureState.OK:
            _log.info("camera %s shows a living picture", self.settings.camera_id, extra=extra)
        else:
            _log.warning(
                "camera %s is %s: %s", self.settings.camera_id, verdict.picture, verdict.detail, extra=extra
            )
