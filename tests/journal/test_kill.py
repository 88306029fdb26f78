"""kill -9 at random moments, with a real process writing."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import msgspec

from gatehouse_journal import Lane, Reader

_SEED = 9


def _acknowledged_until_killed(command: list[str], directory: Path, rng: random.Random) -> int:
    """Let the writer run for a random number of commits, kill it, and return the last one it acknowledged."""
    with subprocess.Popen([*command, str(directory), "run"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(rng.randint(1, 60)):
            process.stdout.readline()
        process.kill()
        rest = process.stdout.read().splitlines()
        process.wait(timeout=10)
    return int(rest[-1]) if rest else 0


def _promises_broken(directory: Path, acknowledged: int, writer: ModuleType) -> list[str]:
    with Reader.open(directory) as reader:
        report = reader.verify()
        faults = [fault.what for fault in report.faults]
        entries = reader.read(Lane.ALARM, 0, 10_000)
    found = [msgspec.json.decode(entry.body) for entry in entries if entry.kind == "alarm" and entry.body]
    numbers = [(body["n"], body["half"]) for body in found]
    if [entry.seq for entry in entries] != list(range(1, len(entries) + 1)):
        faults.append("the lane has gaps")
    if len(set(numbers)) != len(numbers):
        faults.append("an entry is there twice")
    missing = {(n, half) for n in range(1, acknowledged + 1) for half in (0, 1)} - set(numbers)
    if missing:
        faults.append(f"lost: {sorted(missing)[:4]}")
    return faults


def _run(
    rounds: int, command: list[str], directory: Path, writer: ModuleType, seed: int
) -> dict[int, list[str]]:
    rng = random.Random(seed)
    broken = {}
    acknowledged = 0
    for n in range(rounds):
        acknowledged = max(acknowledged, _acknowledged_until_killed(command, directory, rng))
        faults = _promises_broken(directory, acknowledged, writer)
        if faults:
            broken[n] = faults
    return broken


def test_every_acknowledged_entry_survives_kill_9_once_and_in_order(
    writer_command: list[str], directory: Path, writer: ModuleType, rounds: Callable[[int], int]
) -> None:
    assert _run(rounds(50), writer_command, directory, writer, _SEED) == {}
