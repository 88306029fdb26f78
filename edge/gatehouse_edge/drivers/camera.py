"""One camera as the gateway sees it: a process of its own, started, listened to, and ended when it hangs or grows.

Whatever happens to that process is this driver's failure alone: it raises, the keeper says so (`gateway.part_failed`) and starts it anew
after a pause. No video library is imported here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from typing import Final

from gatehouse_edge.clock import Clock
from gatehouse_edge.drivers.camera_wire import (
    LENGTH_BYTES,
    AskStill,
    Begin,
    CameraSettings,
    End,
    Fall,
    FromCamera,
    Health,
    Kept,
    LastWords,
    Raised,
    Still,
    Told,
    WireError,
    decode,
    encode,
    length_of,
)
from gatehouse_edge.ports import EvidenceInbox, Inbox, StillError
from gatehouse_edge.reading import (
    CameraFigures,
    CameraReading,
    EvidenceReading,
    Flaw,
    PictureState,
    ThrowReading,
)

__all__ = ["CameraDriver", "CameraProcessError", "CameraSettings"]

_log = logging.getLogger(__name__)

START_S: Final = 60.0
"""A process that has not spoken by then does not start: reading its libraries takes a slow card some ten seconds."""
SILENT_S: Final = 25.0
"""A process that has said nothing for so long hangs. It ends itself a little earlier if it can (`camera_worker.HANG_S`)."""
_LOOK_S: Final = 2.0
"""What is drawn on the still is looked at this often."""
_STILL_S: Final = 8.0
_END_S: Final = 0.9
"""A process that was told to end may take so long before it is left alone; it then ends by itself, its clips written."""
_MODULE: Final = "gatehouse_edge.drivers.camera_worker"
MALLOC: Final = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(4 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 20),
}
"""Environment of a process that decodes: glibc gives each thread a heap of its own, and keeps ever larger blocks that were freed. Pictures stay on the heap:
given back to the kernel and fetched anew for each frame they cost 2 to 3 of 15 ms a frame at 1080p, and save 3 MiB of 158."""


class CameraProcessError(Exception):
    """The process of a camera ended, hung, or grew beyond its limit; the text says which."""


class CameraDriver:
    """Watches one camera for ever; its expected faults are `CameraReading`s, its process's are `CameraProcessError`s."""

    def __init__(
        self,
        settings: CameraSettings,
        *,
        inbox: Inbox,
        clock: Clock,
        gateway_id: str = "",
        config_sha256: str = "",
        evidence: EvidenceInbox | None = None,
        drawn: Callable[[], bytes] = bytes,
    ) -> None:
        """Prepare.

        Args:
            settings: of the camera.
            inbox: takes what it says.
            clock: the gateway's.
            gateway_id: goes into the manifest of evidence.
            config_sha256: of the gateway.yaml in force; the same.
            evidence: takes what was kept of throws; None: nobody does, which only tests do.
            drawn: returns what is drawn on the camera's still now (JSON of `evidence.promise.Drawn`), empty for nothing.
        """
        self.settings: Final = settings
        self.figures = CameraFigures()
        """What the camera costs and loses, as last heard."""
        self.process_id: int | None = None
        self._inbox: Final = inbox
        self._clock: Final = clock
        self._gateway_id: Final = gateway_id
        self._config_sha256: Final = config_sha256
        self._evidence: Final = evidence
        self._drawn: Final = drawn
        self._writer: asyncio.StreamWriter | None = None
        self._stills: list[asyncio.Future[bytes]] = []
        self._told: tuple[object, ...] | None = None
        self._told_s = 0.0
        self._last_throw = ""
        self._tasks: asyncio.TaskGroup | None = None
        self._handing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Start the process and pass on what it says, until cancelled.

        Raises:
            CameraProcessError: it is no longer there, or no longer any good; it has been ended.
        """
        async with self._process() as (process, reader, writer):
            try:
                # What a full disk holds up must not hold up what comes after it: each message is handed over on its own.
                async with asyncio.TaskGroup() as tasks:
                    self._tasks, self._writer = tasks, writer
                    await self._listen(reader, writer)
            except ExceptionGroup as group:
                first = group.exceptions[0]
                if isinstance(first, WireError):
                    first = CameraProcessError(await _farewell(process) or str(first))
                raise await self._ended(process, first) from None

    async def still(self) -> bytes:
        """Return the newest picture as JPEG, shield zones burnt in.

        Raises:
            StillError: the camera gives none now.
        """
        if self._writer is None:
            raise StillError("摄像机进程未运行 the camera's process is not running")
        wanted: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._stills.append(wanted)
        self._writer.write(encode(AskStill()))
        try:
            async with asyncio.timeout(_STILL_S):
                return await wanted
        except TimeoutError:
            raise StillError("无应答 no answer") from None
        finally:
            if wanted in self._stills:
                self._stills.remove(wanted)

    def _shown(self, still: Still) -> None:
        for wanted in self._stills if still.jpeg else ():
            if not wanted.done():
                wanted.set_result(still.jpeg)
        self._refuse_stills(still.why)

    def _refuse_stills(self, why: str) -> None:
        stills, self._stills = self._stills, []
        for wanted in stills:
            if not wanted.done():
                wanted.set_exception(StillError(why))

    async def _ended(self, process: Process, error: Exception) -> Exception:
        """The process is ended, if it has not; what it had promised is finished with what there is."""
        if process.returncode is None:
            process.kill()
            await process.wait()
        if self._evidence is not None:
            await self._evidence.recover(self.settings.camera_id)
        return error

    @contextlib.asynccontextmanager
    async def _process(self) -> AsyncIterator[tuple[Process, asyncio.StreamReader, asyncio.StreamWriter]]:
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                _MODULE,
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                env={**os.environ, **MALLOC},
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self.process_id = process.pid
        reader, writer = await asyncio.open_connection(sock=ours)
        is_done = False
        try:
            begin = Begin(
                settings=self.settings,
                now=self._clock.now(),
                gateway_id=self._gateway_id,
                config_sha256=self._config_sha256,
                drawn=self._drawn(),
            )
            writer.write(encode(begin))
            yield process, reader, writer
            is_done = True
        except asyncio.CancelledError:
            # An orderly end: it may still be writing a clip that was promised, so it is told, not killed. And what it followed
            # until now it may only now call a throw.
            writer.write(encode(End()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await self._hear_out(reader)
                    await process.wait()
            is_done = True
            raise
        finally:
            if not is_done and process.returncode is None:
                process.kill()
            writer.close()
            if process.returncode is None and not is_done:
                await process.wait()
            self.process_id, self._writer = None, None
            self._refuse_stills("摄像机进程已结束 the camera's process has ended")

    async def _hear_out(self, reader: asyncio.StreamReader) -> None:
        """Hand over the throws a process tells after it was told to end."""
        with contextlib.suppress(WireError):
            while True:
                message = await _read(reader)
                if isinstance(message, Fall):
                    self._show(message)
                    await self._raise(message)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limit_s = START_S
        told, looked_s = (self._drawn(), self._clock.now().clock), self._clock.now().service_s
        while True:
            try:
                async with asyncio.timeout(limit_s):
                    message = await _read(reader)
            except TimeoutError:
                raise CameraProcessError(
                    f"无响应，已重启 the process hung: silent for {limit_s:.0f} s"
                ) from None
            self._take(message)
            limit_s = SILENT_S
            now = self._clock.now()
            if now.service_s - looked_s >= _LOOK_S:
                looked_s, news = now.service_s, (self._drawn(), now.clock)
                if news != told:
                    told = news
                    writer.write(encode(Told(drawn=news[0], clock=news[1])))

    def _take(self, message: FromCamera) -> None:
        match message:
            case Health():
                self._healthy(message)
            case Fall():
                self._fell(message)
            case Kept():
                self._kept(message)
            case Still():
                self._shown(message)
            case LastWords():
                raise CameraProcessError(message.why)

    def _healthy(self, health: Health) -> None:
        self.figures = figures = health.figures
        if figures.rss_mib > self.settings.memory_limit_mib:
            raise CameraProcessError(
                f"内存超限，已重启 memory {figures.rss_mib:.0f} MiB, limit {self.settings.memory_limit_mib:.0f} MiB"
            )
        if health.picture is None:
            return
        now = self._clock.now()
        standing = frozenset(flaw for flaw, words in health.flaws.items() if words)
        seen = (health.picture, standing)
        if seen == self._told and now.service_s - self._told_s < self.settings.report_every_s:
            return
        if self._handing is not None and not self._handing.done():
            return
        self._log_change(health, standing)
        self._told, self._told_s = seen, now.service_s
        self._hand_over(
            CameraReading(
                device_id=self.settings.camera_id,
                at=now,
                picture=health.picture,
                frames_per_s=health.frames_per_s,
                detail=health.detail,
                flaws=health.flaws,
                figures=figures,
                last_throw=self._last_throw,
            )
        )

    def _fell(self, fall: Fall) -> None:
        self._show(fall)
        assert self._tasks is not None  # noqa: S101  # made before anything is heard
        self._tasks.create_task(self._raise(fall), name=f"throw at {self.settings.camera_id}")

    def _show(self, fall: Fall) -> None:
        floors = "" if fall.floor_low is None else f" {fall.floor_low}–{fall.floor_high}层"
        self._last_throw = f"{fall.began_at.astimezone():%m-%d %H:%M:%S}{floors} {fall.confidence:.0%}"
        _log.warning(
            "camera %s saw a throw, probability %.2f, %s",
            self.settings.camera_id,
            fall.confidence,
            "an alarm" if fall.is_alarm else "shown only",
            extra={"device_id": self.settings.camera_id},
        )

    async def _raise(self, fall: Fall) -> None:
        """Hand a throw over; tell the process which alarm it has become, for the manifest of its clip."""
        await self._inbox.put(
            ThrowReading(
                device_id=self.settings.camera_id,
                at=self._clock.now(),
                source_at=fall.began_at,
                **{name: getattr(fall, name) for name in Fall.__struct_fields__},
            )
        )
        if self._evidence is not None and fall.awaits_evidence and self._writer is not None:
            alarm_id = self._evidence.alarm_of(self.settings.camera_id)
            self._writer.write(encode(Raised(throw_id=fall.throw_id, alarm_id=alarm_id)))

    def _kept(self, kept: Kept) -> None:
        assert self._tasks is not None  # noqa: S101  # made before anything is heard
        self._tasks.create_task(self._enter(kept), name=f"evidence of {self.settings.camera_id}")

    async def _enter(self, kept: Kept) -> None:
        """Enter what was kept into the journal, or that it was not; then nobody waits for it any more."""
        camera_id, evidence = self.settings.camera_id, self._evidence
        if evidence is not None:
            if kept.files is not None:
                await evidence.adopt(kept.files)
            elif kept.is_given_up:
                await evidence.missed(
                    camera_id=camera_id,
                    event_id=kept.throw_id,
                    alarm_id=evidence.alarm_of(camera_id),
                    why=kept.missing,
                )
            else:
                await evidence.failing(f"{camera_id}: {kept.missing}")
        await self._inbox.put(
            EvidenceReading(
                device_id=camera_id, at=self._clock.now(), throw_id=kept.throw_id, missing=kept.missing
            )
        )

    def _hand_over(self, observation: CameraReading) -> None:
        """Put it into the inbox without waiting for what the ledger makes of it; the next one waits for it."""
        assert self._tasks is not None  # noqa: S101  # made before anything is heard
        self._handing = self._tasks.create_task(
            self._inbox.put(observation), name=f"report of {self.settings.camera_id}"
        )

    def _log_change(self, health: Health, standing: frozenset[Flaw]) -> None:
        if self._told is not None and self._told == (health.picture, standing):
            return
        extra = {"device_id": self.settings.camera_id}
        if health.picture is PictureState.OK and not standing:
            _log.info("camera %s shows a living picture", self.settings.camera_id, extra=extra)
        else:
            words = [health.detail, *(health.flaws[flaw] for flaw in sorted(standing))]
            _log.warning(
                "camera %s is %s: %s",
                self.settings.camera_id,
                ", ".join([str(health.picture), *sorted(standing)]),
                "; ".join(word for word in words if word),
                extra=extra,
            )


async def _read(reader: asyncio.StreamReader) -> FromCamera:
    """Return the next message of the process; raises `WireError` if it ended, or said something else."""
    try:
        head = await reader.readexactly(LENGTH_BYTES)
        return decode(await reader.readexactly(length_of(head)))
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise WireError("its socket closed") from error


async def _farewell(process: Process) -> str:
    """Return how a process ended whose socket is closed; empty: it has not."""
    try:
        async with asyncio.timeout(2.0):
            code = await process.wait()
    except TimeoutError:
        return ""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"进程崩溃，已重启 the process was killed by {signal.Signals(-code).name}"
    return f"进程退出，已重启 the process ended with status {code}"
