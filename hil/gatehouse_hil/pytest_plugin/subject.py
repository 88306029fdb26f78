"""The node under test, simulated or real: what a test may do with it on both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

import pytest

from gatehouse_hil.node_build import NodeKind
from gatehouse_hil.simnode import SimNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a node was commissioned as. The key is invented for the test."""

    kind: NodeKind
    serial: str
    number: int
    """Modbus unit id (gas) or node id (lift)."""
    key: bytes
    key_id: int = 1


class Subject(Protocol):
    """One node. `identity` says who it is."""

    identity: Identity

    @property
    def name(self) -> str:
        """Its name in traces and messages."""
        ...

    @property
    def console(self) -> Path:
        """Serial port of its REPL."""
        ...

    @property
    def address(self) -> str:
        """Bluetooth address, ``AA:BB:CC:DD:EE:FF``."""
        ...

    @property
    def simulated(self) -> SimNode:
        """The simulated node itself; on a real rig the test skips here."""
        ...

    def sense(self, name: str, value: float) -> None:
        """Change what its sensors see; on a real rig the test skips here, unless the rig can do it."""
        ...

    async def on(self) -> None:
        """Give it power."""
        ...

    async def off(self) -> None:
        """Take its power, and be sure that it is gone."""
        ...


class SimulatedSubject:
    """A node on the MicroPython VM."""

    def __init__(self, identity: Identity, node: SimNode) -> None:
        self.identity = identity
        self.simulated = node

    @property
    def name(self) -> str:
        """Its name."""
        return self.simulated.name

    @property
    def console(self) -> Path:
        """PTY of its REPL."""
        return self.simulated.console

    @property
    def address(self) -> str:
        """Bluetooth address."""
        return self.simulated.bluetooth_address

    def sense(self, name: str, value: float) -> None:
        """Change what its sensors see."""
        self.simulated.sense(name, value)

    async def on(self) -> None:
        """Give it power."""
        await self.simulated.power_on()

    async def off(self) -> None:
        """Take its power."""
        await self.simulated.power_off()


def skip_on_rig(what: str) -> NoReturn:
    """Skip a test that a real rig cannot serve."""
    pytest.skip(f"a real rig cannot do this: {what}")
