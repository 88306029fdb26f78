"""What the fleet must be told, kept on disk until it has been: records and new devices, in order.

A message is one file, named by its place in the order and the hash of its body, so the same thing put twice is one file and
the fleet, which is idempotent on that hash, may be told it twice. Sent files move to `sent/`.
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import httpx
import msgspec
from msgspec import Struct

from gatehouse_hil.bench.disk_file import replace_file
from gatehouse_hil.bench.fault import BenchError, Fault

MAX_PENDING: Final = 10_000
"""A bench that has been alone for so many boards has other troubles; refuse to fill the disk."""
_TIMEOUT_S: Final = 10.0
_ALREADY: Final = 409
_SERVER_ERRORS: Final = 500


class Message(Struct, frozen=True, kw_only=True):
    """One thing to post."""

    path: str
    hash: str
    body: msgspec.Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """Where and as whom to post."""

    url: str
    token: str
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came of one attempt."""

    sent: int
    kept: int
    fault: BenchError | None
    """Why something was kept; None when nothing was."""


class Outbox:
    """The folder of messages of one bench."""

    def __init__(self, directory: Path) -> None:
        self._directory: Final = directory

    def put(self, path: str, body: bytes) -> None:
        """Keep `body` for `path`; durable when this returns. The same body twice is kept once.

        Raises:
            BenchError: FLEET_UNREACHABLE, there is no more room.
        """
        digest = sha256(body).hexdigest()
        waiting = self.pending()
        if any(file.stem.endswith(digest) for file in (*waiting, *self._sent())):
            return
        if len(waiting) >= MAX_PENDING:
            raise BenchError(
                Fault.FLEET_UNREACHABLE, url="-", why=f"{MAX_PENDING} messages wait", kept=len(waiting)
            )
        number = 1 + max((_number(file) for file in (*waiting, *self._sent())), default=0)
        content = msgspec.json.encode(Message(path=path, hash=digest, body=msgspec.Raw(body)))
        replace_file(self._directory / f"{number:08}-{digest}.json", content, mode=0o600)

    def pending(self) -> list[Path]:
        """Return the files of what has not been sent, in order."""
        return sorted(self._directory.glob("*-*.json"), key=_number)

    async def send(self, post: Post) -> Sent:
        """Post everything that waits; stop at the first failure of the way, step over what the fleet refuses."""
        sent, refused = 0, None
        verify: ssl.SSLContext | bool = (
            ssl.create_default_context(cafile=post.ca_file) if post.ca_file else True
        )
        headers = {"authorization": f"Bearer {post.token}", "content-type": "application/json"}
        async with httpx.AsyncClient(
            base_url=post.url, headers=headers, timeout=_TIMEOUT_S, verify=verify, follow_redirects=False
        ) as client:
            for file in self.pending():
                try:
                    message = msgspec.json.decode(file.read_bytes(), type=Message)
                except FileNotFoundError:
                    continue  # another command of this bench has sent it
                try:
                    answer = await client.post(
                        message.path, content=bytes(message.body), headers={"idempotency-key": message.hash}
                    )
                except httpx.HTTPError as error:
                    return self._stopped(sent, post, type(error).__name__)
                if answer.is_success or answer.status_code == _ALREADY:
                    self._move(file)
                    sent += 1
                elif answer.status_code >= _SERVER_ERRORS:
                    return self._stopped(sent, post, f"HTTP {answer.status_code}")
                else:
                    refused = BenchError(Fault.FLEET_REFUSED, status=answer.status_code, said=answer.text)
        return Sent(sent=sent, kept=len(self.pending()), fault=refused)

    def _stopped(self, sent: int, post: Post, why: str) -> Sent:
        kept = len(self.pending())
        return Sent(
            sent=sent, kept=kept, fault=BenchError(Fault.FLEET_UNREACHABLE, url=post.url, why=why, kept=kept)
        )

    def _sent(self) -> list[Path]:
        return sorted((self._directory / "sent").glob("*-*.json"))

    def _move(self, file: Path) -> None:
        folder = self._directory / "sent"
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another command of this bench has sent it too
            file.replace(folder / file.name)


def _number(file: Path) -> int:
    return int(file.name.partition("-")[0])
