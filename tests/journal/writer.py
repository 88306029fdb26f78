"""A gateway's writer, small: commits numbered entries and says so. Run as a process of its own by the tests.

writer.py DIRECTORY run          commit until killed, one line on standard output per acknowledged commit
writer.py DIRECTORY record FILE  commit under the recorder and save the recording; `--sync OFF` for the proof
                                 that the test can see losses; `--prune`: with receipts, pruning and new epochs too
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from gatehouse_hil.disk import Recorder
from gatehouse_journal import (
    Batch,
    Journal,
    Lane,
    Limits,
    NewEntry,
    Reader,
    Signer,
    Stamp,
    StorageFullError,
    canonical,
    lane,
)

LIMITS = Limits(ballast_bytes=64 * 1024, telemetry_quota_bytes=256 * 1024, checkpoint_every=20)


def stamp(number: int, boot: str = "b" * 32) -> Stamp:
    return Stamp(
        at=datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=number),
        boot=boot,
        mono_ns=number * 1_000_000_000,
    )


def batch(number: int) -> Batch:
    """Commit `number`: two entries, the state that goes with them and a device counter."""
    bodies = [canonical({"n": number, "half": half, "text": "燃气高报" * (number % 50)}) for half in (0, 1)]
    return Batch(
        entries=[NewEntry(kind="alarm", body=body, stamp=stamp(number)) for body in bodies],
        state={
            "last": str(number).encode(),
            f"k{number % 11}": bytes(number % 700),
            f"k{(number + 5) % 11}": None,
        },
        counters={"button": number},
    )


def telemetry(number: int) -> list[NewEntry]:
    return [
        NewEntry(kind="reading", body=canonical({"n": number, "i": i}), stamp=stamp(number)) for i in range(5)
    ]


def last_number(journal: Journal) -> int:
    return journal.load_counters().get("button", 0)


def run(directory: Path) -> None:
    journal = Journal.open(directory, limits=LIMITS, signer=Signer.load_or_create(directory), stamp=stamp(0))
    number = last_number(journal)
    while True:
        number += 1
        journal.commit(batch(number))
        os.write(1, b"%d\n" % number)
        journal.append_telemetry(telemetry(number))


KEPT = 10
"""Entries before the head that nobody has given a receipt for when `--prune` prunes."""
FAR_AHEAD = 7
"""How far ahead of the head the fleet's cursor is when `--prune` begins a new epoch."""


def give_up(journal: Journal, number: int) -> str:
    """Prune, or begin a new epoch because the fleet is ahead; return what is acknowledged by it."""
    head = journal.head(Lane.ALARM).seq
    if number % 30 == 0:
        floor = {Lane.ALARM: head + FAR_AHEAD, Lane.TELEMETRY: 0}
        journal.new_epoch("restored copy", stamp(number), floor=floor)
        return f"{number} epoch {head + FAR_AHEAD}"
    after_retention = stamp(number * (LIMITS.alarm_retention_days + 1) * 86_400)
    journal.prune(receipt_seq=head - KEPT, stamp=after_retention, is_clock_synced=True)
    return f"{number} receipt {head - KEPT}"


def record(directory: Path, output: Path, commits: int, *, prunes: bool = False) -> None:
    recorder = Recorder(directory)
    recorder.install()
    number = 0
    while number < commits:
        signer = Signer.load_or_create(directory)
        journal = Journal.open(directory, limits=LIMITS, signer=signer, stamp=stamp(number))
        for _ in range(commits // 3):
            number += 1
            journal.commit(batch(number))
            recorder.acknowledge(str(number))
            journal.append_telemetry(telemetry(number))
            if prunes and number % 10 == 0:
                recorder.acknowledge(give_up(journal, number))
            if number % 40 == 0 and not prunes:
                journal.erase(Lane.ALARM, [(number, number + 1)], reason="test", stamp=stamp(number))
            if number % 60 == 0:
                journal.trim(stamp(number))
        journal.close()
    recording = recorder.recording()
    recording.save(output)
    real = {
        path.name: path.read_bytes()
        for path in directory.iterdir()
        if path.is_file() and not path.name.endswith(("-shm", "writer.lock"))
    }
    if recording.finished() != real:
        sys.exit("the recording does not give the files that are really there")


def fill(directory: Path) -> None:
    """Somebody else fills the disk; alarms go on, telemetry is refused, then there is room again."""
    limits = msgspec.structs.replace(LIMITS, ballast_bytes=512 * 1024)
    journal = Journal.open(directory, limits=limits, signer=Signer.load_or_create(directory), stamp=stamp(0))
    story: dict[str, object] = {"held_before": journal.health().is_ballast_held}
    number, refused_telemetry = 0, 0
    for _ in range(20):
        number += 1
        journal.commit(batch(number))
    foreign = directory / "foreign"
    with foreign.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            story["foreign"] = error.errno
    for _ in range(60):
        number += 1
        journal.commit(batch(number))
        try:
            journal.append_telemetry(telemetry(number))
        except StorageFullError:
            refused_telemetry += 1
    story["held_when_full"] = journal.health().is_ballast_held
    story["refused_telemetry"] = refused_telemetry
    limit = 0
    try:
        while limit < 5000:
            limit += 1
            journal.commit(batch(number + 1))
            number += 1
    except StorageFullError as error:
        story["refusal"] = str(error)
    foreign.unlink()
    number += 1
    journal.commit(batch(number))
    story["held_after"] = journal.health().is_ballast_held
    story["committed"] = number
    journal.close()
    with Reader.open(directory) as reader:
        report = reader.verify()
        alarms = [entry for entry in reader.read(Lane.ALARM, 0, 100_000) if entry.kind == "alarm"]
    story["alarms"] = len(alarms)
    story["faults"] = [fault.what for fault in report.faults]
    sys.stdout.write(canonical(story).decode())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("what", choices=["run", "fill", "record"])
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("--commits", type=int, default=150)
    parser.add_argument("--sync", default="FULL")
    parser.add_argument("--prune", action="store_true")
    args = parser.parse_args()
    lane.SYNCHRONOUS[Lane.ALARM] = args.sync
    if args.what == "run":
        run(args.directory)
    elif args.what == "fill":
        fill(args.directory)
    else:
        record(args.directory, args.output, args.commits, prunes=args.prune)


if __name__ == "__main__":
    main()
