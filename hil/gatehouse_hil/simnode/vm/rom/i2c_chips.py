# mypy: ignore-errors
"""Chips on the simulated I2C bus: a BMP280 barometer at 0x76 that measures what the simulation senses as "pressure_pa".

Source: Bosch BST-BMP280-DS001, section 3.11.3 (compensation, example coefficients) and 4.2 (memory map).
"""

import struct

import _board

_COEFFICIENTS = struct.pack(
    "<HhhHhhhhhhhh", 27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000
)
_RAW_TEMPERATURE = 519888  # of the datasheet's example: 25.08 degrees C, t_fine 128422
_T_FINE = 128422


def _pressure(raw):
    """Return the pressure in Pa that the datasheet's floating-point formula makes of `raw`."""
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = struct.unpack("<Hhhhhhhhh", _COEFFICIENTS[6:])
    var1 = _T_FINE / 2.0 - 64000.0
    var2 = var1 * var1 * p6 / 32768.0
    var2 = var2 + var1 * p5 * 2.0
    var2 = var2 / 4.0 + p4 * 65536.0
    var1 = (p3 * var1 * var1 / 524288.0 + p2 * var1) / 524288.0
    var1 = (1.0 + var1 / 32768.0) * p1
    p = 1048576.0 - raw
    p = (p - var2 / 4096.0) * 6250.0 / var1
    var1 = p9 * p * p / 2147483648.0
    var2 = p * p8 / 32768.0
    return p + (var1 + var2 + p7) / 16.0


def _raw_pressure(wanted):
    """Return the 20-bit reading whose compensated value is nearest `wanted` Pa; the formula falls with `raw`."""
    low, high = 0, 0xFFFFF
    while low < high:
        middle = (low + high) // 2
        if _pressure(middle) > wanted:
            low = middle + 1
        else:
            high = middle
    return low


class Bmp280:
    def __init__(self):
        self._registers = bytearray(256)
        self._registers[0x88:0xA0] = _COEFFICIENTS
        self._registers[0xD0] = 0x58
        self._at = 0

    def is_there(self):
        return _board.sense("pressure_pa") is not None

    def _measure(self):
        raw = _raw_pressure(_board.sense("pressure_pa"))
        for at, value in ((0xF7, raw), (0xFA, _RAW_TEMPERATURE)):
            self._registers[at] = value >> 12
            self._registers[at + 1] = value >> 4 & 0xFF
            self._registers[at + 2] = value << 4 & 0xFF

    def read(self, at, n):
        if at <= 0xFC and at + n > 0xF7:
            self._measure()
        return bytes(self._registers[at : at + n])

    def write(self, at, data):
        for offset, octet in enumerate(data):
            self._registers[at + offset] = octet

    def select(self, data):
        self._at = data[0]
        if len(data) > 1:
            self.write(data[0], data[1:])

    def read_selected(self, n):
        return self.read(self._at, n)


def make():
    return {0x76: Bmp280()}
