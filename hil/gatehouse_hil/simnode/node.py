"""A simulated node: one process that runs the real firmware on the official MicroPython VM.

The node's flash is a directory that the firmware's files are copied into; its console and its UART are PTYs, so that stock
mpremote, pymodbus and mbpoll talk to it; its radio is on the simulated medium. Power, sensors and pins are in the hands of
whoever holds the object. What it cannot show: timing below a millisecond, electrical faults, heap exhaustion, current.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from enum import IntEnum, StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from gatehouse_hil.radio.medium import Medium
from gatehouse_hil.simnode import vm
from gatehouse_hil.simnode.antenna import Antenna
from gatehouse_hil.simnode.processor import Event, LastWord, Processor
from gatehouse_hil.simnode.serial_port import SerialPort
from gatehouse_hil.wire_end import UartSettings

TRACES: Final = "GATEHOUSE_FIRMWARE_TRACES"
"""Environment: a directory; every node of this process and of those it starts is traced, and leaves its lines there."""
LOG_LINES: Final = 2000
"""Console lines kept; older ones are forgotten."""
_GPIO_WAKE: Final = 7
_TIMER_WAKE: Final = 4


class ResetCause(IntEnum):
    """Why the node last started, as `machine.reset_cause()` says it on an ESP32."""

    POWER_ON = 1
    HARD = 2
    WATCHDOG = 3
    DEEP_SLEEP = 4
    SOFT = 5


class Cut(StrEnum):
    """Where in a flash write the power goes."""

    BEFORE = "before"
    TORN = "torn"
    AFTER = "after"


class SimNode:
    """One node. An async context manager; entering makes its ports, `power_on` starts it.

    Entering raises `VmError` when there can be no MicroPython VM on this machine.

    Args:
        directory: `flash/` in it is the node's file system, `nvs/` its key-value partition; both outlive the object.
        mac: factory address, 6 bytes as printed; the Bluetooth address is two higher, as Espressif assigns them, unless
            `bluetooth_address` says otherwise.
        board: what `os.uname().machine` names.
        medium: the air of its radio; None: it has no antenna.
        settrace: run the VM that can trace lines, and note every line in `coverage.txt` of `directory`; also done, for all
            nodes and into one directory, when the environment names it (`TRACES`).
        serial_directory: where the links `NAME-console` and `NAME-uart` appear; by default `serial/` of `directory`.
    """

    def __init__(  # one line for each thing a board has
        self,
        directory: Path,
        *,
        mac: bytes,
        board: str = "esp32c3",
        medium: Medium | None = None,
        settrace: bool = False,
        serial_directory: Path | None = None,
        name: str = "node",
        bluetooth_address: bytes | None = None,
    ) -> None:
        if len(mac) != 6:
            raise ValueError(f"a MAC address has 6 bytes, not {len(mac)}")
        self.directory: Final = directory.absolute()
        self.name: Final = name
        self.mac: Final = mac
        ports = serial_directory or self.directory / "serial"
        self._console: Final = SerialPort(ports / f"{name}-console", on_sent=self._note)
        self._uart: Final = SerialPort(ports / f"{name}-uart")
        self.console: Final = self._console.path
        """PTY of the REPL; stays over power cycles."""
        self.uart: Final = self._uart.path
        """PTY of `machine.UART(1)`; stays over power cycles."""
        self.wiring: dict[str, int] = {}
        """Names of sensors at pins, e.g. ``{"door": 5}``: `sense("door", True)` then drives GPIO 5."""
        self.reset_cause = ResetCause.POWER_ON
        self.boots = 0
        """Starts of any kind since this object was made; soft resets count. What a start says on the console comes after it
        is counted here and `reset_cause` is set, unless the event loop was busy for two seconds. Of pins and UARTs a line
        on the console may be read before they are as it says: wait for these themselves (`until` with a predicate)."""
        self.is_on = False
        """False: no power. A node in deep sleep is on."""
        self.is_asleep = False
        self.flash_writes_cut = 0
        """How often an ordered power cut has happened."""
        self.log: Final[deque[str]] = deque(maxlen=LOG_LINES)
        """What came out of the console, line by line, also while mpremote reads along."""
        self.pins: Final[dict[int, int]] = {}
        address = bluetooth_address or mac[:5] + bytes(((mac[5] + 2) & 0xFF,))
        self.bluetooth_address: Final = ":".join(f"{octet:02X}" for octet in address)
        traces = os.environ.get(TRACES)
        self.coverage: Final = (
            Path(traces) / f"{name}-{uuid.uuid4().hex}.txt" if traces else self.directory / "coverage.txt"
        )
        """Where the lines that ran are noted, when they are (`simnode.coverage`)."""
        self._config: dict[str, Any] = {
            "mac": mac.hex(),
            "ble_mac": address.hex(),
            "board": board,
            "settrace": settrace or traces is not None,
            "flash": str(self.directory / "flash"),
            "nvs": str(self.directory / "nvs"),
            "coverage": str(self.coverage),
        }
        self._processor = Processor(self._take)
        self._antenna = (
            Antenna(medium, self.bluetooth_address, self._processor.order) if medium is not None else None
        )
        self._senses: dict[str, float] = {}
        self._cut: dict[str, Any] | None = None
        self._line = b""
        self._power = asyncio.Event()
        self._loss = asyncio.Event()
        """Set: the power was gone since the last start, if only for a moment."""
        self._wake = asyncio.Event()
        self._wake_levels: Mapping[str, int] = {}
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._living: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(vm.prepare)
        for part in ("flash", "nvs"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        self._loop = asyncio.get_running_loop()
        self._console.open()
        self._uart.open()
        if self._antenna is not None:
            await self._antenna.raise_()
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._living = self._tasks.create_task(self._live(), name=f"simulated node {self.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.power_off()
        if self._living is not None:
            self._living.cancel()
        if self._tasks is not None:
            # A task group wraps what it is told of; a test's own failure should come out as it is.
            is_ours = kind is asyncio.CancelledError
            await self._tasks.__aexit__(*((kind, error, trace) if is_ours else (None, None, None)))
        if self._antenna is not None:
            await self._antenna.lower()
        self._console.close()
        self._uart.close()

    async def power_on(self) -> None:
        """Give it power and return once the VM runs boot.py. Twice does nothing."""
        if self._power.is_set():
            return
        boots = self.boots
        self._power.set()
        await self.until(lambda node: node.boots > boots, timeout_s=30)

    async def power_off(self) -> None:
        """Take its power away at this instant; only flash and NVS remain. Twice does nothing."""
        self.cut_power()
        await self.until(lambda node: not node.is_on, timeout_s=10)

    def cut_power(self) -> None:
        """Take its power away and do not wait for anything. Twice does nothing."""
        self._power.clear()
        self._loss.set()
        self._wake.set()
        self._processor.kill()

    def give_power(self) -> None:
        """Give it power and do not wait for it to start. Twice does nothing."""
        self._power.set()

    async def power_cycle(self) -> None:
        """Take its power away and give it back."""
        await self.power_off()
        await self.power_on()

    def cut_power_at_write(self, n: int, how: Cut = Cut.TORN) -> None:
        """Lose power during the `n`-th flash write from now (1: the next); NVS writes do not tear, TORN is BEFORE for them."""
        if n < 1:
            raise ValueError("the next flash write is number 1")
        self._cut = {"n": n, "how": str(how)}
        self._processor.order({"op": "cut", **self._cut})

    def sense(self, name: str, value: float) -> None:
        """Change what the outside world is, now and after every restart.

        `name` is "adc" or "adc4" (0 to 65535), "adc_uv" or "adc4_uv" (microvolts), "pressure_pa", "pin9" or a name in `wiring` (0 or 1), or "de_pin": the GPIO
        that enables the bus driver; while that is low, nothing the node sends is on the wire.
        """
        if name in self.wiring:
            name = f"pin{self.wiring[name]}"
        self._senses[name] = value
        self._processor.order({"op": "sense", "name": name, "value": value})
        if self._wake_levels.get(name) == value:  # even if it is gone again before anybody looks
            self._wake.set()

    def pin(self, number: int) -> int:
        """Return the level of an output; 0 while the node is off or has not set it."""
        return self.pins.get(number, 0)

    def plug(self) -> None:
        """Put both serial adapters in."""
        self._console.plug()
        self._uart.plug()

    def unplug(self) -> None:
        """Pull both serial adapters: open ports hang up, the paths are gone, the node runs on."""
        self._console.unplug()
        self._uart.unplug()

    @property
    def is_advertising(self) -> bool:
        """Whether its radio sends adverts now."""
        return self._antenna is not None and self._antenna.is_advertising

    @property
    def uart_port(self) -> SerialPort:
        """The UART's port itself, for a line that joins it."""
        return self._uart

    @property
    def uart_settings(self) -> UartSettings | None:
        """What the firmware has set `machine.UART(1)` to; None: not opened since the last start."""
        return self._uart.settings

    async def until(self, wanted: str | Callable[[Self], bool], *, timeout_s: float) -> None:
        """Wait until the console has said a line that contains `wanted`, or until `wanted(node)` is true.

        Raises:
            TimeoutError: it did not within `timeout_s`; the message ends with the console's last lines.
        """
        is_so = (lambda _: any(wanted in line for line in self.log)) if isinstance(wanted, str) else wanted
        try:
            async with asyncio.timeout(timeout_s):
                while not is_so(self):
                    self._changed.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.2):  # a predicate may look at things that do not tell us
                            await self._changed.wait()
        except TimeoutError as error:
            tail = "\n".join(list(self.log)[-12:])
            raise TimeoutError(
                f"{self.name}: not within {timeout_s:g} s; its console said last:\n{tail}"
            ) from error

    # ---- its life

    async def _live(self) -> None:
        while True:
            await self._power.wait()
            self._loss.clear()
            cause = ResetCause.POWER_ON
            wake_reason = 0
            self._rtc_file.unlink(missing_ok=True)
            while not self._loss.is_set():
                ended = await self._run(cause, wake_reason)
                if self._loss.is_set():
                    break
                if self._cut is not None:
                    self._cut = {**self._cut, "n": ended.cut_left} if ended.cut_left else None
                match ended.reason:
                    case "power_cut":
                        self.flash_writes_cut += 1
                        self._power.clear()
                        self._loss.set()
                    case "reset":
                        cause = ResetCause.HARD
                    case "deepsleep":
                        cause, wake_reason = ResetCause.DEEP_SLEEP, await self._sleep(ended)
                    case _:
                        cause = ResetCause.WATCHDOG
            self.is_on = self.is_asleep = False
            self._tell_changed()

    async def _run(self, cause: ResetCause, wake_reason: int) -> LastWord:
        """Run the processor once; return how it ended."""
        ports = (self._console, self._uart)
        for port in ports:
            port.drain()
            port.is_powered = True
        self._uart.settings = None
        self.is_on = True
        config = self._config | {
            "senses": self._senses,
            "reset_cause": int(cause),
            "wake_reason": wake_reason,
            "cut": self._cut,
        }
        try:
            return await self._processor.run(
                config, console_fd=self._console.inner.fileno(), uart_fd=self._uart.inner.fileno()
            )
        finally:
            for port in ports:
                port.is_powered = False
            self.pins.clear()
            if self._antenna is not None:
                await self._antenna.silence()
            self._tell_changed()

    async def _take(self, event: Event) -> None:
        match event["kind"]:
            case "booted":
                if self._loss.is_set():  # switched off while the process was being made
                    self._processor.kill()
                self.boots += 1
                self.reset_cause = ResetCause(event["cause"])
                if event["cause"] == ResetCause.SOFT and self._antenna is not None:
                    await self._antenna.silence()
                # Until then the node is silent: on the console and in the air.
                self._processor.order({"op": "go"})
            case "pin":
                self.pins[event["number"]] = event["value"]
            case "uart":
                self._uart.settings = UartSettings(
                    baud=event["baud"], bits=event["bits"], parity=event["parity"], stop=event["stop"]
                )
            case "crash":
                self.log.append(f"VM: {event['value'][:400]}")
            case kind if self._antenna is not None:
                await self._antenna.take(kind, event.get("value"))
        self._tell_changed()

    async def _sleep(self, ended: LastWord) -> int:
        """Sleep until a wake pin has its level, the time is up or the power goes; return the wake reason."""
        self.is_asleep = True
        self._tell_changed()
        self._wake_levels = ended.wake_levels
        self._wake.clear()
        try:
            # A level that stands already wakes at once, as on the chip.
            if any(self._senses.get(name) == level for name, level in self._wake_levels.items()):
                return _GPIO_WAKE
            async with asyncio.timeout(ended.sleep_ms / 1000 if ended.sleep_ms else None):
                await self._wake.wait()
        except TimeoutError:
            return _TIMER_WAKE
        else:
            return _GPIO_WAKE
        finally:
            self.is_asleep = False
            self._wake_levels = {}
            self._tell_changed()

    @property
    def _rtc_file(self) -> Path:
        return self.directory / "rtc.hex"

    def _note(self, octets: bytes) -> None:
        """Keep console lines; called from the port's thread."""
        *lines, self._line = (self._line + octets).split(b"\n")
        for line in lines:
            self.log.append(line.decode("utf-8", "replace").rstrip("\r"))
        if lines and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell_changed)

    def _tell_changed(self) -> None:
        self._changed.set()
