"""How the way to the fleet is, as the console shows it: a named state, since when, and how much waits."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from gatehouse_edge.clock import Clock
from gatehouse_edge.uplink.errors import NotEnrolledError, RefusedError, UplinkError
from gatehouse_events.states import Label

_MAX_WHY: Final = 120
_FAILING: Final = 500
"""From here on HTTP says that the server, or a proxy on the way to it, fails."""


class LinkState(StrEnum):
    """What one word says about the way to the fleet."""

    OFF = "off"
    """No fleet is configured: the gateway stands alone."""
    NOT_ENROLLED = "not_enrolled"
    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"
    """The fleet does not answer; everything is kept and sent later."""
    REFUSED = "refused"
    """It answers and does not let us in: revoked, expired, or another gateway's certificate."""


LINK_LABELS: Final[dict[LinkState, Label]] = {
    LinkState.OFF: Label("未接入上级平台", "no fleet server"),
    LinkState.NOT_ENROLLED: Label("上级平台未登记", "not enrolled"),
    LinkState.CONNECTING: Label("正在连接上级平台", "connecting to the fleet server"),
    LinkState.UP: Label("上级平台已连接", "fleet server connected"),
    LinkState.DOWN: Label("上级平台中断，数据已缓存", "fleet server unreachable; everything is kept"),
    LinkState.REFUSED: Label("上级平台拒绝接入", "refused by the fleet server"),
}


class LinkView(Struct, frozen=True, kw_only=True):
    """One look at the link."""

    state: LinkState
    label: Label
    since_s: float
    """On the service scale."""
    why: str
    """What failed last; empty while it is up."""
    queued_alarm: int
    """Alarm entries the fleet has not confirmed."""
    queued_telemetry: int
    contact_s: float | None
    """Service time of the last answer; None: none since the start."""


class Link:
    """Owned by the gateway, so that it survives a new configuration of the uplink. Written by the uplink's parts."""

    def __init__(self, clock: Clock, *, is_configured: bool) -> None:
        self.queued_alarm = 0
        self.queued_telemetry = 0
        self.config_version = ""
        """The configuration named in the status that the fleet took last."""
        self.status_s: float | None = None
        """Service time of that."""
        self.outages = 0
        """How often the way was lost: who idles asks anew where the fleet stands."""
        self._resting: Final[set[asyncio.Future[None]]] = set()
        self._clock: Final = clock
        self._state = LinkState.CONNECTING if is_configured else LinkState.OFF
        self._since_s = clock.now().service_s
        self._why = ""
        self._contact_s: float | None = None
        self._waiting_since_s: float | None = None
        self._fleet_at: datetime | None = None
        self._fleet_mono_ns = 0

    @property
    def state(self) -> LinkState:
        """Return the word."""
        return self._state

    def configure(self, *, is_configured: bool) -> None:
        """A configuration with or without a fleet is in force from here on."""
        self._contact_s = self._waiting_since_s = None
        self._enter(LinkState.CONNECTING if is_configured else LinkState.OFF, "")

    async def rest(self, pause_s: float) -> None:
        """Pause after a failure, shorter when somebody else reaches the fleet meanwhile."""
        waiter = asyncio.get_running_loop().create_future()
        self._resting.add(waiter)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await waiter
        finally:
            self._resting.discard(waiter)

    def answered(self) -> None:
        """The fleet answered as it should."""
        self._contact_s = self._clock.now().service_s
        self._enter(LinkState.UP, "")

    def failed(self, error: UplinkError) -> None:
        """Something could not be said or asked."""
        match error:
            case NotEnrolledError():
                state = LinkState.NOT_ENROLLED
            case RefusedError() if error.is_of_identity:
                state = LinkState.REFUSED
            case RefusedError() if error.status < _FAILING or error.reason == "busy":
                return  # it answers: this one thing is not to its liking, or it asks for patience
            case _:
                state = LinkState.DOWN
        self._enter(state, "".join(c if c.isprintable() else " " for c in str(error))[:_MAX_WHY])

    def told_status(self, version: str, fleet_at: datetime) -> None:
        """The fleet took a status that named `version`, when its clock stood at `fleet_at`."""
        now = self._clock.now()
        self.config_version, self.status_s = version, now.service_s
        self._fleet_at, self._fleet_mono_ns = fleet_at, now.mono_ns

    def fleet_now(self) -> datetime:
        """Return the time as the fleet has it, else our own: expiry of an order is meant on the fleet's clock."""
        now = self._clock.now()
        if self._fleet_at is None:
            return now.wall
        return self._fleet_at + timedelta(microseconds=(now.mono_ns - self._fleet_mono_ns) // 1000)

    def alarms_wait(self) -> None:
        """There are alarm entries to send."""
        if self._waiting_since_s is None:
            self._waiting_since_s = self._clock.now().service_s

    def alarms_moved(self) -> None:
        """The fleet took alarm entries, or there are none."""
        self._waiting_since_s = None

    def lost_for_s(self) -> float:
        """Return for how long the fleet has not been reached, or has not taken the alarms that wait; 0: all is well."""
        if self._state is LinkState.OFF:
            return 0.0
        now_s = self._clock.now().service_s
        unheard_s = 0.0
        if self._state is not LinkState.UP:
            unheard_s = now_s - (self._since_s if self._contact_s is None else self._contact_s)
        stuck_s = 0.0 if self._waiting_since_s is None else now_s - self._waiting_since_s
        return max(unheard_s, stuck_s)

    def view(self) -> LinkView:
        """Return what the console shows."""
        return LinkView(
            state=self._state,
            label=LINK_LABELS[self._state],
            since_s=self._since_s,
            why=self._why,
            queued_alarm=self.queued_alarm,
            queued_telemetry=self.queued_telemetry,
            contact_s=self._contact_s,
        )

    def _enter(self, state: LinkState, why: str) -> None:
        if state is not self._state:
            if self._state is LinkState.UP:
                self.outages += 1
            if state is LinkState.UP:
                for waiter in self._resting:
                    if not waiter.done():
                        waiter.set_result(None)
            self._state, self._since_s = state, self._clock.now().service_s
        self._why = why
