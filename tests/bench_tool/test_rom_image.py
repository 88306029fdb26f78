"""Runtime files: what esptool says of them, and what damage does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_hil import rom_image

WHOLE = rom_image.stand_in(chip_id=5, version="v1.29.0", program_bytes=1024)


def test_esptool_finds_the_same_in_the_program_as_we_do(tmp_path: Path) -> None:
    program = tmp_path / "program.bin"
    program.write_bytes(WHOLE[rom_image.PROGRAM_AT :])
    command = [sys.executable, "-m", "esptool", "image-info", str(program)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    image = rom_image.read_runtime(WHOLE)
    assert "Detected image type: ESP32-C3" in told
    assert "(valid)" in told
    assert "(invalid" not in told
    assert f"Project name: {image.name}" in told
    assert f"App version: {image.version}" in told


def test_a_stand_in_says_that_it_is_one() -> None:
    assert rom_image.read_runtime(WHOLE).name == "micropython-stand-in"


@given(st.integers(rom_image.PROGRAM_AT, len(WHOLE) - 1), st.integers(1, 255))
def test_a_damaged_octet_of_the_program_is_found(at: int, change: int) -> None:
    harmless = {rom_image.PROGRAM_AT + offset for offset in (8, 9, 10, 11)}
    damaged = bytearray(WHOLE)
    damaged[at] ^= change
    try:
        found = rom_image.read_runtime(damaged)
    except rom_image.ImageError:
        return
    assert at in harmless or found != rom_image.read_runtime(WHOLE)


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_that_was_cut_short_is_refused(length: int) -> None:
    # A cut in the empty space between table and program leaves a file that holds a boot loader and nothing else.
    try:
        found = rom_image.read_runtime(WHOLE[:length])
    except rom_image.ImageError:
        return
    assert found.version == ""


@given(st.binary(max_size=300))
def test_any_file_is_an_image_or_an_error(content: bytes) -> None:
    try:
        rom_image.read(content)
    except rom_image.ImageError as error:
        assert str(error)  # noqa: PT017  # either outcome is right


@pytest.mark.parametrize(("chip_id", "name"), [(5, "ESP32-C3"), (9, "ESP32-S3"), (77, "chip 77")])
def test_the_chip_of_an_image_has_its_name(chip_id: int, name: str) -> None:
    assert (
        rom_image.read_runtime(rom_image.stand_in(chip_id=chip_id, version="v1", program_bytes=64)).chip
        == name
    )
