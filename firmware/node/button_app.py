"""The help button: wakes, counts, shouts, waits for the receipt that lights its lamp, sleeps.

Life of one press: key down wakes the chip -> the counter goes to flash -> 3 s of adverts nobody can connect to (every scanner hears
them, no connection can silence them) -> 5 s in which the gateway may connect and write the receipt -> lamp -> deep sleep.
Every 6 h without a press it wakes by itself and says that it lives, for 1 s. What that costs: README, "Battery".
"""

import time

import bluetooth
import ccm
import esp32
import machine
from advert import advert
from battery import EMPTY_MV, FULL_MV, percent
from counter import Counter
from micropython import const
from start import Start

from gatehouse_wire import button_receipt, node_update
from gatehouse_wire.errors import WireError

KEY_PIN = const(3)
LAMP_PIN = const(5)
BATTERY_PIN = const(2)
TAMPER_PIN = const(4)
ALIVE_EVERY_MS = const(21_600_000)
SHOUT_MS = const(3000)
ALIVE_MS = const(1000)
WINDOW_MS = button_receipt.WINDOW_S * 1000
LAMP_MS = const(3000)
STUCK_RETRY_MS = const(600_000)
"""A key that stays down (something lies on it) would wake at once and for ever: look every ten minutes, and say nothing, so that
the supervision of the gateway notices within 18 h."""
UNPROVISIONED_MS = const(600_000)
_STUCK = b"stuck"
_SHOUT_US = const(30_000)
_WINDOW_US = const(100_000)
_LOOK_MS = const(20)
_GATTS_WRITE = const(3)
_CONNECT = const(1)


class Button:
    """One waking of the button; `run` ends in deep sleep."""

    def __init__(self):
        self.start = start = Start(node_update.BUTTON)
        store = start.store
        self.key = machine.Pin(KEY_PIN, machine.Pin.IN, machine.Pin.PULL_UP)
        self.lamp = machine.Pin(LAMP_PIN, machine.Pin.OUT, value=0)
        self.tamper = machine.Pin(TAMPER_PIN, machine.Pin.IN, machine.Pin.PULL_DOWN)
        self.battery = machine.ADC(machine.Pin(BATTERY_PIN), atten=machine.ADC.ATTN_11DB)
        self.full_mv = store.number("gh_cal", "full_mv", FULL_MV)
        self.empty_mv = store.number("gh_cal", "empty_mv", EMPTY_MV)
        self.alive_every_ms = store.number("gh_cal", "alive_ms", ALIVE_EVERY_MS)
        self.counter = Counter(store)
        self.ble = bluetooth.BLE()
        self.handle = None
        self.is_written = False
        self.is_pressed = False
        self.address = b""

    def run(self):
        """Serve what woke us, and every press that comes meanwhile; then sleep."""
        start = self.start
        start.announce()
        if start.identity.problem:
            # Silent, so its supervision will miss it; and awake for a while, so that a bench finds its console.
            self._wait(UNPROVISIONED_MS, lambda: False)
            self._sleep(self.alive_every_ms)
            return
        is_down = self.key.value() == 0
        if is_down and machine.RTC().memory() == _STUCK:
            self._sleep(self.alive_every_ms)
            return
        # A short press is over before the chip is awake: what woke it counts, and the key only besides.
        is_woken = start.cause == machine.DEEPSLEEP_RESET and machine.wake_reason() != machine.TIMER_WAKE
        is_press = is_woken or is_down
        self._open()
        self.key.irq(self._pressed, machine.Pin.IRQ_FALLING)
        if is_press:
            self.serve_press()
        else:
            self._shout(self._advert(False), ALIVE_MS)
            self._confirm()
        while self.is_pressed:
            self.serve_press()
        self._close()
        self._sleep(self.alive_every_ms)

    def serve_press(self):
        """One press, from counter to lamp; return whether the receipt came."""
        self.is_pressed = False
        self.lamp.value(0)
        data = self._advert(True)
        self._shout(data, SHOUT_MS)
        is_lit = self._wait_for_receipt(data)
        self._hush()
        if is_lit:
            self._confirm()
            self._wait(LAMP_MS, lambda: self.is_pressed)
            self.lamp.value(0)
        return is_lit

    def _open(self):
        self.ble.active(True)
        self.address = bytes(self.ble.config("mac")[1])
        self.ble.irq(self._happened)
        service = bluetooth.UUID(button_receipt.SERVICE_UUID)
        receipt = (bluetooth.UUID(button_receipt.RECEIPT_UUID), bluetooth.FLAG_WRITE)
        ((self.handle,),) = self.ble.gatts_register_services(((service, (receipt,)),))

    def _close(self):
        self._hush()
        self.ble.active(False)

    def _hush(self):
        self.ble.gap_advertise(None)  # pyright: ignore[reportArgumentType]  # None stops; the stub forgets it

    def _advert(self, is_press):
        identity = self.start.identity
        self.last = self.counter.step()  # on flash before anything is sent
        return advert(
            counter=self.last,
            seal=ccm.sealer(identity.keys[identity.key_id]),
            address=self.address,
            battery_pct=percent(self.battery.read_uv() * 2 // 1000, self.full_mv, self.empty_mv),
            is_tampered=self.tamper.value() == 1,
            is_pressed=is_press,
        )

    def _shout(self, data, ms):
        self.ble.gap_advertise(_SHOUT_US, data, connectable=False)
        self._wait(ms, lambda: False)
        self._hush()

    def _wait_for_receipt(self, data):
        self.is_written = False
        self.ble.gap_advertise(_WINDOW_US, data, connectable=True)
        end = time.ticks_add(time.ticks_ms(), WINDOW_MS)
        while time.ticks_diff(end, time.ticks_ms()) > 0:
            left = time.ticks_diff(end, time.ticks_ms())
            self._wait(left, lambda: self.is_written or self.is_pressed)
            if self.is_written:
                self.is_written = False
                if self._is_genuine(self._written()):
                    self.lamp.value(1)
                    return True
            if self.is_pressed:
                return False  # pressed again: that press is the one to answer
        return False

    def _written(self):
        return bytes(self.ble.gatts_read(self.handle))  # pyright: ignore[reportArgumentType]  # a number, says the chip

    def _is_genuine(self, value):
        identity = self.start.identity
        mac = identity.mac_for(value[1]) if len(value) == button_receipt.BYTES else None
        if mac is None:
            return False
        try:
            receipt = button_receipt.decode(value, self.address, mac)
        except WireError:
            return False
        return receipt.counter == self.last

    def _happened(self, event, data):  # noqa: ARG002  # as the radio calls it
        if event == _GATTS_WRITE:
            self.is_written = True
        elif event == _CONNECT:
            # A central takes the advertising slot; whoever connects and says nothing must not keep others out.
            self.start.watchdog.feed()

    def _pressed(self, pin):  # noqa: ARG002  # as the pin calls it
        self.is_pressed = True

    def _wait(self, ms, is_over):
        """Wait, feeding the watchdog; handlers of key and radio run meanwhile."""
        end = time.ticks_add(time.ticks_ms(), ms)
        while time.ticks_diff(end, time.ticks_ms()) > 0 and not is_over():
            self.start.watchdog.feed()
            time.sleep_ms(_LOOK_MS)

    def _confirm(self):
        if self.start.is_sound():
            self.start.slots.confirm()

    def _sleep(self, ms):
        if self.key.value() == 0:
            machine.RTC().memory(_STUCK)
            machine.deepsleep(min(ms, STUCK_RETRY_MS))
        else:
            machine.RTC().memory(b"")
            esp32.wake_on_gpio((self.key,), esp32.WAKEUP_ALL_LOW)
            machine.deepsleep(ms)


def run():
    """Run one waking of the button."""
    Button().run()
