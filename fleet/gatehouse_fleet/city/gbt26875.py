"""GB/T 26875.3 frames, as far as their offsets could be read in public parsers (domain notes 2.3; vectors in the tests).

| offset | bytes | field |
|---|---|---|
| 0 | 2 | `40 40` |
| 2 | 2 | serial, low byte first; an answer repeats it |
| 4 | 2 | protocol version: main (1), user |
| 6 | 6 | time: second, minute, hour, day, month, year - 2000; binary |
| 12 | 6 | source address, low byte first |
| 18 | 6 | destination address |
| 24 | 2 | length of the application data, low byte first, at most 1024 |
| 26 | 1 | command: 1 control, 2 send, 3 confirm, 4 request, 5 answer, 6 deny |
| 27 | n | application data: type, count, objects |
| 27+n | 1 | sum of bytes 2 to 26+n, low 8 bits |
| 28+n | 2 | `23 23` |

Application data type 2, component status, objects of 46 bytes:

| offset | bytes | field |
|---|---|---|
| 0 | 1 | system type |
| 1 | 1 | system address |
| 2 | 1 | component type (10 combustible gas detector, 11 point, 12 stand-alone, 13 line) |
| 3 | 4 | component address, low byte first |
| 7 | 2 | status, a BITMASK, low byte first |
| 9 | 31 | description, GB 18030, filled with zeros |
| 40 | 6 | time of the change, as above |

Type 91, duty check 查岗 (down): one byte, minutes to answer. Type 24, operation of the transmitter (up): one byte of
flags (32: duty check answered), one byte operator number, time.
"""

from __future__ import annotations

import struct
from datetime import datetime, tzinfo
from enum import IntEnum, IntFlag
from typing import Final

from msgspec import Struct

from gatehouse_fleet.city.errors import FrameError

START: Final = b"@@"
END: Final = b"##"
MAX_DATA_BYTES: Final = 1024
_HEAD: Final = struct.Struct("<2sHBB6s6s6sHB")
_TAIL_BYTES: Final = 3
MIN_FRAME_BYTES: Final = _HEAD.size + _TAIL_BYTES
_OBJECT: Final = struct.Struct("<BBBIH31s6s")
_DESCRIPTION_BYTES: Final = 31
_CENTURY: Final = 2000
COMPONENT_STATUS: Final = 2
OPERATION: Final = 24
DUTY_CHECK: Final = 91
_DUTY_ANSWERED: Final = 32


class Command(IntEnum):
    """The command byte."""

    CONTROL = 1
    SEND = 2
    CONFIRM = 3
    REQUEST = 4
    ANSWER = 5
    DENY = 6


class Status(IntFlag):
    """State of a component. Several may hold at once: never compare, always test the bit."""

    NORMAL = 1
    ALARM = 2
    FAULT = 4
    DISABLED = 8
    SUPERVISED = 16
    STARTED = 32
    FEEDBACK = 64
    DELAYED = 128
    POWER_FAULT = 256


class Frame(Struct, frozen=True, kw_only=True):
    """One frame, taken apart."""

    serial: int
    user_version: int
    time: bytes
    """As on the wire: `read_time` makes a time of it."""
    source: bytes
    destination: bytes
    command: int
    data: bytes = b""
    main_version: int = 1


class Component(Struct, frozen=True, kw_only=True):
    """One object of type 2."""

    system_type: int
    system_address: int
    component_type: int
    address: int
    status: Status
    description: str
    time: bytes


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame.

    Raises:
        FrameError: a field does not fit.
    """
    if len(frame.data) > MAX_DATA_BYTES:
        raise FrameError(f"{len(frame.data)} bytes of data; a frame carries {MAX_DATA_BYTES}")
    try:
        head = _HEAD.pack(
            START,
            frame.serial,
            frame.main_version,
            frame.user_version,
            frame.time,
            frame.source,
            frame.destination,
            len(frame.data),
            frame.command,
        )
    except struct.error as error:
        raise FrameError(f"a field does not fit its place: {error}") from error
    body = head[len(START) :] + frame.data
    return START + body + bytes([sum(body) & 0xFF]) + END


def decode(raw: bytes) -> Frame:
    """Return the one frame that `raw` is.

    Raises:
        FrameError: wrong length, marks or sum.
    """
    if len(raw) < MIN_FRAME_BYTES:
        raise FrameError(f"{len(raw)} bytes; a frame has at least {MIN_FRAME_BYTES}")
    start, serial, main, user, time, source, destination, length, command = _HEAD.unpack_from(raw)
    if start != START or raw[-len(END) :] != END:
        raise FrameError("a frame begins with 40 40 and ends with 23 23")
    if length > MAX_DATA_BYTES or len(raw) != MIN_FRAME_BYTES + length:
        raise FrameError(f"length says {length} bytes of data, the frame has {len(raw) - MIN_FRAME_BYTES}")
    body = raw[len(START) : -_TAIL_BYTES]
    if sum(body) & 0xFF != raw[-_TAIL_BYTES]:
        raise FrameError(f"the sum is {sum(body) & 0xFF:02x}, the frame says {raw[-_TAIL_BYTES]:02x}")
    return Frame(
        serial=serial,
        user_version=user,
        time=time,
        source=source,
        destination=destination,
        command=command,
        data=body[_HEAD.size - len(START) :],
        main_version=main,
    )


class Splitter:
    """Cuts a byte stream into frames by their length field."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames completed by `data`.

        Raises:
            FrameError: the stream is not made of frames.
        """
        self._rest += data
        found = []
        while len(self._rest) >= _HEAD.size:
            start, *_, length, _command = _HEAD.unpack_from(self._rest)
            if start != START or length > MAX_DATA_BYTES:
                raise FrameError("the stream is not made of frames")
            size = MIN_FRAME_BYTES + length
            if len(self._rest) < size:
                break
            found.append(decode(self._rest[:size]))
            self._rest = self._rest[size:]
        return found


def confirm(frame: Frame) -> Frame:
    """Return the answer to a frame: same serial and time, addresses turned round, command 3, no data."""
    return Frame(
        serial=frame.serial,
        user_version=frame.user_version,
        time=frame.time,
        source=frame.destination,
        destination=frame.source,
        command=Command.CONFIRM,
        main_version=frame.main_version,
    )


def component_data(components: tuple[Component, ...]) -> bytes:
    """Return application data of type 2.

    Raises:
        FrameError: a field does not fit.
    """
    try:
        objects = [
            _OBJECT.pack(
                part.system_type,
                part.system_address,
                part.component_type,
                part.address,
                part.status,
                described(part.description),
                part.time,
            )
            for part in components
        ]
        return bytes([COMPONENT_STATUS, len(objects)]) + b"".join(objects)
    except (struct.error, ValueError) as error:
        raise FrameError(f"a field does not fit its place: {error}") from error


def read_components(data: bytes) -> tuple[Component, ...]:
    """Return the objects of application data of type 2.

    Raises:
        FrameError: another type, or not whole objects.
    """
    if data[:1] != bytes([COMPONENT_STATUS]) or len(data) < 2:  # noqa: PLR2004  # type and count
        raise FrameError("not component status")
    objects = data[2:]
    if len(objects) != data[1] * _OBJECT.size:
        raise FrameError(f"{data[1]} objects need {data[1] * _OBJECT.size} bytes, there are {len(objects)}")
    return tuple(_component(fields) for fields in _OBJECT.iter_unpack(objects))


def duty_check_minutes(frame: Frame) -> int | None:
    """Return within how many minutes a duty check wants an answer; None: the frame is none."""
    if frame.command != Command.CONTROL or frame.data[:2] != bytes([DUTY_CHECK, 1]) or len(frame.data) != 3:  # noqa: PLR2004  # type, count, minutes
        return None
    return frame.data[2]


def duty_answer(operator: int, at: bytes) -> bytes:
    """Return application data of type 24 that says: operator `operator` has answered the duty check."""
    return bytes([OPERATION, 1, _DUTY_ANSWERED, operator]) + at


def time_label(at: datetime, zone: tzinfo) -> bytes:
    """Return the six bytes of a time on the clock of `zone`."""
    local = at.astimezone(zone)
    return bytes(
        [local.second, local.minute, local.hour, local.day, local.month, (local.year - _CENTURY) % 256]
    )


def read_time(raw: bytes, zone: tzinfo) -> datetime:
    """Return the time in six bytes.

    Raises:
        FrameError: there is no such time.
    """
    try:
        second, minute, hour, day, month, year = raw
        return datetime(_CENTURY + year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError as error:
        raise FrameError(f"not a time: {raw.hex()}") from error


def described(text: str) -> bytes:
    """Return `text` as 31 bytes of GB 18030, cut between characters, filled with zeros."""
    kept = b""
    for char in text:
        more = char.encode("gb18030", errors="replace")
        if len(kept) + len(more) > _DESCRIPTION_BYTES:
            break
        kept += more
    return kept.ljust(_DESCRIPTION_BYTES, b"\0")


def _component(fields: tuple[int, int, int, int, int, bytes, bytes]) -> Component:
    system_type, system_address, kind, address, status, text, time = fields
    return Component(
        system_type=system_type,
        system_address=system_address,
        component_type=kind,
        address=address,
        status=Status(status),
        description=text.split(b"\0", 1)[0].decode("gb18030", errors="replace"),
        time=time,
    )
