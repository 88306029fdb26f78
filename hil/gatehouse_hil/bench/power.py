"""Power that is really off after "off", and the way into the loader.

Hubs say off while the supply stays (uhubctl #474, probe-rs #4266, meshtastic-mcp #33). A board that stays alive
through an update test, or keeps its half-dead state through a "power cycle", makes every later result worthless; so
"off" counts only when the board has stopped answering and, where there is a meter on its supply, the volts are gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

from gatehouse_hil.bench import node
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.raw_repl import open_port
from gatehouse_hil.bench.rig import Reset
from gatehouse_hil.bench.station import HandTask, Station

SUPPLY_METER: Final = "supply"
"""Name under which a rig file hangs a voltmeter on a board's supply."""
OFF_BELOW_V: Final = 0.5
"""The ESP32-C3's brown-out detector holds it in reset well above this; a back-fed board floats higher."""
_DISCHARGE_S: Final = 0.3
_LISTEN_S: Final = 0.4


async def cut(station: Station) -> None:
    """Switch the board off and find out whether it is off.

    Raises:
        BenchError: NO_RESOURCE, the rig cannot switch this board; POWER_STAYS_ON.
    """
    power = station.power
    if power is None:
        raise BenchError(Fault.NO_RESOURCE, part="power", known=", ".join(sorted(station.meters)) or "-")
    await power.off()
    await asyncio.sleep(_DISCHARGE_S)
    if (meter := station.meters.get(SUPPLY_METER)) is not None:
        reading = await meter.read()
        if reading.value >= OFF_BELOW_V:
            raise BenchError(
                Fault.POWER_STAYS_ON,
                resource=power.resource,
                part=power.resource,
                sign=f"{reading.value:.2f} {reading.unit}",
            )
    if await asyncio.to_thread(_answers, station.port):
        raise BenchError(
            Fault.POWER_STAYS_ON, resource=power.resource, part=power.resource, sign=station.port
        )


async def cycle(station: Station) -> None:
    """Off, checked, and on again.

    Raises:
        BenchError: as `cut`.
    """
    await cut(station)
    if station.power is not None:
        await station.power.on()


async def restart(station: Station) -> None:
    """Start the board as if it had been without power: through its supply where the rig can, else by a chip reset.

    Raises:
        BenchError: POWER_STAYS_ON; NO_ANSWER, PORT_BUSY, PORT_GONE.
    """
    if station.power is not None:
        await cycle(station)
    else:
        await node.reset(station.port)


@contextlib.asynccontextmanager
async def loader(station: Station) -> AsyncIterator[tuple[str, ...]]:
    """Bring the board into its loader for the block and out of it after; yields esptool's reset options.

    Raises:
        BenchError: POWER_STAYS_ON; NO_RESOURCE.
    """
    if station.reset is Reset.LINES:
        yield ("--before", "default-reset", "--after", "hard-reset")
        return
    options = ("--before", "no-reset", "--after", "no-reset")
    if station.reset is Reset.HANDS or station.strap is None:
        await station.hands.do(HandTask.HOLD_BOOT, board=station.name)
        yield options
        return
    await station.strap.set(is_closed=True)
    try:
        await cycle(station)
        yield options
    finally:
        await station.strap.set(is_closed=False)


def _answers(port: str) -> bool:
    """Whether anybody at `port` says a byte to a Ctrl-C or to a loader's sync. A port that is gone is a board that is off."""
    try:
        with open_port(port, patience_s=0.0) as device:
            device.reset_input_buffer()
            device.write(
                b"\r\x03\r\xc0\x00\x08\x24\x00\x00\x00\x00\x00\x07\x07\x12\x20" + b"U" * 32 + b"\xc0"
            )
            deadline_s = time.monotonic() + _LISTEN_S
            while time.monotonic() < deadline_s:
                if device.read(1):
                    return True
    except (BenchError, OSError):
        return False
    return False
