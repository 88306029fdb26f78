"""The last seconds of a camera as it sent them: undecoded packets, ready to be cut into evidence without re-encoding."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPacket:
    """One packet of the video stream. Times are in units of `time_base` seconds."""

    octets: bytes
    pts: int | None
    dts: int | None
    duration: int | None
    time_base: Fraction
    is_key: bool
    arrived_s: float
    """Service time of arrival."""


class PacketRing:
    """Keeps whole groups of pictures: it always begins with a key frame, so every cut can be played.

    Bounded twice: by age (the oldest group goes once the rest covers `keep_s`) and by bytes, which wins. Filled by the
    reader thread, read by any.
    """

    def __init__(self, *, keep_s: float, limit_bytes: int) -> None:
        self.keep_s: Final = keep_s
        self.limit_bytes: Final = limit_bytes
        self._groups: deque[list[StoredPacket]] = deque()
        self._held_bytes = 0
        self._dropped_packets = 0
        self._lock: Final = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Octets of payload held now."""
        return self._held_bytes

    @property
    def reach_s(self) -> float:
        """How far back a clip could begin now."""
        with self._lock:
            return self._groups[-1][-1].arrived_s - self._groups[0][0].arrived_s if self._groups else 0.0

    @property
    def dropped_packets(self) -> int:
        """Packets that could not be kept: before the first key frame, or one group larger than the ring."""
        return self._dropped_packets

    def add(self, packet: StoredPacket) -> None:
        """Append the next packet."""
        with self._lock:
            if packet.is_key:
                self._groups.append([])
            elif not self._groups:
                self._dropped_packets += 1
                return
            self._groups[-1].append(packet)
            self._held_bytes += len(packet.octets)
            while len(self._groups) > 1 and packet.arrived_s - self._groups[1][0].arrived_s >= self.keep_s:
                self._drop_group()
            while self._groups and self._held_bytes > self.limit_bytes:
                if len(self._groups) == 1:
                    self._dropped_packets += len(self._groups[0])
                self._drop_group()

    def clear(self) -> None:
        """Forget everything; a stream opened again has other parameter sets and another time base."""
        with self._lock:
            self._groups.clear()
            self._held_bytes = 0

    def begin_anew(self) -> None:
        """Forget all but the newest group; the picture size has changed, and a clip can hold one size only."""
        with self._lock:
            while len(self._groups) > 1:
                self._drop_group()

    def packets(self, *, since_s: float) -> list[StoredPacket]:
        """Return the packets from the last key frame at or before service time `since_s` (else all held)."""
        with self._lock:
            first = 0
            for index, group in enumerate(self._groups):
                if group[0].arrived_s <= since_s:
                    first = index
            return [packet for group in list(self._groups)[first:] for packet in group]

    def _drop_group(self) -> None:
        self._held_bytes -= sum(len(packet.octets) for packet in self._groups.popleft())
