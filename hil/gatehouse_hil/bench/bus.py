"""The gas node as a gateway sees it: Modbus RTU through pymodbus, a stack that is not ours."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from pymodbus.client import ModbusSerialClient
from pymodbus.exceptions import ModbusException

from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.raw_repl import open_port
from gatehouse_wire import gas_registers
from gatehouse_wire.errors import WireError

BAUD: Final = 9600
_ANSWER_S: Final = 1.0
"""As the gateway waits at most."""
_SETTLE_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class BusRun:
    """What came of a series of reads."""

    asked: int
    good: int
    worst_ms: float
    last: gas_registers.Block


async def read(port: str, *, unit: int, reads: int, within_s: float) -> BusRun:
    """Wait until the node answers on its bus, then read its whole map `reads` times.

    Raises:
        BenchError: NO_ANSWER, not once in `within_s`; PORT_BUSY, PORT_GONE.
    """
    return await asyncio.to_thread(_read, port, unit, reads, within_s)


def _read(port: str, unit: int, reads: int, within_s: float) -> BusRun:
    with open_port(port, baud=BAUD):
        pass  # pymodbus says only that it could not connect
    client = ModbusSerialClient(port, baudrate=BAUD, timeout=_ANSWER_S, retries=0)
    try:
        client.connect()
        last = _first(client, port, unit, within_s)
        good, worst_ms = 0, 0.0
        for _ in range(reads):
            began_s = time.monotonic()
            block = _once(client, unit)
            if block is not None:
                worst_ms = max(worst_ms, (time.monotonic() - began_s) * 1000)
                good, last = good + 1, block
    finally:
        client.close()
    return BusRun(asked=reads, good=good, worst_ms=worst_ms, last=last)


def _first(client: ModbusSerialClient, port: str, unit: int, within_s: float) -> gas_registers.Block:
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        if (block := _once(client, unit)) is not None:
            return block
        time.sleep(_SETTLE_S)
    raise BenchError(Fault.NO_ANSWER, port=port)


def _once(client: ModbusSerialClient, unit: int) -> gas_registers.Block | None:
    """One read; None when nobody answered or the answer was no register map."""
    try:
        client.connect()  # pymodbus closes the port after a silence
        answer = client.read_holding_registers(gas_registers.START, count=gas_registers.COUNT, device_id=unit)
        return None if answer.isError() else gas_registers.decode(answer.registers)
    except (ModbusException, WireError, OSError):
        return None
