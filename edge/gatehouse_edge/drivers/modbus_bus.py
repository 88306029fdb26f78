"""The one owner of a Modbus bus: opens the port, asks who is due, drives the relays, and says who is silent.

An orderly bus does, in this order: relay orders, alarm registers, everything else, probes of the dead, pieces of a node update. Reconnecting is
ours: pymodbus's client closes a port for good after a few silent requests, and one dead detector is no reason for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from gatehouse_config.buses import ModbusRtuBus, ModbusTcpBus
from gatehouse_config.devices import GasDevice, IoDevice
from gatehouse_config.fault import ProfileError
from gatehouse_config.model import GatewayConfig
from gatehouse_config.outputs import GasValve, Output, Voice
from gatehouse_edge.clock import Clock, Now
from gatehouse_edge.drivers.io_board import Drive, Order, Outcome, Relay, RelayWriter
from gatehouse_edge.drivers.modbus_gas import GasUnit
from gatehouse_edge.drivers.modbus_io import IoUnit
from gatehouse_edge.drivers.modbus_pause import Bell
from gatehouse_edge.drivers.modbus_plan import FAILURES_TO_QUARANTINE, Job, Rest, Schedule, Target
from gatehouse_edge.drivers.modbus_port import OwnedPort
from gatehouse_edge.drivers.modbus_query import (
    BadFrameError,
    ModbusError,
    NoAnswerError,
    PortLostError,
    RefusedError,
    UpdateOrder,
)
from gatehouse_edge.drivers.modbus_rtu import RtuPort, SerialSettings
from gatehouse_edge.drivers.modbus_tcp import TcpPort, TcpSettings
from gatehouse_edge.drivers.node_update import NodeUpdateError, Transfer, UpdateOutcome
from gatehouse_edge.ports import Inbox
from gatehouse_edge.reading import AnyObservation, BusReading, OutputReading, Silence, SilenceReason

_LOG: Final = logging.getLogger(__name__)
_FIRST_RETRY_S: Final = 0.25
_LONGEST_RETRY_S: Final = 1.0
"""A port that is back is found within this, whatever went before: re-plug resumes in less than 3 s."""
_RECREATE_S: Final = 5.0
"""When nobody at all has answered for so long the port is opened anew: USB adapters and NAT entries die silently."""
_RECREATE_FAILURES: Final = 5
_BAD_FRAME_BLAME: Final = 0.5
"""Noise spoils one answer in a few; twice as many bad frames as silences make a unit dead."""
_UPDATE_TURN_S: Final = 1.0
"""A line that is busy with polls all the time carries one piece of an update this often all the same."""
_GATEWAY_EXCEPTIONS: Final = frozenset({10, 11})
"""A TCP gateway says these for a unit that does not answer behind it (V1.1b3 §7)."""


class Unit(Protocol):
    """One device on the bus."""

    @property
    def device_id(self) -> str:
        """Return its id."""
        ...

    @property
    def target(self) -> Target:
        """Return what is read of it, and how often."""
        ...

    def take(self, block: int, values: Sequence[int], now: Now, now_s: float) -> list[AnyObservation]:
        """Return what an answer means; raises `ProfileError` when it cannot mean anything."""
        ...

    def lose(self) -> None:
        """Forget what was read; it has fallen silent."""
        ...


class ModbusBus:
    """Runs one bus until cancelled. Every expected fault becomes an observation."""

    def __init__(
        self,
        bus: ModbusRtuBus | ModbusTcpBus,
        units: Sequence[Unit],
        *,
        inbox: Inbox,
        clock: Clock,
        relays: Sequence[Relay] = (),
        port_path: Path | None = None,
    ) -> None:
        self.bus_id: Final = bus.id
        self._bell: Final = Bell()
        self._port: Final = _port(bus, port_path, self._bell)
        self._inbox: Final = inbox
        self._clock: Final = clock
        self._units: Final = {unit.target.unit_id: unit for unit in units}
        self._boards: Final = {unit.target.unit_id: unit for unit in units if isinstance(unit, IoUnit)}
        self._writer: Final = RelayWriter(relays)
        self._longest_retry_s: Final = (
            bus.reconnect_max_s if isinstance(bus, ModbusTcpBus) else _LONGEST_RETRY_S
        )
        self._schedule = Schedule([], start_s=0.0, timeout_s=self._port.timeout_s)
        self._transfer: Transfer | None = None
        self._transferred_s = 0.0
        self._is_up: bool | None = None
        self._heard_s = 0.0
        self._failures = 0
        self.requests = 0
        """Requests sent since the start, for metrics."""
        self.failures = 0
        """Requests without a believable answer since the start, for metrics."""

    @property
    def output_ids(self) -> frozenset[str]:
        """Return the outputs on this bus."""
        return self._writer.output_ids

    def set_demand(self, output_id: str, *, is_on: bool) -> None:
        """State what an output should be from now on; the bus acts at once and keeps it so. Idempotent.

        Raises:
            KeyError: no such output on this bus.
        """
        self._writer.set_demand(output_id, is_on=is_on, now_s=asyncio.get_running_loop().time())
        self._bell.ring()

    async def drive(self, demands: Mapping[str, bool]) -> None:
        """State all demands of this bus; outputs of other buses are left out."""
        for output_id, is_on in demands.items():
            if output_id in self.output_ids:
                self.set_demand(output_id, is_on=is_on)

    async def update(self, transfer: Transfer) -> UpdateOutcome:
        """Carry a new image to a node of ours while polling goes on; return how it ended.

        Raises:
            NodeUpdateError: another update is under way on this bus, or the unit is not on it.
        """
        if self._transfer is not None:
            raise NodeUpdateError(f"another update is under way on bus {self.bus_id}; wait for its end")
        if transfer.node_id not in self._units:
            raise NodeUpdateError(f"there is no unit {transfer.node_id} on bus {self.bus_id}")
        self._transfer = transfer
        self._bell.ring()
        try:
            await transfer.ended.wait()
        finally:
            self._transfer = None
        assert transfer.outcome is not None  # noqa: S101  # for the type checker: that is what `ended` means
        return transfer.outcome

    async def run(self) -> None:
        """Own the port and serve the bus until cancelled."""
        loop = asyncio.get_running_loop()
        self._schedule = Schedule(
            [unit.target for unit in self._units.values()],
            start_s=loop.time(),
            timeout_s=self._port.timeout_s,
        )
        try:
            while True:
                await self._connect()
                try:
                    await self._serve()
                except PortLostError as error:
                    self._port.close()
                    await self._report(is_up=False, detail=str(error))
        finally:
            self._port.close()
            if self._transfer is not None:
                self._transfer.stop("the bus was stopped")

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                await self._port.open()
                break
            except PortLostError as error:
                await self._report(is_up=False, detail=str(error))
            # Slept, not waited on the bell: a demand cannot be met without a port, and must not hasten the retry.
            await asyncio.sleep(min(retry_s, self._longest_retry_s))
            retry_s *= 2
        now_s = loop.time()
        self._schedule.forget_failures(now_s)
        for unit_id in self._boards:
            self._writer.forget(unit_id, now_s)
        self._heard_s, self._failures = now_s, 0
        await self._report(is_up=True, detail="")

    async def _report(self, *, is_up: bool, detail: str) -> None:
        if self._is_up is is_up:
            return
        self._is_up = is_up
        now = self._clock.now()
        _LOG.log(
            logging.INFO if is_up else logging.WARNING,
            "bus %s is %s%s", self.bus_id, "up" if is_up else "down: ", detail,
            extra={"bus_id": self.bus_id},
        )  # fmt: skip
        await self._inbox.put(BusReading(device_id=self.bus_id, at=now, is_up=is_up, detail=detail))
        if is_up:
            return
        for unit in self._units.values():
            unit.lose()
            await self._inbox.put(
                Silence(device_id=unit.device_id, at=now, reason=SilenceReason.PORT_LOST, detail=detail)
            )

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            now_s = loop.time()
            wake_s = self._writer.wake_s(now_s)
            order = self._writer.next_order(now_s)
            if order is not None:
                free_s = self._schedule.free_s(order.unit_id)
                if free_s <= now_s or self._schedule.is_quarantined(order.unit_id):
                    await self._switch(order)
                    continue
                wake_s = min(wake_s, free_s)
            step = self._schedule.next(now_s)
            request = self._update_request(now_s, is_idle=isinstance(step, Rest))
            if request is not None:
                await self._update(request)
            elif isinstance(step, Rest):
                if self._transfer is not None:
                    wake_s = min(wake_s, max(self._transfer.due_s, now_s + _FIRST_RETRY_S))
                await self._bell.wait_until(min(step.until_s, wake_s))
                if not self._port.is_open:
                    raise PortLostError("the port is gone")
            else:
                await self._poll(step)

    def _update_request(self, now_s: float, *, is_idle: bool) -> UpdateOrder | None:
        """Return the next piece of an update if the line may carry one now."""
        transfer = self._transfer
        if transfer is None or not (is_idle or now_s - self._transferred_s >= _UPDATE_TURN_S):
            return None
        request = transfer.request(now_s)
        return None if request is None else UpdateOrder(unit_id=transfer.node_id, data=request)

    async def _update(self, order: UpdateOrder) -> None:
        """Carry one piece. Silence here is no silence of the device: its polls tell that."""
        loop, transfer = asyncio.get_running_loop(), self._transfer
        self.requests += 1
        try:
            answer = await self._port.exchange(order)
        except PortLostError:
            raise
        except ModbusError as error:
            self.failures += 1
            if transfer is not None:
                transfer.miss(loop.time(), _words(error))
        else:
            if transfer is not None:
                transfer.take(bytes(answer), loop.time())
        finally:
            self._transferred_s = loop.time()
            self._schedule.asked(order.unit_id, loop.time())

    async def _poll(self, job: Job) -> None:
        loop = asyncio.get_running_loop()
        unit = self._units[job.unit_id]
        began_s = loop.time()
        self.requests += 1
        try:
            values = await self._port.exchange(unit.target.blocks[job.block].query(job.unit_id))
        except PortLostError:
            raise
        except ModbusError as error:
            await self._miss(job, unit, error, began_s)
            return
        now_s = loop.time()
        was_away = self._schedule.is_quarantined(job.unit_id)
        self._schedule.done(job, began_s=began_s, ended_s=now_s, blame=0)
        self._heard_s, self._failures = now_s, 0
        now = self._clock.now()
        if was_away:
            _LOG.info("unit %s answers again", unit.device_id, extra={"device_id": unit.device_id})
        observations: list[AnyObservation]
        if isinstance(unit, IoUnit):
            if was_away:
                self._writer.forget(job.unit_id, now_s)
            if job.block == unit.coil_block:
                await self._tell(self._writer.read_back(job.unit_id, values, now_s))
        try:
            observations = unit.take(job.block, values, now, now_s)
        except ProfileError as error:
            observations = [
                Silence(
                    device_id=unit.device_id, at=now, reason=SilenceReason.WRONG_ANSWER, detail=_words(error)
                )
            ]
        for observation in observations:
            await self._inbox.put(observation)
        if isinstance(unit, IoUnit) and (ends_s := unit.bounce_ends_s()) is not None:
            self._schedule.hurry(job.unit_id, ends_s)

    async def _miss(self, job: Job, unit: Unit, error: ModbusError, began_s: float) -> None:
        now_s = asyncio.get_running_loop().time()
        self.failures += 1
        reason, blame = error.reason, 1.0
        if isinstance(error, RefusedError):
            self._heard_s, self._failures = now_s, 0
            if error.code in _GATEWAY_EXCEPTIONS:
                reason = SilenceReason.NO_ANSWER
            else:
                blame = 0.0
        elif isinstance(error, BadFrameError):
            blame = _BAD_FRAME_BLAME
        was_away = self._schedule.is_quarantined(job.unit_id)
        self._schedule.done(job, began_s=began_s, ended_s=now_s, blame=blame)
        detail = _words(error)
        if self._schedule.is_quarantined(job.unit_id):
            if not was_away:
                unit.lose()
                _LOG.warning(
                    "unit %s is put aside: %s", unit.device_id, detail, extra={"device_id": unit.device_id}
                )
            detail += f"; put aside after {FAILURES_TO_QUARANTINE} failures"
        await self._inbox.put(
            Silence(device_id=unit.device_id, at=self._clock.now(), reason=reason, detail=detail)
        )
        await self._recreate_if_deaf(now_s, is_silent=isinstance(error, NoAnswerError))

    async def _recreate_if_deaf(self, now_s: float, *, is_silent: bool) -> None:
        """Open the port anew when nobody has answered for long, without calling that a fault of the bus."""
        self._failures += is_silent
        if self._failures < _RECREATE_FAILURES or now_s - self._heard_s < _RECREATE_S:
            return
        self._port.close()
        await self._port.open()
        self._heard_s, self._failures = now_s, 0

    async def _switch(self, order: Order) -> None:
        """Give one order and read all relays of the board back."""
        board = self._boards[order.unit_id]
        loop = asyncio.get_running_loop()
        self.requests += 2
        try:
            await self._port.exchange(board.order(order))
            self._writer.written(order)
            coils = await self._port.exchange(board.read_back())
        except PortLostError:
            raise
        except ModbusError as error:
            self.failures += 1
            await self._tell(self._writer.refused(order, loop.time(), _words(error)))
        else:
            await self._tell(self._writer.read_back(order.unit_id, coils, loop.time()))
        finally:
            self._schedule.asked(order.unit_id, loop.time())

    async def _tell(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            await self._inbox.put(
                OutputReading(
                    device_id=outcome.output_id,
                    at=self._clock.now(),
                    is_ok=outcome.is_ok,
                    wanted=outcome.wanted,
                    is_on=outcome.is_on,
                    detail=outcome.detail,
                )
            )


def _words(error: Exception) -> str:
    return str(error)[:120]


def _port(bus: ModbusRtuBus | ModbusTcpBus, path: Path | None, bell: Bell) -> OwnedPort:
    timeout_s = bus.response_timeout_ms / 1000
    if isinstance(bus, ModbusTcpBus):
        return TcpPort(
            TcpSettings(host=bus.host, port=bus.port, response_timeout_s=timeout_s), on_lost=bell.ring
        )
    settings = SerialSettings(
        path=path or Path(bus.port),
        baud=bus.baud,
        parity=bus.parity,
        stop_bits=bus.stop_bits,
        response_timeout_s=timeout_s,
    )
    return RtuPort(settings, on_lost=bell.ring)


def _relay(output: Output, unit_id: int) -> Relay:
    if isinstance(output, GasValve):
        return Relay(
            output_id=output.id, unit_id=unit_id, point=output.point, drive=Drive.PULSE,
            pulse_s=output.pulse_ms / 1000, release_point=output.open_point,
        )  # fmt: skip
    if isinstance(output, Voice):
        return Relay(
            output_id=output.id, unit_id=unit_id, point=output.point, drive=Drive.PULSE,
            pulse_s=output.pulse_ms / 1000, repeat_s=output.repeat_s,
        )  # fmt: skip
    return Relay(output_id=output.id, unit_id=unit_id, point=output.point)


def build(
    config: GatewayConfig, bus: ModbusRtuBus | ModbusTcpBus, *, inbox: Inbox, clock: Clock
) -> ModbusBus:
    """Return the owner of one bus of the configuration, with all its devices and outputs."""
    units: list[Unit] = []
    boards: dict[str, int] = {}
    for device in config.devices:
        if isinstance(device, GasDevice) and device.bus == bus.id:
            units.append(GasUnit(device, config.gas_profile(device)))
        elif isinstance(device, IoDevice) and device.bus == bus.id:
            units.append(IoUnit(device, config.io_profile(device)))
            boards[device.id] = device.unit_id
    relays = [_relay(output, boards[output.io]) for output in config.outputs if output.io in boards]
    path = config.resolve(bus.port) if isinstance(bus, ModbusRtuBus) else None
    return ModbusBus(bus, units, inbox=inbox, clock=clock, relays=relays, port_path=path)
