"""The process of one camera: decoder, ring, picture checks, detection, clips. Started by `CameraDriver` with one connected socket.

Nothing in here can cost another camera a frame: it is a process of its own, yields to the gateway (`nice`), is the first to go when
memory runs out (`oom_score_adj`), and a main loop that stands still for `HANG_S` ends it, whatever holds it up.

Threads: this one speaks with the gateway; `camera …` reads and decodes; `watch …` detects; `clips …` writes. FFmpeg, OpenCV and
ONNX Runtime each run in one thread and without the interpreter's lock.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
import psutil

from gatehouse_edge.clock import ChildClock
from gatehouse_edge.drivers.camera_clips import CameraClips
from gatehouse_edge.drivers.camera_picture import Verdict
from gatehouse_edge.drivers.camera_port import FrameQueue
from gatehouse_edge.drivers.camera_ring import PacketRing
from gatehouse_edge.drivers.camera_stream import CameraStream, Picture
from gatehouse_edge.drivers.camera_view import ViewJudge
from gatehouse_edge.drivers.camera_watch import CameraWatch, Sighting
from gatehouse_edge.drivers.camera_wire import (
    AskStill,
    Begin,
    CameraSettings,
    Channel,
    End,
    Fall,
    Health,
    LastWords,
    Raised,
    Still,
    Told,
    WireError,
)
from gatehouse_edge.evidence.promise import Drawn, Promise
from gatehouse_edge.reading import CameraFigures, Flaw, PictureState
from gatehouse_events.evidence import EvidenceClock, EvidenceModel

HANG_S: Final = 20.0
"""A thread that has done nothing for so long hangs; FFmpeg's own limits are 5 s for opening and 2 s for a packet."""
EVERY_S: Final = 1.0
_FIRST_WORD_S: Final = 30.0
_NICE: Final = 5
_OOM_SCORE: Final = 600
_REST_S: Final = 0.7
"""A thread that detects has so long to tell what it still follows: the gateway hears a camera out for `camera._END_S`."""
_FINISH_S: Final = 5.0
_JPEG_QUALITY: Final = 92
_MIB: Final = 1 << 20


class Worker:
    """One camera, from `Begin` to `End`."""

    def __init__(self, channel: Channel, begin: Begin) -> None:
        self._channel: Final = channel
        self._begin: Final = begin
        self.settings: Final[CameraSettings] = begin.settings
        self._clock: Final = ChildClock(begin.now)
        self._quality = begin.now.clock
        self._news: Final = threading.Event()
        self._process: Final = psutil.Process()
        self._cpu: tuple[float, float] | None = None
        self._drawn = _drawn(begin.drawn)
        self._ring: Final = PacketRing(keep_s=self.settings.ring_s, limit_bytes=self.settings.ring_bytes)
        self._frames: Final = FrameQueue()
        self._watch: Final = self._make_watch()
        self._stream: Final = CameraStream(
            self.settings,
            clock=self._clock,
            ring=self._ring,
            detector=None if self._watch is None else self._frames,
            on_change=self._news.set,
            on_break=self._on_break,
        )
        self._clips: Final = self._make_clips()
        self._began_s: Final = self._clock.now().service_s
        self._told: tuple[object, ...] | None = None
        self._told_s = self._began_s

    def run(self) -> None:
        """Work until the gateway says `End` or is gone.

        Raises:
            Exception: something happened in one of the threads that should never happen.
        """
        self._see_anew()
        self._stream.start()
        if self._watch is not None:
            self._watch.start()
        if self._clips is not None:
            self._clips.start()
        try:
            while self._listen():
                faulthandler.dump_traceback_later(HANG_S, exit=True)
                self._look_for_trouble()
                self._report()
                self._answer_still()
                if self._clips is not None:
                    self._clips.step()
        finally:
            self._stream.stop()
            if self._watch is not None:
                self._watch.finish(_REST_S)
            if self._clips is not None:
                self._clips.finish(_FINISH_S)

    def _listen(self) -> bool:
        """Wait a moment for the gateway or for news of the stream; return whether to go on."""
        for _ in range(4):
            if self._news.is_set():
                break
            try:
                message = self._channel.receive(EVERY_S / 4)
            except WireError:
                return False
            if isinstance(message, End):
                return False
            if isinstance(message, Raised) and self._clips is not None:
                self._clips.raised(message.throw_id, message.alarm_id)
            if isinstance(message, AskStill):
                self._stream.ask_still()
            if isinstance(message, Told):
                self._quality = message.clock
                if message.drawn != self._begin.drawn or self._drawn is not None:
                    self._draw(_drawn(message.drawn))
        self._news.clear()
        return True

    def _draw(self, drawn: Drawn | None) -> None:
        if drawn == self._drawn:
            return
        self._drawn = drawn
        if self._watch is not None:
            self._watch.draw(drawn)
        self._see_anew()

    def _see_anew(self) -> None:
        """What is drawn belongs to one view: with another drawing the view is taken for reference anew."""
        drawn = self._drawn
        self._stream.drawn_size_px = (
            None if drawn is None else (drawn.calibration.width_px, drawn.calibration.height_px)
        )
        file = None
        if self.settings.view_directory:
            name = f"{self.settings.camera_id}.{'undrawn' if drawn is None else drawn.sha256[:16]}.npz"
            file = Path(self.settings.view_directory) / name
        self._stream.view = ViewJudge(after_s=self.settings.view_after_s, file=file)

    def _answer_still(self) -> None:
        """Send a picture that was asked for, once it is there."""
        picture = self._stream.take_still()
        if picture is not None:
            shield = () if self._drawn is None else self._drawn.calibration.shield
            self._channel.send(_jpeg(picture, shield, self._stream.drawn_size_px))
        elif self._stream.is_still_overdue:
            self._stream.take_still(give_up=True)
            self._channel.send(Still(why="无画面 the camera gives no picture now"))

    def _look_for_trouble(self) -> None:
        """Raise what a thread has died of; end at once if one hangs."""
        for part in (self._stream, self._watch, self._clips):
            if part is not None and part.bug is not None:
                raise part.bug
        idle_s = self._clock.now().service_s - self._stream.stepped_s
        if idle_s > HANG_S:
            raise TimeoutError(f"the decoder has not moved for {idle_s:.0f} s")

    def _report(self) -> None:
        now_s = self._clock.now().service_s
        health = self._health(now_s)
        standing = frozenset(flaw for flaw, words in health.flaws.items() if words)
        seen = (health.picture, standing)
        if seen == self._told and now_s - self._told_s < EVERY_S:
            return
        self._told, self._told_s = seen, now_s
        self._channel.send(health)

    def _health(self, now_s: float) -> Health:
        pulse = self._stream.pulse
        verdict = self._judge(now_s)
        flaws = dict(pulse.flaws)
        if self._watch is not None:
            flaws[Flaw.DETECTOR] = self._watch.pulse.fault
        is_seen = verdict is not None and verdict.picture is not PictureState.LOST
        return Health(
            picture=None if verdict is None else verdict.picture,
            detail="" if verdict is None else verdict.detail,
            frames_per_s=round(pulse.frames_per_s, 1) if is_seen and pulse.frames_per_s else None,
            flaws=flaws,
            figures=self._figures(now_s),
        )

    def _judge(self, now_s: float) -> Verdict | None:
        """Return the verdict on the picture; None while the first frame may still come, or a reconnect is under way."""
        pulse = self._stream.pulse
        heard_s = self._began_s if pulse.frame_s is None else pulse.frame_s
        if now_s - heard_s < self.settings.lost_after_s:
            return pulse.verdict
        undecodable = f"{pulse.undecodable}包无法解码 {pulse.undecodable} packets cannot be decoded"
        why = pulse.fault or (undecodable if pulse.undecodable else "无数据 no packets")
        limit = f"{self.settings.lost_after_s:g} s"
        return Verdict(PictureState.LOST, f"{why}; {limit}无画面 no picture for {limit}")

    def _figures(self, now_s: float) -> CameraFigures:
        pulse, watch = self._stream.pulse, None if self._watch is None else self._watch.pulse
        with self._process.oneshot():
            times, rss = self._process.cpu_times(), self._process.memory_info().rss
        spent_s = times.user + times.system
        share = 0.0
        if self._cpu is not None and now_s > self._cpu[0]:
            share = (spent_s - self._cpu[1]) / (now_s - self._cpu[0])
        if self._cpu is None or now_s - self._cpu[0] >= EVERY_S:
            self._cpu = (now_s, spent_s)
        figures = CameraFigures(
            frames=pulse.frames,
            frames_skipped=self._frames.dropped,
            undecodable=pulse.undecodable,
            openings=pulse.openings,
            cpu_share=round(share, 3),
            rss_mib=round(rss / _MIB, 1),
            ring_s=round(self._ring.reach_s, 1),
            lag_s=round(pulse.lag_s, 2),
            size_px=pulse.size_px,
            clock=pulse.clock,
            clock_offset_s=pulse.clock_offset_s,
        )
        if watch is None:
            return figures
        return msgspec.structs.replace(
            figures,
            repeats=watch.repeats,
            tiles_skipped=watch.tiles_skipped,
            ms_per_frame=watch.ms_per_frame,
            detect=watch.detect,
            models=watch.models,
            is_calibrated=watch.is_calibrated,
            throws=watch.throws,
        )

    def _make_watch(self) -> CameraWatch | None:
        if self.settings.detect == "off":
            return None
        return CameraWatch(self.settings, self._frames, tell=self._sighted, drawn=self._drawn)

    def _make_clips(self) -> CameraClips | None:
        if not self.settings.evidence_directory:
            return None
        return CameraClips(
            Path(self.settings.evidence_directory),
            name=self.settings.camera_id,
            ring=self._ring,
            shape=lambda: self._stream.shape,
            clock=self._clock,
            tell=self._channel.send,
        )

    def _on_break(self, why: str) -> None:
        if self._clips is not None:
            self._clips.on_break(why)

    def _sighted(self, sighting: Sighting) -> None:
        """A throw: told at once, its evidence promised first, so that what is told as awaited is on the disk as such."""
        fall: Fall = sighting.fall
        if not fall.is_alarm or self._clips is None:
            self._channel.send(fall)
            return
        refusal = self._clips.promise(self._promise(sighting))
        self._channel.send(msgspec.structs.replace(fall, awaits_evidence=refusal is None))
        if refusal is not None:
            self._channel.send(refusal)

    def _promise(self, sighting: Sighting) -> Promise:
        fall, offset_s = sighting.fall, self._stream.pulse.clock_offset_s
        return Promise(
            event_id=fall.throw_id,
            gateway_id=self._begin.gateway_id,
            camera_id=self.settings.camera_id,
            boxes=sighting.boxes,
            first_seen_at=fall.began_at,
            clock=EvidenceClock(
                basis=fall.clock,
                camera_offset_ms=None if offset_s is None else round(1000 * offset_s, 1),
                gateway=self._quality,
                boot=sighting.first.at.boot,
                mono_ns=sighting.first.at.mono_ns,
            ),
            width_px=sighting.size_px[0],
            height_px=sighting.size_px[1],
            config_sha256=self._begin.config_sha256,
            model=EvidenceModel(
                version=sighting.models, sha256=fall.model_sha256 or "", probability=fall.confidence
            ),
            drawn=sighting.drawn,
            origin=sighting.origin,
        )


def main(argv: list[str]) -> int:
    """Run the camera at the other end of the socket whose number is given; 0 after `End`, 1 after something unexpected."""
    faulthandler.enable()
    faulthandler.dump_traceback_later(_FIRST_WORD_S + HANG_S, exit=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at a terminal is the gateway's to answer
    os.nice(_NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE), encoding="ascii")
    cv2.setNumThreads(1)
    with socket.socket(fileno=int(argv[1])) as wire:
        channel = Channel(wire)
        try:
            begin = channel.receive(_FIRST_WORD_S)
        except WireError:
            return 1
        if not isinstance(begin, Begin):
            return 1
        try:
            Worker(channel, begin).run()
        except Exception as error:  # noqa: BLE001  # not swallowed: told to the gateway, which starts another
            channel.send(LastWords(why=f"{type(error).__name__}: {error}"[:200]))
            sys.excepthook(type(error), error, error.__traceback__)
            return 1
        finally:
            faulthandler.cancel_dump_traceback_later()
    return 0


def _jpeg(
    picture: Picture,
    shield: Sequence[Sequence[tuple[float, float]]],
    drawn_size_px: tuple[int, int] | None,
) -> Still:
    """Return a picture as JPEG, with the shield zones black."""
    if shield and drawn_size_px is not None:
        across, down = picture.shape[1] / drawn_size_px[0], picture.shape[0] / drawn_size_px[1]
        for polygon in shield:
            corners = np.round(np.array(polygon) * (across, down)).astype(np.int32)
            cv2.fillPoly(picture, [corners], (0, 0, 0))
    done, raw = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return Still(jpeg=raw.tobytes()) if done else Still(why="画面无法压缩 the picture cannot be compressed")


def _drawn(raw: bytes) -> Drawn | None:
    return msgspec.json.decode(raw, type=Drawn) if raw else None


if __name__ == "__main__":
    os._exit(main(sys.argv))  # reader threads inside FFmpeg are not waited for
