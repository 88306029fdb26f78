"""Clips the fleet wants: sent in pieces that resume, slowly enough for the line, and never while an alarm waits.

A file lies in `evidence` below the storage directory and is named by the SHA-256 of its content, with any ending.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

from gatehouse_edge.uplink.backoff import Backoff
from gatehouse_edge.uplink.errors import AnswerError, RefusedError, UplinkError
from gatehouse_edge.uplink.link import Link
from gatehouse_events.fleet_api import EvidenceAnswer

KEY: Final = "evidence/wanted/"
"""State keys of what was ordered by name: a restart forgets none of it."""
FOLDER: Final = "evidence"
PIECE_BYTES: Final = 128 * 1024
MAX_WANTED: Final = 1024
_log = logging.getLogger(__name__)


class EvidencePort(Protocol):
    """What sending needs of the fleet."""

    async def put_evidence(self, sha256: str, content: bytes, content_range: str) -> EvidenceAnswer:
        """Send a piece, or ask how much is there."""
        ...


class EvidenceQueue:
    """What is wanted, and where it lies. Owned by the gateway."""

    def __init__(self, directory: Path, state: Mapping[str, bytes]) -> None:
        self._directory: Final = directory
        self._ordered: Final = {key.removeprefix(KEY) for key in state if key.startswith(KEY)}
        self._wanted: Final[dict[str, None]] = dict.fromkeys(sorted(self._ordered))
        self._arrived: Final = asyncio.Event()
        if self._wanted:
            self._arrived.set()

    def has(self, sha256: str) -> bool:
        """Return whether the file is here."""
        return self.path(sha256) is not None

    def path(self, sha256: str) -> Path | None:
        """Return where a file lies; None: it is not, or no longer, here."""
        found = sorted(self._directory.glob(f"{sha256}*")) if sha256.isalnum() else []
        return found[0] if found else None

    def key_of(self, sha256: str) -> dict[str, bytes | None]:
        """Return the state key that remembers an order for a file."""
        self._ordered.add(sha256)
        return {f"{KEY}{sha256}": b"1"}

    def want(self, hashes: Iterable[str]) -> None:
        """Queue files that are here; the fleet asks again for those that are not."""
        for sha256 in hashes:
            if len(self._wanted) < MAX_WANTED and self.has(sha256):
                self._wanted[sha256] = None
                self._arrived.set()

    async def next(self) -> str:
        """Return a wanted file, waiting for one."""
        while not self._wanted:
            self._arrived.clear()
            await self._arrived.wait()
        return next(iter(self._wanted))

    def done(self, sha256: str) -> dict[str, bytes | None]:
        """Forget a file; returns the state key to remove with it, if it was ordered by name."""
        self._wanted.pop(sha256, None)
        if sha256 not in self._ordered:
            return {}
        self._ordered.discard(sha256)
        return {f"{KEY}{sha256}": None}

    def later(self, sha256: str) -> None:
        """Put a file behind the others: it could not be sent now."""
        if sha256 in self._wanted:
            self._wanted.pop(sha256)
            self._wanted[sha256] = None


class EvidenceSender:
    """Sends what is wanted, one file at a time."""

    def __init__(
        self,
        fleet: EvidencePort,
        queue: EvidenceQueue,
        *,
        wait_quiet: Callable[[], Awaitable[None]],
        keep: Callable[[Mapping[str, bytes | None]], Awaitable[None]],
        kib_s: int,
        link: Link,
        rng: random.Random,
    ) -> None:
        self._fleet: Final = fleet
        self._queue: Final = queue
        self._wait_quiet: Final = wait_quiet
        self._keep: Final = keep
        self._bytes_s: Final = kib_s * 1024
        self._link: Final = link
        self._rng: Final = rng

    async def run(self) -> None:
        """Send until cancelled."""
        backoff = Backoff(rng=self._rng)
        while True:
            sha256 = await self._queue.next()
            path = self._queue.path(sha256)
            try:
                if path is None or not await asyncio.to_thread(_is_whole, path, sha256):
                    _log.warning("evidence %s is not here, or not what it was", sha256)
                    await self._forget(sha256)
                    continue
                await self._send(sha256, path)
            except UplinkError as error:
                if isinstance(error, RefusedError) and error.is_of_content:
                    _log.warning("evidence %s is not wanted: %s", sha256, error)
                    await self._forget(sha256)
                    continue
                self._link.failed(error)
                self._queue.later(sha256)
                await asyncio.sleep(backoff.next_s(at_least_s=1.0))
            except OSError as error:
                _log.warning("evidence %s cannot be read: %s", sha256, error)
                self._queue.later(sha256)
                await asyncio.sleep(backoff.next_s(at_least_s=1.0))
            else:
                backoff.reset()
                await self._forget(sha256)

    async def _send(self, sha256: str, path: Path) -> None:
        total = path.stat().st_size
        await self._wait_quiet()
        answer = await self._fleet.put_evidence(sha256, b"", f"bytes */{total}")
        standing = -1
        while not answer.is_complete:
            start = answer.received_bytes
            if start >= total or start == standing:
                raise AnswerError(f"the fleet stands at {start} of {total} bytes and asks for nothing more")
            standing = start
            await self._wait_quiet()
            piece = await asyncio.to_thread(_piece, path, start)
            answer = await self._fleet.put_evidence(
                sha256, piece, f"bytes {start}-{start + len(piece) - 1}/{total}"
            )
            await asyncio.sleep(len(piece) / self._bytes_s)
        self._link.answered()

    async def _forget(self, sha256: str) -> None:
        keys = self._queue.done(sha256)
        if keys:
            await self._keep(keys)


def _piece(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(PIECE_BYTES)


def _is_whole(path: Path, sha256: str) -> bool:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest() == sha256
