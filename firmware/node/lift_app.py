"""The lift node: looks twenty times a second, tells its state twice, keeps events until the gateway has them."""

import asyncio
import struct
import time

import machine
from lift_floor import FloorFinder
from lift_ring import Ring
from lift_sensors import Sensors
from lift_talk import LiftTalk
from lift_watch import LiftWatch
from micropython import const
from start import Start, reset_register
from supervisor import Supervisor

from gatehouse_wire import node_update

BAUD = const(115_200)
TX_PIN = const(21)
RX_PIN = const(20)
_LOOK_MS = const(50)
_STATUS_MS = const(500)
_REPEAT_MS = const(250)
_IDLE_MS = const(2000)
_RX_BYTES = const(512)


class LiftNode:
    """Everything of one run; `run` never returns."""

    def __init__(self):
        self.start = start = Start(node_update.LIFT)
        self.uart = machine.UART(1, BAUD, tx=TX_PIN, rx=RX_PIN, rxbuf=_RX_BYTES)
        self.ring = Ring(start.store)
        self.updates = start.update_desk(lambda: self.watch.is_alarm)
        self.talk = LiftTalk(
            identity=start.identity,
            ring=self.ring,
            updates=self.updates,
            send=self.uart.write,
            firmware=start.version,
            reset_cause=reset_register(start.cause),
        )
        self.watch = LiftWatch(
            sensors=Sensors(),
            finder=FloorFinder(stored_floors(start.store)),
            ring=self.ring,
            talk=self.talk,
            has_zone=start.store.number("gh_cal", "zone", 1) != 0,
        )
        self.news = asyncio.Event()
        self.supervisor = Supervisor(("look", "talk", "events", "listen"), start.watchdog.feed)
        self._is_sound = start.is_sound()

    async def run(self):
        """Run the tasks of the node."""
        self.start.announce()
        self.talk.say_hello()
        # An exception in any of them ends the program, and main.py starts it anew.
        await asyncio.gather(
            self._look(), self._tell(), self._repeat(), self._listen(), self.supervisor.run()
        )

    async def _look(self):
        began = time.ticks_ms()
        now_ms = 0
        while True:
            now = time.ticks_ms()
            now_ms += time.ticks_diff(now, began)
            began = now
            if self.watch.look(now_ms):
                self.news.set()
            self.supervisor.tick("look")
            await asyncio.sleep_ms(_LOOK_MS)

    async def _tell(self):
        while True:
            self.talk.say_status()
            if self._is_sound and self.talk.answered:
                self.start.slots.confirm()
            self.supervisor.tick("talk")
            await asyncio.sleep_ms(_STATUS_MS)

    async def _repeat(self):
        """Send what waits at once when there is something new, else at the repeat rate."""
        while True:
            self.news.clear()
            self.talk.say_events()
            self.supervisor.tick("events")
            try:
                await asyncio.wait_for_ms(self.news.wait(), _REPEAT_MS)
            except asyncio.TimeoutError:
                continue

    async def _listen(self):
        reader = asyncio.StreamReader(self.uart)
        octets = bytearray(_RX_BYTES)
        while True:
            self.supervisor.tick("listen")
            try:
                count = await asyncio.wait_for_ms(reader.readinto(octets), _IDLE_MS)
            except asyncio.TimeoutError:
                continue
            if count:
                self.talk.hear(bytes(octets[:count]))
            if self.updates.is_restart_due:
                await asyncio.sleep_ms(100)  # the answer is on its way
                machine.reset()


def stored_floors(store):
    """Return the landings the bench has measured: (name, mm), rising."""
    raw = store.blob("gh_cal", "floors") or b""
    floors = []
    for at in range(0, len(raw) - 7, 8):
        name, height = struct.unpack("<4si", raw[at : at + 8])
        floors.append((name.rstrip(b"\x00").decode(), height))
    return floors


def run():
    """Run the lift node."""
    asyncio.run(LiftNode().run())
