"""The frame dialect `#10#{json}#13#`: login, need_login, kick, ping/cping, info (README of a public lift cloud).

Frames are JSON objects. Which field says what a frame is, what the login carries and how states are written is not in what
we could read: the target's file says so (`type_field`, `login`, `values`), nothing is assumed. The spelling `reparing` is theirs.

An info frame tells the state of one lift, not a change: `fault` lists every fault that stands. Nothing in the dialect
acknowledges an info frame; a `cping` that answers a `ping` sent behind it proves that the platform has read it, and no more.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gatehouse_events.event import Event, LiftState
from gatehouse_fleet.city.codemap import CodeMap
from gatehouse_fleet.city.errors import FrameError, UnsayableError
from gatehouse_fleet.city.exchange import Message
from gatehouse_fleet.city.target import TextFrames

START: Final = b"#10#"
END: Final = b"#13#"
MAX_FRAME_BYTES: Final = 64 * 1024
"""An info frame has a few hundred bytes; a peer that never ends one must not fill the memory."""


def encode(document: dict[str, Any]) -> bytes:
    """Return one frame; `#` inside is escaped so that no text can end it."""
    return START + msgspec.json.encode(document).replace(b"#", b"\\u0023") + END


class Splitter:
    """Cuts a byte stream into frames; what stands between frames is refused."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return the frames completed by `data`.

        Raises:
            FrameError: bytes outside a frame, a frame without end, or one that is no JSON object.
        """
        self._rest += data
        found: list[dict[str, Any]] = []
        while self._rest:
            if not START.startswith(self._rest[: len(START)]):
                raise FrameError("bytes outside a frame")
            end = self._rest.find(END, len(START))
            if end < 0:
                if len(self._rest) > MAX_FRAME_BYTES:
                    raise FrameError(f"a frame of more than {MAX_FRAME_BYTES} bytes")
                break
            found.append(_document(self._rest[len(START) : end]))
            self._rest = self._rest[end + len(END) :]
        return found


class TextFramesEnvelope:
    """Says how one lift is, after each change of an alarm on it."""

    tells_states: Final = True

    def __init__(self, settings: TextFrames, *, codes: CodeMap) -> None:
        self._settings: Final = settings
        self._codes: Final = codes

    def render(self, event: Event, standing: tuple[str, ...]) -> Message | None:
        """See `Envelope.render`."""
        asset = self._settings.assets.get(event.subject)
        if asset is None:
            raise UnsayableError(f"envelope.assets says nothing of {event.subject}")
        self._codes.word(event)  # of what has ended too: nobody was ever told a code that has no word
        document: dict[str, object] = {
            self._settings.type_field: "info",
            **asset.words,
            **self._state(event.data.lift or LiftState()),
            "fault": sorted(self._codes.words(event, standing)),
        }
        return Message(event_id=event.id, body=encode(document), content_type="text/plain")

    def _state(self, lift: LiftState) -> dict[str, object]:
        ours: dict[str, object] = {
            "direction": lift.direction,
            "inposition": lift.door_zone,
            "floor": lift.floor,
            "door": lift.door_closed,
            "haspeople": lift.passenger,
            "reparing": lift.service_mode,
            "inmaintenance": lift.service_mode,
        }
        said: dict[str, object] = {}
        for field, value in ours.items():
            table = self._settings.values.get(field)
            if table is None or value is None:
                continue
            word = str(value).lower()
            if word in table:
                said[field] = table[word]
            elif "*" in table:
                said[field] = value if table["*"] == "as_is" else table["*"]
        return said


def _document(raw: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise FrameError(f"a frame that is no JSON object: {error}") from error
