"""Refusals go to the audit log too, folded: a gateway with a revoked certificate knocks every second for years."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

from gatehouse_fleet.clock import Clock
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.store import Store

QUIET_S: Final = 600.0
"""The same refusal again within this is counted, and the count is written with the next entry."""
MAX_PER_MINUTE: Final = 60
"""Of all kinds together; what is beyond is counted and written as one."""
_MAX_KEYS: Final = 1024


def stranger(station: str, *, claimed: str = "") -> Actor:
    """Return the actor of a request that nobody has vouched for."""
    return Actor(name=claimed, role="unknown", unit="", station=station)


class Refusals:
    """One per worker."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store: Final = store
        self._clock: Final = clock
        self._told: OrderedDict[tuple[str, ...], tuple[float, int]] = OrderedDict()
        self._recent: deque[float] = deque(maxlen=MAX_PER_MINUTE)
        self._dropped = 0

    async def note(
        self, actor: Actor, action: str, subject: str, *, reason: str, node_id: int | None = None
    ) -> None:
        """Write down that something was refused; do this outside any transaction."""
        now_s = self._clock.elapsed_s()
        key = (action, subject, reason, actor.name, actor.station)
        told_s, folded = self._told.get(key, (None, 0))
        if told_s is not None and now_s - told_s < QUIET_S:
            self._told[key] = (told_s, folded + 1)
            return
        if len(self._recent) == MAX_PER_MINUTE and now_s - self._recent[0] < 60.0:  # noqa: PLR2004  # a minute
            self._dropped += 1
            return
        self._recent.append(now_s)
        self._told[key] = (now_s, 0)
        self._told.move_to_end(key)
        while len(self._told) > _MAX_KEYS:
            self._told.popitem(last=False)
        dropped, self._dropped = self._dropped, 0
        detail: dict[str, str | int | bool | None] = {"reason": reason}
        if folded:
            detail["same_before"] = folded
        if dropped:
            detail["others_not_written"] = dropped
        async with self._store.begin() as db:
            await audit.append(
                db,
                actor,
                action,
                subject,
                at=self._clock.now(),
                node_id=node_id,
                detail=detail,
                is_done=False,
            )
