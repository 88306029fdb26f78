"""The gateway: every part made, joined and ended in the right order. No logic of its own.

Start: configuration, journal, desk as it stood, ledger, then drivers, outputs, notifier, console. Stop: drivers first,
so that nothing new comes in; the ledger finishes what it has; the journal is closed last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from msgspec import Struct

from gatehouse_config import Fault, FaultyConfigError, GatewayConfig, diff, load
from gatehouse_config.devices import CameraDevice
from gatehouse_edge import logs
from gatehouse_edge.alarms.plan import Plan
from gatehouse_edge.blueprint import card_of, plan_of
from gatehouse_edge.calibration import FOLDER as CALIBRATION_FOLDER
from gatehouse_edge.calibration import CalibrationStore
from gatehouse_edge.clock import SystemClock
from gatehouse_edge.console import (
    Accounts,
    ConsoleServer,
    console_directory,
    create_app,
    reconfigure,
    tls_files,
)
from gatehouse_edge.console.cameras import CameraDesk, NoStillError
from gatehouse_edge.crew import Crew
from gatehouse_edge.desk import replan, restore
from gatehouse_edge.drivers.modbus_bus import ModbusBus
from gatehouse_edge.evidence.drawer import FOLDER as EVIDENCE_FOLDER
from gatehouse_edge.evidence_desk import EvidenceDesk
from gatehouse_edge.evidence_orders import EvidenceOrders
from gatehouse_edge.fleet_part import FleetPart
from gatehouse_edge.history import HISTORY_FILE, History
from gatehouse_edge.keeper import FAILED, Keeper
from gatehouse_edge.ledger import Ledger, last_seen
from gatehouse_edge.metrics import registry_of
from gatehouse_edge.node_updates import NodeUpdates
from gatehouse_edge.notifier import Directory, Notifier, Patience, channels, place_text
from gatehouse_edge.ntp import clock_quality
from gatehouse_edge.ports import GivesStills, StillError
from gatehouse_edge.service import Service
from gatehouse_edge.uplink.config_trial import KEPT_KEY, USE_LOCAL, config_path, kept_config
from gatehouse_edge.uplink.status import ConfigOrigin
from gatehouse_edge.wiring import Driver, driver_names, drivers_of
from gatehouse_events.chain import EntryKind, Stamp
from gatehouse_events.city import SiteCard
from gatehouse_events.records import ClockCorrection
from gatehouse_events.states import UNATTENDED_STATES
from gatehouse_journal import Batch, Journal, Limits, Reader, Signer

_log = logging.getLogger(__name__)

_MIB: Final = 2**20
_OUTPUTS_EVERY_S: Final = 1.0
"""Demands end by time too (消音, 120 s), not only by an entry."""
_DISMISS_LIMIT_S: Final = 1.2
"""A stop takes 2 s at most; who has not cleaned up by then is left behind the ledger's orderly end."""
_CLOCK_EVERY_S: Final = 10.0
FLEET: Final = "fleet"
"""The part that speaks with the fleet server."""
_STEP_S: Final = 1.0
"""The wall clock moved against the monotonic one by more than this: a step, worth an entry."""


class ConfigTaken(Struct, frozen=True, kw_only=True):
    """Body of a journal entry of kind `config`."""

    is_accepted: bool
    faults: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    card: SiteCard | None = None
    """Site and devices as they are from here on; None: refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a gateway starts with."""

    config: GatewayConfig
    origin: ConfigOrigin
    doubt: str | None
    """Why the fleet's configuration is not in force though one was taken; None: nothing speaks against it."""
    clock: SystemClock
    ledger: Ledger
    state: Mapping[str, bytes]


class _Change(Struct, frozen=True, kw_only=True):
    """What going over to a new configuration takes."""

    config: GatewayConfig
    plan: Plan
    leaving: frozenset[str]
    """Drivers to stop."""
    arriving: frozenset[str]
    """Drivers to start."""
    renews_notifier: bool
    renews_fleet: bool
    late: tuple[str, ...]
    """Sections that wait for a restart."""


class Gateway:
    """One running gateway."""

    def __init__(
        self,
        config_path: Path,
        opened: Opened,
        directory: Path,
    ) -> None:
        self._path: Final = config_path
        self._directory: Final = directory
        config, ledger, clock = opened.config, opened.ledger, opened.clock
        self._config = config
        self._origin = opened.origin
        self._doubt: Final = opened.doubt
        self._ledger: Final = ledger
        self._clock: Final = clock
        self._drivers: dict[str, Driver] = {}
        self._app: FastAPI | None = None
        self._notifier: Notifier | None = None
        self._keeper: Final = Keeper(self._report_parts)
        self._reload_wanted: Final = asyncio.Event()
        self._changing: Final = asyncio.Lock()
        self._crew: Crew | None = None
        self._evidence: Final = EvidenceDesk(
            ledger,
            directory / EVIDENCE_FOLDER,
            clock=clock,
            days=lambda: self._config.storage.evidence_days,
        )
        self._fleet: Final = FleetPart(
            self,
            ledger,
            clock=clock,
            directory=directory,
            state=opened.state,
            holds=self._evidence,
            reload_config=self.want_reload,
        )

    @property
    def config(self) -> GatewayConfig:
        """Return the configuration in force."""
        return self._config

    @property
    def origin(self) -> ConfigOrigin:
        """Return where it comes from."""
        return self._origin

    @property
    def failing_parts(self) -> frozenset[str]:
        """Return the parts that do not work now."""
        return frozenset(self._keeper.failing)

    def report_status(self) -> None:
        """Tell the fleet how we are, now."""
        self._fleet.report_status()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; returns once everything is on disk."""
        directory = self._directory
        service = Service()
        async with asyncio.TaskGroup() as tasks:
            ledger = tasks.create_task(self._ledger.run(), name="ledger")
            self._crew = crew = Crew(tasks)
            self._hire(crew, driver_names(self._config))
            parts: dict[str, Callable[[], Awaitable[None]]] = {
                "outputs": self._drive_outputs,
                "notifier": partial(self._notify, directory),
                "notifier's bell": self._ring,
                "console": partial(self._serve, directory),
                "clock": self._watch_clock,
                "evidence": self._evidence.run,
                "viewing copies": self._evidence.mask_early,
                "evidence orders": EvidenceOrders(self._evidence, directory).run,
                "node updates": self._node_updates().run,
                "reload": self._reload,
                "configuration trial": self._fleet.try_configs,
            }
            if self._config.fleet is not None:
                parts[FLEET] = self._fleet.run
            for name, work in parts.items():
                crew.hire(name, self._keeper.keep(name, work))
            crew.hire("keeper", self._keeper.run())
            crew.hire("watchdog", service.feed_watchdog(lambda: not ledger.done() and self._ledger.is_alive))
            # Not waited for: with a full disk it waits too, and the gateway is at work all the same.
            taken = ConfigTaken(is_accepted=True, card=card_of(self._config))
            crew.hire("configuration entry", self._ledger.record(EntryKind.CONFIG, taken))
            if self._doubt is not None:
                crew.hire("refused configuration", self._refuse((self._doubt,)))
            service.ready(f"{len(self._config.devices)} devices")
            await stop.wait()
            service.stopping()
            await self._fleet.say_goodbye()
            await crew.dismiss_all(_DISMISS_LIMIT_S)
            self._ledger.stop()
            await asyncio.wait({ledger})

    def _node_updates(self) -> NodeUpdates:
        return NodeUpdates(
            lambda: self._config,
            carriers=lambda: self._drivers,
            has_alarm=lambda device_id: any(alarm.device_id == device_id for alarm in self._ledger.alarms()),
            journal=self._ledger,
        )

    def want_reload(self) -> None:
        """Read the configuration again; called by SIGHUP."""
        self._reload_wanted.set()

    async def _report_parts(self, text: str, is_failing: bool) -> None:
        if is_failing:  # a standing report keeps its first text; who fails may have changed
            await self._ledger.report(FAILED, is_true=False)
        await self._ledger.report(FAILED, text, is_true=is_failing)

    def _hire(self, crew: Crew, names: Iterable[str]) -> None:
        for name in sorted(names):
            title = f"driver {name}"
            crew.hire(title, self._keeper.keep(title, partial(self._drive, name)))

    async def _drive(self, name: str) -> None:
        """Make one driver afresh and run it."""
        made = drivers_of(
            self._config,
            inbox=self._ledger,
            clock=self._clock,
            counters=self._ledger.counters,
            evidence=self._evidence,
            only=frozenset({name}),
        )
        self._drivers |= made
        for driver in made.values():  # one; none for a line without a device
            await driver.run()

    async def _dismiss(self, crew: Crew, names: Iterable[str]) -> None:
        titles = [f"driver {name}" for name in names]
        await crew.dismiss(*titles)
        for name, title in zip(names, titles, strict=True):
            self._drivers.pop(name, None)
            self._keeper.forget(title)

    async def _notify(self, directory: Path) -> None:
        with Reader.open(directory) as reader:
            self._notifier = notifier = self._make_notifier(reader)
            await notifier.run()

    def _make_notifier(self, reader: Reader) -> Notifier:
        config, ledger = self._config, self._ledger

        async def report(is_failing: bool, why: str) -> None:  # the notifier's own shape
            await ledger.report("gateway.notifier_failed", why, is_true=is_failing)

        def is_wanted(alarm_id: str) -> bool:
            return any(a.alarm_id == alarm_id and a.state in UNATTENDED_STATES for a in ledger.alarms())

        return Notifier(
            reader,
            clock=self._clock,
            directory=Directory.from_config(config),
            channels=channels(config),
            estate=config.site.estate,
            place=lambda device_id: place_text(ledger.plan.place(device_id)),
            report=report,
            patience=Patience(retry_s=config.notifiers.retry_s, give_up_after=config.notifiers.give_up_after),
            is_wanted=is_wanted,
        )

    async def _serve(self, directory: Path) -> None:
        """Make the console afresh and serve it."""
        config = self._config.console
        with contextlib.ExitStack() as stack:
            accounts = stack.enter_context(
                contextlib.closing(await asyncio.to_thread(Accounts.open, console_directory(self._config)))
            )
            tls = tls_files(self._config, self._clock)
            past = stack.enter_context(Reader.open(directory))
            history = await asyncio.to_thread(History, console_directory(self._config) / HISTORY_FILE, past)
            stack.callback(history.close)
            self._app = app = create_app(
                self._ledger,
                stack.enter_context(Reader.open(directory)),
                self._config,
                accounts,
                history=history,
                clock=self._clock,
                registry=registry_of(self._ledger, self._drivers, self._fleet.link),
                link=self._fleet.link.view,
                evidence=self._evidence,
                cameras=CameraDesk(
                    names=self._cameras,
                    still=self._still,
                    store=CalibrationStore(directory / CALIBRATION_FOLDER),
                    changed=self._recalibrated,
                ),
            )
            scheme = "http" if tls is None else "https"
            _log.info("console at %s://%s:%d/", scheme, config.host, config.port)
            if accounts.first_code is not None:
                # Straight to the terminal or systemd's journal: it is a secret and has no place in the log file.
                sys.stderr.write(
                    f"\n  first user's one-time code 首个用户一次性口令: {accounts.first_code}\n\n"
                )
            await ConsoleServer(app, host=config.host, port=config.port, tls=tls).run()

    def _cameras(self) -> dict[str, str]:
        return {
            device.id: place_text(self._ledger.plan.place(device.id))
            for device in self._config.devices
            if isinstance(device, CameraDevice)
        }

    async def _still(self, camera_id: str) -> bytes:
        driver: object = self._drivers.get(camera_id)
        if not isinstance(driver, GivesStills):
            raise NoStillError("the camera is not running")
        try:
            return await driver.still()
        except StillError as error:
            raise NoStillError(str(error)) from error

    async def _recalibrated(self, camera_id: str) -> None:
        """Somebody has drawn on a still: the camera's driver looks by itself (`CalibrationStore.newest`)."""
        _log.info("camera %s is calibrated anew", camera_id, extra={"device_id": camera_id})

    async def _ring(self) -> None:
        """Tell the notifier of each commit."""
        seen = -1
        while True:
            seen = await self._ledger.changed(seen)
            if self._notifier is not None:
                self._notifier.wake()

    async def _drive_outputs(self) -> None:
        """Bring every output to what is demanded, at once after each change and once a second."""
        seen = -1
        while True:
            demands = {name: state.is_on for name, state in self._ledger.demands().items()}
            for driver in list(self._drivers.values()):
                if isinstance(driver, ModbusBus):
                    await driver.drive(demands)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_OUTPUTS_EVERY_S):
                    seen = await self._ledger.changed(seen)

    async def _watch_clock(self) -> None:
        """Ask the kernel about its clock; write down when the wall clock is put right."""
        told_zero_us: int | None = None
        while True:
            self._clock.quality = quality = clock_quality()
            now = self._clock.now()
            await self._ledger.report("gateway.clock_unsynced", is_true=not quality.synced)
            zero_us = int(now.wall.timestamp() * 1e6) - now.mono_ns // 1000
            moved_s = abs(zero_us - told_zero_us) / 1e6 if told_zero_us is not None else None
            if quality.synced and (moved_s is None or moved_s > _STEP_S):
                await self._ledger.record(
                    EntryKind.CLOCK,
                    ClockCorrection(boot=now.boot, zero_us=zero_us, error_ms=quality.offset_ms),
                )
                told_zero_us = zero_us
            await asyncio.sleep(_CLOCK_EVERY_S)

    async def _reload(self) -> None:
        """Read again whatever is in force; the local file, unless the fleet's configuration has taken its place."""
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            try:
                new, origin = await asyncio.to_thread(self._read_again)
                if not origin.version and self._ledger.kept(KEPT_KEY) is not None:
                    await self._ledger.keep({KEPT_KEY: None})
                    (self._config.fleet_directory / USE_LOCAL).unlink(missing_ok=True)
                await self.adopt(new, origin)
            except FaultyConfigError as error:
                await self._refuse(tuple(str(fault) for fault in error.faults))

    def _read_again(self) -> tuple[GatewayConfig, ConfigOrigin]:
        local = load(self._path)
        wants_local = (self._config.fleet_directory / USE_LOCAL).exists() or local.fleet is None
        if not self._origin.version or wants_local:
            return local, ConfigOrigin()
        _log.warning("the fleet's configuration is in force: changes of the local file wait")
        path = config_path(self._config.fleet_directory, self._origin.sha256)
        return load(path, folder=self._path.parent), self._origin

    async def adopt(self, config: GatewayConfig, origin: ConfigOrigin) -> None:
        """Go over to a configuration: first made whole as a trial, then taken.

        Raises:
            FaultyConfigError: it cannot be built; the old one goes on.
        """
        async with self._changing:
            try:
                change = await asyncio.to_thread(self._prepare, config)
            except FaultyConfigError:
                raise
            except Exception as error:
                # Whatever is wrong with it, the old one works.
                _log.exception("the new configuration cannot be built")
                fault = Fault(path="", message=f"{type(error).__name__}: {error}"[:500])
                raise FaultyConfigError((fault,)) from error
            await self._take(change, origin)

    async def _refuse(self, faults: tuple[str, ...]) -> None:
        _log.error("new configuration refused, the old one goes on: %s", "; ".join(faults))
        await self._ledger.record(EntryKind.CONFIG, ConfigTaken(is_accepted=False, faults=faults))

    def _prepare(self, new: GatewayConfig) -> _Change:
        """Return everything a new configuration leads to, made once as a trial: nothing is stopped for one that fails.

        Raises:
            Exception: it cannot be built, whatever the reason.
        """
        old = self._config
        changes = diff(old, new)
        boards = {out.io for out in (*old.outputs, *new.outputs) if out.id in changes.outputs.all}
        buses = set(changes.buses_to_restart)
        for config in (old, new):
            buses |= {getattr(dev, "bus", "") for dev in config.devices if dev.id in boards}
        arriving = driver_names(new, buses, changes.devices.all)
        drivers_of(
            new,
            inbox=self._ledger,
            clock=self._clock,
            counters=self._ledger.counters,
            evidence=self._evidence,
            only=arriving,
        )
        channels(new)
        plan = plan_of(new)
        replan(self._ledger.desk, plan, self._clock.now())
        has_new_people = Directory.from_config(old) != Directory.from_config(new)
        return _Change(
            config=new,
            plan=plan,
            leaving=driver_names(old, buses, changes.devices.all),
            arriving=arriving,
            renews_notifier=has_new_people or bool(changes.sections & {"notifiers", "site"}),
            renews_fleet="fleet" in changes.sections,
            late=tuple(sorted(changes.sections & {"gateway", "storage", "console"})),
        )

    async def _take(self, change: _Change, origin: ConfigOrigin) -> None:
        """Go over to a new configuration: stop what changed, replan, start what changed."""
        crew, new = self._crew, change.config
        assert crew is not None  # noqa: S101  # made before anybody can ask for this
        await self._dismiss(crew, change.leaving)
        self._config, self._origin = new, origin
        await self._ledger.reload(change.plan)
        if self._app is not None:
            reconfigure(self._app, new)
        self._hire(crew, change.arriving)
        if change.renews_notifier:
            # What was under way is sent again by the new one: rather twice than never.
            await crew.dismiss("notifier")
            crew.hire("notifier", self._keeper.keep("notifier", partial(self._notify, self._directory)))
        if change.renews_fleet:
            await crew.dismiss(FLEET)
            self._keeper.forget(FLEET)
            if new.fleet is None:
                await self._fleet.forget()
            else:
                crew.hire(FLEET, self._keeper.keep(FLEET, self._fleet.run))
        if change.late:
            _log.warning("changes under %s are taken over at the next restart", ", ".join(change.late))
        restarted = tuple(sorted(change.leaving | change.arriving))
        _log.info("new configuration taken", extra={"restarted": list(restarted)})
        await self._ledger.record(
            EntryKind.CONFIG,
            ConfigTaken(card=card_of(new), is_accepted=True, restarted=restarted, needs_restart=change.late),
        )


async def run(config_path: Path, *, log_level: str) -> int:
    """Run a gateway until SIGTERM or SIGINT. Returns 0 after an orderly end.

    Raises:
        ConfigError: the configuration is refused; nothing was opened.
        JournalLockedError: another gateway writes there.
    """
    config = load(config_path)
    directory = config.resolve(config.storage.directory)
    logs.set_up(directory / "log", level=log_level)
    journal = await asyncio.to_thread(_open_journal, config, directory)
    try:
        opened = await asyncio.to_thread(_open_ledger, journal, config)
        gateway = Gateway(config_path, opened, directory)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, gateway.want_reload)
        await gateway.run(stop)
    finally:
        await asyncio.to_thread(journal.close)
    return 0


def _open_journal(config: GatewayConfig, directory: Path) -> Journal:
    directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    now = SystemClock().now()
    return Journal.open(
        directory,
        limits=Limits(
            alarm_quota_bytes=config.storage.alarm_quota_mib * _MIB,
            telemetry_quota_bytes=config.storage.telemetry_quota_mib * _MIB,
            ballast_bytes=config.storage.ballast_mib * _MIB,
            alarm_retention_days=config.storage.alarm_retention_days,
        ),
        signer=Signer.load_or_create(directory),
        stamp=Stamp(at=now.wall, boot=now.boot, mono_ns=now.mono_ns),
    )


def _open_ledger(journal: Journal, local: GatewayConfig) -> Opened:
    state = journal.load_state()
    clock = SystemClock(last_seen(state))
    clock.quality = clock_quality()
    config, origin, doubt = kept_config(state, local)
    if (local.fleet_directory / USE_LOCAL).exists() and KEPT_KEY in state:
        journal.commit(Batch(state={KEPT_KEY: None}))
        state.pop(KEPT_KEY)
        config, origin, doubt = local, ConfigOrigin(), None
    (local.fleet_directory / USE_LOCAL).unlink(missing_ok=True)
    try:
        plan = plan_of(config)
    except Exception as error:
        if not origin.version:
            raise
        # Another version of this program had taken it; the local file is what a person on site can mend.
        _log.exception("the fleet's configuration cannot be built any more")
        doubt = f"the fleet's configuration cannot be built: {type(error).__name__}: {error}"[:500]
        config, origin, plan = local, ConfigOrigin(), plan_of(local)
    desk = restore(state, plan, clock.now())
    ledger = Ledger(journal, desk, plan, clock, counters=journal.load_counters(), state=state)
    return Opened(config=config, origin=origin, doubt=doubt, clock=clock, ledger=ledger, state=state)
