# mypy: ignore-errors
"""`machine` of an ESP32 as far as our nodes use it, on top of the simulated board. Names and meanings: MicroPython 1.29."""

import io
import json
import time

import _board
import simboot
import uctypes

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
PIN_WAKE, EXT0_WAKE, EXT1_WAKE, TIMER_WAKE, TOUCHPAD_WAKE, ULP_WAKE, GPIO_WAKE = 2, 2, 3, 4, 5, 6, 7
SLEEP, DEEPSLEEP = 2, 4
_cause = PWRON_RESET
_wake_pins = []  # set through esp32.wake_on_gpio and wake_on_ext0/1: [[number, level], ...]


class Pin:
    """A GPIO. An input reads what the simulation senses at it ("pin5"), else its pull."""

    IN, OUT, OPEN_DRAIN = 1, 3, 7
    PULL_UP, PULL_DOWN = 2, 1
    IRQ_RISING, IRQ_FALLING = 1, 2
    WAKE_LOW, WAKE_HIGH = 4, 5
    DRIVE_0, DRIVE_1, DRIVE_2, DRIVE_3 = 0, 1, 2, 3
    _handlers = {}
    _levels = {}
    _pulls = {}
    _modes = {}

    def __init__(self, id, mode=-1, pull=-1, *, value=None, drive=0, hold=None):
        self._id = id._id if isinstance(id, Pin) else int(id)
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None, drive=0, hold=None):
        if mode != -1:
            Pin._modes[self._id] = mode
        if pull != -1:
            Pin._pulls[self._id] = pull
        if value is not None:
            _board.set_pin(self._id, 1 if value else 0)
        elif mode in (Pin.OUT, Pin.OPEN_DRAIN):
            _board.set_pin(self._id, _board.pin(self._id))

    def value(self, x=None):
        if x is not None:
            _board.set_pin(self._id, 1 if x else 0)
            return None
        if Pin._modes.get(self._id) == Pin.OUT:
            return _board.pin(self._id)
        sensed = _board.sense("pin%d" % self._id)
        simboot.dispatch()
        if sensed is None:
            return 1 if Pin._pulls.get(self._id) == Pin.PULL_UP else 0
        return 1 if sensed else 0

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def toggle(self):
        self.value(1 - self.value())

    def irq(self, handler=None, trigger=3, wake=None, hard=False):
        Pin._handlers[self._id] = (self, handler, trigger)
        Pin._levels[self._id] = self.value()

    def __repr__(self):
        return "Pin(%d)" % self._id


class Signal:
    def __init__(self, pin, *args, invert=False, **kwargs):
        self._pin = pin if isinstance(pin, Pin) else Pin(pin, *args, **kwargs)
        self._invert = invert

    def value(self, x=None):
        if x is None:
            return self._pin.value() ^ self._invert
        self._pin.value((1 if x else 0) ^ self._invert)

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)


def _pin_moved(kind, number, handle, text):
    entry = Pin._handlers.get(number)
    if not entry:
        return
    pin, handler, trigger = entry
    before, now = Pin._levels.get(number), pin.value()
    Pin._levels[number] = now
    edge = 0 if before == now else Pin.IRQ_RISING if now else Pin.IRQ_FALLING
    if handler and trigger & edge:
        handler(pin)


simboot._HANDLERS["pin"] = _pin_moved


class ADC:
    """Reads what is sensed as "adc2_uv" (pin 2; else "adc_uv") in microvolts, else as "adc2" or "adc" in 0 to 65535."""

    ATTN_0DB, ATTN_2_5DB, ATTN_6DB, ATTN_11DB = 0, 1, 2, 3
    WIDTH_9BIT, WIDTH_10BIT, WIDTH_11BIT, WIDTH_12BIT = 9, 10, 11, 12
    _FULL_UV = (750_000, 1_050_000, 1_300_000, 2_500_000)  # ESP32-C3 datasheet, recommended ranges

    def __init__(self, pin, *, atten=3, sample_ns=0):
        self._id = pin._id if isinstance(pin, Pin) else int(pin)
        self._atten = atten

    def atten(self, atten):
        self._atten = atten

    def width(self, bits):
        pass

    def _sensed(self, suffix):
        value = _board.sense("adc%d%s" % (self._id, suffix))
        return _board.sense("adc" + suffix) if value is None else value

    def read_u16(self):
        uv = self._sensed("_uv")
        value = (self._sensed("") or 0) if uv is None else uv * 65535 // self._FULL_UV[self._atten]
        return max(0, min(65535, int(value)))

    def read(self):
        return self.read_u16() >> 4

    def read_uv(self):
        uv = self._sensed("_uv")
        if uv is None:
            return self.read_u16() * (self._FULL_UV[self._atten] // 100) // 65535 * 100
        return int(uv)

    def init(self, *, atten=3, sample_ns=0):
        self._atten = atten

    def deinit(self):
        pass


class UART(io.IOBase):
    INV_TX, INV_RX, RTS, CTS = 1, 2, 1, 2

    def __init__(self, id, baudrate=115200, bits=8, parity=None, stop=1, **kwargs):
        self._timeout = 0
        self._timeout_char = 0
        self.init(baudrate, bits, parity, stop, **kwargs)

    def init(
        self,
        baudrate=115200,
        bits=8,
        parity=None,
        stop=1,
        *,
        tx=None,
        rx=None,
        rts=None,
        cts=None,
        txbuf=256,
        rxbuf=256,
        timeout=0,
        timeout_char=0,
        invert=0,
        flow=0,
    ):
        self._timeout = timeout
        self._timeout_char = timeout_char
        _board.uart_open(baudrate, bits, parity, stop, max(128, rxbuf))

    def deinit(self):
        pass

    def any(self):
        return _board.uart_any()

    def _await(self, ms):
        end = time.ticks_add(time.ticks_ms(), ms)
        while not _board.uart_any():
            left = time.ticks_diff(end, time.ticks_ms())
            if left <= 0:
                return False
            simboot.nap(left, True)
        return True

    def readinto(self, buf, nbytes=None):
        want = len(buf) if nbytes is None else min(nbytes, len(buf))
        if not want or not self._await(self._timeout):
            return None
        got = _board.uart_read(uctypes.addressof(buf), want)
        while got < want and self._await(self._timeout_char):
            got += _board.uart_read(uctypes.addressof(buf) + got, want - got)
        return got

    def read(self, nbytes=-1):
        if nbytes is None or nbytes < 0:
            if not self._await(self._timeout):
                return None
            nbytes = _board.uart_any()
        buf = bytearray(nbytes)
        got = self.readinto(buf)
        return bytes(memoryview(buf)[:got]) if got else None

    def readline(self):
        line = b""
        while not line.endswith(b"\n"):
            octet = self.read(1)
            if not octet:
                break
            line += octet
        return line or None

    def write(self, buf):
        if isinstance(buf, str):
            buf = buf.encode()
        if len(buf):
            _board.uart_write(uctypes.addressof(buf), len(buf))
        return len(buf)

    def txdone(self):
        return _board.uart_left_ms() <= 0

    def flush(self):
        while _board.uart_left_ms() > 0:
            simboot.nap(_board.uart_left_ms())

    def ioctl(self, request, argument):
        if request == 3:  # poll
            return (argument & 1 and (1 if self.any() else 0)) | (argument & 4)
        return 0


class I2C:
    """A bus with the simulated chips of `i2c_chips`; every address without one does not acknowledge."""

    def __init__(self, id=-1, *, scl=None, sda=None, freq=400_000, timeout=50_000):
        pass

    def init(self, **kwargs):
        pass

    def deinit(self):
        pass

    def scan(self):
        return [address for address in sorted(_chips()) if _chips()[address].is_there()]

    def _chip(self, address):
        chip = _chips().get(address)
        if chip is None or not chip.is_there():
            raise OSError(19)
        return chip

    def readfrom_mem(self, address, memaddr, nbytes, *, addrsize=8):
        return self._chip(address).read(memaddr, nbytes)

    def readfrom_mem_into(self, address, memaddr, buf, *, addrsize=8):
        buf[:] = self._chip(address).read(memaddr, len(buf))

    def writeto_mem(self, address, memaddr, buf, *, addrsize=8):
        self._chip(address).write(memaddr, bytes(buf))

    def writeto(self, address, buf, stop=True):
        self._chip(address).select(bytes(buf))
        return len(buf)

    def readfrom(self, address, nbytes, stop=True):
        return self._chip(address).read_selected(nbytes)

    def readfrom_into(self, address, buf, stop=True):
        buf[:] = self._chip(address).read_selected(len(buf))


SoftI2C = I2C
_known_chips = None


def _chips():
    global _known_chips
    if _known_chips is None:
        _known_chips = i2c_chips.make()
    return _known_chips


class PWM:
    def __init__(self, pin, *, freq=5000, duty_u16=0, duty=0, duty_ns=0, invert=False):
        self._id = pin._id if isinstance(pin, Pin) else int(pin)
        self._freq = freq
        self.duty_u16(duty_u16)

    def freq(self, value=None):
        if value is None:
            return self._freq
        self._freq = value

    def duty_u16(self, value=None):
        if value is None:
            return self._duty
        self._duty = value
        _board.set_pin(self._id, 1 if value else 0)

    def duty(self, value=None):
        return self.duty_u16(None if value is None else value << 6)

    def deinit(self):
        _board.set_pin(self._id, 0)


class Timer:
    """A timer; its callback runs at the next nap, which on a chip would be the next bytecode."""

    ONE_SHOT, PERIODIC = 0, 1

    def __init__(self, id=-1, **kwargs):
        self._period = 0
        if kwargs:
            self.init(**kwargs)

    def init(self, *, mode=1, freq=0, period=0, callback=None, hard=False):
        self.deinit()
        self._mode, self._callback = mode, callback
        self._period = int(1000 // freq) if freq else period
        self._due = time.ticks_add(time.ticks_ms(), self._period)
        simboot.timers.append(self)

    def deinit(self):
        if self in simboot.timers:
            simboot.timers.remove(self)

    def _ring(self):
        if self._mode == Timer.ONE_SHOT:
            self.deinit()
        else:
            self._due = time.ticks_add(self._due, self._period)
        if self._callback:
            self._callback(self)

    def value(self):
        return 0


class WDT:
    """The watchdog: once started it cannot be stopped, except by a reset."""

    def __init__(self, id=0, timeout=5000):
        self._timeout = timeout
        _board.watchdog(timeout)

    def feed(self):
        _board.watchdog(self._timeout)


class RTC:
    def __init__(self, id=0, *args, **kwargs):
        pass

    def memory(self, data=None):
        import binascii

        if data is None:
            return binascii.unhexlify(_board.rtc_read())
        _board.rtc_write(binascii.hexlify(data if not isinstance(data, str) else data.encode()).decode())

    def datetime(self, new=None):
        if new is None:
            y, mo, d, h, mi, s, wd, _ = time.gmtime()
            return (y, mo, d, wd, h, mi, s, 0)

    def init(self, *args, **kwargs):
        pass


def reset():
    _board.end("reset", 0, "[]")


def soft_reset():
    raise SystemExit


def deepsleep(time_ms=0):
    _board.end("deepsleep", time_ms, json.dumps(_wake_pins))


def lightsleep(time_ms=None):
    """Stop until a wake pin has its level or the time is up; without either, for ever, as the chip does."""
    end = None if time_ms is None else time.ticks_add(time.ticks_ms(), time_ms)
    while True:
        for number, level in _wake_pins:
            if Pin(number).value() == level:
                return
        left = 1000 if end is None else time.ticks_diff(end, time.ticks_ms())
        if left <= 0:
            return
        simboot.nap(left)


sleep = lightsleep


def unique_id():
    import binascii

    return binascii.unhexlify(_board.fact("mac"))


def reset_cause():
    return _cause


def wake_reason():
    return _board.fact("wake_reason") if _cause == DEEPSLEEP_RESET else 0


def freq(hz=None):
    return 160_000_000 if hz is None else None


def idle():
    simboot.nap(1)


def disable_irq():
    return 0


def enable_irq(state):
    pass


import i2c_chips
