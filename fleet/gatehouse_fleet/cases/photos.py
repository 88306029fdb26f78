"""Feedback photos: bounded, recognised by their content, freed of what cameras add about people, kept by their hash.

EXIF and comments are cut out of JPEG files (position and owner of the telephone are nobody's business), the picture itself is not
touched. PNG loses its text and EXIF chunks. WebP and everything else are refused: what cannot be cleaned is not kept.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from pathlib import Path
from typing import Final

from msgspec import Struct

from gatehouse_events.states import Label
from gatehouse_fleet.cases.errors import RefusedError

MAX_BYTES: Final = 8 * 1024 * 1024
"""A photo of a present telephone has 3 to 6 MB."""
_JPEG: Final = b"\xff\xd8\xff"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_SOS: Final = 0xDA
_EOI: Final = 0xD9
_COM: Final = 0xFE
_APP0: Final = 0xE0
_APP2: Final = 0xE2
_APP14: Final = 0xEE
_APP_LAST: Final = 0xEF
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_SHARED_APPS: Final = frozenset({_APP0, _APP14})
"""JFIF and Adobe: without them colours change. ICC profiles (APP2) are kept too, when they are what they say."""
_ICC: Final = b"ICC_PROFILE\0"
_PNG_KEPT: Final = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"pHYs"}
)


class Kept(Struct, frozen=True, kw_only=True):
    """A photo in the evidence directory."""

    sha256: str
    media_type: str
    size_bytes: int


class Clean(Struct, frozen=True, kw_only=True):
    """A photo without what a camera says about people."""

    media_type: str
    data: bytes


def clean(raw: bytes) -> Clean:
    """Return the photo without metadata.

    Raises:
        RefusedError: `photo_size`, or `photo_type`: not a whole JPEG or PNG.
    """
    if len(raw) > MAX_BYTES:
        raise RefusedError(
            "photo_size", Label("照片超过8 MB", f"a photo has at most {MAX_BYTES // 1024 // 1024} MB")
        )
    try:
        if raw.startswith(_JPEG):
            return Clean(media_type="image/jpeg", data=_jpeg(raw))
        if raw.startswith(_PNG):
            return Clean(media_type="image/png", data=_png(raw))
    except (struct.error, IndexError) as error:
        raise _NOT_A_PHOTO from error
    raise _NOT_A_PHOTO


def keep(folder: Path, photo: Clean) -> Kept:
    """Write a photo under its hash and return it; the same photo twice is one file. On disk before this returns."""
    digest = hashlib.sha256(photo.data).hexdigest()
    target = path_of(folder, digest)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            file.write(photo.data)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(target)
        handle = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    return Kept(sha256=digest, media_type=photo.media_type, size_bytes=len(photo.data))


def path_of(folder: Path, sha256: str) -> Path:
    """Return where a photo lies; `sha256` is 64 hex digits."""
    return folder / sha256[:2] / sha256


_NOT_A_PHOTO: Final = RefusedError(
    "photo_type", Label("只接受完整的 JPEG 或 PNG 照片", "only whole JPEG or PNG photos are accepted")
)


def _jpeg(raw: bytes) -> bytes:
    kept = [raw[:2]]
    at = 2
    while True:
        if raw[at] != 0xFF:  # noqa: PLR2004  # every segment begins with it (ITU-T T.81 B.1.1.2)
            raise _NOT_A_PHOTO
        marker = raw[at + 1]
        if marker == 0xFF:  # noqa: PLR2004  # fill byte
            at += 1
            continue
        if marker in _STANDALONE:
            kept.append(raw[at : at + 2])
            at += 2
            continue
        if marker == _EOI:
            raise _NOT_A_PHOTO  # an end without a picture
        (length,) = struct.unpack_from(">H", raw, at + 2)
        segment = raw[at : at + 2 + length]
        if length < 2 or len(segment) != 2 + length:  # noqa: PLR2004  # the length counts itself
            raise _NOT_A_PHOTO
        if marker == _SOS:
            return b"".join((*kept, _scans(raw, at)))
        if _is_kept(marker, segment):
            kept.append(segment)
        at += 2 + length


def _scans(raw: bytes, at: int) -> bytes:
    """Return the picture from its first scan to its end mark; what follows (a second picture, a film) is cut off."""
    end = at
    while True:
        end = raw.find(b"\xff", end)
        if end < 0 or end + 1 >= len(raw):
            raise _NOT_A_PHOTO
        marker = raw[end + 1]
        if marker == _EOI:
            return raw[at : end + 2]
        if marker in {0x00, 0xFF} or marker in _STANDALONE:
            end += 2 if marker != 0xFF else 1  # noqa: PLR2004  # fill byte
            continue
        if _APP0 <= marker <= _APP_LAST or marker == _COM:
            raise _NOT_A_PHOTO  # metadata between scans: no camera does that
        (length,) = struct.unpack_from(">H", raw, end + 2)
        end += 2 + length


def _is_kept(marker: int, segment: bytes) -> bool:
    if marker in _SHARED_APPS:
        return True
    if marker == _APP2:
        return segment[4:].startswith(_ICC)
    return not (_APP0 <= marker <= _APP_LAST or marker == _COM)


def _png(raw: bytes) -> bytes:
    kept = [_PNG]
    at = len(_PNG)
    while True:
        (length,) = struct.unpack_from(">I", raw, at)
        kind = raw[at + 4 : at + 8]
        chunk = raw[at : at + 12 + length]
        if len(chunk) != 12 + length:
            raise _NOT_A_PHOTO
        if kind in _PNG_KEPT:
            kept.append(chunk)
        elif kind[:1].isupper():  # critical chunk nobody knows
            raise _NOT_A_PHOTO
        if kind == b"IEND":
            return b"".join(kept)
        at += 12 + length
