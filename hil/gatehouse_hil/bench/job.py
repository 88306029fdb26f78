"""One run on one board, step by step, ending in a record whatever happened.

The steps share what they have learnt about the board; each is one method. A step that fails ends the run: later steps on a
board that is not what we think it is would only make the record say more than is known.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from gatehouse_hil import rom_image
from gatehouse_hil.bench import calibration, esptool_cli, identity, mpremote_cli, node, power, provision
from gatehouse_hil.bench.application import Application
from gatehouse_hil.bench.calibration import Bottle, FloorTable
from gatehouse_hil.bench.clock import Clock
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.identity import BoardState, Identity
from gatehouse_hil.bench.kind import Kind, serial_number
from gatehouse_hil.bench.label import Label, svg
from gatehouse_hil.bench.measuring import Measuring
from gatehouse_hil.bench.plan import LoadedPlan
from gatehouse_hil.bench.record import Calibration, Firmware, Measurement, Step, StepName, Verdict
from gatehouse_hil.bench.rig_memory import RigMemory
from gatehouse_hil.bench.station import Station
from gatehouse_hil.bench.words import Lang, Words

_CHIP_NAMES: Final = {"esp32c3": "ESP32-C3", "esp32s3": "ESP32-S3"}
_BEFORE_CALIBRATION: Final = frozenset({"calibrated"})
"""Checks that a board may fail until it has been calibrated."""


class Progress(Protocol):
    """Shows how far a board is."""

    def begin(self, station: str, step: StepName) -> None:
        """A step has begun."""
        ...

    def advance(self, station: str, share: float) -> None:
        """The running step is done so far, 0 to 1."""
        ...

    def end(self, station: str, verdict: Verdict) -> None:
        """The run is over."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be done to every board of a run."""

    steps: tuple[StepName, ...]
    runtime: Path | None = None
    """None: the board has its runtime already."""
    applications: Mapping[Kind, Application] = field(default_factory=dict)
    plans: Mapping[Kind, LoadedPlan] = field(default_factory=dict)
    bottle: Bottle | None = None
    floors: FloorTable | None = None
    fleet: X25519PublicKey | None = None
    may_change_role: bool = False
    """A board that is already another device may be made into this one."""
    unit_id: int = 1
    micropython: str = "1.29.0"
    """The pinned version of the whole chain (`firmware/node/README.md`)."""


@dataclass(slots=True)
class Job:
    """One run on one board."""

    station: Station
    order: Order
    clock: Clock
    memory: RigMemory
    progress: Progress
    labels: Path
    register: Callable[[provision.Registration], None]
    """Hands a new device to the fleet's outbox."""
    made_before: Callable[[str], tuple[str, ...]]
    """Serial numbers under which this bench has already given a board with that MAC a key."""
    seen: Identity | None = None
    """What the board last said of itself, also when it was refused."""
    identity: Identity | None = None
    """The board, once it was found to be the right one."""
    firmware: Firmware = field(default_factory=Firmware)
    key_check: str = ""
    calibration: Calibration | None = None
    steps: list[Step] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    label: Label | None = None
    label_file: Path | None = None
    fault: BenchError | None = None

    @property
    def serial(self) -> str:
        """Serial number of the board; empty until its MAC is known."""
        return (
            serial_number(self.station.kind, self.identity.mac) if self.identity and self.identity.mac else ""
        )

    async def run(self) -> None:
        """Do every step of the order; stop at the first fault and keep it."""
        actions: dict[StepName, Callable[[], Awaitable[None]]] = {
            StepName.FLASH: self._flash,
            StepName.IDENTIFY: self._identify,
            StepName.PROVISION: self._provision,
            StepName.SELF_TEST: self._self_test,
            StepName.TEST: self._test,
            StepName.CALIBRATE: self._calibrate,
            StepName.LABEL: self._label,
        }
        for name in self.order.steps:
            if not await self._step(name, actions[name]):
                break
        self.progress.end(self.station.name, Verdict.FAILED if self.fault else Verdict.PASSED)

    async def _step(self, name: StepName, action: Callable[[], Awaitable[None]]) -> bool:
        began_at, began_s = self.clock.now(), self.clock.elapsed_s()
        self.progress.begin(self.station.name, name)
        try:
            self.memory.check(*self._resources())
            await action()
        except BenchError as error:
            self.fault = error
            if error.resource and error.fault is not Fault.RIG_BROKEN:
                self.memory.remember(error, self.clock.now())
        error_now = self.fault
        self.steps.append(
            Step(
                name=name,
                verdict=Verdict.PASSED if error_now is None else Verdict.FAILED,
                began_at=began_at,
                took_s=round(self.clock.elapsed_s() - began_s, 3),
                fault="" if error_now is None else error_now.fault.value,
                facts={} if error_now is None else error_now.facts,
                zh="" if error_now is None else Words(Lang.ZH).fault(error_now),
                en="" if error_now is None else Words(Lang.EN).fault(error_now),
            )
        )
        return error_now is None

    def _resources(self) -> tuple[str, ...]:
        parts = (self.station.power, self.station.strap, *self.station.meters.values())
        return tuple(part.resource for part in parts if part is not None)

    def _advance(self, share: float) -> None:
        self.progress.advance(self.station.name, share)

    async def _flash(self) -> None:
        await self._look_first()
        if self.order.runtime is not None:
            await self._write_runtime(self.order.runtime)
        await self._copy_application()

    async def _look_first(self) -> None:
        """Never flash the wrong board: ask a running program for its serial number before it is overwritten."""
        try:
            seen = identity.from_version(await node.version(self.station.port, within_s=node.KNOCK_S))
        except BenchError as error:
            if error.fault not in (Fault.NO_ANSWER, Fault.NODE_REFUSED) or self.order.runtime is None:
                raise
            return
        self._accept(seen)

    async def _write_runtime(self, runtime: Path) -> None:
        content = runtime.read_bytes()
        image = check_image(content, self.station)
        async with power.loader(self.station) as options:
            chip = await esptool_cli.read_chip(self.station, options)
            seen = Identity(state=BoardState.LOADER, chip=chip.chip, mac=chip.mac)
            self._accept(seen)
            await esptool_cli.write_runtime(
                self.station, options, runtime, on_progress=lambda share: self._advance(0.6 * share)
            )
        self.firmware = Firmware(
            runtime=f"{image.name} {image.version}".strip(), runtime_sha256=rom_image.digest(content)
        )
        if self.station.power is not None:
            await power.cycle(self.station)

    async def _copy_application(self) -> None:
        application = self.order.applications[self.station.kind]
        seen = identity.from_version(await node.version(self.station.port))
        if self.identity is not None:
            identity.check_same(self.identity, seen)
        self.identity = seen
        if seen.micropython != self.order.micropython:
            raise BenchError(
                Fault.HALF_WRITTEN, port=self.station.port, said=f"MicroPython {seen.micropython}"
            )
        await node.hold(self.station.port)
        await mpremote_cli.copy(
            self.station.port, application, on_progress=lambda share: self._advance(0.6 + 0.35 * share)
        )
        self._note(application_sha256=application.digest)
        if self.order.runtime is None:
            await power.restart(self.station)  # its old program's modules are still loaded
        else:
            await node.adopt(self.station.port)

    async def _identify(self) -> None:
        seen = await identity.identify(self.station)
        identity.check_board(seen, self.station.expects)
        if self.identity is not None:
            identity.check_same(self.identity, seen)
        serial = serial_number(self.station.kind, seen.mac)
        identity.check_role(
            seen, kind=self.station.kind, serial=serial, may_change=self.order.may_change_role
        )
        self.identity = seen
        if StepName.FLASH in self.order.steps and seen.state is not BoardState.APPLICATION:
            raise BenchError(Fault.HALF_WRITTEN, port=self.station.port, said=seen.state.value)
        self._note(application=seen.version, micropython=seen.micropython, slot=seen.slot)

    async def _provision(self) -> None:
        seen = await self._known()
        request = provision.Request(
            kind=self.station.kind, serial=self.serial, mac=seen.mac, node=self.order.unit_id
        )
        identity.check_role(
            seen, kind=request.kind, serial=request.serial, may_change=self.order.may_change_role
        )
        registration = await provision.provision(self.station, request, self.order.fleet)
        self.register(registration)
        self.key_check = registration.key_check

    async def _self_test(self) -> None:
        await self._known()
        told = await node.self_test(self.station.port)
        bad = sorted(name for name, is_good in told.checks.items() if not is_good)
        if StepName.CALIBRATE in self.order.steps or StepName.TEST in self.order.steps:
            bad = [name for name in bad if name not in _BEFORE_CALIBRATION]
        if bad or not told.checks:
            raise BenchError(Fault.SELF_TEST_FAILED, checks=", ".join(bad) or "-")

    async def _test(self) -> None:
        seen = await self._known()
        if not seen.kind and not self.key_check:
            raise BenchError(Fault.NOT_PROVISIONED, board=self.station.name)
        measuring = Measuring(
            station=self.station,
            clock=self.clock,
            unit_id=seen.node or self.order.unit_id,
            measured=self.measurements,
        )
        await measuring.run(self.order.plans[self.station.kind].plan, self._advance)

    async def _calibrate(self) -> None:
        seen = await self._known()
        match self.station.kind:
            case Kind.GAS:
                if self.order.bottle is None:
                    raise BenchError(Fault.GAS_NOT_NAMED)
                self.calibration = await calibration.calibrate_gas(
                    self.station,
                    self.order.bottle,
                    unit_id=seen.node or self.order.unit_id,
                    today=self.clock.now().date(),
                    on_progress=self._advance,
                )
            case Kind.LIFT if self.order.floors is not None:
                self.calibration = await calibration.calibrate_floors(
                    self.station, self.order.floors, on_progress=self._advance
                )
            case _:
                return  # buttons and beacons have nothing to adjust; a lift gets its floors in its shaft

    async def _label(self) -> None:
        seen = await self._known()
        if StepName.TEST in self.order.steps:
            await node.confirm(self.station.port)
            await node.restart(self.station.port)
        made = self.label = Label(
            serial=self.serial or seen.serial,
            kind=self.station.kind,
            key_check=self.key_check,
            made=self.clock.now().date(),
        )
        self.labels.mkdir(parents=True, exist_ok=True)
        self.label_file = self.labels / f"{made.serial}.svg"
        self.label_file.write_text(svg(made), encoding="utf-8")

    def _accept(self, seen: Identity) -> None:
        """Go on with this board only if it is the one this place is for, the one we began with, and nobody else's."""
        self.seen = seen
        identity.check_board(seen, self.station.expects)
        if self.identity is not None:
            identity.check_same(self.identity, seen)
        serial = serial_number(self.station.kind, seen.mac)
        may_change = self.order.may_change_role
        identity.check_role(seen, kind=self.station.kind, serial=serial, may_change=may_change)
        others = [other for other in self.made_before(seen.mac) if other != serial]
        if others and not may_change:  # an erased board says nothing of what it was
            raise BenchError(Fault.OTHER_SERIAL, found=others[0], wanted=serial)
        self.identity = seen

    async def _known(self) -> Identity:
        """Who the board is; asked once when a run begins in the middle."""
        if self.identity is None:
            await self._identify()
        if self.identity is None:
            raise BenchError(Fault.NO_ANSWER, port=self.station.port)
        return self.identity

    def _note(self, **known: str) -> None:
        self.firmware = msgspec.structs.replace(self.firmware, **known)


def check_image(content: bytes, station: Station) -> rom_image.Image:
    """Refuse a runtime file that is damaged or for another chip, before the board is touched.

    Raises:
        BenchError: IMAGE_DAMAGED, IMAGE_OTHER_CHIP.
    """
    try:
        image = rom_image.read_runtime(content)
    except rom_image.ImageError as error:
        raise BenchError(Fault.IMAGE_DAMAGED, why=str(error)) from error
    wanted = _CHIP_NAMES[station.expects.chip]
    if image.chip != wanted:
        raise BenchError(Fault.IMAGE_OTHER_CHIP, found=image.chip, wanted=wanted)
    return image
