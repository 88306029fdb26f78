"""Links to pictures: each belongs to one look that has been written down, to one session, and to five minutes."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from msgspec import Struct

LINK_S: Final = 300.0
MAX_LINKS: Final = 500


class Link(Struct, frozen=True, kw_only=True):
    """One look."""

    session: str
    """Token of the session it belongs to."""
    path: Path
    expires_s: float


class ViewLinks:
    """The links that are good now. In memory: a restart ends them."""

    def __init__(self) -> None:
        self._links: Final[dict[str, Link]] = {}

    def make(self, path: Path, *, session: str, now_s: float) -> str:
        """Return the token of a new link; the oldest give way."""
        while len(self._links) >= MAX_LINKS:
            self._links.pop(next(iter(self._links)))
        token = secrets.token_urlsafe(24)
        self._links[token] = Link(session=session, path=path, expires_s=now_s + LINK_S)
        return token

    def get(self, token: str, *, session: str, now_s: float) -> Path | None:
        """Return the file of a link; None: unknown, over, or another session's."""
        link = self._links.get(token)
        if link is None or link.expires_s <= now_s or not secrets.compare_digest(link.session, session):
            return None
        return link.path
