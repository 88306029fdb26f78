"""The mains-powered beacon: one advert a second with a counter of its own. As long as the gateway hears it, its scanner lives."""

import time

import bluetooth
import ccm
from advert import advert
from counter import Counter
from micropython import const
from start import Start

from gatehouse_wire import node_update

PERIOD_MS = const(1000)
STRIDE = const(1000)
"""Counters reserved by one write to flash: a write a second would wear it out within years."""
_INTERVAL_US = const(200_000)


class Beacon:
    """Everything of one run; `run` never returns."""

    def __init__(self):
        self.start = start = Start(node_update.BEACON)
        self.counter = Counter(start.store, STRIDE)
        self.ble = bluetooth.BLE()

    def run(self):
        """Advertise for ever."""
        self.start.announce()
        identity = self.start.identity
        if identity.problem:
            while True:  # silent, so that the gateway misses it; the console says why
                self._rest()
        self.ble.active(True)
        address = bytes(self.ble.config("mac")[1])
        seal = ccm.sealer(identity.keys[identity.key_id])
        if self.start.is_sound():
            self.start.slots.confirm()  # nothing ever answers a beacon: it is sound when it gets here
        while True:
            data = advert(counter=self.counter.step(), seal=seal, address=address)
            self.ble.gap_advertise(_INTERVAL_US, data, connectable=False)
            self._rest()

    def _rest(self):
        self.start.watchdog.feed()
        time.sleep_ms(PERIOD_MS)


def run():
    """Run the beacon."""
    Beacon().run()
