"""The record of one run of the bench on one board: what was done and measured, by whom, on which bench, signed.

The bench writes it, the fleet keeps it; both read it here.

A file holds `SignedRecord`: the record, the SHA-256 of its canonical JSON (`gatehouse_events.chain.canonical`), and an
Ed25519 signature by the bench's key over `DOMAIN` and that hash. `previous` chains the records of one serial number. Its
JSON Schema is `schema/bench_record.schema.json` (a test keeps the two equal).
"""

from __future__ import annotations

import base64
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Meta, Struct

from gatehouse_events.chain import canonical

DOMAIN: Final = b"gatehouse bench record 1\0"
SCHEMA: Final = "gatehouse-bench-record/1"
MAX_FILE_BYTES: Final = 1 << 20
ROOM_LENGTH: Final = 64
NAMELESS: Final = "unknown-"
"""Before the place's name: the history of boards that failed there before they said who they are."""

_Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
_Optional_digest = Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]


class RecordDamagedError(ValueError):
    """It is no record, or somebody has changed it; the text says what does not fit."""


class HistoryError(ValueError):
    """The records of a board do not follow each other; make the missing one good from the bench's own archive."""

    def __init__(self, number: int) -> None:
        super().__init__(f"record {number} does not follow the one before it")
        self.number: Final = number
        """The first that does not fit."""


class Verdict(StrEnum):
    """How a step, a measurement or a whole run ended."""

    PASSED = "passed"
    FAILED = "failed"


class StepName(StrEnum):
    """What the bench does to a board, in this order."""

    FLASH = "flash"
    IDENTIFY = "identify"
    PROVISION = "provision"
    SELF_TEST = "self_test"
    TEST = "test"
    CALIBRATE = "calibrate"
    LABEL = "label"


class Step(Struct, frozen=True, kw_only=True):
    """One step of a run."""

    name: StepName
    verdict: Verdict
    began_at: datetime
    took_s: float
    fault: str = ""
    """Name of the fault; empty when it passed."""
    facts: dict[str, str] = {}
    zh: str = ""
    """What to do, in Chinese."""
    en: str = ""
    """What to do, in English."""


class Measurement(Struct, frozen=True, kw_only=True):
    """One measured value and its limits. At least one limit is set."""

    name: str
    zh: str
    en: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    equals: float | None = None
    instrument: str
    """Resource of the rig, or `node` for what the board said of itself."""
    verdict: Verdict
    at: datetime


class GasUsed(Struct, frozen=True, kw_only=True):
    """The bottle that a detector was calibrated with."""

    gas: str
    percent_lel: float
    bottle: str
    """Number on the bottle's certificate."""
    expires: date


class CalibrationPoint(Struct, frozen=True, kw_only=True):
    """One point: what was applied, what the sensor showed."""

    name: str
    applied: float
    unit: str
    shown: float
    shown_unit: str


class Calibration(Struct, frozen=True, kw_only=True):
    """What was adjusted and with what."""

    points: tuple[CalibrationPoint, ...]
    gas: GasUsed | None = None
    stored: dict[str, int] = {}


class Firmware(Struct, frozen=True, kw_only=True):
    """What was written, by hash, and what the board then said it runs."""

    runtime: str = ""
    """Name and version in the runtime file."""
    runtime_sha256: _Optional_digest = ""
    application_sha256: _Optional_digest = ""
    """Over names and hashes of all files."""
    application: str = ""
    micropython: str = ""
    slot: str = ""


class Where(Struct, frozen=True, kw_only=True):
    """Bench, rig and tools of the run."""

    bench: str
    operator: str
    rig: str
    station: str
    backend: str
    is_simulated: bool
    esptool: str
    mpremote: str


class Record(Struct, frozen=True, kw_only=True):
    """One run on one board."""

    schema: str = SCHEMA
    serial: str
    """Empty: the board never said who it is."""
    number: Annotated[int, Meta(ge=1)]
    """1, 2, 3 ... for each serial number on this bench."""
    previous: _Optional_digest = ""
    """Hash of the record before it; empty for the first."""
    kind: str
    room: Annotated[str, Meta(max_length=ROOM_LENGTH)] = ""
    """Where it is to hang, as the technician read it from the room's code; empty: nobody has said."""
    chip: str = ""
    mac: str = ""
    verdict: Verdict
    began_at: datetime
    ended_at: datetime
    where: Where
    firmware: Firmware = Firmware()
    key_check: str = ""
    plan: str = ""
    plan_sha256: _Optional_digest = ""
    steps: tuple[Step, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    calibration: Calibration | None = None


class SignedRecord(Struct, frozen=True, kw_only=True):
    """A record and its proof, as it lies on disk and goes to the fleet."""

    record: Record
    hash: _Digest
    key: str
    """Raw Ed25519 public key of the bench, base64."""
    signature: str
    """Base64."""


class _Sealed(Struct, frozen=True, kw_only=True):
    """The same without a reading of the record: fields of a later version must not change its hash."""

    record: msgspec.Raw
    hash: str
    key: str
    signature: str


def sign(record: Record, key: Ed25519PrivateKey) -> bytes:
    """Return the file of `record`, signed."""
    digest = sha256(canonical(record)).digest()
    return msgspec.json.encode(
        SignedRecord(
            record=record,
            hash=digest.hex(),
            key=base64.b64encode(public_bytes(key.public_key())).decode(),
            signature=base64.b64encode(key.sign(DOMAIN + digest)).decode(),
        )
    )


def verify(content: bytes) -> SignedRecord:
    """Return the record in `content` once its hash and signature are right.

    Whose key it is signed with is the caller's to judge: `key_of`.

    Raises:
        RecordDamagedError: no record, or changed since it was signed.
    """
    try:
        sealed = msgspec.json.decode(content, type=_Sealed)
        signed = msgspec.json.decode(content, type=SignedRecord)
        digest = sha256(canonical(msgspec.json.decode(sealed.record))).digest()
        key = base64.b64decode(sealed.key, validate=True)
        Ed25519PublicKey.from_public_bytes(key).verify(
            base64.b64decode(sealed.signature, validate=True), DOMAIN + digest
        )
    except InvalidSignature as error:
        raise RecordDamagedError("signature") from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RecordDamagedError(str(error)) from error
    if digest.hex() != signed.hash:
        raise RecordDamagedError("hash")
    return signed


def check_history(records: tuple[SignedRecord, ...]) -> None:
    """Check that verified records of one serial number, oldest first, follow each other without a gap.

    Raises:
        HistoryError: at the first that does not.
    """
    before = ""
    for number, signed in enumerate(records, start=1):
        if signed.record.number != number or signed.record.previous != before:
            raise HistoryError(number)
        before = signed.hash


def chain_name(record: Record) -> str:
    """Return which history of its bench a record belongs to: the serial number's, or that of nameless boards of one place."""
    return record.serial or NAMELESS + record.where.station


def key_of(signed: SignedRecord) -> bytes:
    """Return the raw public key that a verified record is signed with."""
    return base64.b64decode(signed.key)


def public_bytes(key: Ed25519PublicKey) -> bytes:
    """Return the 32 raw bytes of a public key."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def fingerprint(key: bytes) -> str:
    """Return the short name of a bench key: 16 hex digits of its SHA-256."""
    return sha256(key).hexdigest()[:16]


def fingerprint_of(signed: SignedRecord) -> str:
    """Return the short name of the key that signed a record."""
    return fingerprint(key_of(signed))


def json_schema() -> bytes:
    """Return the JSON Schema (2020-12) of a record file."""
    return msgspec.json.format(msgspec.json.encode(msgspec.json.schema(SignedRecord)), indent=1) + b"\n"
