"""What goes on at the bench: runs on boards, instruments that look on, and what the rig is like. One action per port at a time."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import shutil
from collections import OrderedDict
from collections.abc import Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from msgspec import Struct

from gatehouse_hil.bench import desk, rig
from gatehouse_hil.bench.fault import BenchError
from gatehouse_hil.bench.words import Lang, Words
from gatehouse_hil.bench.workplace import Workplace
from gatehouse_hil.bench_page import commands, materials
from gatehouse_hil.bench_page.commands import BOARD_VERBS, WATCHING_VERBS, Order, Setup
from gatehouse_hil.bench_page.materials import Materials, MaterialsView, Wanted
from gatehouse_hil.bench_page.problems import RefusedError
from gatehouse_hil.bench_page.run import Begun, Run, RunView
from gatehouse_hil.bench_page.watch import Watch, WatchView

_log: Final = logging.getLogger(__name__)
RUNS_KEPT: Final = 300
"""Folders of output; older ones go. Their records stay: those are the archive's."""
COMMANDS_SHOWN: Final = 40
_LOOK_S: Final = 1.0
_COMMAND_IDS: Final = 500
_WATCHES_KEPT: Final = 24


class BenchView(Struct, frozen=True, kw_only=True):
    """Everything the page shows, at one moment. `at` is this computer's clock."""

    at: datetime
    utc_offset_s: int
    bench: str
    rig: str
    backend: str
    operator: str
    materials: MaterialsView
    has_printer: bool
    places: tuple[PlaceView, ...]
    ports: tuple[desk.Port, ...]
    broken: tuple[desk.Broken, ...]
    rig_zh: str
    """What is wrong with the rig file since it was changed; empty: nothing."""
    rig_en: str
    cameras: tuple[str, ...]
    kept: int
    """Messages that wait for the fleet."""
    has_fleet: bool
    commands: list[CommandView]
    """The last commands of all, newest first."""
    watches: list[WatchView]


class PlaceView(Struct, frozen=True, kw_only=True):
    """One slot."""

    place: desk.Place
    run: RunView | None
    """The last run on it."""


class CommandView(Struct, frozen=True, kw_only=True):
    """A command that was run."""

    id: str
    command: str
    began_at: datetime
    state: str


class Workshop:
    """Owner of all runs and instruments. Enter it; leaving ends the instruments and leaves the runs to themselves."""

    def __init__(self, place: Workplace, setup: Setup) -> None:
        self.place = place
        self._folder: Final = place.directory / "page"
        self._materials: Final = Materials(self._folder)
        self._started_with: Final = setup
        self.setup = self._materials.applied(setup)
        self._runs: Final[OrderedDict[str, Run]] = OrderedDict()
        self._watches: Final[OrderedDict[str, Watch]] = OrderedDict()
        self._done: Final[OrderedDict[str, str]] = OrderedDict()
        self._shown = materials.view(self.setup)
        self._rig_read = _changed_at(setup.rig)
        self._rig_fault: BenchError | None = None
        self._listing = desk.listing(place)
        self._kept = len(place.outbox.pending())
        self._news = asyncio.Event()
        self._ordering: Final = asyncio.Lock()
        self._tasks = asyncio.TaskGroup()
        self._followers: Final[set[asyncio.Task[None]]] = set()

    async def __aenter__(self) -> Workshop:
        await self._tasks.__aenter__()
        for folder in sorted((self._folder / "runs").glob("*"))[-RUNS_KEPT:]:
            run = Run.found(folder, self.place.clock)
            if run is not None:
                self._adopt(run)
        self._spawn(self._look_again(), "rig")
        return self

    async def __aexit__(self, *_: object) -> None:
        for watch in self._watches.values():
            watch.stop()
        for task in self._followers:
            task.cancel()
        await self._tasks.__aexit__(None, None, None)

    @property
    def going_on(self) -> int:
        """How many runs are at work."""
        return sum(not run.is_over for run in self._runs.values())

    @property
    def runs_by_record(self) -> dict[str, str]:
        """Which run of this page made which record: `SERIAL/NUMBER` to its id."""
        return {
            f"{run.ended.serial}/{run.ended.record}": name
            for name, run in self._runs.items()
            if run.ended is not None and run.ended.record
        }

    def view(self) -> BenchView:
        """Return what there is to show."""
        listing, place = self._listing, self.place
        now = place.clock.now()
        last: dict[str, Run] = {run.begun.board: run for run in self._runs.values() if run.steps}
        newest = list(reversed(self._runs.values()))[:COMMANDS_SHOWN]
        return BenchView(
            at=now,
            utc_offset_s=round((now.astimezone().utcoffset() or timedelta()).total_seconds()),
            bench=place.bench,
            rig=listing.rig,
            backend=listing.backend,
            operator=self.setup.operator or place.operator,
            materials=self._shown,
            has_printer=place.rig.printer is not None,
            places=tuple(
                PlaceView(place=each, run=last[each.name].view() if each.name in last else None)
                for each in listing.boards
            ),
            ports=listing.ports,
            broken=listing.broken,
            rig_zh=Words(Lang.ZH).fault(self._rig_fault) if self._rig_fault else "",
            rig_en=Words(Lang.EN).fault(self._rig_fault) if self._rig_fault else "",
            cameras=tuple(camera.name for camera in place.rig.cameras)
            or (("facade",) if listing.backend == "simulated" else ()),
            kept=self._kept,
            has_fleet=place.rig.fleet is not None,
            commands=[_command(run) for run in newest],
            watches=[watch.view for watch in self._watches.values()],
        )

    async def news(self, *, wait_s: float) -> None:
        """Return when something has changed, or after `wait_s`."""
        news = self._news
        try:
            async with asyncio.timeout(wait_s):
                await news.wait()
        except TimeoutError:
            return

    async def do(self, order: Order) -> str:
        """Start what was ordered; return the id of the run or instrument. The same `command_id` again starts nothing.

        Raises:
            RefusedError: it cannot be a command, or something is going on at that port.
        """
        async with self._ordering:
            return await self._do(order)

    async def _do(self, order: Order) -> str:
        if order.command_id and order.command_id in self._done:
            return self._done[order.command_id]
        boards = frozenset(board.name for board in self.place.rig.boards)
        words = commands.words_of(order, self.setup, boards)
        await self._make_room(order)
        now = self.place.clock.now()
        name = self._name(now, order)
        if order.verb in WATCHING_VERBS:
            self._watch(name, order, words, now)
        else:
            begun = Begun(
                id=name, verb=order.verb, board=order.board or "", room=" ".join(order.room.split()),
                command=commands.shown(words), began_at=now, pid=0, pid_began_s=0.0,
            )  # fmt: skip
            self._adopt(
                Run.start(self._folder / "runs" / name, commands.argv(words), begun, self.place.clock)
            )
            self._forget()
        if order.command_id:
            self._done[order.command_id] = name
            while len(self._done) > _COMMAND_IDS:
                self._done.popitem(last=False)
        self._tell()
        return name

    def run(self, name: str) -> Run:
        """Return a run.

        Raises:
            RefusedError: there is none of that name.
        """
        if name not in self._runs:
            raise RefusedError(404, "no_such_run")
        return self._runs[name]

    def watch(self, name: str) -> Watch:
        """Return an instrument.

        Raises:
            RefusedError: there is none of that name.
        """
        if name not in self._watches:
            raise RefusedError(404, "no_such_run")
        return self._watches[name]

    def cancel(self, name: str) -> None:
        """Stop a run or an instrument; its end comes as news.

        Raises:
            RefusedError: there is none of that name.
        """
        if name in self._watches:
            self._watches[name].stop()
            return
        run = self.run(name)
        if not run.is_over:
            self._spawn(run.cancel(), f"cancel {name}")

    def hands(self, name: str, number: int) -> None:
        """Say that the task a run asks for is done.

        Raises:
            RefusedError: it does not ask for that, or not any more.
        """
        if not self.run(name).answer_hands(number):
            raise RefusedError(409, "not_asked")
        self._tell()

    def change_materials(self, wanted: Wanted) -> None:
        """Use another runtime file or gas bottle from now on.

        Raises:
            BenchError: as `Materials.change`.
        """
        self._materials.change(wanted, self.place.clock.now().astimezone().date())
        self.setup = self._materials.applied(self._started_with)
        self._shown = materials.view(self.setup)
        self._tell()

    async def _make_room(self, order: Order) -> None:
        """One action per port: a run refuses a second one; an instrument gives way to a run."""
        if order.board is None:
            return
        busy = [run for run in self._runs.values() if run.begun.board == order.board and not run.is_over]
        if busy:
            raise RefusedError(409, "board_busy", board=order.board, verb=busy[-1].begun.verb)
        for watch in self._watches.values():
            if watch.board == order.board and watch.is_running:
                if order.verb not in BOARD_VERBS:
                    raise RefusedError(409, "board_busy", board=order.board, verb=watch.verb)
                watch.stop()
                while watch.is_running:
                    await watch.after(1 << 60, wait_s=_LOOK_S)

    def _watch(self, name: str, order: Order, words: list[str], now: datetime) -> None:
        log = self._folder / "logs" / f"{name}.log"
        watch = Watch(
            name, commands.argv(words), verb=order.verb, board=order.board or "", command=commands.shown(words),
            began_at=now, log=log,
        )  # fmt: skip
        self._watches[name] = watch
        over = [each for each in self._watches.values() if not each.is_running]
        for old in over[: max(0, len(self._watches) - _WATCHES_KEPT)]:
            del self._watches[old.id]
        self._spawn(self._watched(watch), f"watch {name}")

    async def _watched(self, watch: Watch) -> None:
        try:
            await watch.run()
        finally:
            self._tell()

    def _adopt(self, run: Run) -> None:
        self._runs[run.begun.id] = run
        if not run.is_over:
            self._spawn(run.follow(self._tell), f"run {run.begun.id}")

    def _forget(self) -> None:
        over = [run for run in self._runs.values() if run.is_over]
        for run in over[: max(0, len(self._runs) - RUNS_KEPT)]:
            del self._runs[run.begun.id]
            shutil.rmtree(run.folder, ignore_errors=True)

    def _name(self, now: datetime, order: Order) -> str:
        base = f"{now:%Y%m%dT%H%M%S}-{now.microsecond // 1000:03}-{order.verb}"
        return f"{base}-{order.board}" if order.board else base

    async def _look_again(self) -> None:
        """Ports come and go, and other commands break and mend the rig."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self._read_rig_again()
            try:
                listing, kept = await asyncio.to_thread(_seen, self.place)
            except BenchError:
                continue  # the file of what is broken is being mended by hand; the last listing stands
            if (listing, kept) != (self._listing, self._kept):
                self._listing, self._kept = listing, kept
                self._tell()

    def _read_rig_again(self) -> None:
        """Take over a rig file that was changed, between two runs; a faulty one is said and the old one stands."""
        changed_at = _changed_at(self.setup.rig)
        if self.setup.rig is None or changed_at in (None, self._rig_read) or self.going_on:
            return
        self._rig_read = changed_at
        try:
            self.place = dataclasses.replace(self.place, rig=rig.load(self.setup.rig))
            self._rig_fault = None
        except BenchError as error:
            self._rig_fault = error
        self._tell()

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = self._tasks.create_task(_guarded(work, name), name=name)
        self._followers.add(task)
        task.add_done_callback(self._followers.discard)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


async def _guarded(work: Coroutine[None, None, None], name: str) -> None:
    """A disk that is full while one run is read must not end the page for the other three."""
    try:
        await work
    except OSError:
        _log.exception("%s", name)


def _seen(place: Workplace) -> tuple[desk.Listing, int]:
    return desk.listing(place), len(place.outbox.pending())


def _changed_at(file: Path | None) -> int | None:
    try:
        return None if file is None else file.stat().st_mtime_ns
    except OSError:  # an editor is just replacing it
        return None


def _command(run: Run) -> CommandView:
    begun = run.begun
    state = run.ended.state if run.ended else "running"
    return CommandView(id=begun.id, command=begun.command, began_at=begun.began_at, state=state)
