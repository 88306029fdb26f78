"""Runs of steps on the boards of a rig, all at once, each ending in a signed record."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from gatehouse_events import bench_api
from gatehouse_events.bench_api import DeviceRegistration
from gatehouse_events.bench_record import Record, StepName, Verdict
from gatehouse_hil import node_build, rom_image
from gatehouse_hil.bench import application, calibration, label, plan
from gatehouse_hil.bench.application import Application
from gatehouse_hil.bench.archive import Archive, Filed
from gatehouse_hil.bench.disk_file import locked
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.job import Job, Order
from gatehouse_hil.bench.kind import Kind
from gatehouse_hil.bench.outbox import Sent
from gatehouse_hil.bench.plan import LoadedPlan
from gatehouse_hil.bench.progress import Shown
from gatehouse_hil.bench.rig import SimulatedRig
from gatehouse_hil.bench.station import Station
from gatehouse_hil.bench.workplace import DEFAULT_GAS, Workplace, fleet_key, post_for

ALL: Final = tuple(StepName)
"""From a bare board to a signed record."""
_STAND_IN_CHIP: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the technician asked for; None: the default of the rig."""

    steps: tuple[StepName, ...]
    boards: tuple[str, ...] = ()
    runtime: Path | None = None
    app_only: bool = False
    plan: Path | None = None
    gas: Path | None = None
    floors: Path | None = None
    take_over: bool = False
    unit_id: int = 1
    room: str = ""
    """Where the devices are to hang, as the technician read it from the room's code."""
    is_printed: bool = False


class BoardDone(Struct, frozen=True, kw_only=True):
    """How one board ended."""

    board: str
    serial: str
    verdict: Verdict
    fault: str = ""
    sentence: str = ""
    record: str = ""
    """Path of the signed record."""
    label: str = ""


class RunDone(Struct, frozen=True, kw_only=True):
    """How a run ended."""

    ok: bool
    took_s: float
    boards: tuple[BoardDone, ...]
    labels: str = ""
    """Page with all labels."""
    sent: int = 0
    kept: int = 0
    trouble: str = ""
    """What hindered upload or printing; the run itself may have passed."""


async def run(place: Workplace, wish: Wish, shown: Shown) -> RunDone:
    """Do the steps on every chosen board at once; write, keep and if possible upload the records.

    Raises:
        BenchError: misuse, before any board is touched; a rig that cannot be opened.
    """
    began_s = place.clock.elapsed_s()
    archive = place.archive
    with _scratch(place) as scratch:
        order = await asyncio.to_thread(prepare, place, wish, scratch)
        with shown:
            async with place.stations(wish.boards) as stations:
                jobs = [_job(place, station, order, shown, archive) for station in stations]
                async with asyncio.TaskGroup() as tasks:
                    for job in jobs:
                        tasks.create_task(job.run(), name=f"board {job.station.name}")
    filed = {job.station.name: _file(place, archive, job, wish.room) for job in jobs}
    labels, trouble = await _labels(place, jobs, is_printed=wish.is_printed)
    sent = await upload(place)
    if sent.fault is not None:
        trouble = f"{trouble} {place.words.fault(sent.fault)}".strip()
    return RunDone(
        ok=all(job.fault is None for job in jobs) and not (wish.is_printed and trouble),
        took_s=round(place.clock.elapsed_s() - began_s, 1),
        boards=tuple(_done(place, job, filed[job.station.name]) for job in jobs),
        labels=str(labels) if labels else "",
        sent=sent.sent,
        kept=sent.kept,
        trouble=trouble,
    )


@contextlib.contextmanager
def _scratch(place: Workplace) -> Iterator[Path]:
    """A folder of this run alone: another run on the same bench may build the same program meanwhile."""
    place.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".run-", dir=place.directory) as folder:
        yield Path(folder)


def prepare(place: Workplace, wish: Wish, scratch: Path) -> Order:
    """Read and build everything the run needs, so that a mistyped file stops it before a board is touched.

    Programs are built into `scratch`.

    Raises:
        BenchError: misuse.
    """
    names = place.chosen(wish.boards)
    kinds = frozenset(board.kind for board in place.rig.boards if board.name in names)
    is_simulated = isinstance(place.rig, SimulatedRig)
    gas = wish.gas or (DEFAULT_GAS if is_simulated else None)
    if StepName.CALIBRATE in wish.steps and Kind.GAS in kinds and gas is None:
        raise BenchError(Fault.GAS_NOT_NAMED)
    return Order(
        steps=wish.steps,
        runtime=_runtime(scratch, wish, is_simulated=is_simulated) if StepName.FLASH in wish.steps else None,
        applications=_applications(scratch, kinds) if StepName.FLASH in wish.steps else {},
        plans=_plans(wish, kinds) if StepName.TEST in wish.steps else {},
        bottle=calibration.load_bottle(gas) if gas and StepName.CALIBRATE in wish.steps else None,
        floors=calibration.load_floors(wish.floors) if wish.floors else None,
        fleet=fleet_key(place.rig.fleet),
        may_change_role=wish.take_over,
        unit_id=wish.unit_id,
    )


async def upload(place: Workplace) -> Sent:
    """Send what waits to the fleet of the rig; keeps everything where there is none.

    Raises:
        BenchError: NO_SUCH_FILE, no token.
    """
    if place.rig.fleet is None:
        return Sent(sent=0, kept=len(place.outbox.pending()), fault=None)
    return await place.outbox.send(post_for(place.rig.fleet))


def _job(place: Workplace, station: Station, order: Order, shown: Shown, archive: Archive) -> Job:
    def register(registration: DeviceRegistration) -> None:
        place.outbox.put(bench_api.DEVICES, msgspec.json.encode(registration))

    return Job(
        station=station,
        order=order,
        clock=place.clock,
        memory=place.memory,
        progress=shown,
        labels=place.labels,
        register=register,
        made_before=archive.made_of,
    )


def _record(place: Workplace, archive: Archive, job: Job, room: str) -> Record:
    folder = job.serial or Archive.nameless(job.station.name)
    number, previous = archive.latest(folder)
    seen = job.seen
    loaded = job.order.plans.get(job.station.kind)
    return Record(
        serial=job.serial,
        number=number + 1,
        previous=previous,
        kind=job.station.kind.value,
        room=room,
        chip=seen.chip if seen else "",
        mac=seen.mac if seen else "",
        verdict=Verdict.FAILED if job.fault else Verdict.PASSED,
        began_at=job.steps[0].began_at if job.steps else place.clock.now(),
        ended_at=place.clock.now(),
        where=place.where(job.station),
        firmware=job.firmware,
        key_check=job.key_check,
        plan=loaded.plan.plan if loaded else "",
        plan_sha256=loaded.digest if loaded else "",
        steps=tuple(job.steps),
        measurements=tuple(job.measurements),
        calibration=job.calibration,
    )


def _file(place: Workplace, archive: Archive, job: Job, room: str) -> Filed:
    with locked(place.directory):
        filed = archive.add(_record(place, archive, job, room))
    place.outbox.put(bench_api.RECORDS, filed.content)
    return filed


def _done(place: Workplace, job: Job, filed: Filed) -> BoardDone:
    return BoardDone(
        board=job.station.name,
        serial=job.serial,
        verdict=filed.signed.record.verdict,
        fault=job.fault.fault.value if job.fault else "",
        sentence=place.words.fault(job.fault) if job.fault else "",
        record=str(filed.path),
        label=str(job.label_file) if job.label_file else "",
    )


async def _labels(place: Workplace, jobs: list[Job], *, is_printed: bool) -> tuple[Path | None, str]:
    """Write one page with the labels of all boards that got one; hand it to the printer when asked."""
    made = [job.label for job in jobs if job.label is not None]
    if not made:
        return None, ""
    # A page of its own for one board: two runs must not print each other's labels.
    path = place.labels / (f"{made[0].serial}.html" if len(made) == 1 else "labels.html")
    path.write_text(label.page(made), encoding="utf-8")
    if not is_printed:
        return path, ""
    try:
        await label.print_file(path, place.rig.printer or "-")
    except BenchError as error:
        return path, place.words.fault(error)
    return path, ""


def _runtime(scratch: Path, wish: Wish, *, is_simulated: bool) -> Path | None:
    if wish.app_only:
        return None
    if wish.runtime is not None:
        if not wish.runtime.is_file():
            raise BenchError(Fault.NO_SUCH_FILE, path=wish.runtime)
        return wish.runtime
    if not is_simulated:
        raise BenchError(Fault.WORD_MISSING, what="--runtime FILE / --app-only")
    path = scratch / "runtime-stand-in.bin"
    path.write_bytes(rom_image.stand_in(chip_id=_STAND_IN_CHIP, version=f"v{Order(steps=()).micropython}"))
    return path


def _applications(scratch: Path, kinds: frozenset[Kind]) -> dict[Kind, Application]:
    """Build the programs of these kinds into folders of their own."""
    made = {}
    for kind in sorted(kinds):
        folder = scratch / kind
        node_build.build(node_build.NodeKind[kind.name]).write(folder)
        made[kind] = application.read(folder)
    return made


def _plans(wish: Wish, kinds: frozenset[Kind]) -> dict[Kind, LoadedPlan]:
    if wish.plan is None:
        return {kind: plan.load(plan.shipped(kind)) for kind in kinds}
    loaded = plan.load(wish.plan)
    if missing := sorted(kinds - {loaded.plan.kind}):
        raise BenchError(Fault.PLAN_WRONG, where="kind", why=f"{loaded.plan.kind} ≠ {missing[0]}")
    return {loaded.plan.kind: loaded}
