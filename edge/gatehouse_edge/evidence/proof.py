"""Proving evidence by the journal: which lines of an export vouch for it, and what they say. A stranger needs no gateway for it.

A proof is lines of the alarm lane as `gatehouse-edge journal export` writes them: the register entries of one piece of evidence, and
from each the chain onwards to the next signed checkpoint. Bodies of entries that are about something else are left out: their
hashes stand in the chain, so it verifies all the same and nobody's alarms travel along.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from gatehouse_events.chain import (
    ChainError,
    Entry,
    EntryKind,
    Lane,
    body_hash,
    canonical,
    entry_hash,
)
from gatehouse_events.evidence import EvidenceError, Kept, Masked, RegisterEntry, decode_register
from gatehouse_events.records import Checkpoint, RecordError, decode, signed_bytes
from gatehouse_journal.export import line_of
from gatehouse_journal.reader import Reader
from gatehouse_journal.signer import is_signed

MAX_LINES: Final = 100_000
_BATCH: Final = 500
_NULL: Final = b"null"


class Fault(Struct, frozen=True, kw_only=True):
    """A line that is not as it was written."""

    seq: int | None
    """None: it cannot be read at all."""
    text: str


class Vouched(Struct, frozen=True, kw_only=True):
    """A register entry whose body is the one that was hashed."""

    seq: int
    at: datetime
    """When it was written, as the gateway's clock said."""
    entry: RegisterEntry
    signed_by: str | None
    """Public key of the checkpoint that covers it; None: none in these lines does."""


class Proof(Struct, frozen=True, kw_only=True):
    """What lines of a journal say of evidence."""

    vouched: tuple[Vouched, ...]
    faults: tuple[Fault, ...]


class _Line(Struct, frozen=True, kw_only=True):
    """One line, body unread."""

    epoch: str
    lane: Lane
    seq: int
    at: datetime
    boot: str
    mono_ns: int
    kind: str
    body_hash: str
    prev_hash: str
    hash: str
    body: msgspec.Raw = msgspec.Raw(_NULL)


def entries_about(reader: Reader, sha: str) -> list[Entry]:
    """Return the register entries of one piece of evidence, oldest first.

    Raises:
        JournalError: the journal cannot be read.
    """
    return [entry for entry in _register(reader) if _is_about(entry, sha)]


def sha_of_event(reader: Reader, raw_manifest: bytes) -> str | None:
    """Return under which hash the event of a (changed) manifest was kept; None: the journal does not know the event."""
    try:
        fields = msgspec.json.decode(raw_manifest)
    except (msgspec.DecodeError, RecursionError):
        return None
    event_id = fields.get("event_id") if isinstance(fields, dict) else None
    for told in _told(reader):
        if isinstance(told, Kept) and told.manifest.event_id == event_id:
            return told.manifest_sha256
    return None


def masked_sha(reader: Reader, sha: str) -> str:
    """Return the hash of the newest masked copy of evidence; empty: none was made."""
    found = ""
    for told in _told(reader):
        if isinstance(told, Masked) and told.manifest_sha256 == sha:
            found = told.sha256
    return found


def proof_lines(reader: Reader, sha: str) -> Iterator[bytes]:
    """Yield the proof of one piece of evidence out of a journal; nothing when the journal does not know it.

    Raises:
        JournalError: the journal cannot be read.
    """
    about = {entry.seq for entry in entries_about(reader, sha)}
    clocks = reader.clocks()
    told, done = 0, 0
    for first in sorted(about):
        if first <= done:
            continue
        after = first - 1
        while told < MAX_LINES:
            rows = reader.read_rows(Lane.ALARM, after, _BATCH)
            if not rows:
                break
            end = False
            for entry, stored in rows:
                is_checkpoint = entry.kind == EntryKind.CHECKPOINT
                shown = is_checkpoint or entry.seq in about
                kept = entry if shown else msgspec.structs.replace(entry, body=None)
                yield canonical(line_of(kept, stored, clocks.corrected(entry))) + b"\n"
                told, after, done = told + 1, entry.seq, entry.seq
                if is_checkpoint:
                    end = True
                    break
            if end:
                break


def check(lines: Iterable[bytes], keys: frozenset[str]) -> Proof:
    """Return what lines prove; they may be a proof or a whole export.

    Args:
        lines: in order of their numbers, as exported.
        keys: public keys of gateways that may sign (hex).
    """
    walk = _Walk(keys)
    for raw in lines:
        if raw.strip():
            walk.take(raw)
    return Proof(vouched=tuple(walk.vouched), faults=tuple(walk.faults))


class _Walk:
    """One pass over lines; holds no more than what waits for a signature."""

    def __init__(self, keys: frozenset[str]) -> None:
        self._keys: Final = keys
        self.vouched: list[Vouched] = []
        self.faults: list[Fault] = []
        self._waiting: list[int] = []
        """Places in `vouched` of this run that no checkpoint has covered yet."""
        self._last: _Line | None = None
        self._hash = b""

    def take(self, raw: bytes) -> None:
        try:
            line = msgspec.json.decode(raw, type=_Line)
            entry = _entry(line)
            found = entry_hash(entry)
        except (msgspec.DecodeError, ChainError, ValueError) as error:
            self.faults.append(Fault(seq=None, text=f"a line cannot be read: {error}"[:200]))
            self._break()
            return
        if line.lane is not Lane.ALARM:
            return
        if not self._follows(line):
            self._break()
        elif self._last is not None and entry.prev_hash != self._hash:
            self._fault(line, "does not follow the entry before it: one of the two was changed")
            self._break()
        if found.hex() != line.hash:
            self._fault(line, "header changed: its hash is another one")
            self._break()
        body = self._body(line, entry)
        if body is not None and line.kind == EntryKind.CHECKPOINT:
            self._sign(line, body)
        elif body is not None and line.kind == EntryKind.EVIDENCE:
            self._vouch(line, body)
        self._last, self._hash = line, found

    def _follows(self, line: _Line) -> bool:
        last = self._last
        return last is not None and last.seq + 1 == line.seq and last.epoch == line.epoch

    def _break(self) -> None:
        """The chain does not come so far: what waits for a signature gets none."""
        self._waiting, self._last = [], None

    def _fault(self, line: _Line, text: str) -> None:
        self.faults.append(Fault(seq=line.seq, text=text))

    def _body(self, line: _Line, entry: Entry) -> bytes | None:
        if bytes(line.body) == _NULL:
            return None
        try:
            body = canonical(msgspec.json.decode(line.body))
        except (msgspec.DecodeError, RecursionError):
            body = bytes(line.body)
        if body_hash(body) != entry.body_hash:
            self._fault(line, f"body of this {line.kind} entry changed: its hash is another one")
            return None
        return body

    def _vouch(self, line: _Line, body: bytes) -> None:
        try:
            entry = decode_register(body)
        except EvidenceError:
            return  # a later version's
        self._waiting.append(len(self.vouched))
        self.vouched.append(Vouched(seq=line.seq, at=line.at, entry=entry, signed_by=None))

    def _sign(self, line: _Line, body: bytes) -> None:
        try:
            record = decode(body, Checkpoint)
        except RecordError as error:
            self._fault(line, str(error))
            return
        if not is_signed(signed_bytes(line.kind, body), signature=record.signature, key=record.key):
            self._fault(line, "the signature of this checkpoint is not good")
            return
        if record.key not in self._keys:
            self._fault(line, f"signed with a key that is not known: {record.key}")
            return
        head, last = record.alarm, self._last
        if last is None or head.seq != last.seq or head.hash != self._hash.hex():
            if last is not None:
                self._fault(line, f"signs another entry {head.seq} than the one before it")
            return
        for place in self._waiting:
            self.vouched[place] = msgspec.structs.replace(self.vouched[place], signed_by=record.key)
        self._waiting = []


def _entry(line: _Line) -> Entry:
    return Entry(
        epoch=line.epoch,
        lane=line.lane,
        seq=line.seq,
        at=line.at,
        boot=line.boot,
        mono_ns=line.mono_ns,
        kind=line.kind,
        body_hash=bytes.fromhex(line.body_hash),
        prev_hash=bytes.fromhex(line.prev_hash),
        body=None,
    )


def _register(reader: Reader) -> Iterator[Entry]:
    after = 0
    while entries := reader.read_evidence(after, _BATCH):
        yield from entries
        after = entries[-1].seq


def _told(reader: Reader) -> Iterator[RegisterEntry]:
    for entry in _register(reader):
        if entry.body is not None:
            with contextlib.suppress(EvidenceError):
                yield decode_register(entry.body)


def _is_about(entry: Entry, sha: str) -> bool:
    if entry.body is None:
        return False
    try:
        told = decode_register(entry.body)
    except EvidenceError:
        return False
    return getattr(told, "manifest_sha256", "") == sha
