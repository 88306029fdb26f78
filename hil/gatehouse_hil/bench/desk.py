"""What the bench does without changing a board: list, identify, labels, records, the state of the rig, replay."""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec import Struct

from gatehouse_events.bench_record import SignedRecord, Verdict, fingerprint_of
from gatehouse_hil.bench import backend_local, identity, label, node, record, replaying
from gatehouse_hil.bench.archive import read_file, read_public_key
from gatehouse_hil.bench.bus import BAUD
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.identity import Identity
from gatehouse_hil.bench.kind import Kind
from gatehouse_hil.bench.label import Label
from gatehouse_hil.bench.rig import LabgridBoard, LocalBoard, SimulatedBoard
from gatehouse_hil.bench.station import Station
from gatehouse_hil.bench.workplace import Workplace


class Port(Struct, frozen=True, kw_only=True):
    """A serial port of this computer."""

    path: str
    says: str
    board: str = ""
    """The board of the rig that uses it."""


class Place(Struct, frozen=True, kw_only=True):
    """A board's place in the rig file."""

    name: str
    kind: str
    at: str
    chip: str
    mac: str = ""
    is_present: bool | None = None
    """Whether its port is there; None where only opening it would tell."""


class Broken(Struct, frozen=True, kw_only=True):
    """A part of the rig that is out of use."""

    part: str
    fault: str
    since: str
    sentence: str


class Listing(Struct, frozen=True, kw_only=True):
    """What there is on this bench."""

    rig: str
    backend: str
    ports: tuple[Port, ...]
    boards: tuple[Place, ...]
    broken: tuple[Broken, ...]


class Seen(Struct, frozen=True, kw_only=True):
    """One board's answer to "who are you?"."""

    board: str
    identity: Identity | None = None
    fault: str = ""
    sentence: str = ""


class Verified(Struct, frozen=True, kw_only=True):
    """A record that is true."""

    serial: str
    number: int
    verdict: Verdict
    hash: str
    key: str


def listing(place: Workplace) -> Listing:
    """Return ports, boards and what is broken."""
    places = tuple(_place(board) for board in place.rig.boards)
    owners = {entry.at: entry.name for entry in places}
    ports = tuple(
        Port(path=path, says=says, board=owners.get(path, "")) for path, says in backend_local.serial_ports()
    )
    return Listing(
        rig=place.rig.name, backend=place.rig.backend, ports=ports, boards=places, broken=broken(place)
    )


def broken(place: Workplace) -> tuple[Broken, ...]:
    """Return the parts of the rig that are out of use."""
    return tuple(
        Broken(
            part=each.resource,
            fault=each.fault,
            since=f"{each.at:%Y-%m-%d %H:%M}Z",
            sentence=place.words.fault(BenchError(Fault(each.fault), **each.facts)),
        )
        for each in place.memory.broken()
    )


async def identify(place: Workplace, boards: tuple[str, ...]) -> tuple[Seen, ...]:
    """Ask every chosen board, all at once, and compare it with what the rig expects there.

    Raises:
        BenchError: NO_SUCH_BOARD; a rig that cannot be opened.
    """
    async with place.stations(boards) as stations, asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(_seen(place, station), name=f"identify {station.name}") for station in stations
        ]
    return tuple(task.result() for task in asked)


async def replay(place: Workplace, boards: tuple[str, ...], path: Path) -> int:
    """Play a trace to the chosen boards, one after the other; return how many frames agreed on each.

    Raises:
        BenchError: TRACE_DIFFERS; NO_RESOURCE, no field port; faults of board and rig.
    """
    exchanges = replaying.load(path)
    async with place.stations(boards) as stations:
        for station in stations:
            if station.uart is None:
                raise BenchError(Fault.NO_RESOURCE, part="uart", known="-")
            await node.restart(station.port)
            await replaying.replay(station.uart, exchanges, baud=BAUD)
    return len(exchanges)


def verify(place: Workplace, path: Path, keys: tuple[Path, ...]) -> Verified:
    """Return what a record file says once it is proved, against our own, trusted and the given keys.

    Raises:
        BenchError: NO_SUCH_FILE, RECORD_DAMAGED, RECORD_STRANGER.
    """
    known = place.archive.known_keys | {read_public_key(key) for key in keys}
    signed = record.verify(read_file(path), known)
    return _verified(signed)


def history(place: Workplace, serial: str) -> tuple[Verified, ...]:
    """Return every record of a serial number, once they form a whole chain.

    Raises:
        BenchError: as `Archive.history`.
    """
    return tuple(_verified(signed) for signed in place.archive.history(serial))


def relabel(place: Workplace, serial: str) -> Path:
    """Make the label of a serial number again, from its records: no board is needed.

    Raises:
        BenchError: as `Archive.history`; NOT_PROVISIONED, it never got a key.
    """
    keyed = [each.record for each in place.archive.history(serial) if each.record.key_check]
    if not keyed:
        raise BenchError(Fault.NOT_PROVISIONED, board=serial)
    last = keyed[-1]
    made = Label(serial=serial, kind=Kind(last.kind), key_check=last.key_check, made=place.clock.now().date())
    place.labels.mkdir(parents=True, exist_ok=True)
    path = place.labels / f"{serial}.html"
    path.write_text(label.page([made]), encoding="utf-8")
    path.with_suffix(".svg").write_text(label.svg(made), encoding="utf-8")
    return path


def mend(place: Workplace, part: str, reason: str) -> None:
    """Use a part of the rig again.

    Raises:
        BenchError: NO_RESOURCE, it is not broken.
    """
    place.memory.reset(part, reason=reason, by=place.operator, at=place.clock.now())


async def _seen(place: Workplace, station: Station) -> Seen:
    try:
        found = await identity.identify(station)
        identity.check_board(found, station.expects)
    except BenchError as error:
        return Seen(board=station.name, fault=error.fault.value, sentence=place.words.fault(error))
    return Seen(board=station.name, identity=found)


def _place(board: SimulatedBoard | LocalBoard | LabgridBoard) -> Place:
    is_present: bool | None = None
    match board:
        case SimulatedBoard():
            at, mac, is_present = "simulated", board.mac, True
        case LocalBoard():
            at, mac = board.port, board.expects.mac or ""
            is_present = None if "://" in board.port else Path(board.port).exists()
        case LabgridBoard():
            at, mac = f"labgrid:{board.place}", board.expects.mac or ""
    return Place(
        name=board.name,
        kind=board.kind.value,
        at=at,
        chip=board.expects.chip,
        mac=mac,
        is_present=is_present,
    )


def _verified(signed: SignedRecord) -> Verified:
    return Verified(
        serial=signed.record.serial,
        number=signed.record.number,
        verdict=signed.record.verdict,
        hash=signed.hash,
        key=fingerprint_of(signed),
    )
