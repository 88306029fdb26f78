"""Records: signed, chained, and nobody can change them unseen."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_hil.bench import record
from gatehouse_hil.bench.archive import Archive
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.record import Firmware, Record, Step, StepName, Verdict, Where

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KNOWN = frozenset({record.public_bytes(KEY.public_key())})
AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
WHERE = Where(
    bench="pi-1", operator="示例 Zhang", rig="pi-1", station="left", backend="local", is_simulated=False,
    esptool="5.6.0", mpremote="1.29.0",
)  # fmt: skip


def a_record(**changes: Any) -> Record:
    fields: dict[str, Any] = {
        "serial": "GHG-02A0B1000001", "number": 1, "kind": "gas", "verdict": Verdict.PASSED, "began_at": AT,
        "ended_at": AT + timedelta(seconds=30), "where": WHERE, "firmware": Firmware(micropython="1.29.0"),
        "steps": (Step(name=StepName.FLASH, verdict=Verdict.PASSED, began_at=AT, took_s=12.5),),
    }  # fmt: skip
    return Record(**(fields | changes))


def test_a_signed_record_is_true() -> None:
    assert record.verify(record.sign(a_record(), KEY), KNOWN).record == a_record()


def test_hash_and_signature_are_what_the_documents_say() -> None:
    # Computed with json and hashlib alone: sorted keys, no blanks, UTF-8; Ed25519 over the domain and the hash.
    whole = json.loads(record.sign(a_record(), KEY))
    plain = json.dumps(whole["record"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    digest = hashlib.sha256(plain).digest()
    assert whole["hash"] == digest.hex()
    KEY.public_key().verify(base64.b64decode(whole["signature"]), b"gatehouse bench record 1\0" + digest)


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: whole["record"].update(verdict="failed"),
        lambda whole: whole["record"].update(serial="GHG-02A0B1000002"),
        lambda whole: whole["record"]["steps"][0].update(took_s=1.0),
        lambda whole: whole["record"].update(added="later"),
        lambda whole: whole.update(hash="0" * 64),
        lambda whole: whole.update(signature=base64.b64encode(bytes(64)).decode()),
        lambda whole: whole.update(signature="not base64"),
        lambda whole: whole["record"].pop("where"),
    ],
)
def test_a_changed_record_is_refused(change: Any) -> None:
    whole = json.loads(record.sign(a_record(), KEY))
    change(whole)
    with pytest.raises(BenchError) as caught:
        record.verify(json.dumps(whole).encode(), KNOWN)
    assert caught.value.fault is Fault.RECORD_DAMAGED


def test_a_record_of_a_later_version_keeps_its_hash() -> None:
    plain = {**json.loads(msgspec.json.encode(a_record())), "colour": "green"}
    digest = hashlib.sha256(
        json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    ).digest()
    whole = {
        "record": plain,
        "hash": digest.hex(),
        "key": base64.b64encode(next(iter(KNOWN))).decode(),
        "signature": base64.b64encode(KEY.sign(record.DOMAIN + digest)).decode(),
    }
    assert record.verify(json.dumps(whole).encode(), KNOWN).record == a_record()


def test_a_record_by_an_unknown_bench_is_whole_but_not_believed() -> None:
    stranger = Ed25519PrivateKey.generate()
    with pytest.raises(BenchError) as caught:
        record.verify(record.sign(a_record(), stranger), KNOWN)
    assert caught.value.fault is Fault.RECORD_STRANGER
    assert caught.value.facts["key"] == record.fingerprint(record.public_bytes(stranger.public_key()))


@given(
    st.binary(max_size=400)
    | st.dictionaries(st.text(max_size=9), st.text(max_size=9)).map(lambda d: json.dumps(d).encode())
)
def test_any_file_is_a_true_record_or_a_named_fault(content: bytes) -> None:
    with pytest.raises(BenchError):
        record.verify(content, KNOWN)


@given(st.integers(0, len(record.sign(a_record(), KEY)) - 1), st.integers(1, 255))
def test_no_octet_of_a_record_can_change_what_it_says(at: int, change: int) -> None:
    content = bytearray(record.sign(a_record(), KEY))
    content[at] ^= change
    try:
        assert record.verify(bytes(content), KNOWN).record == a_record()
    except BenchError as error:
        assert error.fault in (Fault.RECORD_DAMAGED, Fault.RECORD_STRANGER)  # noqa: PT017  # a blank changes nothing


def test_the_schema_beside_the_module_is_the_one_of_the_program() -> None:
    path = Path(record.__file__).with_name("record.schema.json")
    assert path.read_bytes() == record.json_schema()
    jsonschema.validate(json.loads(record.sign(a_record(), KEY)), json.loads(path.read_bytes()))


def test_records_of_one_board_are_chained_and_a_missing_one_is_found(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    filed = []
    for _ in range(3):
        number, previous = archive.latest("GHG-02A0B1000001")
        filed.append(archive.add(a_record(number=number + 1, previous=previous)))
    assert [each.record.number for each in archive.history("GHG-02A0B1000001")] == [1, 2, 3]
    filed[1].path.unlink()
    with pytest.raises(BenchError) as caught:
        archive.history("GHG-02A0B1000001")
    assert (caught.value.fault, caught.value.facts["number"]) == (Fault.HISTORY_BROKEN, "2")


def test_a_trusted_bench_is_believed(tmp_path: Path) -> None:
    theirs, ours = Archive(tmp_path / "theirs"), Archive(tmp_path / "ours")
    filed = theirs.add(a_record())
    with pytest.raises(BenchError):
        record.verify(filed.content, ours.known_keys)
    (tmp_path / "ours/trusted").mkdir()
    (tmp_path / "ours/trusted/theirs.pub").write_bytes((tmp_path / "theirs/bench.pub").read_bytes())
    assert record.verify(filed.content, ours.known_keys).record.serial == "GHG-02A0B1000001"


def test_the_key_of_the_bench_is_for_its_owner_only(tmp_path: Path) -> None:
    first = Archive(tmp_path).known_keys
    (tmp_path / "bench.key").chmod(0o644)
    assert Archive(tmp_path).known_keys == first
    assert (tmp_path / "bench.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("folder", ["..", "../..", "a/b", "", ".hidden"])
def test_a_serial_number_cannot_lead_out_of_the_archive(tmp_path: Path, folder: str) -> None:
    with pytest.raises(BenchError) as caught:
        Archive(tmp_path).history(folder)
    assert caught.value.fault is Fault.NO_SUCH_FILE
