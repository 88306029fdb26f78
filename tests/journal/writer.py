"""A gateway's writer, small: commits numbered entries and says so. Run as a process of its own by the tests.

writer.py DIRECTORY run          commit until killed, one line on standard output per acknowledged commit
writer.py DIRECTORY record FILE  commit under the recorder and save the recording; `--sync OFF` for the proof
                                 that the test can see losses
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gatehouse_hil.disk import Recorder
from gatehouse_journal import Batch, Journal, Lane, Limits, NewEntry, Signer, Stamp, canonical, lane

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


def record(directory: Path, output: Path, commits: int) -> None:
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
            if number % 40 == 0:
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("what", choices=["run", "record"])
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("--commits", type=int, default=150)
    parser.add_argument("--sync", default="FULL")
    args = parser.parse_args()
    lane.SYNCHRONOUS[Lane.ALARM] = args.sync
    if args.what == "run":
        run(args.directory)
    record(args.directory, args.output, args.commits)


if __name__ == "__main__":
    main()
