"""Simulated gas detectors of the register maps in `gas_modbus.json`, and of the Gatehouse gas node.

Each is a slave for a `Line` or a `GasController`; `gas()`, `warm_up()` and the like set its condition.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from typing_extensions import override

from gatehouse_hil.modbus_slave import Slave

VENDOR_GAP_S: Final = 0.5
"""Both vendors want at least 500 ms between two requests to one address."""


class Cn6in1Status(IntEnum):
    """Register 5 of the `cn6in1_unitreg` map (mdbsliguo PROTOCOL.md)."""

    PREHEAT = 0
    NORMAL = 1
    DATA_ERROR = 2
    SENSOR_FAULT = 3
    PRE_WARNING = 4
    LOW_ALARM = 5
    HIGH_ALARM = 6
    ACCESS_FAULT = 7
    OVER_RANGE = 8
    NEEDS_CALIBRATION = 9
    TIMEOUT = 10
    STEL_ALARM = 11
    TWA_ALARM = 12
    COMM_FAULT = 15


_UNIT_CODES: Final = {"ppm": 0, "%LEL": 2, "%VOL": 4, "mg/m3": 6, "ppb": 8}
_DECIMAL_CODES: Final = {0: 0, 1: 4, 2: 8, 3: 12}


@dataclass
class Cn6in1Detector(Slave):
    """Holding registers 0 to 9, function 3: unit and decimals, value, set points, range, status, and so on."""

    unit: str = "%LEL"
    decimals: int = 1
    low_set: float = 10.0
    high_set: float = 20.0
    full_scale: float = 100.0
    value: float = 0.0
    status: int = Cn6in1Status.NORMAL
    forced: int | None = None
    """A status set by hand wins over the one the value would give."""
    unit_register: int | None = None
    """Overrides register 0: an unknown unit."""

    def gas(self, value: float) -> None:
        """Set the concentration; the status follows the set points."""
        self.value = value
        self.forced = None

    def show(self, status: int) -> None:
        """Report this status whatever the value."""
        self.forced = status

    def warm_up(self, left_s: float = 60.0) -> None:
        """Warm up; this map does not say for how long."""
        del left_s
        self.forced = Cn6in1Status.PREHEAT

    def over_range(self) -> None:
        """Go beyond full scale."""
        self.value, self.forced = self.full_scale, Cn6in1Status.OVER_RANGE

    def sensor_fault(self) -> None:
        """Lose the sensor."""
        self.value, self.forced = 0.0, Cn6in1Status.SENSOR_FAULT

    @override
    def before_read(self) -> None:
        """Compute the ten registers."""
        scale = 10**self.decimals
        status = self.forced
        if status is None:
            status = (
                Cn6in1Status.HIGH_ALARM
                if self.value >= self.high_set
                else (Cn6in1Status.LOW_ALARM if self.value >= self.low_set else Cn6in1Status.NORMAL)
            )
        head = (_UNIT_CODES[self.unit] << 12) | (_DECIMAL_CODES[self.decimals] << 8)
        self.holding = dict(
            enumerate(
                (
                    head if self.unit_register is None else self.unit_register,
                    round(self.value * scale) & 0xFFFF,
                    round(self.low_set * scale),
                    round(self.high_set * scale),
                    round(self.full_scale * scale),
                    int(status),
                    2048,
                    730,
                    11 << 8,
                    450,
                )
            )
        )


@dataclass
class Detector0x6000(Slave):
    """The vendor-less map at 0x6000: state bits, value in tenths, run status at 0x6006. Function 3."""

    low_set: float = 10.0
    high_set: float = 20.0
    value: float = 0.0
    decimals: int = 1
    warm_up_left_s: float = 0.0
    bits: int | None = None
    """State bits 0 to 6 set by hand; None: they follow the value."""
    run_status: int = 1

    def gas(self, value: float) -> None:
        """Set the concentration; the alarm bits follow."""
        self.value, self.bits, self.warm_up_left_s = value, None, 0.0

    def warm_up(self, left_s: float = 60.0) -> None:
        """Warm up for that long (does not count down by itself)."""
        self.warm_up_left_s = left_s

    def over_range(self) -> None:
        """Go beyond full scale."""
        self.bits = 1 << 4

    def sensor_fault(self) -> None:
        """Lose the sensor."""
        self.value, self.bits = 0.0, 1 << 5

    @override
    def before_read(self) -> None:
        """Compute 0x6000 to 0x6006."""
        bits = self.bits
        if bits is None:
            bits = int(self.value >= self.low_set) | int(self.value >= self.high_set) << 1
        state = round(self.warm_up_left_s * 10) & 0x7FFF if self.warm_up_left_s > 0 else 0x8000 | bits
        self.holding = {0x6000 + at: 0 for at in range(7)}
        self.holding[0x6000] = state
        self.holding[0x6001] = round(self.value * 10**self.decimals) & 0xFFFF
        self.holding[0x6006] = 0 if self.warm_up_left_s > 0 else self.run_status


@dataclass
class GatehouseGasNode(Slave):
    """Our own gas node, as `gatehouse_wire.gas_registers` tells in its byte table: 16 registers, function 3 and 4."""

    low_set: float = 10.0
    high_set: float = 20.0
    full_scale: float = 100.0
    value: float = 0.0
    warm_up_left_s: float = 0.0
    fault_bits: int = 0
    """Status bits 4 to 6 set by hand: over range, sensor fault, calibration due."""
    is_frozen: bool = False
    """The bus answers, the measurement has stopped: the heartbeat stands still."""
    heartbeat: int = 0

    def gas(self, value: float) -> None:
        """Set the concentration; the alarm bits follow."""
        self.value, self.fault_bits, self.warm_up_left_s = value, 0, 0.0

    def warm_up(self, left_s: float = 60.0) -> None:
        """Warm up for that long (does not count down by itself)."""
        self.warm_up_left_s = left_s

    def over_range(self) -> None:
        """Go beyond full scale."""
        self.fault_bits = 1 << 4

    def sensor_fault(self) -> None:
        """Lose the sensor."""
        self.fault_bits = 1 << 5

    @override
    def before_read(self) -> None:
        """Compute the block: one decimal, %LEL."""
        if not self.is_frozen:
            self.heartbeat = (self.heartbeat + 1) & 0xFFFF
        is_warming = self.warm_up_left_s > 0
        is_measuring = not is_warming and not self.fault_bits
        status = self.fault_bits | int(is_warming)
        if is_measuring:
            status |= 0x8000 | int(self.value >= self.low_set) << 2 | int(self.value >= self.high_set) << 3
        self.holding = dict(
            enumerate(
                (
                    0x4731,
                    status,
                    round(self.value * 10) if is_measuring else 0xFFFF,
                    2 << 8 | 1,
                    round(self.low_set * 10),
                    round(self.high_set * 10),
                    round(self.full_scale * 10),
                    round(self.warm_up_left_s * 10),
                    231,
                    455,
                    self.heartbeat,
                    1,
                    0,
                    3600,
                    0x0100,
                    0,
                )
            )
        )
        self.registers = self.holding
