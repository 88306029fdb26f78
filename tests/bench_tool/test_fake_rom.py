"""The simulated loader against stock esptool, and against whatever else comes down a wire."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_hil import rom_image
from gatehouse_hil.fake_rom import ESP32_C3, ESP32_S3, Chip, FakeRom, Op, Reason, escape, unescape
from gatehouse_hil.serial_cable import SerialCable

MAC = bytes.fromhex("02a0b1000001")


def esptool(port: Path, *words: str, chip: str = "esp32c3") -> subprocess.CompletedProcess[str]:
    head = ["--port", str(port), "--chip", chip, "--before", "no-reset", "--after", "no-reset", "--no-stub"]
    command = [sys.executable, "-m", "esptool", *head, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def rom() -> FakeRom:
    return FakeRom(chip=ESP32_C3, mac=MAC)


@pytest.fixture
def port(rom: FakeRom, tmp_path: Path) -> Iterator[Path]:
    with SerialCable(tmp_path / "usb-rom-if00", baud=921_600) as cable:
        cable.attach_loader(rom.feed)
        yield cable.path


def test_stock_esptool_reads_chip_and_mac(port: Path) -> None:
    told = esptool(port, "read-mac", chip="auto")
    assert "ESP32-C3" in told.stdout
    assert "02:a0:b1:00:00:01" in told.stdout


@pytest.mark.parametrize("how", ["--compress", "--no-compress"])
def test_stock_esptool_writes_and_finds_the_hash_right(
    port: Path, rom: FakeRom, tmp_path: Path, how: str
) -> None:
    image = tmp_path / "runtime.bin"
    image.write_bytes(rom_image.stand_in(chip_id=5, version="v9", program_bytes=4096))
    told = esptool(port, "write-flash", how, "--flash-size", "keep", "0x0", str(image))
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Hash of data verified" in told.stdout
    assert bytes(rom.flash[: image.stat().st_size]) == image.read_bytes()


def test_a_power_cut_in_the_middle_leaves_a_part_and_esptool_says_so(
    port: Path, rom: FakeRom, tmp_path: Path
) -> None:
    image = tmp_path / "runtime.bin"
    image.write_bytes(rom_image.stand_in(chip_id=5, version="v9", program_bytes=4096))
    rom.cut_after_blocks = 3
    told = esptool(port, "write-flash", "--compress", "--flash-size", "keep", "0x0", str(image))
    assert told.returncode == 2
    assert "No more data to read" in told.stderr + told.stdout
    with pytest.raises(rom_image.ImageError):
        rom_image.read_runtime(rom.flash)


def test_esptool_refuses_a_chip_it_was_not_told_of(tmp_path: Path) -> None:
    other = FakeRom(chip=ESP32_S3, mac=MAC)
    with SerialCable(tmp_path / "usb-rom-if00", baud=921_600) as cable:
        cable.attach_loader(other.feed)
        told = esptool(cable.path, "flash-id")
    assert told.returncode == 2
    assert "This chip is ESP32-S3, not ESP32-C3" in told.stdout + told.stderr


def test_slip_framing_is_that_of_rfc_1055() -> None:
    # RFC 1055: END 0xC0 becomes 0xDB 0xDC, ESC 0xDB becomes 0xDB 0xDD.
    assert escape(b"\x01\xc0\x02\xdb\x03") == bytes.fromhex("c001dbdc02dbdd03c0")
    assert unescape(bytes.fromhex("01dbdc02dbdd03")) == b"\x01\xc0\x02\xdb\x03"


def request(op: int, body: bytes, checksum: int = 0) -> bytes:
    return escape(struct.pack("<BBHI", 0, op, len(body), checksum) + body)


def answer(said: bytes) -> tuple[int, bytes]:
    packet = unescape(said.strip(b"\xc0"))
    return packet[1], packet[8:]


def test_a_block_with_a_wrong_checksum_is_refused_and_not_written(rom: FakeRom) -> None:
    rom.feed(request(Op.FLASH_BEGIN, struct.pack("<IIIII", 1024, 1, 1024, 0, 0)))
    said = rom.feed(request(Op.FLASH_DATA, struct.pack("<IIII", 4, 0, 0, 0) + b"abcd", checksum=1))
    assert answer(said) == (Op.FLASH_DATA, bytes((1, Reason.CHECKSUM, 0, 0)))
    assert rom.flash[:4] == b"\xff" * 4


def test_the_hash_is_that_of_the_flash(rom: FakeRom) -> None:
    rom.flash[16:20] = b"gate"
    said = rom.feed(request(Op.FLASH_MD5, struct.pack("<IIII", 16, 4, 0, 0)))
    assert answer(said)[1][:32] == hashlib.md5(b"gate", usedforsecurity=False).hexdigest().encode()


def test_a_write_beyond_the_flash_is_refused(rom: FakeRom) -> None:
    said = rom.feed(request(Op.FLASH_BEGIN, struct.pack("<IIIII", 1 << 23, 1, 1024, 0, 0)))
    assert answer(said)[1] == bytes((1, Reason.FAILED, 0, 0))


def test_without_power_nobody_answers(rom: FakeRom) -> None:
    rom.has_power = False
    assert rom.feed(request(Op.SYNC, b"\x07\x07\x12\x20" + b"U" * 32)) == b""


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_noise_never_brings_the_loader_down(pieces: list[bytes]) -> None:
    rom = FakeRom(chip=Chip(name="any", chip_id=5, mac_register=0), mac=MAC, flash=bytearray(65_536))
    for piece in pieces:
        rom.feed(piece)
    assert len(rom.flash) == 65_536


@given(st.sampled_from(Op), st.binary(max_size=64), st.integers(0, 0xFFFF_FFFF))
def test_a_request_with_any_body_is_answered_or_refused(op: Op, body: bytes, checksum: int) -> None:
    rom = FakeRom(chip=ESP32_C3, mac=MAC, flash=bytearray(65_536))
    assert rom.feed(request(op, body, checksum)).startswith(b"\xc0\x01")
    assert len(rom.flash) == 65_536
