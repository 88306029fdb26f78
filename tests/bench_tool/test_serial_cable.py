"""The console cable: both ways, unplugged, moved to another end."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import serial

from gatehouse_hil.serial_cable import SerialCable


def test_bytes_pass_both_ways_unchanged(tmp_path: Path) -> None:
    content = bytes(range(256)) * 8
    with SerialCable(tmp_path / "usb", baud=921_600) as cable:
        cable.attach_loader(lambda octets: octets[::-1] and octets)
        with serial.Serial(str(cable.path), timeout=20) as port:
            port.write(content)
            assert port.read(len(content)) == content
    assert cable.bytes_carried == len(content)


def test_a_board_without_power_says_nothing(tmp_path: Path) -> None:
    with SerialCable(tmp_path / "usb", baud=921_600) as cable:
        cable.attach_loader(lambda octets: octets)
        cable.detach()
        with serial.Serial(str(cable.path), timeout=0.3) as port:
            port.write(b"hello")
            assert port.read(5) == b""


def test_a_pulled_adapter_is_gone_from_its_path_and_comes_back_there(tmp_path: Path) -> None:
    with SerialCable(tmp_path / "usb", baud=921_600) as cable:
        cable.attach_loader(lambda octets: octets)
        port = serial.Serial(str(cable.path), timeout=5)
        cable.unplug()
        assert not cable.path.exists()
        with pytest.raises((serial.SerialException, OSError)):
            _use_until_it_fails(port)
        with contextlib.suppress(OSError):
            port.close()
        cable.replug()
        with serial.Serial(str(cable.path), timeout=5) as again:
            again.write(b"back")
            assert again.read(4) == b"back"


def test_closing_removes_the_port(tmp_path: Path) -> None:
    with SerialCable(tmp_path / "usb") as cable:
        assert cable.path.exists()
    cable.close()
    assert not cable.path.is_symlink()


def _use_until_it_fails(port: serial.Serial) -> None:
    while True:
        port.write(b"x")
        port.read(1)
