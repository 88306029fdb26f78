"""Detection of one camera: takes frames from the queue behind the decoder, in a thread of its own, and tells the throws.

The models are opened here, not at the start of the process, so that a camera is seen before its models are, and goes on being seen
without them.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from gatehouse_edge.drivers.camera_port import FrameQueue, LumaFrame
from gatehouse_edge.drivers.camera_time import Stamp
from gatehouse_edge.drivers.camera_wire import CameraSettings, Fall
from gatehouse_edge.reading import CaptureSource
from gatehouse_edge.vision.release import ModelError, load_manifest, released, watch_maker

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gatehouse_edge.vision.origin import Calibration
    from gatehouse_edge.vision.tracks import Point
    from gatehouse_edge.vision.watch import Throw, Watch

_TAKE_S: Final = 0.5
_RETRY_S: Final = 30.0
"""A model file that was put right is found within this."""
_STAMPS: Final = 1024
"""Stamps remembered: a fall lasts a few seconds, a minute at 15 frames is plenty."""
_SIZE_TOLERANCE: Final = 0.01
"""Two pictures whose proportions differ by less show the same view at another size."""
_BLACK: Final = 16


class WatchPulse(Struct, frozen=True, kw_only=True):
    """How detection is doing; replaced as a whole."""

    fault: str = ""
    """Why the models cannot be used; empty: they can, or are being opened."""
    detect: str = "off"
    models: str = ""
    ms_per_frame: float | None = None
    repeats: int = 0
    tiles_skipped: int = 0
    throws: int = 0
    is_calibrated: bool = False
    is_open: bool = False


class CameraWatch:
    """The detection thread of one camera: `start` once, `stop` once; `draw` whenever the calibration changes."""

    def __init__(
        self,
        settings: CameraSettings,
        frames: FrameQueue,
        *,
        tell: Callable[[Fall], None],
        calibration: Calibration | None,
    ) -> None:
        self.pulse = WatchPulse(is_calibrated=calibration is not None)
        self.bug: Exception | None = None
        """What ended the thread though it should never happen."""
        self._settings: Final = settings
        self._frames: Final = frames
        self._tell: Final = tell
        self._calibration = calibration
        self._stop: Final = threading.Event()
        self._watch: Watch | None = None
        self._opening = -1
        self._base = 0
        """Number of the first frame of this watch among all seen."""
        self._seen = 0
        self._stamps: dict[int, Stamp] = {}
        self._is_alarm = False
        self._model_sha256 = ""
        self._counts_before = (0, 0)
        self._spent_s = 0.0
        self._spent_frames = 0
        self._mask: npt.NDArray[np.bool_] | None = None
        self._thread: Final = threading.Thread(
            target=self._guarded, name=f"watch {settings.camera_id}", daemon=True
        )

    def start(self) -> None:
        """Open the models and begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end, without waiting."""
        self._stop.set()

    def draw(self, calibration: Calibration | None) -> None:
        """Take another calibration from the next frame on."""
        self._calibration, self._mask = calibration, None
        self.pulse = structs.replace(self.pulse, is_calibrated=calibration is not None)

    def _guarded(self) -> None:
        try:
            self._run()
        except Exception as error:  # noqa: BLE001  # not swallowed: the process ends with it
            self.bug = error

    def _run(self) -> None:
        make = self._open()
        while make is None and not self._stop.wait(_RETRY_S):
            make = self._open()
        while make is not None and not self._stop.is_set():
            frame = self._frames.take(_TAKE_S)
            if frame is not None:
                self._see(frame, make)

    def _open(self) -> Callable[[int], Watch] | None:
        settings = self._settings
        folder = Path(settings.models) if settings.models else released()
        try:
            make = watch_maker(folder, is_classical=False, threshold=settings.threshold)
            assert folder is not None  # noqa: S101  # watch_maker has refused it
            manifest = load_manifest(folder)
        except ModelError as error:
            self.pulse = structs.replace(self.pulse, fault=f"重新安装模型 install the models again: {error}")
            return None
        detect = settings.detect or ("alarm" if manifest.for_alarms else "watch")
        self._is_alarm, self._model_sha256 = detect == "alarm", manifest.sha256
        self.pulse = structs.replace(
            self.pulse, fault="", detect=detect, models=manifest.version, is_open=True
        )
        return make

    def _see(self, frame: LumaFrame, make: Callable[[int], Watch]) -> None:
        began_s = time.thread_time()
        if self._watch is None or frame.opening != self._opening:
            self._begin(frame, make)
        watch = self._watch
        assert watch is not None  # noqa: S101  # just begun
        self._stamps[self._seen - self._base] = frame.stamp
        if len(self._stamps) > _STAMPS:
            del self._stamps[next(iter(self._stamps))]
        self._seen += 1
        luma = self._shielded(frame)
        throws = watch.see(luma, frame.stamp.capture_s)
        self._spent_s += time.thread_time() - began_s
        self._spent_frames += 1
        for throw in throws:
            self._found(throw, (luma.shape[1], luma.shape[0]))
        self._measure(watch)

    def _begin(self, frame: LumaFrame, make: Callable[[int], Watch]) -> None:
        """Another opening, or time has leapt: what was followed ends here, and is told if it was a throw."""
        if self._watch is not None:
            for throw in self._watch.end():
                self._found(throw, (frame.luma.shape[1], frame.luma.shape[0]))
            stack = self._watch.stack
            self._counts_before = (
                self._counts_before[0] + stack.repeats,
                self._counts_before[1] + stack.skipped_tiles,
            )
        self._watch = make(frame.luma.shape[0])
        self._opening, self._base, self._mask = frame.opening, self._seen, None
        self._stamps.clear()

    def _measure(self, watch: Watch) -> None:
        if self._spent_frames < 50 and self.pulse.ms_per_frame is not None:  # noqa: PLR2004  # every two seconds
            return
        self.pulse = structs.replace(
            self.pulse,
            ms_per_frame=round(1000 * self._spent_s / self._spent_frames, 2),
            repeats=self._counts_before[0] + watch.stack.repeats,
            tiles_skipped=self._counts_before[1] + watch.stack.skipped_tiles,
        )
        self._spent_s, self._spent_frames = 0.0, 0

    def _shielded(self, frame: LumaFrame) -> npt.NDArray[np.uint8]:
        """Return the picture with the shield zones black: what may not be seen is not looked at either."""
        calibration = self._fitting((frame.luma.shape[1], frame.luma.shape[0]))
        if calibration is None or not calibration.shield:
            return frame.luma
        import cv2
        import numpy as np

        if self._mask is None or self._mask.shape != frame.luma.shape:
            drawn = np.zeros(frame.luma.shape, np.uint8)
            for polygon in calibration.shield:
                cv2.fillPoly(drawn, [np.round(np.array(polygon)).astype(np.int32)], 1)
            self._mask = drawn.astype(bool)
        luma = frame.luma.copy()
        luma[self._mask] = _BLACK
        return luma

    def _fitting(self, size_px: tuple[int, int]) -> Calibration | None:
        """Return what was drawn, at the size of this picture; None: nothing was, or on a picture of other proportions."""
        from gatehouse_edge.vision.origin import scaled

        drawn = self._calibration
        if drawn is None or (drawn.width_px, drawn.height_px) == size_px:
            return drawn
        across, down = size_px[0] / drawn.width_px, size_px[1] / drawn.height_px
        return scaled(drawn, *size_px) if abs(across / down - 1) <= _SIZE_TOLERANCE else None

    def _found(self, throw: Throw, size_px: tuple[int, int]) -> None:
        from gatehouse_edge.vision.origin import contains, origin

        calibration = self._fitting(size_px)
        if calibration is not None and calibration.detect:
            inside = sum(contains(calibration.detect, p.spot.x, p.spot.y) for p in throw.points)
            if 2 * inside < len(throw.points):  # most of it fell where nobody is to look
                return
        first, last = self._stamp(throw.first), self._stamp(throw.last)
        if first is None or last is None:  # older than what is remembered: cannot be told when
            return
        self.pulse = structs.replace(self.pulse, throws=self.pulse.throws + 1)
        both = {first.source, last.source}
        fall = Fall(
            throw_id=self._name(first, throw),
            confidence=round(throw.probability, 4),
            track_points=len(throw.points),
            first_s=first.capture_s,
            last_s=last.capture_s,
            began_at=first.at,
            ended_at=last.at,
            source=both.pop() if len(both) == 1 else CaptureSource.ARRIVAL,
            is_alarm=self._is_alarm,
            boxes={n - throw.first.frame: tuple(map(_tenth, box)) for n, box in throw.boxes().items()},
            landing_px=(_tenth(throw.last.spot.x), _tenth(throw.last.spot.y)),
            model_sha256=self._model_sha256,
        )
        if calibration is not None:
            told = origin(throw.points, calibration)
            fall = structs.replace(
                fall,
                floor_low=told.floor_low,
                floor_high=told.floor_high,
                floor_probability=round(told.probability, 3),
                column=told.column,
                fall_s=told.fall_s,
                speed_m_s=told.speed_m_s,
            )
        self._tell(fall)

    def _stamp(self, point: Point) -> Stamp | None:
        return self._stamps.get(point.frame)

    def _name(self, first: Stamp, throw: Throw) -> str:
        """Return a name that the same fall would have again, and no other."""
        seed = f"{self._settings.camera_id} {first.at.isoformat()} {throw.first.spot.x:.1f} {throw.first.spot.y:.1f}"
        return hashlib.sha256(seed.encode()).hexdigest()[:16]


def _tenth(value: float) -> float:
    return round(float(value), 1)
