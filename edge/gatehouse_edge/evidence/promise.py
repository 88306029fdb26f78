"""What a camera's process knows of a throw the moment it sees it: plain data, kept on disk until the evidence is whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta, Struct

from gatehouse_edge.vision.facade import Calibration, Origin
from gatehouse_events.evidence import EventId, EvidenceClock, EvidenceModel, Moment

PRE_S: Final = 10.0
"""A clip begins at least so long before the thing was first seen (domain table row 41) …"""
POST_S: Final = 5.0
"""… and ends at least so long after it was last seen."""
MAX_BOXES: Final = 2000


class PromiseError(ValueError):
    """A promise that is none; the text says why."""


class Box(Struct, frozen=True, kw_only=True):
    """Where the thing was in one picture; pixels from the top left of the picture as the camera sends it."""

    pts_s: float | None
    """The stream's own time of that picture, seconds; None: the stream tells none."""
    arrived_s: float
    """Service time at which the packet of that picture arrived."""
    x: float
    y: float
    width_px: float
    height_px: float

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box."""
        return self.x + self.width_px / 2, self.y + self.height_px / 2


class Drawn(Struct, frozen=True, kw_only=True):
    """What an operator had drawn on a still of the camera, as it stood then."""

    version: int
    sha256: str
    """Of the stored calibration."""
    calibration: Calibration


class Promise(Struct, frozen=True, kw_only=True):
    """One throw as it was seen. Goes over a pipe and to the disk as JSON."""

    event_id: EventId
    gateway_id: str
    camera_id: str
    boxes: Annotated[tuple[Box, ...], Meta(min_length=1, max_length=MAX_BOXES)]
    first_seen_at: Moment
    """Capture time of the first box; all other times follow from it by the stream's own clock."""
    clock: EvidenceClock
    width_px: Annotated[int, Meta(ge=1, le=16_384)]
    height_px: Annotated[int, Meta(ge=1, le=16_384)]
    config_sha256: str
    """Of the gateway.yaml in force."""
    model: EvidenceModel | None = None
    """None: no model judged it (the classical path, a test)."""
    drawn: Drawn | None = None
    origin: Origin | None = None
    alarm_id: str = ""
    """Empty: the gateway has not told it yet."""

    @property
    def has_stream_times(self) -> bool:
        """Whether times are counted by the stream's own clock; else by arrival."""
        return all(box.pts_s is not None for box in self.boxes)

    @property
    def seen_s(self) -> float:
        """From the first box to the last."""
        return self.time_of(self.boxes[-1]) - self.time_of(self.boxes[0])

    @property
    def last_seen_at(self) -> datetime:
        """Capture time of the last box."""
        return self.first_seen_at + timedelta(seconds=self.seen_s)

    @property
    def shield(self) -> tuple[tuple[tuple[float, float], ...], ...]:
        """Zones that must be burnt in before anything is stored."""
        return () if self.drawn is None else self.drawn.calibration.shield

    def time_of(self, moment: Timed) -> float:
        """Return when something was, on the clock this promise counts by."""
        return moment.pts_s if self.has_stream_times and moment.pts_s is not None else moment.arrived_s


class Timed(Protocol):
    """Something with a time on both clocks: a box, a packet."""

    @property
    def pts_s(self) -> float | None:
        """The stream's own time, seconds; None: it tells none."""
        ...

    @property
    def arrived_s(self) -> float:
        """Service time of its arrival."""
        ...


class Cut(Struct, frozen=True, kw_only=True):
    """What was cut out of the ring, on the disk before the clip itself: a restart needs it to place boxes in the clip."""

    first_s: float
    """Time of the first picture, on the clock the promise counts by."""
    last_s: float
    pictures: int
    codec: str
    width_px: int
    height_px: int
    gaps: tuple[tuple[float, float], ...] = ()
    """Times without a picture: when (seconds into the clip), how long."""


def event_id_of(camera_id: str, first_seen_at: datetime) -> str:
    """Return an id that no other throw of this gateway has."""
    return f"{camera_id}-{first_seen_at.astimezone(UTC):%Y%m%dT%H%M%S%f}"


def decode_promise(raw: bytes) -> Promise:
    """Return a promise from a pipe or from the disk.

    Raises:
        PromiseError: not one.
    """
    try:
        return msgspec.json.decode(raw, type=Promise)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise PromiseError(f"not a promise of evidence: {error}") from error


def gaps_in(times_s: Sequence[float], longest_s: float = 1.0) -> tuple[tuple[float, float], ...]:
    """Return where more than `longest_s` lies between two pictures: (seconds after the first, how long); at most 32."""
    found = [
        (round(before - times_s[0], 3), round(after - before, 3))
        for before, after in pairwise(times_s)
        if after - before > longest_s
    ]
    return tuple(found[:32])
