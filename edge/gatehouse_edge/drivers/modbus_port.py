"""What the parts of the Modbus driver need of a port. Who holds less can do less."""

from __future__ import annotations

from typing import Final, Protocol

from gatehouse_edge.drivers.modbus_query import BitQuery, CoilOrder, RegisterQuery, UpdateOrder


class RegisterPort(Protocol):
    """Functions 3 and 4: all that may ever be said to a lift (domain row 29)."""

    async def exchange(self, query: RegisterQuery, /) -> tuple[int, ...]:
        """Ask and return the registers; raises `ModbusError`."""
        ...


class SwitchPort(Protocol):
    """Functions 1 to 5 and 15: a bus with a relay board; and 0x41, to update a node of ours."""

    async def exchange(self, query: RegisterQuery | BitQuery | CoilOrder | UpdateOrder, /) -> tuple[int, ...]:
        """Ask or order; returns the values, none for an order; raises `ModbusError`."""
        ...


class OwnedPort(SwitchPort, Protocol):
    """A port as its one owner sees it: `RtuPort` or `TcpPort`."""

    @property
    def timeout_s(self) -> float:
        """Return how long a unit may think."""
        ...

    @property
    def is_open(self) -> bool:
        """Return whether the port is there."""
        ...

    async def open(self) -> None:
        """Open; raises `PortLostError`."""
        ...

    def close(self) -> None:
        """Close; harmless when closed."""
        ...


class RegisterReader:
    """Reads registers and can do nothing else, whatever port is underneath. Lift drivers get this one."""

    def __init__(self, port: RegisterPort) -> None:
        self.__port: Final = port

    async def read(self, query: RegisterQuery) -> tuple[int, ...]:
        """Return the registers asked for.

        Raises:
            ModbusError: no believable answer.
            TypeError: the caller got round the type checker with something that is no `RegisterQuery`.
        """
        if type(query) is not RegisterQuery:
            raise TypeError("functions 3 and 4 only")
        return await self.__port.exchange(query)
