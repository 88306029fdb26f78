"""What is true of evidence: every file, every field of its manifest, its entry in the journal, the signature. Says what was changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from gatehouse_edge.evidence.drawer import MASKED, digest
from gatehouse_edge.evidence.proof import Proof, Vouched
from gatehouse_events.evidence import (
    Deleted,
    EvidenceError,
    EvidenceFile,
    Held,
    Kept,
    Lifted,
    Manifest,
    Masked,
    Viewed,
    decode_manifest,
    encode_manifest,
)

_SHOWN: Final = 120


class Grade(StrEnum):
    """What a finding means."""

    FAULT = "fault"
    """Not as it was kept, or not to be proven."""
    NOTICE = "notice"
    """Worth knowing; nothing was changed."""


class Finding(Struct, frozen=True, kw_only=True):
    """One thing to say."""

    grade: Grade
    about: str
    """A file's name, `manifest`, `manifest.FIELD`, `journal`, `journal N`, `signature`."""
    text: str


class Verdict(Struct, frozen=True, kw_only=True):
    """Of one piece of evidence."""

    manifest_sha256: str
    """As it lies there."""
    event_id: str
    alarm_id: str
    camera_id: str
    first_seen_at: datetime | None
    kept_at: datetime | None
    """When the journal took it in, as the gateway's clock said then (chained)."""
    signed_by: str | None
    """Public key of the gateway."""
    views: int
    is_held: bool
    findings: tuple[Finding, ...]

    @property
    def is_intact(self) -> bool:
        """Everything is as it was kept, and that can be proven."""
        return all(finding.grade is not Grade.FAULT for finding in self.findings)


def judge(raw: bytes, files: Mapping[str, Path], proof: Proof) -> Verdict:
    """Return what is true of one piece of evidence.

    Args:
        raw: its manifest as it lies there.
        files: where the files of the manifest lie, by their names in it; others are told as not belonging to it.
        proof: what the journal says.
    """
    findings = [
        Finding(
            grade=Grade.FAULT,
            about="journal" if fault.seq is None else f"journal {fault.seq}",
            text=fault.text,
        )
        for fault in proof.faults
    ]
    sha = sha256(raw).hexdigest()
    manifest = _manifest(raw, findings)
    kept, told = _entry_of(sha, raw, proof)
    if kept is None or told is None:
        findings.append(
            _fault(
                "journal",
                "no entry vouches for this manifest: it was never kept, or the entry was taken away",
            )
        )
    else:
        findings += _differences(sha, raw, kept)
        if told.signed_by is None:
            findings.append(
                _fault(
                    "signature",
                    f"entry {told.seq} is chained, but no good signature covers it in these lines",
                )
            )
    truth = kept.manifest if kept is not None else manifest
    name = kept.manifest_sha256 if kept is not None else sha
    findings += _files(truth, files, _masked(proof, name))
    findings += [
        _notice("manifest", f"missing from the beginning: {words}")
        for words in (truth.missing if truth else ())
    ]
    findings += _later(proof, name)
    return Verdict(
        manifest_sha256=sha,
        event_id=truth.event_id if truth else "",
        alarm_id=kept.alarm_id if kept is not None else truth.alarm_id if truth else "",
        camera_id=truth.camera_id if truth else "",
        first_seen_at=truth.first_seen_at if truth else None,
        kept_at=None if told is None else told.at,
        signed_by=None if told is None else told.signed_by,
        views=sum(isinstance(v.entry, Viewed) and v.entry.manifest_sha256 == name for v in proof.vouched),
        is_held=_is_held(proof, name),
        findings=tuple(findings),
    )


def _manifest(raw: bytes, findings: list[Finding]) -> Manifest | None:
    try:
        manifest = decode_manifest(raw)
    except EvidenceError as error:
        findings.append(_fault("manifest", str(error)))
        return None
    if encode_manifest(manifest) != raw:
        findings.append(_fault("manifest", "written in another form than the gateway writes"))
    return manifest


def _entry_of(sha: str, raw: bytes, proof: Proof) -> tuple[Kept | None, Vouched | None]:
    """Return the entry for this manifest; for a changed one that of the same event, or the only one there is."""
    kept = [(v.entry, v) for v in proof.vouched if isinstance(v.entry, Kept)]
    for entry, told in kept:
        if entry.manifest_sha256 == sha:
            return entry, told
    try:
        fields = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        fields = {}
    event_id = fields.get("event_id") if isinstance(fields, dict) else None
    for entry, told in kept:
        if entry.manifest.event_id == event_id:
            return entry, told
    return kept[0] if len(kept) == 1 else (None, None)


def _differences(sha: str, raw: bytes, kept: Kept) -> Iterator[Finding]:
    """Say which fields of the manifest are not what the journal holds."""
    written = encode_manifest(kept.manifest)
    if sha256(written).hexdigest() != kept.manifest_sha256:
        yield _fault("journal", "the entry's manifest is not the one its hash names")
    if sha == kept.manifest_sha256:
        return
    yield _fault("manifest", f"changed: its SHA-256 is {sha}, the journal says {kept.manifest_sha256}")
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return
    was, now = dict(_flat(msgspec.json.decode(written))), dict(_flat(found))
    for field in sorted(was.keys() | now.keys()):
        if field not in now:
            yield _fault(f"manifest.{field}", f"taken out; was {_shown(was[field])}")
        elif field not in was:
            yield _fault(f"manifest.{field}", f"added: {_shown(now[field])}")
        elif was[field] != now[field] or type(was[field]) is not type(now[field]):
            yield _fault(f"manifest.{field}", f"was {_shown(was[field])}, is {_shown(now[field])}")


def _files(truth: Manifest | None, files: Mapping[str, Path], masked: Masked | None) -> Iterator[Finding]:
    wanted = {file.name: file for file in truth.files} if truth is not None else {}
    copy = files.get(MASKED)
    has_copy = False
    if copy is not None:
        has_copy = masked is not None and digest(copy) == masked.sha256
        if not has_copy:
            yield _fault(
                MASKED,
                "not the masked copy that the gateway made" if masked else "the journal knows no masked copy",
            )
    for name, file in wanted.items():
        path = files.get(name)
        if path is None and has_copy and name.endswith((".mp4", ".jpg")):
            yield _notice(name, "not handed over: a masked copy stands for it")
        elif path is None:
            yield _fault(name, f"missing: {file.size_bytes} bytes, SHA-256 {file.sha256}")
        else:
            yield from _file(path, file)
    for name in sorted(files.keys() - wanted.keys() - {MASKED}):
        yield _notice(name, "does not belong to this evidence")


def _file(path: Path, file: EvidenceFile) -> Iterator[Finding]:
    try:
        size, found = path.stat().st_size, digest(path)
    except OSError as error:
        yield _fault(file.name, f"cannot be read: {error.strerror}")
        return
    if size != file.size_bytes:
        yield _fault(
            file.name, f"changed: {size} bytes, was {file.size_bytes}; SHA-256 is {found}, was {file.sha256}"
        )
    elif found != file.sha256:
        yield _fault(file.name, f"changed: the same length; SHA-256 is {found}, was {file.sha256}")


def _masked(proof: Proof, name: str) -> Masked | None:
    return next(
        (v.entry for v in proof.vouched if isinstance(v.entry, Masked) and v.entry.manifest_sha256 == name),
        None,
    )


def _later(proof: Proof, name: str) -> Iterator[Finding]:
    for told in proof.vouched:
        if isinstance(told.entry, Deleted) and told.entry.manifest_sha256 == name:
            yield _notice("journal", f"entry {told.seq}: deleted on the gateway ({told.entry.why})")
        elif not isinstance(told.entry, Kept) and told.signed_by is None:
            yield _notice(
                "signature", f"entry {told.seq} ({type(told.entry).__name__.lower()}) is not signed yet"
            )


def _is_held(proof: Proof, name: str) -> bool:
    held = False
    for told in proof.vouched:
        if isinstance(told.entry, Held | Lifted) and told.entry.manifest_sha256 == name:
            held = isinstance(told.entry, Held)
    return held


def _flat(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # JSON
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{at}.{key}" if at else str(key))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{at}[{number}]")
    else:
        yield at, value


def _shown(value: Any) -> str:  # noqa: ANN401  # JSON
    return msgspec.json.encode(value).decode()[:_SHOWN]


def _fault(about: str, text: str) -> Finding:
    return Finding(grade=Grade.FAULT, about=about, text=text)


def _notice(about: str, text: str) -> Finding:
    return Finding(grade=Grade.NOTICE, about=about, text=text)
