"""Every device this bench has a record of, and how each of its runs ended: the matrix of the page, and `record list`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from gatehouse_events.bench_record import SignedRecord, Verdict, fingerprint_of
from gatehouse_hil.bench.archive import Archive
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.record import check_history


class StepSeen(Struct, frozen=True, kw_only=True):
    """One step of a run."""

    name: str
    verdict: Verdict
    took_s: float


class RunSeen(Struct, frozen=True, kw_only=True):
    """One record."""

    number: int
    verdict: Verdict
    began_at: datetime
    took_s: float
    station: str
    room: str
    operator: str
    is_simulated: bool
    steps: tuple[StepSeen, ...]
    fault: str
    zh: str
    """What to do about it."""
    en: str
    key: str
    """Short name of the key it is signed with."""


class DeviceSeen(Struct, frozen=True, kw_only=True):
    """One device, or the place where boards failed before they said who they are."""

    serial: str
    kind: str
    runs: tuple[RunSeen, ...]
    """Oldest first."""
    history: Literal["whole", "broken", "damaged"]
    """`broken`: a record is missing. `damaged`: one was changed or is signed by a stranger; it is not among the runs."""
    why: dict[str, str]
    """What is wrong with the history, in both languages; empty when nothing is."""


class Overview(Struct, frozen=True, kw_only=True):
    """All of them, the one worked on last first."""

    devices: tuple[DeviceSeen, ...]


def read(archive: Archive) -> Overview:
    """Return what the archive holds, every signature checked."""
    devices = [_device(archive, serial) for serial in archive.serials()]
    return Overview(devices=tuple(sorted(devices, key=_last, reverse=True)))


def _last(device: DeviceSeen) -> str:
    return device.runs[-1].began_at.isoformat() if device.runs else ""


def _device(archive: Archive, serial: str) -> DeviceSeen:
    found, damaged = archive.readable(serial)
    whole = tuple(filed.signed for filed in found)
    history: Literal["whole", "broken", "damaged"] = "whole"
    why: dict[str, str] = {}
    try:
        if damaged:
            raise damaged[0]
        check_history(whole)
    except BenchError as error:
        history = "broken" if error.fault is Fault.HISTORY_BROKEN else "damaged"
        why = error.facts
    return DeviceSeen(
        serial=serial,
        kind=whole[-1].record.kind if whole else "",
        runs=tuple(_run(signed) for signed in whole),
        history=history,
        why=why,
    )


def _run(signed: SignedRecord) -> RunSeen:
    record = signed.record
    last = record.steps[-1] if record.steps else None
    failed = last if last is not None and last.fault else None
    return RunSeen(
        number=record.number,
        verdict=record.verdict,
        began_at=record.began_at,
        took_s=round((record.ended_at - record.began_at).total_seconds(), 1),
        station=record.where.station,
        room=record.room,
        operator=record.where.operator,
        is_simulated=record.where.is_simulated,
        steps=tuple(
            StepSeen(name=step.name, verdict=step.verdict, took_s=step.took_s) for step in record.steps
        ),
        fault=failed.fault if failed else "",
        zh=failed.zh if failed else "",
        en=failed.en if failed else "",
        key=fingerprint_of(signed),
    )
