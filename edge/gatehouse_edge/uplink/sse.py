"""Server-sent events out of a byte stream (WHATWG HTML §9.2), bounded. Pure: bytes in, events out."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from gatehouse_edge.uplink.errors import AnswerError

MAX_EVENT_BYTES: Final = 72 * 1024
"""An order has at most 64 KiB (`orders.MAX_ORDER_BYTES`); the rest is its id."""


class StreamEvent(Struct, frozen=True, kw_only=True):
    """One event with data."""

    kind: str
    data: bytes


class EventParser:
    """Feed it what comes; comments and unknown fields are stepped over."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._kind = "message"
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """Return the events that end within `chunk`.

        Raises:
            AnswerError: one event is larger than any order; the stream is not ours.
        """
        self._rest += chunk
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        found = [event for line in lines if (event := self._line(line.removesuffix(b"\r"))) is not None]
        if len(self._rest) + self._size > MAX_EVENT_BYTES:
            raise AnswerError(f"an event of the order stream has more than {MAX_EVENT_BYTES} bytes")
        return found

    def _line(self, line: bytes) -> StreamEvent | None:
        if not line:
            event = StreamEvent(kind=self._kind, data=b"\n".join(self._data)) if self._data else None
            self._kind, self._data, self._size = "message", [], 0
            return event
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
        elif name == b"event":
            self._kind = value.decode("utf-8", "replace")
        return None
