"""Evidence of one camera: promised when a throw is seen, cut from the ring when its five seconds have come, also if the stream breaks.

A thread of its own writes: a disk that takes its time must not hold up the sign of life. What the disk refuses is said at once and tried
again for some minutes; the packets wait in memory, at most three clips of them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from msgspec import structs

from gatehouse_edge.clock import Clock
from gatehouse_edge.drivers.camera_ring import PacketRing, StoredPacket
from gatehouse_edge.drivers.camera_wire import Kept
from gatehouse_edge.drivers.clip_file import StreamShape
from gatehouse_edge.drivers.clip_keep import KeepError, KeptFiles, cut_of, keep, promise
from gatehouse_edge.evidence.promise import POST_S, Promise

_SLACK_S: Final = 1.0
"""The last packet wanted is cut a little late rather than a little early."""
RETRY_S: Final = 10.0
_GIVE_UP_S: Final = 300.0
_MOST_WAITING: Final = 3
"""Clips whose packets are held for a disk that refuses; each may be 20 MiB."""


_NEVER_OPENED: Final = StreamShape(
    codec="", width_px=0, height_px=0, extradata=b"", time_base=Fraction(1, 90_000)
)
"""Goes with no packets at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One clip to be written."""

    found: Promise
    packets: list[StoredPacket]
    shape: StreamShape
    cut_short: str
    """Why it ends early; empty: it does not."""
    since_s: float


class CameraClips:
    """The clips of one camera. `promise` and `on_break` may be called by any thread, `step` and `finish` by one."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        ring: PacketRing,
        shape: Callable[[], StreamShape | None],
        clock: Clock,
        tell: Callable[[Kept], None],
    ) -> None:
        self._folder: Final = folder
        self._ring: Final = ring
        self._shape: Final = shape
        self._clock: Final = clock
        self._tell: Final = tell
        self._waiting: list[Promise] = []
        self._lock: Final = threading.Lock()
        self._jobs: Final[queue.Queue[_Job | None]] = queue.Queue()
        self._refused: list[_Job] = []
        self._tried_s = 0.0
        self.bug: Exception | None = None
        """What ended the writer though it should never happen."""
        self._thread: Final = threading.Thread(target=self._guarded, name=f"clips {name}", daemon=True)

    def start(self) -> None:
        """Wait for work."""
        self._thread.start()

    def promise(self, found: Promise) -> Kept | None:
        """Promise the evidence of a throw; return why there will be none, None when it is promised."""
        try:
            promise(found, self._folder)
        except KeepError as error:
            return Kept(throw_id=found.event_id, missing=_words(error), is_given_up=True)
        with self._lock:
            self._waiting.append(found)
        return None

    def raised(self, throw_id: str, alarm_id: str) -> None:
        """Note which alarm a promised throw has become: it goes into the manifest."""
        with self._lock:
            self._waiting = [
                structs.replace(found, alarm_id=alarm_id) if found.event_id == throw_id else found
                for found in self._waiting
            ]

    def step(self) -> None:
        """Cut what is due; called once a second or so."""
        now_s = self._clock.now().service_s
        with self._lock:
            due = [found for found in self._waiting if now_s >= _due_s(found)]
            self._waiting = [found for found in self._waiting if found not in due]
        for found in due:
            self._cut(found, "")
        if now_s - self._tried_s >= RETRY_S:
            self._tried_s = now_s
            with self._lock:
                again, self._refused = self._refused, []
            for job in again:
                self._jobs.put(job)

    def on_break(self, why: str) -> None:
        """The ring is about to be emptied: take what was promised now."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for found in waiting:
            self._cut(found, why)

    def finish(self, limit_s: float) -> None:
        """Write everything promised with what there is, and end."""
        self.on_break("网关停止 the gateway stopped")
        self._jobs.put(None)
        self._thread.join(limit_s)

    def _cut(self, found: Promise, cut_short: str) -> None:
        packets = cut_of(found, self._ring.packets(since_s=0.0))
        now_s = self._clock.now().service_s
        self._jobs.put(
            _Job(
                found=found,
                packets=packets,
                shape=self._shape() or _NEVER_OPENED,
                cut_short=cut_short,
                since_s=now_s,
            )
        )

    def _guarded(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                self._write(job)
        except Exception as error:  # noqa: BLE001  # not swallowed: the process ends with it
            self.bug = error

    def _write(self, job: _Job) -> None:
        now = self._clock.now()
        try:
            files = keep(job.found, job.packets, job.shape, self._folder, made_at=now.wall)
        except KeepError as error:
            is_last = now.service_s - job.since_s > _GIVE_UP_S or len(self._refused) >= _MOST_WAITING
            self._tell(Kept(throw_id=job.found.event_id, missing=_words(error), is_given_up=is_last))
            if not is_last:
                with self._lock:
                    self._refused.append(job)
            return
        self._tell(_kept(files, job.cut_short))


def _due_s(found: Promise) -> float:
    return found.boxes[-1].arrived_s + POST_S + _SLACK_S


def _kept(files: KeptFiles, cut_short: str) -> Kept:
    manifest = files.manifest
    told = (
        [f"录像提前结束 the clip ends early: {cut_short}"] if cut_short and manifest.clip is not None else []
    )
    return Kept(
        throw_id=manifest.event_id,
        files=files,
        missing="; ".join([*told, *manifest.missing]),
    )


def _words(error: KeepError) -> str:
    """Say it in both languages; a full disk is the one that operators must know at once."""
    return f"磁盘已满 {error}" if error.is_full else f"无法写入 {error}"
