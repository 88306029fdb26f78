"""The gas node: measures twice a second, answers its bus within a few milliseconds, restarts when any task hangs."""

import asyncio
import time

import machine
from gas_meter import Calibration, GasMeter
from micropython import const
from modbus_slave import Slave
from rs485 import BAUD, Rs485
from start import Start, reset_register
from supervisor import Supervisor

from gatehouse_wire import gas_registers, node_update

SENSOR_PIN = const(2)
ENABLE_PIN = const(5)
LAMP_PIN = const(10)
TX_PIN = const(21)
RX_PIN = const(20)
MEASURE_MS = const(500)


class GasNode:
    """Everything of one run; `run` never returns."""

    def __init__(self):
        self.start = start = Start(node_update.GAS)
        self.meter = GasMeter(
            Calibration(start.store),
            reset_cause=reset_register(start.cause),
            is_cold=start.cause in (machine.PWRON_RESET, 0),
            firmware=start.version[0] << 8 | start.version[1],
            slot=self._slot_register(),
        )
        self.updates = start.update_desk(lambda: self.meter.is_alarm)
        who = "Gatehouse gas %d.%d.%d %s" % (start.version + (start.identity.serial,))
        self.slave = Slave(
            unit=start.identity.node or 247,
            meter=self.meter,
            updates=self.updates,
            who=who.encode(),
            store_unit=lambda unit: start.store.put_number("gh_id", "node", unit),
        )
        uart = machine.UART(1, BAUD, tx=TX_PIN, rx=RX_PIN, rxbuf=512)
        self.line = Rs485(uart, machine.Pin(ENABLE_PIN, machine.Pin.OUT, value=0))
        self.sensor = machine.ADC(machine.Pin(SENSOR_PIN), atten=machine.ADC.ATTN_11DB)
        self.lamp = machine.Pin(LAMP_PIN, machine.Pin.OUT, value=0)
        self.supervisor = Supervisor(("measure", "bus", "confirm"), start.watchdog.feed)
        self._is_sound = start.is_sound()

    async def run(self):
        """Run the tasks of the node; the bus task restarts it after an update."""
        self.start.announce()
        works = (self._measure(), self._serve(), self._confirm(), self.supervisor.run())
        # An exception in any of them ends the program, and main.py starts it anew.
        await asyncio.gather(*works)

    async def _measure(self):
        began = time.ticks_ms()
        uptime_ms = 0
        while True:
            now = time.ticks_ms()
            # Summed up, because ticks wrap after some days and uptime must not.
            uptime_ms += time.ticks_diff(now, began)
            began = now
            self.meter.sample(self._read_uv(), uptime_ms)
            self.lamp.value(1 if self.meter.is_alarm else 0)
            self.supervisor.tick("measure")
            await asyncio.sleep_ms(MEASURE_MS)

    def _read_uv(self):
        try:
            return self.sensor.read_uv()
        except OSError:
            return None

    async def _serve(self):
        while not self.updates.is_restart_due:
            frame = await self.line.receive(lambda: self.supervisor.tick("bus"))
            reply = self.slave.hear(frame)
            if reply is not None:
                await self.line.send(reply)
        machine.reset()

    async def _confirm(self):
        """Confirm the image once it is whole, its sensor is read, and the gateway has had two answers."""
        while True:
            self.supervisor.tick("confirm")
            if self._is_sound and self.slave.answered >= 2 and self.meter.is_sensor_good:
                self.start.slots.confirm()
            self.meter.slot = self._slot_register()
            await asyncio.sleep_ms(MEASURE_MS)

    def _slot_register(self):
        slots = self.start.slots
        return (1 if slots.running == "b" else 0) | (0 if slots.is_confirmed() else gas_registers.UNCONFIRMED)


def run():
    """Run the gas node."""
    asyncio.run(GasNode().run())
