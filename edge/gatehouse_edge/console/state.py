"""What the parts of the console share, and how they speak to the gateway behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Final, TypeVar

from fastapi import Request
from msgspec import Struct
from prometheus_client import CollectorRegistry

from gatehouse_edge.alarms.commands import AnyCommand, CommandResult
from gatehouse_edge.clock import Clock
from gatehouse_edge.console.accounts import Accounts
from gatehouse_edge.console.attendance import Attendance
from gatehouse_edge.console.buildings import BuildingView
from gatehouse_edge.console.cameras import CameraDesk
from gatehouse_edge.console.cards import DeviceCard
from gatehouse_edge.console.drills import Drills
from gatehouse_edge.console.links import ViewLinks
from gatehouse_edge.console.port import DeskPort
from gatehouse_edge.console.problems import ProblemError, refusal
from gatehouse_edge.console.stream import Position, Stream
from gatehouse_edge.console.throttle import Throttle
from gatehouse_edge.evidence_desk import EvidenceDesk
from gatehouse_edge.history import History
from gatehouse_edge.ledger import LedgerError
from gatehouse_edge.threads import in_thread
from gatehouse_edge.uplink.link import LinkView
from gatehouse_edge.uplink.replicator import CURSOR_NAME
from gatehouse_events.chain import EntryKind, Lane
from gatehouse_events.states import Label
from gatehouse_journal import Reader

ANSWER_S: Final = 10.0
"""Longest wait for the disk; the page then says so, and the same command id may be sent again."""
_Found = TypeVar("_Found")

NOT_NOW: Final = ProblemError(
    503,
    "storage",
    Label("存储未应答，操作尚未生效", "the storage does not answer; nothing has been done yet"),
    retry_after_s=5,
)


class Audit(Struct, frozen=True, kw_only=True):
    """Body of a journal entry of kind `audit`."""

    what: str
    """Stable token: `login`, `login_failed`, `logout`, `user_made`, `user_changed`, `journal_read`, `history_read`, `sheet_printed`."""
    who: str
    station: str
    detail: str = ""


class SharedReader:
    """The journal reader, one call at a time and never on the event loop's thread."""

    def __init__(self, reader: Reader) -> None:
        self._reader: Final = reader
        self._lock: Final = asyncio.Lock()

    async def call(self, work: Callable[[Reader], _Found]) -> _Found:
        """Return what `work` finds in the journal."""
        async with self._lock:
            return await in_thread(work, self._reader)

    async def confirmed(self) -> int:
        """Return the last alarm entry that the fleet has confirmed."""
        return await self.call(lambda reader: reader.cursor(CURSOR_NAME))

    async def position(self) -> Position:
        """Return the heads of both lanes."""
        return await self.call(_heads)


def _heads(reader: Reader) -> Position:
    alarm, telemetry = reader.head(Lane.ALARM), reader.head(Lane.TELEMETRY)
    return Position(alarm.epoch, alarm.seq, telemetry.seq)


@dataclass(kw_only=True)
class ConsoleState:
    """Hangs on the application; one per gateway."""

    desk: DeskPort
    reader: SharedReader
    accounts: Accounts
    history: History
    drills: Drills
    stream: Stream
    attendance: Attendance
    clock: Clock
    registry: CollectorRegistry
    site_networks: tuple[IPv4Network | IPv6Network, ...]
    session_s: float
    has_tls: bool
    gateway_id: str
    estate: str
    link: Callable[[], LinkView]
    cards: Mapping[str, DeviceCard]
    buildings: list[BuildingView]
    build: str
    """Names the pages handed out; another one means that a page is older than its gateway."""
    evidence: EvidenceDesk | None
    """None: this gateway keeps none (a test's)."""
    cameras: CameraDesk | None
    links: ViewLinks = field(default_factory=ViewLinks)
    throttle: Throttle = field(default_factory=Throttle)
    hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """One password at a time: argon2 takes 64 MiB and a core."""

    async def submit(self, command: AnyCommand) -> CommandResult:
        """Return what became of a command that was done.

        Raises:
            ProblemError: the desk refused it, the disk does not answer, or the gateway is stopping.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                result = await self.desk.submit(command)
        except (TimeoutError, LedgerError):
            raise NOT_NOW from None
        if result.refused is not None:
            raise refusal(result.refused)
        return result

    async def audit(self, what: str, *, who: str, station: str, detail: str = "") -> None:
        """Write down who did what; a refusing disk does not keep anybody out of the console.

        Raises:
            ProblemError: the gateway is stopping.
        """
        entry = Audit(what=what, who=who[:40], station=station, detail=detail[:200])
        try:
            async with asyncio.timeout(ANSWER_S):
                await self.desk.record(EntryKind.AUDIT, entry)
        except TimeoutError:
            if not self.desk.is_storage_failing:
                raise NOT_NOW from None
        except LedgerError:
            raise NOT_NOW from None


def console_of(request: Request) -> ConsoleState:
    """Return the console a request came to."""
    state = request.app.state.console
    assert isinstance(state, ConsoleState)  # noqa: S101  # set by create_app and by nobody else
    return state
