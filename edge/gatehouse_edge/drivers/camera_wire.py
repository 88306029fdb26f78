"""What the gateway and the process of one camera say to each other, over a pair of connected sockets.

A message is four octets of length (big-endian) and so many octets of MessagePack, tagged by its kind. Nothing here imports a
decoder: the gateway's side must run where no camera library is installed. Nor an event loop: the process has none, and it would cost
each camera 7 MiB.

| from | message | when |
|---|---|---|
| gateway | `Begin` | once, first |
| gateway | `Told` | somebody has drawn on the camera's still, or the gateway's clock is another |
| gateway | `Raised` | the alarm of a throw is on the disk; its id goes into the manifest |
| gateway | `AskStill` | somebody wants a picture to draw on |
| gateway | `End` | the camera is no longer wanted, or the gateway stops |
| process | `Health` | on change, and once a second: the sign of life |
| process | `Fall` | a throw was found |
| process | `Kept` | the files of a throw, some seconds later; or that there are none |
| process | `Still` | the answer to `AskStill` |
| process | `LastWords` | it ends because something happened that should never happen |
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import CameraFigures, Flaw, PictureState
from gatehouse_events.clock import ClockQuality
from gatehouse_events.evidence import ClockBasis, KeptFiles

MAX_BYTES: Final = 16 << 20
"""A still of a 4K camera is 3 MiB; a calibration with every floor drawn 20 KiB; the rest is smaller."""
_LENGTH: Final = struct.Struct(">I")
LENGTH_BYTES: Final = _LENGTH.size


class WireError(Exception):
    """The other side ended, or said something that is no message."""


class CameraSettings(Struct, frozen=True, kw_only=True):
    """One camera of gateway.yaml, as its process needs it."""

    camera_id: str
    url: str
    """rtsp://, tcp://, udp://, /dev/videoN or a file's path; may hold a password and is therefore never shown."""
    transport: str = "tcp"
    """`tcp` or `udp`: how RTSP brings its packets."""
    repeat_file: bool = True
    """A file that has ended begins anew."""
    frozen_after_s: float = 5.0
    black_after_s: float = 2.0
    lost_after_s: float = 5.0
    """No decoded frame for so long is a lost camera (`max_silence_s` of the configuration)."""
    report_every_s: float = 5.0
    open_limit_s: float = 5.0
    read_limit_s: float = 2.0
    """The longest a stalled camera keeps the reader from noticing that it should stop or reconnect."""
    first_retry_s: float = 0.5
    last_retry_s: float = 5.0
    ring_s: float = 30.0
    """Evidence reaches 10 s before an event and is cut a little after it ended."""
    ring_bytes: int = 32 * 1024 * 1024
    """30 s at 8 Mbit/s, the most an estate camera sends."""
    min_frames_per_s: float = 8.0
    flaw_window_s: float = 10.0
    """Rates and losses are judged over this."""
    breaks_window_s: float = 600.0
    """Openings are counted over this."""
    view_after_s: float = 8.0
    """A picture that is blurred or looks elsewhere for this long has that flaw."""
    view_directory: str = ""
    """Where reference views are kept (small edge pictures); empty: only until the process ends."""
    detect: str | None = "off"
    """`off`, `watch`, `alarm`; None: as the release of the models is marked."""
    models: str = ""
    """Folder of a release; empty: the one that came with the program."""
    threshold: float | None = None
    """None: the release's own."""
    evidence_directory: str = ""
    """Where clips go; empty: none are kept."""
    memory_limit_mib: float = 512.0
    """Beyond this the process is ended and started anew."""


class Begin(Struct, frozen=True, kw_only=True, tag=True):
    """Who you are, what time it is, what was drawn."""

    settings: CameraSettings
    now: Now
    gateway_id: str
    config_sha256: str
    """Of the gateway.yaml in force; goes into the manifest of evidence."""
    drawn: bytes = b""
    """JSON of `evidence.promise.Drawn`; empty: nothing is drawn."""


class Told(Struct, frozen=True, kw_only=True, tag=True):
    """What is drawn, or how far the gateway's clock is believed, has changed."""

    drawn: bytes
    clock: ClockQuality


class Raised(Struct, frozen=True, kw_only=True, tag=True):
    """A throw has become an alarm."""

    throw_id: str
    alarm_id: str


class AskStill(Struct, frozen=True, kw_only=True, tag=True):
    """Send the next picture."""


class End(Struct, frozen=True, kw_only=True, tag=True):
    """Finish what was promised with what there is, and end."""


class Health(Struct, frozen=True, kw_only=True, tag=True):
    """How the camera is; see `CameraReading`."""

    picture: PictureState | None
    """None: the first picture may still come, or a reconnect is under way."""
    detail: str = ""
    frames_per_s: float | None = None
    flaws: dict[Flaw, str] = {}
    figures: CameraFigures = CameraFigures()


class Fall(Struct, frozen=True, kw_only=True, tag=True):
    """One throw; fields as in `ThrowReading`."""

    throw_id: str
    confidence: float
    track_points: int
    began_at: datetime
    ended_at: datetime
    clock: ClockBasis
    is_alarm: bool
    awaits_evidence: bool = False
    floor_low: int | None = None
    floor_high: int | None = None
    floor_probability: float | None = None
    column: int | None = None
    landing_px: tuple[float, float] | None = None
    fall_s: float | None = None
    speed_m_s: float | None = None
    model_sha256: str | None = None


class Kept(Struct, frozen=True, kw_only=True, tag=True):
    """What became of the evidence of a throw."""

    throw_id: str
    files: KeptFiles | None = None
    """None: there are none, or not yet."""
    missing: str = ""
    """What is not there and why."""
    is_given_up: bool = False
    """True: nothing more will come."""


class Still(Struct, frozen=True, kw_only=True, tag=True):
    """A picture, shield zones burnt in."""

    jpeg: bytes = b""
    why: str = ""
    """Why there is none."""


class LastWords(Struct, frozen=True, kw_only=True, tag=True):
    """Why the process ends."""

    why: str


FromGateway = Begin | Told | Raised | AskStill | End
FromCamera = Health | Fall | Kept | Still | LastWords

_encoder: Final = msgspec.msgpack.Encoder()
_from_gateway: Final[msgspec.msgpack.Decoder[FromGateway]] = msgspec.msgpack.Decoder(FromGateway)
_from_camera: Final[msgspec.msgpack.Decoder[FromCamera]] = msgspec.msgpack.Decoder(FromCamera)


def encode(message: FromGateway | FromCamera) -> bytes:
    """Return a message as it goes over the wire."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def length_of(head: bytes) -> int:
    """Return how many octets follow the first `LENGTH_BYTES` of a message.

    Raises:
        WireError: more than a message has.
    """
    (length,) = _LENGTH.unpack(head)
    if length > MAX_BYTES:
        raise WireError(f"a message of {length} bytes")
    return int(length)


def decode(body: bytes) -> FromCamera:
    """Return what a camera's process has said.

    Raises:
        WireError: it is no message.
    """
    try:
        return _from_camera.decode(body)
    except msgspec.DecodeError as error:
        raise WireError("not a message of ours") from error


class Channel:
    """The process's end: any of its threads may `send`, one thread receives."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire: Final = wire
        self._lock: Final = threading.Lock()
        self._heard = bytearray()

    def send(self, message: FromCamera) -> None:
        """Send a message; silently nothing if the gateway is gone, which `receive` tells."""
        raw = encode(message)
        with self._lock:
            try:
                self._wire.sendall(raw)
            except OSError:
                return

    def receive(self, timeout_s: float) -> FromGateway | None:
        """Return the next message, or None if none came within `timeout_s`.

        Raises:
            WireError: the gateway ended, or said something that is no message.
        """
        message = self._taken()
        if message is not None:
            return message
        raw = self._more(timeout_s)
        if raw is None:
            return None
        if not raw:
            raise WireError("the gateway is gone")
        self._heard += raw
        return self._taken()

    def _more(self, timeout_s: float) -> bytes | None:
        # Not `settimeout`: a sender in another thread shares the socket's own time limit.
        poll = select.poll()
        poll.register(self._wire, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            return None
        try:
            return self._wire.recv(65536)
        except OSError:
            return b""

    def _taken(self) -> FromGateway | None:
        if len(self._heard) < _LENGTH.size:
            return None
        end = _LENGTH.size + length_of(bytes(self._heard[: _LENGTH.size]))
        if len(self._heard) < end:
            return None
        body = bytes(self._heard[_LENGTH.size : end])
        del self._heard[:end]
        try:
            return _from_gateway.decode(body)
        except msgspec.DecodeError as error:
            raise WireError("not a message of ours") from error
