"""Where the bench keeps its records: a folder for each serial number, in it one signed file, one page and one JUnit file a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from gatehouse_events.bench_record import (
    MAX_FILE_BYTES,
    NAMELESS,
    Record,
    SignedRecord,
    chain_name,
    public_bytes,
    sign,
)
from gatehouse_hil.bench import junit, report
from gatehouse_hil.bench.disk_file import locked, replace_file
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.record import check_history, verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """One record on disk."""

    path: Path
    content: bytes
    signed: SignedRecord

    @property
    def page(self) -> Path:
        """The same for people."""
        return self.path.with_suffix(".html")


class Archive:
    """The records of one bench and the key that signs them."""

    def __init__(self, directory: Path) -> None:
        self._directory: Final = directory
        self._key: Final = _own_key(directory / "bench.key")

    @property
    def known_keys(self) -> frozenset[bytes]:
        """Raw public keys whose records count as true here: our own, and `trusted/*.pub`."""
        known = {public_bytes(self._key.public_key())}
        known |= {read_public_key(path) for path in (self._directory / "trusted").glob("*.pub")}
        return frozenset(known)

    @property
    def public_key_file(self) -> Path:
        """The public half of the bench's key, PEM: for the fleet's token and for other benches' `trusted/`."""
        return self._directory / "bench.pub"

    def latest(self, folder: str) -> tuple[int, str]:
        """Return number and hash of the last record in a folder; 0 and "" before the first."""
        files = self._files(folder)
        if not files:
            return 0, ""
        last = self._verified(files[-1])
        return last.record.number, last.hash

    def add(self, record: Record) -> Filed:
        """Sign and keep a record, its page and its JUnit file."""
        content = sign(record, self._key)
        signed = verify(content, self.known_keys)
        path = self._directory / "records" / self.folder_of(record) / f"{record.number:04}.json"
        replace_file(path, content)
        replace_file(path.with_suffix(".html"), report.page(signed).encode())
        replace_file(path.with_suffix(".xml"), junit.xml(signed))
        return Filed(path=path, content=content, signed=signed)

    def history(self, serial: str) -> tuple[SignedRecord, ...]:
        """Return the verified records of a serial number, oldest first, once they form a whole chain.

        Raises:
            BenchError: NO_SUCH_FILE; RECORD_DAMAGED, RECORD_STRANGER; HISTORY_BROKEN.
        """
        files = self._files(serial)
        if not files:
            raise BenchError(Fault.NO_SUCH_FILE, path=self._directory / "records" / serial)
        records = tuple(self._verified(file) for file in files)
        check_history(records)
        return records

    def readable(self, folder: str) -> tuple[tuple[Filed, ...], tuple[BenchError, ...]]:
        """Return the true records in a folder, oldest first, and what is wrong with the others."""
        true, wrong = [], []
        for path in self._files(folder):
            try:
                content = read_file(path)
                true.append(Filed(path=path, content=content, signed=verify(content, self.known_keys)))
            except BenchError as error:
                wrong.append(error)
        return tuple(true), tuple(wrong)

    def made_of(self, mac: str) -> tuple[str, ...]:
        """Return the serial numbers under which the board with this MAC has been given a key on this bench."""
        return tuple(
            serial
            for serial in self.serials()
            if serial.endswith(f"-{mac.upper()}")
            and any(self._verified(file).record.key_check for file in self._files(serial))
        )

    def serials(self) -> tuple[str, ...]:
        """Return the folders there are, by name."""
        return tuple(sorted(path.name for path in (self._directory / "records").glob("*") if path.is_dir()))

    @staticmethod
    def folder_of(record: Record) -> str:
        """Return the folder a record belongs in."""
        return chain_name(record)

    @staticmethod
    def nameless(station: str) -> str:
        """Return the folder of boards that failed in this place before they said who they are."""
        return NAMELESS + station

    def _files(self, folder: str) -> list[Path]:
        if not folder or "/" in folder or folder.startswith("."):
            raise BenchError(Fault.NO_SUCH_FILE, path=folder)
        return sorted((self._directory / "records" / folder).glob("[0-9]*.json"))

    def _verified(self, path: Path) -> SignedRecord:
        return verify(read_file(path), self.known_keys)


def read_file(path: Path) -> bytes:
    """Return the content of a record file.

    Raises:
        BenchError: NO_SUCH_FILE; RECORD_DAMAGED, far too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BenchError(Fault.NO_SUCH_FILE, path=path) from error
    if len(content) > MAX_FILE_BYTES:
        raise BenchError(Fault.RECORD_DAMAGED, why=f"more than {MAX_FILE_BYTES} bytes")
    return content


def read_public_key(path: Path) -> bytes:
    """Return the raw bytes of the Ed25519 public key in a PEM file.

    Raises:
        BenchError: NO_SUCH_FILE, there is none.
    """
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BenchError(Fault.NO_SUCH_FILE, path=path) from error
    if not isinstance(key, Ed25519PublicKey):
        raise BenchError(Fault.NO_SUCH_FILE, path=path)
    return public_bytes(key)


def _own_key(path: Path) -> Ed25519PrivateKey:
    """Return the bench's key; made at the first use, readable by its owner only, the public half beside it."""
    if not path.exists():
        _make_key(path)
    if path.stat().st_mode & 0o077:
        os.chmod(path, 0o600)  # noqa: PTH101  # a copy or a restore may have opened it
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise BenchError(Fault.NO_SUCH_FILE, path=path)
    return key


def _make_key(path: Path) -> None:
    with locked(path.parent):
        if path.exists():  # another command on this bench was quicker
            return
        fresh = Ed25519PrivateKey.generate()
        public = fresh.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        replace_file(path.with_suffix(".pub"), public)
        replace_file(path, fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
