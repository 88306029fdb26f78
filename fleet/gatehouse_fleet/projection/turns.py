"""Whose journal is read next: what happens now goes before what is told of the past. Pure.

After three days without a network a thousand gateways bring their backlog at once. An alarm that is raised meanwhile must
not stand behind it, so gateways with news go first, and of every few turns one belongs to the backlog.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_NEWS_IN_A_ROW: Final = 4


class Turns:
    """Two queues of gateway numbers, each number once."""

    def __init__(self) -> None:
        self._news: Final[dict[int, None]] = {}
        self._backlog: Final[dict[int, None]] = {}
        self._row = 0

    def __len__(self) -> int:
        return len(self._news) + len(self._backlog)

    def arrived(self, gateway_no: int, *, is_news: bool) -> None:
        """Note that a batch of this gateway was committed."""
        if is_news:
            self._backlog.pop(gateway_no, None)
            self._news[gateway_no] = None
        else:
            self.later((gateway_no,))

    def later(self, gateway_nos: Iterable[int]) -> None:
        """Note gateways that have more to be read and can wait."""
        for gateway_no in gateway_nos:
            if gateway_no not in self._news:
                self._backlog.setdefault(gateway_no)

    def take(self) -> int | None:
        """Return the gateway whose turn it is; None: nobody waits."""
        is_news = bool(self._news) and (self._row < _NEWS_IN_A_ROW or not self._backlog)
        queue = self._news if is_news else self._backlog
        if not queue:
            return None
        self._row = self._row + 1 if is_news else 0
        gateway_no = next(iter(queue))
        del queue[gateway_no]
        return gateway_no
