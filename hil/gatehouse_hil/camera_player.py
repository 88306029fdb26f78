"""A simulated camera: a real RTSP server (RFC 2326, RTP interleaved in the TCP connection) or raw MPEG-TS over TCP.

The picture is a drawn facade, encoded once and sent to every client. Set `condition` and the next picture obeys.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from types import TracebackType
from typing import Final, Literal

import av
import numpy as np

from gatehouse_hil.facade import Body, Facade, Luma
from gatehouse_hil.h264 import RTP_HZ, RTP_TYPE, Encoder, Packetizer, is_key, parameter_sets

_REQUEST_BYTES: Final = 8192
_REPORT_EVERY_S: Final = 2
_QUEUE_PICTURES: Final = 30
"""A client this far behind loses pictures rather than costing us memory."""
_SLOW: Final = 3
_HOLE_SHARE: Final = 0.25
"""Of a second without pictures; with the picture before it, at 12 a second, a hole of a third."""
_SPOILT: Final = 4
_SHARP: Final = 50
"""A lens out of focus spreads a point over this part of the picture's width."""


class Condition(StrEnum):
    """What is wrong with the camera."""

    NORMAL = "normal"
    FROZEN = "frozen"
    """The sensor hangs: the encoder goes on sending the same picture."""
    BLACK = "black"
    """The lens is covered."""
    STALLED = "stalled"
    """The connection stands, nothing comes."""
    DROPPED = "dropped"
    """Connections are cut, new ones refused."""
    STOPPED_CLOCK = "stopped_clock"
    """Pictures come, all with the same time stamp."""
    BLURRED = "blurred"
    """The lens is out of focus, or wet."""
    MOVED = "moved"
    """Somebody has pushed it aside by a tenth of the picture."""
    SLOW = "slow"
    """Only each third picture is taken; its time stamp tells so."""
    UNEVEN = "uneven"
    """A variable rate: in each second nothing for a third of it, and the time stamps tell so."""
    CORRUPT = "corrupt"
    """Every fourth picture that others build upon is spoilt on its way."""
    RESIZED = "resized"
    """Somebody has set another size: from the next picture on, with a key picture, on the same connection."""
    BARE = "bare"
    """`mpegts` only: whoever connects now gets pictures without a container, hence without time stamps."""


class CameraPlayer:
    """One camera on a loopback port. An async context manager; `url` is what goes into gateway.yaml.

    `wire` "rtsp" is the real thing; "mpegts" serves a bare transport stream to whoever connects.
    """

    def __init__(
        self,
        *,
        wire: Literal["rtsp", "mpegts"] = "rtsp",
        fps: int = 12,
        facade: Facade | None = None,
        port: int = 0,
    ) -> None:
        self.condition = Condition.NORMAL
        self.connections = 0
        """Clients accepted so far."""
        self.pictures = 0
        """Pictures encoded so far."""
        self.delivered = 0
        """Pictures put on the wire so far as RTP, to all clients together."""
        self._wire: Final = wire
        self._fps: Final = fps
        self.facade: Final = facade or Facade(fps=fps)
        self.clock_error_s: float | None = 0.0
        """What is added to the time its sender reports tell; None: it sends none."""
        self._port = port
        self._encoder = Encoder(self.facade.width, self.facade.height, fps)
        self._is_resized = False
        """The encoder is set to the other size."""
        self._is_bare = False
        self._number = 0
        """Ticks of its clock so far."""
        self._boot = 0
        """Tick at which its time stamps began."""
        self._clients: set[asyncio.Queue[_Picture | None]] = set()
        self._left: Final = asyncio.Event()
        self._sets: list[bytes] = []
        self._stuck: Luma | None = None
        self._server: asyncio.Server | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._filming: asyncio.Task[None] | None = None

    def throw(self, *, floor: int, column: int) -> Body:
        """Let something fall from a window from the next picture on."""
        return self.facade.throw(self.pictures, floor=floor, column=column)

    async def reboot(self) -> None:
        """Cut everybody off and begin anew, time stamps too."""
        await self._hang_up()
        self._boot = self._number + 1

    @property
    def url(self) -> str:
        """Address for PyAV, fixed once entered."""
        scheme, tail = ("rtsp", "/facade") if self._wire == "rtsp" else ("tcp", "")
        return f"{scheme}://127.0.0.1:{self._port}{tail}"

    async def __aenter__(self) -> CameraPlayer:
        await self._listen()
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._filming = self._tasks.create_task(self._film(), name="camera player")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tasks is None or self._filming is None:
            return
        self._filming.cancel()
        try:
            await self._tasks.__aexit__(*_ours(kind, error, trace))
        finally:
            await self._hang_up()
            while self._clients:
                self._left.clear()
                await self._left.wait()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _hang_up(self) -> None:
        """Cut every client and stop listening; the port number is kept for coming back."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for client in self._clients:
            with contextlib.suppress(asyncio.QueueEmpty):
                while True:
                    client.get_nowait()
            client.put_nowait(None)

    async def _film(self) -> None:
        """Draw, encode and hand out pictures at the camera's rate until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + 1 / self._fps, loop.time())
            await asyncio.sleep(due - loop.time())
            if self.condition is Condition.DROPPED:
                await self._hang_up()
                continue
            if self._server is None:
                await self._listen()
            if self.condition is Condition.STALLED:
                self._number += 1  # its clock goes on
                continue
            is_bare = self.condition is Condition.BARE
            if is_bare is not self._is_bare:
                self._is_bare = is_bare
                await self._hang_up()
                continue
            if self.condition is not Condition.STOPPED_CLOCK:
                self._number += 1
            if self._takes(self._number):
                self._hand_out((self._number - self._boot) * RTP_HZ // self._fps)

    def _takes(self, number: int) -> bool:
        """Whether there is a picture at this tick."""
        if self.condition is Condition.SLOW:
            return number % _SLOW == 0
        if self.condition is Condition.UNEVEN:
            return number % self._fps >= self._fps * _HOLE_SHARE
        return True

    def _hand_out(self, timestamp: int) -> None:
        luma, is_resized = self._draw(), self.condition is Condition.RESIZED
        if is_resized:
            luma = luma.repeat(2, axis=0).repeat(2, axis=1)
        if is_resized is not self._is_resized:
            self._is_resized = is_resized
            self._encoder = Encoder(luma.shape[1], luma.shape[0], self._fps)
        unit = self._encoder.encode(luma, self.pictures)
        is_whole = self.condition is not Condition.CORRUPT or is_key(unit) or self.pictures % _SPOILT
        picture = _Picture(unit if is_whole else _spoilt(unit), timestamp, is_key(unit))
        self.pictures += 1
        self._sets = parameter_sets(unit) or self._sets
        for client in self._clients:
            if not client.full():
                client.put_nowait(picture)

    def _draw(self) -> Luma:
        if self.condition is Condition.FROZEN:
            if self._stuck is None:
                self._stuck = self.facade.picture(self.pictures)
            return self._stuck
        self._stuck = None
        if self.condition is Condition.BLURRED:
            import cv2  # a player that is never out of focus does without

            blurred: Luma = np.asarray(
                cv2.GaussianBlur(self.facade.picture(self.pictures), (0, 0), self.facade.width / _SHARP),
                np.uint8,
            )
            return blurred
        if self.condition is Condition.MOVED:
            return np.roll(self.facade.picture(self.pictures), self.facade.width // 10, axis=1)
        draw = self.facade.black if self.condition is Condition.BLACK else self.facade.picture
        return draw(self.pictures)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        pictures: asyncio.Queue[_Picture | None] = asyncio.Queue(_QUEUE_PICTURES)
        self._clients.add(pictures)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                if self._wire == "rtsp":
                    await _Session(reader, writer, self).converse(pictures)
                elif self._is_bare:
                    async for picture in _from_key(pictures):
                        writer.write(picture.unit)
                        await writer.drain()
                else:
                    await _send_transport_stream(writer, pictures, self.facade, self._fps)
        finally:
            self._clients.discard(pictures)
            writer.transport.abort()
            self._left.set()

    def sdp(self) -> str:
        """Return the session description (RFC 4566, RFC 6184 §8.2)."""
        sets = ",".join(base64.b64encode(unit).decode() for unit in self._sets)
        sprop = f";sprop-parameter-sets={sets}" if sets else ""
        return "\r\n".join((
            "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=facade", "c=IN IP4 0.0.0.0", "t=0 0",
            f"m=video 0 RTP/AVP {RTP_TYPE}", f"a=rtpmap:{RTP_TYPE} H264/{RTP_HZ}",
            f"a=fmtp:{RTP_TYPE} packetization-mode=1{sprop}", "a=control:trackID=0", "",
        ))  # fmt: skip


def _ours(
    kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
) -> tuple[type[BaseException] | None, BaseException | None, TracebackType | None]:
    """A task group wraps what it is told of; a test's own failure should come out as it is."""
    return (kind, error, trace) if kind is asyncio.CancelledError else (None, None, None)


def _spoilt(unit: bytes) -> bytes:
    """Return an access unit whose second half is noise, as a line without checksums brings it."""
    half = len(unit) // 2
    return unit[:half] + bytes(octet ^ 0x55 for octet in unit[half:])


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  # the camera's own clock


class _Picture:
    __slots__ = ("is_key", "timestamp", "unit")

    def __init__(self, unit: bytes, timestamp: int, is_key: bool) -> None:  # private
        self.unit: Final = unit
        self.timestamp: Final = timestamp
        self.is_key: Final = is_key


async def _from_key(pictures: asyncio.Queue[_Picture | None]) -> AsyncIterator[_Picture]:
    """Yield pictures from the next key picture on, until the camera hangs up."""
    is_started = False
    while (picture := await pictures.get()) is not None:
        is_started = is_started or picture.is_key
        if is_started:
            yield picture


class _Session:
    """One RTSP conversation. Only what a client needs to get one H.264 track interleaved."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, player: CameraPlayer
    ) -> None:
        self._reader: Final = reader
        self._writer: Final = writer
        self._player: Final = player
        self._is_playing = False

    async def converse(self, pictures: asyncio.Queue[_Picture | None]) -> None:
        """Answer requests, after PLAY send pictures too, until either side hangs up."""
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(self._answer_until_gone(pictures), name="rtsp requests")
            packetizer, is_started, reported = Packetizer(), False, -_REPORT_EVERY_S * RTP_HZ
            async for picture in _from_key(pictures):
                is_started = self._is_playing and (is_started or picture.is_key)
                if not is_started:
                    continue
                error_s = self._player.clock_error_s
                if error_s is not None and picture.timestamp - reported >= _REPORT_EVERY_S * RTP_HZ:
                    reported = picture.timestamp
                    report = packetizer.report(picture.timestamp, _now() + timedelta(seconds=error_s))
                    self._writer.write(struct.pack(">cBH", b"$", 1, len(report)) + report)
                for packet in packetizer.packets(picture.unit, picture.timestamp):
                    self._writer.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                self._player.delivered += 1
                try:
                    await self._writer.drain()
                except ConnectionError:
                    break
            answering.cancel()

    async def _answer_until_gone(self, pictures: asyncio.Queue[_Picture | None]) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while await self._answer() != "TEARDOWN":
                pass
        if pictures.full():
            pictures.get_nowait()
        pictures.put_nowait(None)

    async def _answer(self) -> str:
        """Answer one request and return its method; interleaved packets from the client (RTCP) are skipped."""
        first = await self._reader.readexactly(1)
        if first == b"$":
            _, length = struct.unpack(">BH", await self._reader.readexactly(3))
            await self._reader.readexactly(length)
            return "$"
        head = (first + await self._reader.readuntil(b"\r\n\r\n")).decode("utf-8", "replace")
        method = head.split(" ", 1)[0]
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        extra, body = "", ""
        if method == "OPTIONS":
            extra = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN\r\n"
        elif method == "DESCRIBE":
            body = self._player.sdp()
            extra = f"Content-Base: {self._player.url}/\r\nContent-Type: application/sdp\r\n"
        elif method == "SETUP":
            extra = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 47480001;timeout=60\r\n"
        status = "200 OK"
        if method == "SETUP" and "TCP" not in fields.get("Transport", ""):
            status, extra = "461 Unsupported Transport", ""
        elif not extra:
            extra = "Session: 47480001\r\n"
        self._writer.write(
            f"RTSP/1.0 {status}\r\nCSeq: {fields.get('CSeq', '0')}\r\n{extra}"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        await self._writer.drain()
        self._is_playing = self._is_playing or method == "PLAY"
        return method


async def _send_transport_stream(
    writer: asyncio.StreamWriter, pictures: asyncio.Queue[_Picture | None], facade: Facade, fps: int
) -> None:
    """Send MPEG-TS packets until either side hangs up."""
    sink = io.BytesIO()
    with av.open(sink, mode="w", format="mpegts", options={"mpegts_flags": "resend_headers"}) as muxer:
        stream = muxer.add_stream("h264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = facade.width, facade.height, "yuv420p"
        stream.time_base = Fraction(1, RTP_HZ)
        async for picture in _from_key(pictures):
            packet = av.Packet(picture.unit)
            packet.stream, packet.time_base = stream, Fraction(1, RTP_HZ)
            packet.pts = packet.dts = picture.timestamp
            packet.is_keyframe = picture.is_key
            muxer.mux(packet)
            writer.write(sink.getvalue())
            sink.seek(0)
            sink.truncate()
            await writer.drain()
