"""Files that are not as they were written: found, moved aside, recovered from, never a refused start."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_journal import Batch, Journal, Lane, Reader, Signer

Opener = Callable[..., Journal]


def _filled(journal: Journal, writer: ModuleType, count: int = 40) -> None:
    for number in range(1, count + 1):
        journal.commit(writer.batch(number))
        journal.append_telemetry(writer.telemetry(number))
    journal.checkpoint(writer.stamp(count))
    journal.close()


def _flip_cell(path: Path, table: str, rng: random.Random) -> str:
    """Flip one bit of one random value of one random row, as a disk or a person might; return where."""
    with sqlite3.connect(path) as db:
        columns = [
            row[1]
            for row in db.execute(f"PRAGMA table_info({table})")
            if row[1] not in {"seq", "key"}  # names of this test
        ]
        key = "seq" if table == "entry" else "key"
        keys = [row[0] for row in db.execute(f"SELECT {key} FROM {table}")]  # noqa: S608  # names of this test
        chosen, column = rng.choice(keys), rng.choice(columns)
        (value,) = db.execute(f"SELECT {column} FROM {table} WHERE {key} = ?", (chosen,)).fetchone()  # noqa: S608  # names of this test
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (_flipped(value, rng), chosen))  # noqa: S608  # names of this test
    db.close()
    return f"{table} {chosen} {column}"


def _flipped(value: object, rng: random.Random) -> object:
    if isinstance(value, int):
        return value ^ (1 << rng.randint(0, 30))
    raw = bytearray(value.encode() if isinstance(value, str) else bytes(value or b"\0"))  # type: ignore[call-overload]
    if not raw:
        return b"\1"
    raw[rng.randrange(len(raw))] ^= 1 << rng.randint(0, 6)
    return raw.decode("latin-1") if isinstance(value, str) else bytes(raw)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, writer: ModuleType) -> Path:
    home = tmp_path_factory.mktemp("written")
    journal = Journal.open(
        home, limits=writer.LIMITS, signer=Signer.load_or_create(home), stamp=writer.stamp(0)
    )
    _filled(journal, writer)
    return home


def _copy(source: Path, target: Path) -> Path:
    target.mkdir(parents=True)
    for path in source.iterdir():
        if path.is_file():
            (target / path.name).write_bytes(path.read_bytes())
    return target


@pytest.mark.parametrize(
    ("file", "table"),
    [
        ("alarm.db", "entry"),
        ("alarm.db", "state"),
        ("alarm.db", "counter"),
        ("alarm.db", "meta"),
        ("telemetry.db", "entry"),
    ],
)
def test_one_flipped_bit_in_any_row_is_found_by_verify(
    written: Path, tmp_path: Path, file: str, table: str
) -> None:
    unseen = []
    for seed in range(25):
        home = _copy(written, tmp_path / str(seed))
        where = _flip_cell(home / file, table, random.Random(seed))
        with Reader.open(home) as reader:
            if reader.verify().is_intact:
                unseen.append(where)
    assert unseen == []


@given(data=st.data())
def test_a_journal_starts_and_takes_alarms_whatever_bytes_its_files_hold(
    written: Path, tmp_path_factory: pytest.TempPathFactory, writer: ModuleType, data: st.DataObject
) -> None:
    home = _copy(written, tmp_path_factory.mktemp("bytes") / "home")
    name = data.draw(
        st.sampled_from(["alarm.db", "telemetry.db", "cursors.db", "journal-key", "journal-key.pub"])
    )
    content = bytearray((home / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        start = data.draw(st.integers(0, max(0, len(content) - 1)))
        garbage = data.draw(st.binary(min_size=1, max_size=64))
        content[start : start + len(garbage)] = garbage
    (home / name).write_bytes(
        content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    )
    journal = Journal.open(
        home, limits=writer.LIMITS, signer=Signer.load_or_create(home), stamp=writer.stamp(99, "d" * 32)
    )
    try:
        assert len(journal.commit(writer.batch(1000))) == 2
        journal.append_telemetry(writer.telemetry(1000))
    finally:
        journal.close()


def test_a_damaged_alarm_file_is_kept_aside_and_what_can_be_read_goes_on_in_a_new_epoch(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    first = open_journal()
    epoch = first.epoch
    _filled(first, writer)
    path = directory / "alarm.db"
    content = bytearray(path.read_bytes())
    content[5 * 4096 : 6 * 4096] = bytes(4096)
    path.write_bytes(content)
    (directory / "suspect").touch()  # a running process met the damage
    journal = open_journal(50)
    with Reader.open(directory) as reader:
        report = reader.verify()
    assert journal.epoch != epoch
    assert journal.health().integrity != ()
    assert [*(directory / "damaged").glob("*/alarm.db")] != []
    assert report.faults == ()
    assert report.lanes[Lane.ALARM].entries > 20


def test_state_and_counters_come_through_the_repair_of_the_alarm_file(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    _filled(open_journal(), writer)
    _flip_cell(directory / "alarm.db", "entry", random.Random(1))
    (directory / "suspect").touch()
    journal = open_journal(50)
    assert journal.load_counters() == {"button": 40}
    assert journal.load_state("last") == {"last": b"40"}


def test_a_damaged_telemetry_file_costs_no_alarm(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    _filled(open_journal(), writer)
    (directory / "telemetry.db").write_bytes(b"this is not a database" * 1000)
    journal = open_journal(50)
    with Reader.open(directory) as reader:
        report = reader.verify()
        alarms = [entry for entry in reader.read(Lane.ALARM, 0, 1000) if entry.kind == "alarm"]
    assert (len(alarms), report.faults) == (80, ())
    assert journal.health().integrity != ()


def test_telemetry_numbers_are_not_used_twice_after_its_file_was_lost(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    _filled(journal, writer)
    (directory / "telemetry.db").unlink()
    entries = open_journal(50).append_telemetry(writer.telemetry(50))
    assert entries[0].seq > 200


def test_a_lost_key_begins_a_new_epoch_and_the_old_signatures_still_count(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    first = open_journal()
    epoch = first.epoch
    _filled(first, writer)
    (directory / "journal-key").write_bytes(b"\0" * 65)
    journal = open_journal(50)
    journal.checkpoint(writer.stamp(51))
    with Reader.open(directory) as reader:
        assert reader.verify().faults == ()
    assert journal.epoch != epoch


def test_a_key_file_is_for_its_owner_alone(directory: Path) -> None:
    Signer.load_or_create(directory)
    assert (directory / "journal-key").stat().st_mode & 0o777 == 0o600


def test_a_restored_older_copy_begins_a_new_epoch_behind_every_cursor(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    epoch = journal.epoch
    journal.commit(writer.batch(1))
    journal.close()
    copy = (directory / "alarm.db").read_bytes()
    _filled(open_journal(1), writer)
    with Reader.open(directory) as reader:
        reader.set_cursor("uplink", 60)
    (directory / "alarm.db").write_bytes(copy)
    journal = open_journal(50)
    assert journal.epoch != epoch
    assert journal.head(Lane.ALARM).seq == 61
    assert journal.commit(Batch(entries=writer.batch(2).entries))[0].seq == 62


def test_a_tampered_state_row_is_left_out_and_named(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    _filled(open_journal(), writer)
    with sqlite3.connect(directory / "alarm.db") as db:
        db.execute("UPDATE state SET value = x'00' WHERE key = 'last'")
    db.close()
    journal = open_journal(50)
    assert "last" not in journal.load_state()
    assert journal.health().integrity == ("state row last is damaged",)
