"""The simulated line is as slow, as deaf and as noisy as a real one; independent masters agree with its slaves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import termios
import time

import pytest
import serial
from pymodbus.client import ModbusSerialClient

from gatehouse_hil.gas_controller import GasController
from gatehouse_hil.gas_detector import Cn6in1Detector
from gatehouse_hil.line import Line
from gatehouse_hil.modbus_slave import Slave, crc16
from gatehouse_hil.relay_board import RelayBoard

READ_TEN = bytes.fromhex("01030000000ac5cd")


@pytest.fixture
def line():
    with Line(baud=115_200) as line:
        yield line


@contextlib.contextmanager
def opened(line, baud=115_200):
    with serial.Serial(str(line.port), baudrate=baud, timeout=1.0) as port:
        yield port


def test_bytes_take_the_time_they_would_take():
    with (
        Line(baud=9600) as line,
        opened(line, 9600) as port,
        serial.Serial(line.open_tap(), 9600, timeout=5) as far,
    ):
        began_s = time.monotonic()
        port.write(bytes(96))
        assert len(far.read(96)) == 96
        # 96 characters of 10 bits; a PTY alone would have been there in a millisecond.
        assert time.monotonic() - began_s >= 96 * 10 / 9600


def test_an_idle_line_costs_no_processor_time(line):
    before = time.process_time()
    line.port.exists()
    time.sleep(0.3)  # what is measured is the doing of nothing
    assert time.process_time() - before < 0.05


def test_every_slave_hears_and_only_the_one_addressed_answers(line):
    slaves = [Cn6in1Detector(at) for at in (1, 2, 3)]
    for slave in slaves:
        line.attach(slave)
    with opened(line) as port:
        port.write(READ_TEN)
        reply = port.read(25)
    assert reply[:3] == b"\x01\x03\x14"
    assert crc16(reply[:-2]) == reply[-2:]
    assert [slave.requests for slave in slaves] == [1, 0, 0]


def test_a_detached_slave_is_silent(line):
    slave = Cn6in1Detector(1)
    line.attach(slave)
    line.detach(slave)
    with serial.Serial(str(line.port), baudrate=115_200, timeout=0.05) as port:
        port.write(READ_TEN)
        assert port.read(25) == b""


@pytest.mark.parametrize("fault", ["is_stuck", "is_deaf", "is_mute"])
def test_a_broken_direction_carries_nothing(line, fault):
    slave = Cn6in1Detector(1)
    line.attach(slave)
    setattr(line.faults, fault, True)
    with serial.Serial(str(line.port), baudrate=115_200, timeout=0.05) as port:
        port.write(READ_TEN)
        assert port.read(25) == b""
    assert slave.requests == (1 if fault == "is_mute" else 0)


def test_an_echoing_adapter_hears_itself_first(line):
    line.attach(Cn6in1Detector(1))
    line.faults.is_echo = True
    with opened(line) as port:
        port.write(READ_TEN)
        assert port.read(33).startswith(READ_TEN + b"\x01\x03\x14")


def test_the_wrong_baud_rate_is_garbage_both_ways(line):
    slave = Cn6in1Detector(1)
    line.attach(slave)
    with serial.Serial(str(line.port), baudrate=9600, timeout=0.05) as port:
        port.write(READ_TEN)
        assert port.read(25) == b""
        assert slave.requests == 0
        line.inject(READ_TEN)
        assert port.read(8) != READ_TEN


def test_drop_flip_and_noise_spoil_about_as_many_bytes_as_asked(line):
    with opened(line) as port, serial.Serial(line.open_tap(), 115_200, timeout=0.2) as far:
        line.faults.drop = 0.1
        port.write(bytes(1000))
        assert 820 <= len(far.read(2000)) <= 960
        line.faults.drop, line.faults.flip = 0.0, 0.1
        port.write(bytes(1000))
        assert 40 <= sum(octet != 0 for octet in far.read(1000)) <= 180
        line.faults.flip, line.faults.noise = 0.0, 0.1
        port.write(bytes(1000))
        assert 1040 <= len(far.read(2000)) <= 1180


def test_two_talkers_at_once_hurt_each_other(line):
    with opened(line) as port, serial.Serial(line.open_tap(), 115_200, timeout=1) as far:
        port.write(bytes(200))
        line.inject(bytes(200))
        assert any(far.read(400))


def test_a_frame_that_follows_too_soon_is_not_heard():
    with Line(baud=9600) as line, opened(line, 9600) as port:
        slave = Cn6in1Detector(1)
        line.attach(slave)
        port.write(READ_TEN + READ_TEN)
        port.timeout = 0.1
        assert port.read(50) == b""
        assert slave.requests == 0


def test_unplugging_hangs_up_and_replugging_brings_another_node_behind_the_same_path(line):
    line.attach(Cn6in1Detector(1))
    path = line.port
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    line.unplug()
    assert not path.exists()
    with pytest.raises(termios.error, match="Input/output error"):
        termios.tcgetattr(fd)
    os.close(fd)
    line.replug()
    with opened(line) as port:
        port.write(READ_TEN)
        assert len(port.read(25)) == 25


def test_a_slave_that_wants_a_pause_ignores_the_hurried(line):
    slave = Cn6in1Detector(1, min_gap_s=0.5)
    line.attach(slave)
    with serial.Serial(str(line.port), baudrate=115_200, timeout=0.05) as port:
        for _ in range(2):
            port.write(READ_TEN)
            port.read(26)  # one more than comes: the line is silent again when the time is up
    assert (slave.requests, slave.hurried) == (2, 1)


def test_pymodbus_as_master_reads_and_writes_our_slaves(line):
    line.attach(Slave(7, holding=dict.fromkeys(range(10), 5), registers={3: 9}))
    line.attach(RelayBoard(30))
    client = ModbusSerialClient(str(line.port), baudrate=115_200, timeout=0.5)
    assert client.connect()
    try:
        assert client.read_holding_registers(0, count=10, device_id=7).registers == [5] * 10
        assert client.read_input_registers(3, count=1, device_id=7).registers == [9]
        assert client.read_holding_registers(10, count=1, device_id=7).exception_code == 2
        assert not client.write_register(2, 77, device_id=7).isError()
        assert not client.write_registers(3, [1, 2], device_id=7).isError()
        assert client.read_holding_registers(2, count=3, device_id=7).registers == [77, 1, 2]
        assert not client.write_coil(0, True, device_id=30).isError()
        assert not client.write_coils(2, [True, True], device_id=30).isError()
        assert client.read_coils(0, count=8, device_id=30).bits[:4] == [True, False, True, True]
        assert client.read_discrete_inputs(0, count=8, device_id=30).bits == [False] * 8
    finally:
        client.close()


@pytest.mark.skipif(
    shutil.which("mbpoll") is None, reason="mbpoll is not installed (it is named in the Debian package list)"
)
def test_mbpoll_reads_a_detector_over_the_line(line):
    detector = Cn6in1Detector(1)
    detector.gas(12.5)
    line.attach(detector)
    answer = _mbpoll("-m", "rtu", "-b", "115200", "-P", "none", "-c", "10", str(line.port))
    assert "[1]: \t125" in answer


@pytest.mark.skipif(
    shutil.which("mbpoll") is None, reason="mbpoll is not installed (it is named in the Debian package list)"
)
async def test_mbpoll_reads_a_detector_behind_the_controller():
    detector = Cn6in1Detector(1)
    detector.gas(12.5)
    async with GasController([detector]) as controller:
        answer = await asyncio.to_thread(
            _mbpoll, "-m", "tcp", "-p", str(controller.port), "-c", "10", "127.0.0.1"
        )
    assert "[1]: \t125" in answer


def _mbpoll(*arguments):
    command = ["mbpoll", "-a", "1", "-0", "-r", "0", "-t", "4", "-1", "-o", "0.5", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
