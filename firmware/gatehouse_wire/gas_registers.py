"""Register map of our own gas node (Modbus RTU, 9600 8N1, FC 3 and 4 alike). Alarm registers first.

| offset | type | name         | unit  | meaning                                                                         |
|--------|------|--------------|-------|---------------------------------------------------------------------------------|
| 0      | u16  | identity     |       | 0x4731 ("G1"): this map, version 1                                              |
| 1      | u16  | status       |       | bits below; 0x8000 MEASURING must be set for `value` to mean anything            |
| 2      | u16  | value        |       | concentration x 10^decimals; 0xFFFF while not measuring                         |
| 3      | u16  | unit         |       | high byte unit (0 ppm, 2 %LEL, 4 %VOL, 6 mg/m3, 8 ppb), low byte decimals 0..3  |
| 4      | u16  | low set      | value | low alarm set point                                                             |
| 5      | u16  | high set     | value | high alarm set point                                                            |
| 6      | u16  | full scale   | value |                                                                                 |
| 7      | u16  | warm-up left | 0.1 s | 0 when warm                                                                     |
| 8      | i16  | temperature  | 0.1 C | 0x8000 unknown                                                                  |
| 9      | u16  | humidity     | 0.1 % | 0xFFFF unknown                                                                  |
| 10     | u16  | heartbeat    |       | +1 per finished measurement; standing still = stale, even if the bus answers    |
| 11     | u16  | reset cause  |       | RESET_*                                                                         |
| 12     | u32  | uptime       | s     | high word first                                                                 |
| 14     | u16  | firmware     |       | high byte major, low byte minor                                                 |
| 15     | u16  | slot         |       | 0 a, 1 b; + 0x0100 while the new firmware has not confirmed itself               |

Registers that may be written (FC 6), technician only: 0x0100 unit id 1..247, 0x0101 self test (SELF_TEST_KEY).
Set points cannot be changed over the bus. Unit codes are those of profile `cn6in1_unitreg`. Source: our own.
An all-zero block (a dead register bank) has the wrong identity and never reads as "0, normal".
"""

from gatehouse_wire.errors import FIELD, LENGTH, VERSION, WireError
from gatehouse_wire.record import Record

START = 0
COUNT = 16
IDENTITY = 0x4731
UNIT_ID_REGISTER = 0x0100
SELF_TEST_REGISTER = 0x0101
SELF_TEST_KEY = 0xA55A

WARMING_UP = 0x0001
PRE_WARNING = 0x0002
LOW_ALARM = 0x0004
HIGH_ALARM = 0x0008
OVER_RANGE = 0x0010
SENSOR_FAULT = 0x0020
CALIBRATION_DUE = 0x0040
SELF_TEST = 0x0080
MEASURING = 0x8000
_KNOWN_STATUS = 0x80FF

PPM = 0
PCT_LEL = 2
PCT_VOL = 4
MG_M3 = 6
PPB = 8

RESET_POWER = 1
RESET_BUTTON = 2
RESET_WATCHDOG = 3
RESET_SOFTWARE = 4
RESET_BROWN_OUT = 5
RESET_UNKNOWN = 0

NO_VALUE = 0xFFFF
NO_TEMPERATURE = 0x8000
UNCONFIRMED = 0x0100


class Block(Record):
    """One read of the whole map. Concentrations in `unit`; None where the node does not know."""

    def __init__(  # noqa: PLR0913  # one argument per register
        self,
        *,
        status: int,
        unit: int,
        decimals: int,
        value=None,
        low_set: float,
        high_set: float,
        full_scale: float,
        heartbeat: int,
        warm_up_left_s: float = 0.0,
        temperature_c=None,
        humidity_pct=None,
        reset_cause: int = RESET_UNKNOWN,
        uptime_s: int = 0,
        firmware: int = 0,
        slot: int = 0,
    ):
        self.status = status
        self.unit = unit
        self.decimals = decimals
        self.value = value
        self.low_set = low_set
        self.high_set = high_set
        self.full_scale = full_scale
        self.heartbeat = heartbeat
        self.warm_up_left_s = warm_up_left_s
        self.temperature_c = temperature_c
        self.humidity_pct = humidity_pct
        self.reset_cause = reset_cause
        self.uptime_s = uptime_s
        self.firmware = firmware
        self.slot = slot


def decode(registers) -> Block:
    """Return the block in 16 registers read from `START`.

    Raises:
        WireError: LENGTH, VERSION (identity), FIELD (unknown unit, bit or a contradiction).
    """
    if len(registers) != COUNT:
        raise WireError(LENGTH, "%d registers" % len(registers))
    for register in registers:
        if not 0 <= register <= 0xFFFF:
            raise WireError(FIELD, "register %d" % register)
    if registers[0] != IDENTITY:
        raise WireError(VERSION, "identity 0x%04x" % registers[0])
    status = registers[1]
    unit = registers[3] >> 8
    decimals = registers[3] & 0xFF
    _check(status, unit, decimals, registers[2] != NO_VALUE)
    scale = 10**decimals
    temperature = registers[8]
    return Block(
        status=status,
        unit=unit,
        decimals=decimals,
        value=registers[2] / scale if status & MEASURING else None,
        low_set=registers[4] / scale,
        high_set=registers[5] / scale,
        full_scale=registers[6] / scale,
        heartbeat=registers[10],
        warm_up_left_s=registers[7] / 10,
        temperature_c=None
        if temperature == NO_TEMPERATURE
        else (temperature - 0x10000 if temperature & 0x8000 else temperature) / 10,
        humidity_pct=None if registers[9] == 0xFFFF else registers[9] / 10,
        reset_cause=registers[11],
        uptime_s=registers[12] << 16 | registers[13],
        firmware=registers[14],
        slot=registers[15],
    )


def encode(block) -> list[int]:
    """Return the 16 registers of a block.

    Raises:
        WireError: reason FIELD; something does not fit its register or contradicts.
    """
    is_measuring = block.value is not None
    _check(block.status, block.unit, block.decimals, is_measuring)
    scale = 10**block.decimals
    temperature = (
        NO_TEMPERATURE if block.temperature_c is None else _rounded(block.temperature_c * 10) & 0xFFFF
    )
    registers = [
        IDENTITY,
        block.status,
        _rounded(block.value * scale) if is_measuring else NO_VALUE,
        block.unit << 8 | block.decimals,
        _rounded(block.low_set * scale),
        _rounded(block.high_set * scale),
        _rounded(block.full_scale * scale),
        _rounded(block.warm_up_left_s * 10),
        temperature,
        0xFFFF if block.humidity_pct is None else _rounded(block.humidity_pct * 10),
        block.heartbeat & 0xFFFF,
        block.reset_cause,
        block.uptime_s >> 16,
        block.uptime_s & 0xFFFF,
        block.firmware,
        block.slot,
    ]
    for register in registers:
        if not 0 <= register <= 0xFFFF:
            raise WireError(FIELD, "%d does not fit a register" % register)
    return registers


def _rounded(value):
    # Not round(): its halves go to even, and a node must never round an alarm away from its set point.
    return int(value + 0.5) if value >= 0 else -int(-value + 0.5)


def _check(status, unit, decimals, has_value):
    if status & ~_KNOWN_STATUS:
        raise WireError(FIELD, "status 0x%04x" % status)
    if unit not in (PPM, PCT_LEL, PCT_VOL, MG_M3, PPB) or decimals > 3:
        raise WireError(FIELD, "unit %d, decimals %d" % (unit, decimals))
    is_measuring = bool(status & MEASURING)
    if is_measuring != has_value:
        raise WireError(FIELD, "measuring and value contradict")
    if is_measuring and status & (WARMING_UP | SENSOR_FAULT | SELF_TEST):
        raise WireError(FIELD, "measuring while warming up, faulty or testing")
    if not is_measuring and not status & (
        WARMING_UP | SENSOR_FAULT | SELF_TEST | OVER_RANGE | CALIBRATION_DUE
    ):
        raise WireError(FIELD, "not measuring without a reason")
