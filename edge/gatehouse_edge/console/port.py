"""What the console needs of the gateway behind it. `gatehouse_edge.ledger.Ledger` is it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from gatehouse_edge.alarms.commands import AnyCommand, CommandResult
from gatehouse_edge.alarms.flood import Figures
from gatehouse_edge.alarms.plan import Plan
from gatehouse_edge.ledger import DeviceView, OutputView
from gatehouse_edge.outputs import Valve
from gatehouse_events.alarm import Alarm
from gatehouse_events.chain import EntryKind, Lane, Position


class DeskPort(Protocol):
    """The desk as committed, the way in for commands, and a bell that rings after each commit."""

    is_storage_failing: bool

    @property
    def version(self) -> int:
        """Count publications."""
        ...

    @property
    def plan(self) -> Plan:
        """Return the configuration in force."""
        ...

    async def changed(self, seen: int) -> int:
        """Return the version once it is no longer `seen`."""
        ...

    async def submit(self, command: AnyCommand) -> CommandResult:
        """Return what became of the command, once that is on disk."""
        ...

    async def record(self, kind: EntryKind, body: Struct) -> None:
        """Write an audit entry and return when it is on disk."""
        ...

    def alarms(self) -> Sequence[Alarm]:
        """Return the open alarms in the order of the list."""
        ...

    def devices(self) -> Sequence[DeviceView]:
        """Return every device with its last data and their age."""
        ...

    def outputs(self) -> Sequence[OutputView]:
        """Return all outputs: what is demanded of each and what its board last said of it."""
        ...

    def head(self, lane: Lane) -> Position:
        """Return the last entry of a lane, as committed."""
        ...

    def valves(self) -> Mapping[str, Valve]:
        """Return the gas valves something was ever asked of."""
        ...

    def figures(self) -> Figures:
        """Return how loaded the desk is."""
        ...
