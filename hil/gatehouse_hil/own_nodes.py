"""Our own nodes in the simulated estate: real firmware on simulated boards, each moved by what its sensors see.

A gas detector, a lift car, a help button and a beacon. They have the verbs of the stand-ins in this package (`gas`, `trap`,
`press`, ...), so a scenario does not care which of the two it plays on; what happens inside is the firmware's own doing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gatehouse_hil.node_build import NodeKind, build
from gatehouse_hil.radio.medium import Medium
from gatehouse_hil.simnode import SimNode
from gatehouse_hil.simnode.commissioning import NvsValue, commission, read_nvs, write_nvs

ENABLE_PIN, SENSOR_ADC = 5, "adc2_uv"
ZERO_PIN, MAINS_PIN, DOOR_PIN, PRESENCE_PIN, ALARM_PIN, TAMPER_PIN = 0, 1, 3, 4, 5, 10
KEY_PIN, LAMP_PIN = 3, 5
"""Pins: firmware/node/README.md."""
CLEAN_AIR_UV: Final = 400_000
UV_PER_PCT_LEL: Final = 20_000
"""100 %LEL stand at 2.4 V, just inside the converter."""
_GAS_CALIBRATION: Final[Mapping[str, NvsValue]] = {
    "zero_uv": CLEAN_AIR_UV, "span_uv": CLEAN_AIR_UV + 50 * UV_PER_PCT_LEL, "span": 500, "warm_ms": 0,
}  # fmt: skip
GROUND_PA: Final = 101_325.0
PA_PER_M: Final = 12.0
"""Near sea level (ISO 2533)."""
STOREY_M: Final = 3.0
CAR_M_PER_S: Final = 1.5
_STEP_S: Final = 0.1
_BLINK_S: Final = 0.4
"""How long a finger stays on a button."""
_START_LIMIT_S: Final = 30.0
_CALL_LIMIT_S: Final = 20.0
"""Shout 3 s, window 5 s, lamp 3 s, and a slow machine."""


class OwnNode:
    """One of our nodes. An async context manager: commissioned and powered on entry, off on exit."""

    kind: NodeKind

    def __init__(
        self,
        directory: Path,
        *,
        mac: bytes,
        key: bytes,
        number: int = 0,
        medium: Medium | None = None,
        calibration: Mapping[str, NvsValue] | None = None,
    ) -> None:
        # As source, not compiled: mpy-cross would take seconds at every start of an estate.
        commission(
            directory,
            build(self.kind, is_compiled=False),
            serial=f"GHS-{mac.hex()}",
            node=number,
            keys={1: key},
            calibration=calibration,
        )
        write_nvs(
            directory, "gh_boot", {"state": 0}
        )  # the program may be another than last time: nothing is confirmed
        self.node: Final = SimNode(
            directory, mac=mac, medium=medium, name=directory.name, bluetooth_address=mac if medium else None
        )
        self._tasks: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        await self.node.__aenter__()
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self.node.give_power()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tasks is not None:
            # A task group wraps what it is told of; a test's own failure should come out as it is.
            is_ours = kind is asyncio.CancelledError
            await self._tasks.__aexit__(*((kind, error, trace) if is_ours else (None, None, None)))
        await self.node.__aexit__(kind, error, trace)

    def kill(self) -> None:
        """Take its power away."""
        self.node.cut_power()

    def revive(self) -> None:
        """Give its power back."""
        self.node.give_power()

    def _blink(self, pin: int, *, active: int) -> None:
        """Press something for a moment."""
        self.node.sense(f"pin{pin}", active)
        asyncio.get_running_loop().call_later(_BLINK_S, self.node.sense, f"pin{pin}", 1 - active)


class OwnGasDetector(OwnNode):
    """Our gas node. Warm at once, so that an estate need not wait three minutes for it."""

    kind = NodeKind.GAS

    def __init__(self, directory: Path, *, mac: bytes, key: bytes, unit_id: int) -> None:
        super().__init__(directory, mac=mac, key=key, number=unit_id, calibration=_GAS_CALIBRATION)
        self.unit_id: Final = unit_id
        self.node.sense("de_pin", ENABLE_PIN)
        self.gas(0.0)

    def gas(self, percent_lel: float) -> None:
        """Let so much gas stand at the sensor, %LEL (0 to 100)."""
        self.node.sense(SENSOR_ADC, int(CLEAN_AIR_UV + percent_lel * UV_PER_PCT_LEL))

    def over_range(self) -> None:
        """More gas than the sensor can tell."""
        self.gas(101.0)

    def sensor_fault(self) -> None:
        """The sensor's wire breaks."""
        self.node.sense(SENSOR_ADC, 0)

    def warm_up(self, seconds: float) -> None:
        """Start cold: power off and on, with so long a warm-up."""
        write_nvs(self.node.directory, "gh_cal", {"warm_ms": int(seconds * 1000)})
        self.kill()
        asyncio.get_running_loop().call_later(_BLINK_S, self.revive)


class OwnLiftNode(OwnNode):
    """Our lift node on the roof of a car that stands at landing 1, empty, its door shut."""

    kind = NodeKind.LIFT

    def __init__(self, directory: Path, *, mac: bytes, key: bytes, node_id: int) -> None:
        super().__init__(directory, mac=mac, key=key, number=node_id)
        self._height_m = 0.0
        levels = {ZERO_PIN: 0, MAINS_PIN: 1, DOOR_PIN: 0, PRESENCE_PIN: 0, ALARM_PIN: 1, TAMPER_PIN: 0}
        for pin, level in levels.items():
            self.node.sense(f"pin{pin}", level)
        self.node.sense("pressure_pa", GROUND_PA)

    @property
    def unacknowledged(self) -> list[int]:
        """Ring sequences that lie in flash and the gateway has not acknowledged."""
        kept = read_nvs(self.node.directory, "gh_run")
        entries = [value for name, value in kept.items() if name[0] == "e" and isinstance(value, bytes)]
        acked = kept.get("acked", 0)
        sequences = sorted(int.from_bytes(entry[:4], "little") for entry in entries)
        return [seq for seq in sequences if isinstance(acked, int) and seq > acked]

    def press_alarm_button(self) -> None:
        """The passenger presses and lets go."""
        self._blink(ALARM_PIN, active=0)

    def tamper(self) -> None:
        """Somebody opens the node's lid and closes it."""
        self._blink(TAMPER_PIN, active=1)

    async def trap(self, *, floor: int = 7, off_level: bool = True) -> None:
        """Let the car run with a passenger and then stand with its door shut, between floors unless `off_level` is False."""
        self.node.sense(f"pin{PRESENCE_PIN}", 1)
        self.node.sense(f"pin{DOOR_PIN}", 0)
        await self._ride((floor - 1) * STOREY_M - (STOREY_M / 2 if off_level else 0.0))
        self.node.sense(f"pin{ZERO_PIN}", 1 if off_level else 0)

    async def release(self, door_open_s: float = 8.0) -> None:
        """Bring the car to a landing, open the door, let the passenger out, close it."""
        self.node.sense(f"pin{ZERO_PIN}", 0)
        self.node.sense(f"pin{DOOR_PIN}", 1)
        await asyncio.sleep(0.5)
        self.node.sense(f"pin{PRESENCE_PIN}", 0)
        await asyncio.sleep(door_open_s)
        self.node.sense(f"pin{DOOR_PIN}", 0)

    async def _ride(self, to_m: float) -> None:
        """Move the car; the landing magnet is lost on the way."""
        self.node.sense(f"pin{ZERO_PIN}", 1)
        step_m = CAR_M_PER_S * _STEP_S
        while abs(to_m - self._height_m) > step_m:
            self._height_m += step_m if to_m > self._height_m else -step_m
            self.node.sense("pressure_pa", GROUND_PA - PA_PER_M * self._height_m)
            await asyncio.sleep(_STEP_S)
        self._height_m = to_m
        self.node.sense("pressure_pa", GROUND_PA - PA_PER_M * to_m)


class OwnButton(OwnNode):
    """Our help button; asleep, without a process, unless somebody presses it."""

    kind = NodeKind.BUTTON

    def __init__(self, directory: Path, *, address: str, key: bytes, medium: Medium) -> None:
        super().__init__(directory, mac=bytes.fromhex(address.replace(":", "")), key=key, medium=medium)
        self.address: Final = address.upper()
        self.led_lit = False
        """Whether a genuine receipt has lit its lamp since the last press."""
        self.presses = 0
        self._pressing = asyncio.Lock()
        self.node.sense(f"pin{KEY_PIN}", 1)
        self.node.sense("pin4", 0)
        self.node.sense(SENSOR_ADC, 1_480_000)

    @property
    def counter(self) -> int:
        """The counter last put on air."""
        value = read_nvs(self.node.directory, "gh_run").get("counter", 0)
        return value if isinstance(value, int) else 0

    async def press(self) -> int:
        """Press until it shouts, then wait until its lamp lights or it gives up. Return the counter used."""
        async with self._pressing:
            self.presses += 1
            self.led_lit = False
            counter = self.counter
            self.node.sense(f"pin{KEY_PIN}", 0)
            try:
                await self.node.until(lambda _: self.counter > counter, timeout_s=_START_LIMIT_S)
            finally:
                self.node.sense(f"pin{KEY_PIN}", 1)
            with contextlib.suppress(TimeoutError):
                await self.node.until(
                    lambda node: node.pin(LAMP_PIN) == 1 or node.is_asleep, timeout_s=_CALL_LIMIT_S
                )
            self.led_lit = self.node.pin(LAMP_PIN) == 1
            return self.counter


class OwnBeacon(OwnNode):
    """Our beacon."""

    kind = NodeKind.BEACON

    def __init__(self, directory: Path, *, address: str, key: bytes, medium: Medium) -> None:
        super().__init__(directory, mac=bytes.fromhex(address.replace(":", "")), key=key, medium=medium)
        self.address: Final = address.upper()
