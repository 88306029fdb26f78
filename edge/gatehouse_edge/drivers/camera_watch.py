"""Detection of one camera: takes frames from the queue behind the decoder, in a thread of its own, and tells the throws.

The models are opened here, not at the start of the process, so that a camera is seen before its models are, and goes on being seen
without them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec import Struct, structs

from gatehouse_edge.drivers.camera_port import FrameQueue, LumaFrame
from gatehouse_edge.drivers.camera_wire import CameraSettings, Fall
from gatehouse_edge.evidence.promise import MAX_BOXES, Box, Drawn, event_id_of
from gatehouse_edge.vision.release import ModelError, load_manifest, released, watch_maker

if TYPE_CHECKING:
    import numpy.typing as npt

    from gatehouse_edge.vision.facade import Origin
    from gatehouse_edge.vision.verdicts import Throw
    from gatehouse_edge.vision.watch import Watch

_TAKE_S: Final = 0.5
_SILENT_S: Final = 2.5
"""When no picture has come for so long the stream is broken: what was followed is told, not kept until it opens again. Longer than FFmpeg waits for a packet."""
_RETRY_S: Final = 30.0
"""A model file that was put right is found within this."""
_REMEMBERED: Final = 1024
"""Frames of which the times are remembered: a fall lasts a few seconds, a minute at 15 frames is plenty."""
_BLACK: Final = 16
_NO_PICTURE: Final = np.empty((0, 0), np.uint8)
_PROVEN_FRAMES: Final = 250
"""Models that have failed are believed again after so many pictures, ten seconds or more."""
_log = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sighting:
    """One throw, with everything a promise of evidence needs."""

    fall: Fall
    boxes: tuple[Box, ...]
    first: LumaFrame
    """The picture it was first seen in; its luma is empty."""
    size_px: tuple[int, int]
    origin: Origin | None
    drawn: Drawn | None
    models: str
    """Version of the release that judged it."""


class CameraWatch:
    """The detection thread of one camera: `start` once, `finish` once; `draw` whenever the calibration changes."""

    def __init__(
        self,
        settings: CameraSettings,
        frames: FrameQueue,
        *,
        tell: Callable[[Sighting], None],
        drawn: Drawn | None,
    ) -> None:
        """Prepare. `tell` is called in the detection thread."""
        self.pulse = WatchPulse(is_calibrated=drawn is not None)
        self.bug: Exception | None = None
        """What ended the thread though it should never happen."""
        self._settings: Final = settings
        self._frames: Final = frames
        self._tell: Final = tell
        self._drawn = drawn
        self._stop: Final = threading.Event()
        self._watch: Watch | None = None
        self._opening = -1
        self._base = 0
        """Number of the first frame of this watch among all seen."""
        self._seen = 0
        self._size_px = (0, 0)
        """Of the picture that was last seen."""
        self._taken: dict[int, LumaFrame] = {}
        """Frame of this watch -> when it was taken, without its luma."""
        self._to_prove = 0
        """Pictures until models that have failed are believed again."""
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

    def finish(self, limit_s: float) -> None:
        """Ask the thread to tell what it still follows and to end; wait for it, `limit_s` at most."""
        self._stop.set()
        self._thread.join(limit_s)

    def draw(self, drawn: Drawn | None) -> None:
        """Take another calibration from the next frame on."""
        self._drawn, self._mask = drawn, None
        self.pulse = structs.replace(self.pulse, is_calibrated=drawn is not None)

    def _guarded(self) -> None:
        try:
            self._run()
        except Exception as error:  # noqa: BLE001  # not swallowed: the process ends with it
            self.bug = error

    def _run(self) -> None:
        while not self._stop.is_set():
            make = self._open()
            try:
                if make is not None:
                    self._look(make)
            except ModelError as error:
                self._watch, self._to_prove = None, _PROVEN_FRAMES
                self._refuse(error)
            self._stop.wait(_RETRY_S)

    def _look(self, make: Callable[[int], Watch]) -> None:
        """See what comes until the end, or until the models fail."""
        silent_s = 0.0
        while not self._stop.is_set():
            frame = self._frames.take(_TAKE_S)
            if frame is not None:
                silent_s = 0.0
                self._see(frame, make)
                continue
            silent_s += _TAKE_S
            if silent_s >= _SILENT_S:
                self._tell_rest()
        self._tell_rest()

    def _refuse(self, error: ModelError) -> None:
        self.pulse = structs.replace(self.pulse, fault=f"重新安装模型 install the models again: {error}")

    def _ask(self, models: Callable[[], list[Throw]]) -> list[Throw]:
        """Return what the models say of a picture. Whatever they do to us, the camera goes on being seen and its ring filled.

        Raises:
            ModelError: they cannot be run, or answer what cannot be an answer.
        """
        try:
            return models()
        except Exception as error:
            # A stranger's network that passes for ours fails in whatever way its library or numpy has.
            _log.exception("the models of %s fail on a picture", self._settings.camera_id)
            raise ModelError(f"they fail on a picture: {type(error).__name__}") from error

    def _open(self) -> Callable[[int], Watch] | None:
        settings = self._settings
        folder = Path(settings.models) if settings.models else released()
        try:
            make = watch_maker(folder, is_classical=False, threshold=settings.threshold)
            assert folder is not None  # noqa: S101  # watch_maker has refused it
            manifest = load_manifest(folder)
        except ModelError as error:
            self._refuse(error)
            return None
        detect = settings.detect or ("alarm" if manifest.for_alarms else "watch")
        self._is_alarm, self._model_sha256 = detect == "alarm", manifest.sha256
        fault = self.pulse.fault if self._to_prove else ""
        self.pulse = structs.replace(self.pulse, fault=fault, detect=detect, models=manifest.version)
        return make

    def _see(self, frame: LumaFrame, make: Callable[[int], Watch]) -> None:
        began_s = time.thread_time()
        size_px = (frame.luma.shape[1], frame.luma.shape[0])
        if self._watch is None or frame.opening != self._opening or size_px != self._size_px:
            self._begin(frame, make)
        watch = self._watch
        assert watch is not None  # noqa: S101  # just begun
        self._taken[self._seen - self._base] = replace(frame, luma=_NO_PICTURE)
        if len(self._taken) > _REMEMBERED:
            del self._taken[next(iter(self._taken))]
        self._seen += 1
        luma = self._shielded(frame)
        drawn = self._drawn
        watch.draw(None if drawn is None else drawn.calibration)
        throws = self._ask(lambda: watch.see(luma, frame.stamp.capture_s))
        if self._to_prove:
            self._to_prove -= 1
            if not self._to_prove:
                self.pulse = structs.replace(self.pulse, fault="")
        self._spent_s += time.thread_time() - began_s
        self._spent_frames += 1
        for throw in throws:
            self._found(throw)
        self._measure(watch)

    def _begin(self, frame: LumaFrame, make: Callable[[int], Watch]) -> None:
        """Another opening, another size, or time has leapt: what was followed ends here, and is told if it was a throw."""
        self._tell_rest()
        self._watch = make(frame.luma.shape[0])
        self._size_px = (frame.luma.shape[1], frame.luma.shape[0])
        self._opening, self._base, self._mask = frame.opening, self._seen, None
        self._taken.clear()

    def _tell_rest(self) -> None:
        """Nothing more comes of what is being watched: tell what was a throw of what is still followed."""
        watch, self._watch = self._watch, None
        if watch is None:
            return
        for throw in self._ask(watch.end):
            self._found(throw)
        repeats, skipped = self._counts_before
        self._counts_before = (repeats + watch.stack.repeats, skipped + watch.stack.skipped_tiles)

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
        if self._drawn is None or not self._drawn.calibration.shield:
            return frame.luma
        import cv2

        if self._mask is None or self._mask.shape != frame.luma.shape:
            drawn, _ = self._at_size((frame.luma.shape[1], frame.luma.shape[0]))
            zones = np.zeros(frame.luma.shape, np.uint8)
            for polygon in drawn.calibration.shield if drawn is not None else ():
                cv2.fillPoly(zones, [np.round(np.array(polygon)).astype(np.int32)], 1)
            self._mask = zones.astype(bool)
        luma = frame.luma.copy()
        luma[self._mask] = _BLACK
        return luma

    def _at_size(self, size_px: tuple[int, int]) -> tuple[Drawn | None, bool]:
        """Return what was drawn, stretched to this picture, and whether it shows the same view (its proportions are the same).

        Shield zones hold in any case; floors only where the view is the same.
        """
        from gatehouse_edge.vision.facade import fitted, scaled

        drawn = self._drawn
        if drawn is None:
            return None, False
        stretched = structs.replace(drawn, calibration=scaled(drawn.calibration, *size_px))
        return stretched, fitted(drawn.calibration, *size_px) is not None

    def _found(self, throw: Throw) -> None:
        from gatehouse_edge.vision.facade import contains
        from gatehouse_edge.vision.origin import origin

        drawn, is_same_view = self._at_size(self._size_px)
        calibration = drawn.calibration if drawn is not None and is_same_view else None
        if calibration is not None and calibration.detect:
            inside = sum(contains(calibration.detect, p.spot.x, p.spot.y) for p in throw.points)
            if 2 * inside < len(throw.points):  # most of it fell where nobody is to look
                return
        first, last = self._taken.get(throw.first.frame), self._taken.get(throw.last.frame)
        if first is None or last is None:  # older than what is remembered: cannot be told when
            return
        self.pulse = structs.replace(self.pulse, throws=self.pulse.throws + 1)
        told = None if calibration is None else origin(throw.points, calibration)
        self._tell(
            Sighting(
                fall=self._fall(throw, first, last, told),
                boxes=self._boxes(throw),
                first=first,
                size_px=self._size_px,
                origin=told,
                drawn=drawn,
                models=self.pulse.models,
            )
        )

    def _fall(self, throw: Throw, first: LumaFrame, last: LumaFrame, told: Origin | None) -> Fall:
        fall = Fall(
            throw_id=event_id_of(self._settings.camera_id, first.stamp.at),
            confidence=round(throw.probability, 4),
            track_points=len(throw.points),
            began_at=first.stamp.at,
            ended_at=last.stamp.at,
            clock=first.stamp.clock,
            is_alarm=self._is_alarm,
            landing_px=(_tenth(throw.last.spot.x), _tenth(throw.last.spot.y)),
            model_sha256=self._model_sha256,
        )
        if told is None:
            return fall
        return structs.replace(
            fall,
            floor_low=told.floor_low,
            floor_high=told.floor_high,
            floor_probability=round(told.probability, 3),
            column=told.column,
            fall_s=told.fall_s,
            speed_m_s=told.speed_m_s,
        )

    def _boxes(self, throw: Throw) -> tuple[Box, ...]:
        found = []
        for number, (x, y, wide, high) in throw.boxes().items():
            frame = self._taken.get(number)
            if frame is not None:
                box = Box(
                    pts_s=frame.pts_s if frame.stamp.is_timed else None,
                    arrived_s=frame.at.service_s,
                    x=_tenth(x),
                    y=_tenth(y),
                    width_px=_tenth(wide),
                    height_px=_tenth(high),
                )
                found.append(box)
        return tuple(found[:MAX_BOXES])


def _tenth(value: float) -> float:
    return round(float(value), 1)
