"""Photos: known by their content, freed of metadata, kept by hash, bounded."""

from __future__ import annotations

import contextlib
import hashlib
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_fleet.cases.errors import RefusedError
from gatehouse_fleet.cases.photos import MAX_BYTES, Clean, clean, keep, path_of


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


# A baseline JPEG as ITU-T T.81 Annex B lays it out: 8x8 grey, standard luminance tables shortened to one code each.
JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
EXIF = segment(0xE1, b"Exif\0\0MM\0*GPS 37.5 122.1 owner")
COMMENT = segment(0xFE, b"taken by somebody")
ICC = segment(0xE2, b"ICC_PROFILE\0\1\1profile")
MPF = segment(0xE2, b"MPF\0second picture")
DQT = segment(0xDB, b"\0" + bytes([1] * 64))
SOF = segment(0xC0, b"\x08\0\x08\0\x08\1\1\x11\0")
DHT = segment(0xC4, b"\0\1" + bytes(15) + b"\0")
SCAN = segment(0xDA, b"\1\1\0\0\x3f\0") + b"\x7f\xff\x00\x2a\xff\xd0\x15"
END = b"\xff\xd9"
PLAIN = b"\xff\xd8" + JFIF + DQT + SOF + DHT + SCAN + END


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(b"\0\0"))
    + chunk(b"IEND", b"")
)


def test_what_a_camera_says_about_people_is_cut_out_of_a_jpeg() -> None:
    raw = b"\xff\xd8" + JFIF + EXIF + COMMENT + ICC + MPF + DQT + SOF + DHT + SCAN + END + b"hidden film"
    told = clean(raw)
    assert told == Clean(media_type="image/jpeg", data=PLAIN.replace(JFIF, JFIF + ICC))


def test_a_photo_without_metadata_is_kept_as_it_is() -> None:
    assert clean(PLAIN).data == PLAIN
    assert clean(PNG).data == PNG


def test_a_png_loses_its_text_and_place() -> None:
    dirty = PNG.replace(
        chunk(b"IEND", b""), chunk(b"tEXt", b"Author\0somebody") + chunk(b"eXIf", b"MM") + chunk(b"IEND", b"")
    )
    assert clean(dirty + b"more").data == PNG


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"GIF89a",
        b"<svg onload=alert(1)>",
        b"RIFF\0\0\0\0WEBPVP8 ",
        PLAIN[:-2],
        PLAIN[:40],
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + JFIF + b"no segment",
        PNG[:-4],
        PNG.replace(b"IDAT", b"XDAT"),
    ],
)
def test_what_is_no_whole_photo_is_refused(raw: bytes) -> None:
    with pytest.raises(RefusedError, match="photo_type"):
        clean(raw)


def test_a_photo_that_is_too_large_is_refused() -> None:
    with pytest.raises(RefusedError, match="photo_size"):
        clean(PLAIN[:3] + bytes(MAX_BYTES))


@given(raw=st.binary(max_size=300), start=st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b""]))
def test_no_bytes_break_the_cleaner_and_none_keep_metadata(raw: bytes, start: bytes) -> None:
    with contextlib.suppress(RefusedError):
        assert b"Exif\0\0" not in clean(start + raw).data


@given(data=st.data())
def test_a_damaged_photo_is_refused_or_still_free_of_metadata(data: st.DataObject) -> None:
    raw = bytearray(b"\xff\xd8" + JFIF + DQT + SOF + DHT + SCAN + END)
    raw[data.draw(st.integers(2, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RefusedError):
        assert clean(bytes(raw)).media_type == "image/jpeg"


def test_a_photo_is_kept_once_under_its_hash(tmp_path: Path) -> None:
    one, two = keep(tmp_path, clean(PLAIN)), keep(tmp_path, clean(PLAIN))
    assert one == two
    assert one.sha256 == hashlib.sha256(PLAIN).hexdigest()
    assert path_of(tmp_path, one.sha256).read_bytes() == PLAIN
    assert len(list(tmp_path.rglob("*"))) == 2
