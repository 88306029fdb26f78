"""The chips and contacts of the lift node: a BMP280 barometer, an analogue vibration sensor, contacts with pull-ups.

Source of the barometer's registers and its integer compensation: Bosch BST-BMP280-DS001, 3.11.3 and 4.
"""

import struct

import machine
from micropython import const

_ADDRESS = const(0x76)
_CHIP_ID = const(0x58)
_VIBRATION_PIN = const(2)
_ABSENT_UV = const(100_000)
_DOOR, _PRESENCE, _BUTTON, _TAMPER, _MAINS, _ZONE = 3, 4, 5, 10, 1, 0
DEBOUNCE = const(2)


class Barometer:
    """Pressure in Pa. Every call may raise OSError: the chip does not answer."""

    def __init__(self, i2c):
        self._i2c = i2c
        self._raw = bytearray(6)
        self._cal = None

    def begin(self):
        """Start measuring and return the coefficients; call again after an OSError."""
        chip = self._i2c.readfrom_mem(_ADDRESS, 0xD0, 1)[0]
        if chip != _CHIP_ID:
            raise OSError(19)
        # Standby 0.5 ms, filter 4; temperature x1, pressure x4, normal mode.
        self._i2c.writeto_mem(_ADDRESS, 0xF5, b"\x08")
        self._i2c.writeto_mem(_ADDRESS, 0xF4, b"\x2f")
        return struct.unpack("<HhhHhhhhhhhh", self._i2c.readfrom_mem(_ADDRESS, 0x88, 24))

    def pressure_pa(self):
        """Return the pressure; begins by itself when needed."""
        try:
            coefficients = self._cal or self.begin()
            self._i2c.readfrom_mem_into(_ADDRESS, 0xF7, self._raw)
        except OSError:
            self._cal = None  # it may have lost its settings with its power
            raise
        self._cal = coefficients
        raw = self._raw
        return self._compensate(
            coefficients, raw[0] << 12 | raw[1] << 4 | raw[2] >> 4, raw[3] << 12 | raw[4] << 4 | raw[5] >> 4
        )

    def _compensate(self, coefficients, raw_p, raw_t):
        t1, t2, t3, p1, p2, p3, p4, p5, p6, p7, p8, p9 = coefficients
        var1 = (((raw_t >> 3) - (t1 << 1)) * t2) >> 11
        var2 = (((((raw_t >> 4) - t1) * ((raw_t >> 4) - t1)) >> 12) * t3) >> 14
        fine = var1 + var2
        var1 = fine / 2.0 - 64000.0
        var2 = var1 * var1 * p6 / 32768.0 + var1 * p5 * 2.0
        var2 = var2 / 4.0 + p4 * 65536.0
        var1 = (p3 * var1 * var1 / 524288.0 + p2 * var1) / 524288.0
        var1 = (1.0 + var1 / 32768.0) * p1
        if var1 == 0:
            raise OSError(5)
        pressure = (1048576.0 - raw_p - var2 / 4096.0) * 6250.0 / var1
        var1 = p9 * pressure * pressure / 2147483648.0
        var2 = pressure * p8 / 32768.0
        return pressure + (var1 + var2 + p7) / 16.0


class Contact:
    """One input that must stand for two looks to count."""

    def __init__(self, number, active):
        self._pin = machine.Pin(number, machine.Pin.IN, machine.Pin.PULL_UP)
        self._active = active
        self._seen = None
        self._count = 0
        self.is_on = self._pin.value() == active

    def look(self):
        """Read the pin; return whether `is_on` changed."""
        is_on = self._pin.value() == self._active
        if is_on == self.is_on:
            self._count = 0
            return False
        self._count += 1
        if self._count < DEBOUNCE:
            return False
        self.is_on = is_on
        self._count = 0
        return True


class Vibration:
    """Peak-to-peak voltage of the last looks; shows a motor or a blow, None without a sensor."""

    def __init__(self):
        self._adc = machine.ADC(machine.Pin(_VIBRATION_PIN), atten=machine.ADC.ATTN_11DB)
        self._low = 0
        self._high = 0
        self._count = 0
        self.peak_uv = None

    def look(self):
        """Read the converter once; every 20 looks `peak_uv` is new."""
        uv = self._adc.read_uv()
        if not self._count:
            self._low = self._high = uv
        self._low = min(self._low, uv)
        self._high = max(self._high, uv)
        self._count += 1
        if self._count >= 20:
            self.peak_uv = self._high - self._low if self._high >= _ABSENT_UV else None
            self._count = 0


class Sensors:
    """All of them."""

    def __init__(self):
        self.barometer = Barometer(machine.I2C(0, scl=machine.Pin(7), sda=machine.Pin(6), freq=400_000))
        self.vibration = Vibration()
        self.door_closed = Contact(_DOOR, 0)
        self.presence = Contact(_PRESENCE, 1)
        self.alarm_button = Contact(_BUTTON, 0)
        self.tamper = Contact(_TAMPER, 1)
        self.mains = Contact(_MAINS, 1)
        self.zone = Contact(_ZONE, 0)
