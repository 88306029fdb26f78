"""What the writer promises: one transaction, gapless lanes, declared trimming, signed checkpoints, one process."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from gatehouse_events.chain import MAX_BODY_BYTES
from gatehouse_events.records import Checkpoint, ClockCorrection, Trimmed, decode, signed_bytes
from gatehouse_journal import (
    BadEntryError,
    Batch,
    Entry,
    EntryKind,
    Journal,
    JournalLockedError,
    Lane,
    Limits,
    NewEntry,
    Reader,
    Signer,
    Stamp,
    canonical,
)
from gatehouse_journal.signer import is_signed, public_keys

Opener = Callable[..., Journal]


def _alarm(number: int, stamp: Stamp) -> NewEntry:
    return NewEntry(kind="alarm", body=canonical({"n": number}), stamp=stamp)


def _read(directory: Path, lane: Lane = Lane.ALARM) -> list[Entry]:
    with Reader.open(directory) as reader:
        return reader.read(lane, 0, 10_000)


def _faults(directory: Path) -> list[str]:
    with Reader.open(directory) as reader:
        return [f"{fault.lane} {fault.seq} {fault.what}" for fault in reader.verify().faults]


def test_a_batch_is_there_whole_after_it_returned(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    entries = journal.commit(writer.batch(1))
    assert [(entry.seq, entry.kind) for entry in entries] == [(2, "alarm"), (3, "alarm")]
    assert _read(directory)[1:] == entries
    assert (journal.load_state("last"), journal.load_counters()) == ({"last": b"1"}, {"button": 1})


def test_a_bad_entry_takes_its_whole_batch_with_it(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    good = _alarm(1, writer.stamp(1))
    too_large = NewEntry(kind="alarm", body=bytes(MAX_BODY_BYTES + 1), stamp=writer.stamp(1))
    with pytest.raises(BadEntryError, match="at most"):
        journal.commit(Batch(entries=[good, too_large], state={"a": b"1"}))
    assert (len(_read(directory)), journal.load_state()) == (1, {})
    assert journal.commit(Batch(entries=[good]))[0].seq == 2


@pytest.mark.parametrize(
    "stamp",
    [
        Stamp(at=datetime(2026, 1, 1), boot="b", mono_ns=0),  # noqa: DTZ001  # a naive time is the fault
        Stamp(at=datetime(2026, 1, 1, tzinfo=UTC), boot="", mono_ns=0),
        Stamp(at=datetime(2026, 1, 1, tzinfo=UTC), boot="b" * 65, mono_ns=0),
        Stamp(at=datetime(2026, 1, 1, tzinfo=UTC), boot="b", mono_ns=-1),
    ],
    ids=["naive", "no boot", "long boot", "negative"],
)
def test_a_stamp_that_cannot_be_hashed_is_refused(open_journal: Opener, stamp: Stamp) -> None:
    with pytest.raises(BadEntryError):
        open_journal().commit(Batch(entries=[_alarm(1, stamp)]))


def test_none_deletes_a_state_key_and_state_alone_may_be_committed(open_journal: Opener) -> None:
    journal = open_journal()
    journal.commit(Batch(state={"rule/a": b"1", "rule/b": b"2", "desk": b"3"}))
    journal.commit(Batch(state={"rule/a": None}))
    assert (journal.load_state("rule/"), journal.head(Lane.ALARM).seq) == ({"rule/b": b"2"}, 1)


def test_state_counters_and_lanes_go_on_after_a_restart(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    first = open_journal()
    first.commit(writer.batch(1))
    first.append_telemetry(writer.telemetry(1))
    first.close()
    journal = open_journal(2)
    assert (journal.epoch, journal.load_counters()) == (first.epoch, {"button": 1})
    assert journal.commit(writer.batch(2))[0].seq == 4
    assert journal.append_telemetry(writer.telemetry(2))[0].seq == 6
    assert _faults(directory) == []


def test_a_second_writer_is_told_who_holds_the_journal(open_journal: Opener, directory: Path) -> None:
    open_journal()
    with pytest.raises(JournalLockedError, match=f"process {os.getpid()}"):
        open_journal()


def test_a_closed_journal_can_be_opened_again_by_another_process(
    open_journal: Opener, directory: Path, writer_command: list[str]
) -> None:
    open_journal().close()
    with subprocess.Popen([*writer_command, str(directory), "run"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        process.kill()


def test_a_checkpoint_signs_the_heads_of_both_lanes(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    journal.commit(writer.batch(1))
    journal.append_telemetry(writer.telemetry(1))
    heads = {lane: journal.head(lane) for lane in Lane}
    entry = journal.checkpoint(writer.stamp(2))
    assert entry.body is not None
    record = decode(entry.body, Checkpoint)
    assert (record.alarm.seq, record.alarm.hash) == (3, heads[Lane.ALARM].hash.hex())
    assert (record.telemetry.seq, record.telemetry.hash) == (5, heads[Lane.TELEMETRY].hash.hex())
    assert is_signed(
        signed_bytes("checkpoint", entry.body), signature=record.signature, key=public_keys(directory)[-1]
    )


def test_the_journal_signs_by_itself_after_enough_entries(open_journal: Opener, writer: ModuleType) -> None:
    journal = open_journal()
    for number in range(1, 40):
        journal.commit(writer.batch(number))
    assert journal.health().unsigned_entries <= writer.LIMITS.checkpoint_every + 2


def test_a_signature_of_a_foreign_key_is_not_believed(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    journal.checkpoint(writer.stamp(1))
    with Reader.open(directory) as reader:
        report = reader.verify(keys=["00" * 32])
    assert ["key that is not known" in fault.what for fault in report.faults] == [True]


def test_telemetry_over_its_quota_gives_up_its_oldest_and_says_so_first(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    for number in range(1, 600):
        journal.append_telemetry(writer.telemetry(number))
    first = _read(directory, Lane.TELEMETRY)[0].seq
    declared = [decode(e.body, Trimmed) for e in _read(directory) if e.kind == EntryKind.TRIMMED and e.body]
    assert declared[-1].last == first - 1
    assert journal.health().telemetry_bytes <= writer.LIMITS.telemetry_quota_bytes
    assert _faults(directory) == []


def test_a_trim_that_was_declared_but_not_done_is_done_at_the_next_start(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    journal.append_telemetry(writer.telemetry(1) * 20)
    journal.close()
    rows = (directory / "telemetry.db").read_bytes()
    journal = open_journal(1)
    journal.trim(writer.stamp(2))
    journal.close()
    (directory / "telemetry.db").write_bytes(rows)  # as if the power had gone in between
    open_journal(3)
    assert _read(directory, Lane.TELEMETRY)[0].seq == 11


def test_a_trimmed_empty_telemetry_lane_keeps_counting_after_a_restart(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    journal.append_telemetry(writer.telemetry(1)[:1])
    journal.trim(writer.stamp(2))
    journal.close()
    assert open_journal(3).append_telemetry(writer.telemetry(3))[0].seq == 2
    assert _faults(directory) == []


@pytest.mark.parametrize("count", [1, 20])
def test_a_trim_in_a_new_epoch_gives_up_a_tenth_and_no_number_is_used_again(
    directory: Path, open_journal: Opener, writer: ModuleType, count: int
) -> None:
    journal = open_journal()
    journal.append_telemetry((writer.telemetry(1) * 20)[:count])
    before = _read(directory, Lane.TELEMETRY)
    journal.new_epoch("the fleet's history disagrees", writer.stamp(2))
    journal.trim(writer.stamp(3))
    assert len(_read(directory, Lane.TELEMETRY)) == len(before) - max(1, len(before) // 10)
    journal.close()
    assert open_journal(4).append_telemetry(writer.telemetry(5))[0].seq > 60_000
    assert _faults(directory) == []


def test_telemetry_that_a_power_cut_may_have_taken_is_a_declared_hole(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    journal.append_telemetry(writer.telemetry(1))
    copies = {
        name: (directory / name).read_bytes()
        for name in ("alarm.db", "alarm.db-wal", "telemetry.db", "telemetry.db-wal")
    }
    journal.close()
    for name, content in copies.items():
        (directory / name).write_bytes(content)
    journal = open_journal(5, boot="c" * 32)
    entries = journal.append_telemetry(writer.telemetry(6))
    assert entries[0].seq > 60_000
    assert (journal.health().integrity, _faults(directory)) == ((), [])


class TestPruning:
    """The alarm lane forgets only what is signed for, received and old: all three."""

    LATER = 300 * 86_400

    def _journal(self, open_journal: Opener, writer: ModuleType) -> Journal:
        journal = open_journal()
        for number in range(1, 6):
            journal.commit(writer.batch(number))
        return journal

    def test_what_is_signed_received_and_old_goes(
        self, directory: Path, open_journal: Opener, writer: ModuleType
    ) -> None:
        journal = self._journal(open_journal, writer)
        journal.checkpoint(writer.stamp(6))
        entry = journal.prune(receipt_seq=8, stamp=writer.stamp(self.LATER), is_clock_synced=True)
        assert entry is not None
        assert _read(directory)[0].seq == 9
        assert _faults(directory) == []
        journal.close()
        assert open_journal(self.LATER).commit(writer.batch(6))[0].seq == 14

    @pytest.mark.parametrize(
        ("receipt", "later", "synced", "is_signed_for"),
        [(0, LATER, True, True), (8, 86_400, True, True), (8, LATER, False, True), (8, LATER, True, False)],
        ids=["no receipt", "not old", "clock not synchronised", "not signed"],
    )
    def test_anything_missing_keeps_it(
        self,
        open_journal: Opener,
        writer: ModuleType,
        receipt: int,
        later: int,
        synced: bool,
        is_signed_for: bool,
    ) -> None:
        journal = self._journal(open_journal, writer)
        for _ in range(int(is_signed_for)):
            journal.checkpoint(writer.stamp(6))
        assert journal.prune(receipt_seq=receipt, stamp=writer.stamp(later), is_clock_synced=synced) is None

    def test_a_clock_at_1970_does_not_make_an_alarm_old(
        self, open_journal: Opener, writer: ModuleType
    ) -> None:
        journal = open_journal()
        old = Stamp(at=datetime(1970, 1, 1, tzinfo=UTC), boot="d" * 32, mono_ns=5)
        journal.commit(Batch(entries=[_alarm(1, old)]))
        journal.checkpoint(writer.stamp(1))
        now = Stamp(at=writer.stamp(0).at + timedelta(days=100), boot="b" * 32, mono_ns=9)
        assert journal.prune(receipt_seq=2, stamp=now, is_clock_synced=True) is None

    def test_one_declaration_covers_everything_that_went_before_it(
        self, directory: Path, open_journal: Opener, writer: ModuleType
    ) -> None:
        journal = open_journal()
        journal.append_telemetry(writer.telemetry(1) * 20)
        for number in range(2, 6):
            journal.trim(writer.stamp(number))
        with Reader.open(directory) as reader:
            first = reader.read(Lane.TELEMETRY, 0, 1)[0]
        newest = msgspec.json.decode(_read(directory)[-1].body or b"")
        assert (newest["from"], newest["to"]) == (1, first.seq - 1)
        assert newest["last_hash"] == first.prev_hash.hex()
        assert _faults(directory) == []

    def test_a_telemetry_hole_stays_declared_when_its_declaration_is_pruned(
        self, directory: Path, open_journal: Opener, writer: ModuleType
    ) -> None:
        journal = open_journal()
        journal.append_telemetry(writer.telemetry(1) * 20)
        journal.trim(writer.stamp(2))
        journal.checkpoint(writer.stamp(3))
        journal.prune(receipt_seq=2, stamp=writer.stamp(self.LATER), is_clock_synced=True)
        assert _read(directory)[0].seq == 3
        assert _faults(directory) == []


def test_an_erased_body_is_gone_from_the_file_and_the_chain_still_verifies(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    secret = canonical({"name": "某居民（虚构）", "secret": "erase-me-7f3a"})
    journal.commit(Batch(entries=[NewEntry(kind="alarm", body=secret, stamp=writer.stamp(1))]))
    journal.erase(Lane.ALARM, [(2, 2)], reason="privacy", stamp=writer.stamp(2))
    left = [
        path.name for path in directory.iterdir() if path.is_file() and b"erase-me-7f3a" in path.read_bytes()
    ]
    assert (left, _read(directory)[1].body, _faults(directory)) == ([], None, [])


def test_a_body_that_is_missing_without_a_declaration_is_a_fault(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    open_journal().commit(writer.batch(1))
    with sqlite3.connect(directory / "alarm.db") as db:
        db.execute("UPDATE entry SET body = NULL WHERE seq = 2")
    db.close()
    assert _faults(directory) == ["alarm 2 body missing without a declaration"]


def test_a_removed_row_is_a_fault(directory: Path, open_journal: Opener, writer: ModuleType) -> None:
    open_journal().commit(writer.batch(1))
    with sqlite3.connect(directory / "alarm.db") as db:
        db.execute("DELETE FROM entry WHERE seq = 2")
    db.close()
    assert _faults(directory) == ["alarm 2 entries 2 to 2 are missing without a declaration"] or _faults(
        directory
    ) == ["alarm 3 entries 2 to 2 are missing without a declaration"]


def test_a_new_epoch_starts_a_chain_and_goes_on_counting(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    before = journal.epoch
    journal.commit(writer.batch(1))
    journal.append_telemetry(writer.telemetry(1))
    entry = journal.new_epoch("the fleet's history disagrees", writer.stamp(2))
    journal.append_telemetry(writer.telemetry(3))
    assert (entry.seq, entry.prev_hash, entry.epoch != before) == (4, bytes(32), True)
    assert _faults(directory) == []
    journal.close()
    assert open_journal(4).epoch == entry.epoch


def test_a_later_clock_entry_corrects_the_times_of_its_boot_and_rewrites_nothing(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    wrong = Stamp(at=datetime(1970, 1, 1, 0, 0, 9, tzinfo=UTC), boot="e" * 32, mono_ns=9_000_000_000)
    right = datetime(2026, 11, 23, 8, 0, 9, tzinfo=UTC)
    journal.commit(Batch(entries=[_alarm(1, wrong)]))
    zero_us = int(right.timestamp() * 1_000_000) - 9_000_000
    correction = ClockCorrection(boot="e" * 32, zero_us=zero_us)
    later = msgspec.structs.replace(wrong, mono_ns=60_000_000_000)
    journal.commit(Batch(entries=[NewEntry(kind="clock", body=canonical(correction), stamp=later)]))
    with Reader.open(directory) as reader:
        entry = reader.read(Lane.ALARM, 1, 1)[0]
        assert (entry.at, reader.corrected([entry])) == (wrong.at, [right])


def test_health_raises_the_fault_at_80_percent_of_the_alarm_quota(
    open_journal: Opener, writer: ModuleType
) -> None:
    limits = msgspec.structs.replace(writer.LIMITS, alarm_quota_bytes=200_000)
    journal = open_journal(limits=limits)
    assert not journal.health().is_filling
    number = 0
    while journal.health().alarm_bytes < 165_000:
        number += 1
        journal.commit(writer.batch(number))
    assert journal.health().is_filling


def test_limits_without_ballast_are_held(open_journal: Opener) -> None:
    assert open_journal(limits=Limits(ballast_bytes=0)).health().is_ballast_held


def test_cursors_are_kept_apart_by_name_and_lane(directory: Path, open_journal: Opener) -> None:
    open_journal()
    with Reader.open(directory) as reader:
        reader.set_cursor("uplink", 7)
        reader.set_cursor("uplink", 9, Lane.TELEMETRY)
    with Reader.open(directory) as reader:
        assert (reader.cursor("uplink"), reader.cursor("uplink", Lane.TELEMETRY), reader.cursor("mail")) == (
            7,
            9,
            0,
        )


def test_a_reader_sees_what_the_writer_adds(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    with Reader.open(directory) as reader:
        assert reader.head(Lane.ALARM) == journal.head(Lane.ALARM)
        entries = journal.commit(writer.batch(1))
        assert reader.read(Lane.ALARM, 1, 10) == entries
        assert reader.read(Lane.ALARM, 1, 1) == entries[:1]
        assert reader.head(Lane.TELEMETRY).seq == 0


def test_the_wal_stays_small_beside_a_reader(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    with Reader.open(directory) as reader:
        for number in range(1, 800):
            journal.commit(writer.batch(number))
            reader.read(Lane.ALARM, 0, 5)
    assert (directory / "alarm.db-wal").stat().st_size < 4 * 1024 * 1024


def test_a_signer_keeps_its_key(directory: Path) -> None:
    assert Signer.load_or_create(directory).public_key == Signer.load_or_create(directory).public_key
