"""Who may use the page: whoever opened the address that the terminal printed, once, from this computer.

There are no accounts and no password to be left at its default. The address holds a token that opens one session and is then
worth nothing. Sessions are kept on disk as hashes, so that a page goes on after `gatehouse-bench page` was started again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from gatehouse_hil.bench.disk_file import replace_file

_SESSIONS_KEPT: Final = 16
_SESSION_AGE: Final = timedelta(days=30)
_TOKEN_BYTES: Final = 24


class Door:
    """Tokens and sessions of one bench directory. `now` is passed in: aware, UTC."""

    def __init__(self, file: Path) -> None:
        self._file: Final = file
        self._sessions: Final = _read(file)
        self._token: str | None = None

    def fresh_token(self) -> str:
        """Return a new token; an earlier one that nobody used is worth nothing any more."""
        self._token = secrets.token_urlsafe(_TOKEN_BYTES)
        return self._token

    def enter(self, token: str, now: datetime) -> str | None:
        """Return a new session for the token, which is then spent; None for any other."""
        if self._token is None or not hmac.compare_digest(token.encode(), self._token.encode()):
            return None
        self._token = None
        session = secrets.token_urlsafe(_TOKEN_BYTES)
        self._sessions[_hash(session)] = now
        for old in sorted(self._sessions, key=lambda name: self._sessions[name])[:-_SESSIONS_KEPT]:
            del self._sessions[old]
        replace_file(self._file, msgspec.json.encode(self._sessions), mode=0o600)
        return session

    def knows(self, session: str, now: datetime) -> bool:
        """Whether this session was opened here, not too long ago."""
        began = self._sessions.get(_hash(session))
        return began is not None and now - began < _SESSION_AGE


def _hash(session: str) -> str:
    return hashlib.sha256(session.encode()).hexdigest()


def _read(file: Path) -> dict[str, datetime]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, datetime])
    except (OSError, msgspec.DecodeError):
        return {}  # lost or damaged: everybody opens the printed address once more
