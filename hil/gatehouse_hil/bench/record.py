"""Reading records at the bench: what the shared format (`gatehouse_events.bench_record`) refuses, as faults with a sentence."""

from __future__ import annotations

from gatehouse_events import bench_record
from gatehouse_events.bench_record import (
    HistoryError,
    RecordDamagedError,
    SignedRecord,
    fingerprint_of,
    key_of,
)
from gatehouse_hil.bench.fault import BenchError, Fault


def verify(content: bytes, known: frozenset[bytes]) -> SignedRecord:
    """Return the record in `content` once hash and signature are right and the key is one of `known` (raw public keys).

    Raises:
        BenchError: RECORD_DAMAGED; RECORD_STRANGER, signed by a key that is not known here.
    """
    try:
        signed = bench_record.verify(content)
    except RecordDamagedError as error:
        raise BenchError(Fault.RECORD_DAMAGED, why=str(error)) from error
    if key_of(signed) not in known:
        raise BenchError(Fault.RECORD_STRANGER, key=fingerprint_of(signed))
    return signed


def check_history(records: tuple[SignedRecord, ...]) -> None:
    """Check that verified records of one serial number, oldest first, follow each other without a gap.

    Raises:
        BenchError: HISTORY_BROKEN at the first that does not.
    """
    try:
        bench_record.check_history(records)
    except HistoryError as error:
        serial = records[error.number - 1].record.serial
        raise BenchError(Fault.HISTORY_BROKEN, serial=serial, number=error.number) from error
