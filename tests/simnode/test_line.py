"""Simulated nodes on a line: several on one, both ways at once, unplugged, gone, and a real port that stands for a device."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import serial

from gatehouse_hil.line import Line
from gatehouse_hil.wire_trace import Recorder

Make = Callable[..., Any]
pytestmark = pytest.mark.slow


def answering(name: str, *, baud: int = 9600, parity: int | None = None) -> str:
    """A program that answers a line with its name in it."""
    return (
        "import asyncio, machine\n"
        f"uart = machine.UART(1, {baud}, parity={parity})\n"
        "async def main():\n"
        "    stream = asyncio.StreamReader(uart)\n"
        "    print('listening')\n"
        "    while True:\n"
        "        line = await stream.readline()\n"
        f"        if line == b'{name}?\\n': uart.write(b'{name}!\\n')\n"
        "asyncio.run(main())\n"
    )


async def started(make_node: Make, name: str, **settings: Any) -> Any:
    node = await make_node(answering(name, **settings), name=name)
    await node.until("listening", timeout_s=20)
    return node


def ask(line: Line, name: str, *, timeout_s: float = 5.0) -> bytes:
    with serial.Serial(str(line.port), line.settings.baud, timeout=timeout_s) as port:
        port.write(f"\n{name}?\n".encode())  # first end what the node may have begun to hear
        return port.read_until(b"\n")


async def test_several_nodes_share_a_line_and_the_one_asked_answers(make_node: Make) -> None:
    first, second = await started(make_node, "first"), await started(make_node, "second")
    recorder = Recorder()
    with Line(baud=9600) as line:
        line.join(first.uart_port)
        line.join(second.uart_port)
        line.record(recorder)
        assert await asyncio.to_thread(ask, line, "second") == b"second!\n"
        assert await asyncio.to_thread(ask, line, "first") == b"first!\n"
    assert [turn.talker for turn in recorder.turns] == ["host", "second", "host", "first"]


async def test_a_wrong_parity_is_garbage_both_ways(make_node: Make) -> None:
    node = await started(make_node, "odd", parity=1)
    with Line(baud=9600) as line:
        line.join(node.uart_port)
        assert await asyncio.to_thread(ask, line, "odd", timeout_s=0.5) == b""
    with Line(baud=9600, parity=1) as line:
        line.join(node.uart_port)
        assert await asyncio.to_thread(ask, line, "odd") == b"odd!\n"


async def test_a_node_taken_off_the_line_is_on_its_own_port_again(make_node: Make) -> None:
    node = await started(make_node, "free")
    with Line(baud=9600) as line:
        line.join(node.uart_port)
        line.part(node.uart_port)
        assert await asyncio.to_thread(ask, line, "free", timeout_s=0.3) == b""
    with serial.Serial(str(node.uart), 9600, timeout=5) as port:
        port.write(b"free?\n")
        assert await asyncio.to_thread(port.read_until, b"\n") == b"free!\n"


async def test_a_line_goes_on_when_a_node_on_it_is_taken_apart(make_node: Make) -> None:
    stays = await started(make_node, "stays")
    with Line(baud=9600) as line:
        line.join(stays.uart_port)
        async with type(stays)(stays.directory.parent / "gone", mac=bytes(6), name="gone") as gone:
            line.join(gone.uart_port)
        assert await asyncio.to_thread(ask, line, "stays") == b"stays!\n"


async def test_an_adapter_pulled_and_put_back_reaches_the_node_again(make_node: Make) -> None:
    node = await started(make_node, "back")
    with Line(baud=9600) as line:
        line.join(node.uart_port)
        with serial.Serial(str(line.port), 9600, timeout=1) as port:
            line.unplug()
            with pytest.raises(serial.SerialException):
                port.read(1)
        assert not line.port.exists()
        line.replug()
        assert await asyncio.to_thread(ask, line, "back") == b"back!\n"


def test_both_ends_of_a_duplex_line_may_speak_at_once() -> None:
    with Line(baud=115_200, is_duplex=True) as line:
        path = line.open_tap()
        with (
            serial.Serial(str(line.port), 115_200, timeout=5) as near,
            serial.Serial(path, 115_200, timeout=5) as far,
        ):
            near.write(bytes(range(200)))
            far.write(bytes(range(200))[::-1])
            assert far.read(200) == bytes(range(200))
            assert near.read(200) == bytes(range(200))[::-1]


def test_two_who_speak_at_once_on_two_wires_hear_garbage() -> None:
    with Line(baud=9600) as line:
        path = line.open_tap()
        with (
            serial.Serial(str(line.port), 9600, timeout=5) as near,
            serial.Serial(path, 9600, timeout=5) as far,
        ):
            near.write(b"\x55" * 96)
            far.write(b"\xaa" * 96)
            assert far.read(96) != b"\x55" * 96
            assert near.read(96) != b"\xaa" * 96


async def test_a_real_port_on_the_line_stands_for_a_device(make_node: Make, tmp_path: Path) -> None:
    node = await started(make_node, "real")
    with Line(baud=9600, is_paced=False) as line:
        line.join_device(node.uart, name="real")  # to the line it is a serial port like any other
        assert await asyncio.to_thread(ask, line, "real") == b"real!\n"
