"""What evidence of an alarm is: a manifest that names every file by its hash, and what the journal says of it ever after.

A manifest is canonical JSON; its SHA-256 is the evidence's name. The journal's alarm lane, which is chained and signed,
holds the whole manifest in the entry `kept`, so a changed field can be named and not only noticed.

| entry kind `evidence`, `what` | written when |
|---|---|
| `kept` | files and manifest lie on the disk |
| `missed` | evidence was promised and not even a manifest could be written |
| `viewed` | before anybody sees a file |
| `masked` | a viewing copy was made |
| `held`, `lifted` | a legal hold begins, ends |
| `deleted` | before files go |
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from gatehouse_events.alarm import Actor
from gatehouse_events.chain import canonical
from gatehouse_events.clock import ClockQuality

FORMAT: Final = "gatehouse-evidence/1"
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
FileName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\.[a-z0-9]{2,5}$")]
EventId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$")]
Moment = Annotated[datetime, Meta(tz=True)]


class EvidenceError(ValueError):
    """Bytes are not a manifest or not a register entry; the text says why."""


class FileKind(StrEnum):
    """What a file shows; the event schema's words (domain notes (c))."""

    CLIP = "clip"
    SNAPSHOT = "snapshot"
    TRACE = "trace"
    """Trajectory and floors: beside the picture, never in it."""
    LOG = "log"
    """The manifest itself."""


class ClockBasis(StrEnum):
    """What a capture time rests on."""

    CAMERA = "camera"
    """The camera's own clock, told by the stream (RTCP sender report, NTP)."""
    ARRIVAL = "arrival"
    """The gateway's clock when the packet arrived: later than the capture by network and buffers."""
    FILE = "file"
    """A file's time stamps: nothing is known of the true time."""


class EvidenceClock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the times of a manifest may be believed."""

    basis: ClockBasis
    camera_offset_ms: float | None
    """Camera's clock minus the gateway's; None: not known."""
    gateway: ClockQuality
    boot: str
    """Boot of the gateway during which it was seen …"""
    mono_ns: int
    """… and the boot clock when the first box arrived: a later `clock` entry of the journal corrects by it."""


class EvidenceModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What judged it to be a throw."""

    version: str
    sha256: str
    probability: float


class EvidencePlace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it came from, as estimated from what an operator had drawn."""

    floor_low: int
    floor_high: int
    probability: float
    column: int | None
    fall_s: float
    speed_m_s: float
    calibration_version: int
    calibration_sha256: Sha256


class EvidenceFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file."""

    name: FileName
    """What it is called in a package; on the gateway `<sha256>.<name>`."""
    kind: FileKind
    media_type: str
    size_bytes: Annotated[int, Meta(ge=0)]
    sha256: Sha256
    sm3: Sha256 | None
    """SM3 (GB/T 32905), None where the library has none."""


class EvidenceClip(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the clip is."""

    codec: str
    width_px: int
    height_px: int
    pictures: int
    """Packets of video in it."""
    first_at: Moment
    """Capture time of its first picture."""
    last_at: Moment
    pre_s: float
    """From its first picture to where the thing was first seen."""
    post_s: float
    """From where it was last seen to the last picture."""
    is_original: bool
    """True: every packet as the camera sent it. False: decoded, shielded and encoded again."""
    shield_zones: int
    """Zones burnt in before it was stored."""


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One piece of evidence, whole."""

    format: str = FORMAT
    event_id: EventId
    """Given by the camera's process when it saw the throw; unique at this gateway."""
    gateway_id: str
    camera_id: str
    alarm_id: str
    """Empty: the alarm had not been written when this was made; the journal's entry names it."""
    first_seen_at: Moment
    last_seen_at: Moment
    made_at: Moment
    """Wall clock of the gateway when this was written."""
    clock: EvidenceClock
    model: EvidenceModel | None
    config_sha256: str
    place: EvidencePlace | None
    """None: the camera was not calibrated."""
    clip: EvidenceClip | None
    files: tuple[EvidenceFile, ...]
    missing: tuple[str, ...]
    """What should be here and is not, in plain words; empty: whole."""

    @property
    def captured_at(self) -> datetime:
        """From when retention counts."""
        return self.first_seen_at if self.clip is None else self.clip.first_at

    def file(self, name: str) -> EvidenceFile | None:
        """Return the file of that name."""
        return next((file for file in self.files if file.name == name), None)


class KeptFiles(Struct, frozen=True, kw_only=True):
    """What a camera's process has put on the disk; a message to the gateway, which writes it into the journal."""

    manifest_sha256: Sha256
    manifest: Manifest


class Kept(Struct, frozen=True, kw_only=True, tag_field="what", tag="kept"):
    """Files and manifest lie on the disk."""

    alarm_id: str
    manifest_sha256: Sha256
    manifest: Manifest


class Missed(Struct, frozen=True, kw_only=True, tag_field="what", tag="missed"):
    """Evidence was promised and there is none."""

    alarm_id: str
    event_id: str
    camera_id: str
    why: str


class Viewed(Struct, frozen=True, kw_only=True, tag_field="what", tag="viewed"):
    """Somebody is about to see a file."""

    alarm_id: str
    manifest_sha256: Sha256
    sha256: Sha256
    """Of the file shown."""
    name: str
    is_masked: bool
    actor: Actor
    reason: str


class Masked(Struct, frozen=True, kw_only=True, tag_field="what", tag="masked"):
    """A viewing copy of a clip was made."""

    alarm_id: str
    manifest_sha256: Sha256
    source_sha256: Sha256
    sha256: Sha256
    rule: str
    """What was made unrecognisable, in words."""


class Held(Struct, frozen=True, kw_only=True, tag_field="what", tag="held"):
    """Not to be deleted until lifted, here and wherever a copy is."""

    alarm_id: str
    manifest_sha256: Sha256
    files: tuple[Sha256, ...]
    """Hashes of the manifest, its files and viewing copies."""
    actor: Actor
    reason: str


class Lifted(Struct, frozen=True, kw_only=True, tag_field="what", tag="lifted"):
    """The hold has ended; the ordinary time counts again."""

    alarm_id: str
    manifest_sha256: Sha256
    files: tuple[Sha256, ...]
    actor: Actor
    reason: str


class Deleted(Struct, frozen=True, kw_only=True, tag_field="what", tag="deleted"):
    """The files go for good; this entry is on the disk before the first of them."""

    alarm_id: str
    manifest_sha256: Sha256
    files: tuple[Sha256, ...]
    why: str


RegisterEntry = Kept | Missed | Viewed | Masked | Held | Lifted | Deleted
"""Body of a journal entry of kind `evidence`."""


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the bytes whose SHA-256 is the evidence's name."""
    return canonical(manifest)


def decode_manifest(raw: bytes) -> Manifest:
    """Return a manifest as it was written, unknown fields refused: a field added afterwards must not pass.

    Raises:
        EvidenceError: not one, or of another format.
    """
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise EvidenceError(f"not a manifest: {error}") from error
    if manifest.format != FORMAT:
        raise EvidenceError(f"a manifest of format {manifest.format!r}; this program reads {FORMAT!r}")
    names = [file.name for file in manifest.files]
    if len(set(names)) != len(names):
        raise EvidenceError("a manifest that names a file twice")
    return manifest


def decode_register(body: bytes) -> RegisterEntry:
    """Return a register entry; unknown fields are stepped over.

    Raises:
        EvidenceError: not one.
    """
    try:
        entry: RegisterEntry = msgspec.json.decode(body, type=RegisterEntry)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise EvidenceError(f"not an entry of the evidence register: {error}") from error
    return entry
