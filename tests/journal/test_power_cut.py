"""The plug is pulled at every kind of moment; the recording layer builds the disks that may be left."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from gatehouse_hil.disk import Act, Recording
from gatehouse_journal import Journal, Lane, Reader, Signer

_SEED = 20261123


@pytest.fixture(scope="module")
def recording(writer_command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return _record(writer_command, tmp_path_factory.mktemp("full"), "FULL")


@pytest.fixture(scope="module")
def careless(writer_command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return _record(writer_command, tmp_path_factory.mktemp("off"), "OFF")


def _record(command: list[str], home: Path, sync: str) -> Recording:
    (home / "disk").mkdir()
    subprocess.run(
        [*command, str(home / "disk"), "record", str(home / "recording"), "--sync", sync],
        check=True,
        timeout=60,
    )
    return Recording.load(home / "recording")


def _cuts(recording: Recording, count: int) -> list[int]:
    """Half anywhere, half right behind an acknowledgement, where a loss would show."""
    rng = random.Random(_SEED)
    acknowledged = [n for n, step in enumerate(recording.steps, 1) if step.act is Act.ACKNOWLEDGED]
    anywhere = [rng.randint(0, len(recording.steps)) for _ in range(count - count // 2)]
    return anywhere + [rng.choice(acknowledged) for _ in range(count // 2)]


def _losses(recording: Recording, cut: int, seed: int, home: Path, writer: ModuleType) -> list[str]:
    """Start a gateway on the disk left by a cut; return everything that is not as promised."""
    home.mkdir()
    for name, content in recording.disk(cut, random.Random(seed)).items():
        (home / name).write_bytes(content)
    promised = max((int(note) for note in recording.acknowledged(cut)), default=0)
    boot = "c" * 32
    journal = Journal.open(
        home, limits=writer.LIMITS, signer=Signer.load_or_create(home), stamp=writer.stamp(10_000, boot)
    )
    try:
        return _faults(journal, promised, home, writer)
    finally:
        journal.close()


def _faults(journal: Journal, promised: int, home: Path, writer: ModuleType) -> list[str]:
    faults = [f"integrity: {fault}" for fault in journal.health().integrity]
    number = writer.last_number(journal)
    if number < promised:
        faults.append(f"acknowledged through {promised}, but the counter stands at {number}")
    if journal.load_state("last").get("last", b"0") != str(number).encode():
        faults.append("state and counters are not of one commit")
    with Reader.open(home) as reader:
        report = reader.verify()
        faults += [fault.what for fault in report.faults]
        bodies = [entry.body for entry in reader.read(Lane.ALARM, 0, 10_000) if entry.kind == "alarm"]
    halves = [(found["n"], found["half"]) for body in bodies if body for found in [msgspec.json.decode(body)]]
    erased = sum(body is None for body in bodies)
    if len(halves) != len(set(halves)) or len(halves) + erased != 2 * number:
        faults.append(f"{len(halves)} halves and {erased} erased ones of {number} commits")
    journal.commit(writer.batch(number + 1))
    journal.append_telemetry(writer.telemetry(number + 1))
    return faults


def test_no_acknowledged_commit_is_lost_by_a_power_cut(
    recording: Recording, writer: ModuleType, rounds: Callable[[int], int], tmp_path: Path
) -> None:
    lost = {
        (cut, n): faults
        for n, cut in enumerate(_cuts(recording, rounds(200)))
        if (faults := _losses(recording, cut, _SEED + n, tmp_path / str(n), writer))
    }
    assert lost == {}


def test_the_power_cut_test_sees_the_losses_of_a_journal_that_does_not_sync(
    careless: Recording, writer: ModuleType, rounds: Callable[[int], int], tmp_path: Path
) -> None:
    cuts = _cuts(careless, rounds(60))
    lost = [cut for n, cut in enumerate(cuts) if _losses(careless, cut, _SEED + n, tmp_path / str(n), writer)]
    assert len(lost) > len(cuts) // 3


def test_the_recording_holds_every_kind_of_act_a_disk_can_lose(recording: Recording) -> None:
    assert {step.act for step in recording.steps} == set(Act)
