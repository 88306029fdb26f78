"""The plug is pulled while old entries go, and while a new epoch begins: nothing without a receipt is ever missing."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from gatehouse_hil.disk import Recording
from gatehouse_journal import Journal, Lane, Reader, Signer

_SEED = 20261125


@pytest.fixture(scope="module")
def recording(writer_command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Recording:
    home = tmp_path_factory.mktemp("prune")
    (home / "disk").mkdir()
    command = [*writer_command, str(home / "disk"), "record", str(home / "recording"), "--prune"]
    subprocess.run(command, check=True, timeout=60)
    return Recording.load(home / "recording")


def _faults(home: Path, notes: list[str], writer: ModuleType) -> list[str]:
    words = [note.split() for note in notes]
    promised = max((int(word[0]) for word in words), default=0)
    received = max((int(word[2]) for word in words if word[1:2] == ["receipt"]), default=0)
    seen = max((int(word[2]) for word in words if word[1:2] == ["epoch"]), default=0)
    journal = Journal.open(
        home, limits=writer.LIMITS, signer=Signer.load_or_create(home), stamp=writer.stamp(10_000, "c" * 32)
    )
    try:
        faults = [f"integrity: {fault}" for fault in journal.health().integrity]
        number = writer.last_number(journal)
        with Reader.open(home) as reader:
            faults += [fault.what for fault in reader.verify().faults]
            entries = reader.read(Lane.ALARM, 0, 10_000)
        journal.commit(writer.batch(number + 1))
        if journal.head(Lane.ALARM).seq <= seen:
            faults.append("a sequence number that the fleet has seen was used again")
    finally:
        journal.close()
    if number < promised:
        faults.append(f"acknowledged through {promised}, but the counter stands at {number}")
    found = [msgspec.json.decode(entry.body or b"") for entry in entries if entry.kind == "alarm"]
    halves = [(row["n"], row["half"]) for row in found]
    # The last prune may have been cut off before it was acknowledged: its receipts reached at most to KEPT before the head.
    oldest = min(halves, default=(1, 0))
    whole = [(n, half) for n in range(1, number + 1) for half in (0, 1)]
    if halves != [half for half in whole if half >= oldest]:
        faults.append(f"entries between {oldest} and {number} are missing")
    if received == 0 and oldest != (1, 0) and number < 10:
        faults.append("entries went without a receipt")
    if number >= 10 and oldest[0] > number - writer.KEPT // 2 + 1:
        faults.append(f"entry {oldest} is the oldest of {number}: some without a receipt went")
    return faults


def test_what_has_no_receipt_is_there_after_a_power_cut_and_no_number_is_used_twice(
    recording: Recording, writer: ModuleType, rounds: Callable[[int], int], tmp_path: Path
) -> None:
    rng = random.Random(_SEED)
    bad = {}
    for n in range(rounds(150)):
        cut, home = rng.randint(0, len(recording.steps)), tmp_path / str(n)
        home.mkdir()
        for name, content in recording.disk(cut, random.Random(_SEED + n)).items():
            (home / name).write_bytes(content)
        notes = [str(note) for note in recording.acknowledged(cut)]
        faults = _faults(home, notes, writer)
        if faults:
            bad[cut] = faults
    assert bad == {}


def test_the_recording_really_pruned_and_began_new_epochs(
    recording: Recording, writer: ModuleType, tmp_path: Path
) -> None:
    for name, content in recording.finished().items():
        (tmp_path / name).write_bytes(content)
    with Reader.open(tmp_path) as reader:
        report = reader.verify()
        first = reader.read(Lane.ALARM, 0, 1)[0].seq
    assert report.is_intact
    assert report.epochs >= 1
    assert first > 100
