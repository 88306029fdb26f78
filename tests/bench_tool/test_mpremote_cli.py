"""Stock mpremote writes an application on the official MicroPython VM; what reads back otherwise is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gatehouse_hil.bench import application, mpremote_cli, node, raw_repl
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.simnode import SimNode

WORN = """
import builtins
_open = open
class Worn:
    def __init__(self, file): self.file = file
    def write(self, content): return self.file.write(b"\\x00" + content[1:])
    def close(self): self.file.close()
builtins.open = lambda name, mode="r": Worn(_open(name, mode)) if name == "a/worn.mpy" and "w" in mode else _open(name, mode)
"""
"""A flash whose one file takes a wrong octet."""


@pytest_asyncio.fixture
async def board(tmp_path: Path, needs_vm: None) -> AsyncIterator[SimNode]:
    async with SimNode(tmp_path / "node", mac=bytes.fromhex("02a0b1000001")) as made:
        await made.power_on()
        yield made


@pytest.fixture
def app(tmp_path: Path) -> application.Application:
    for name, content in {
        "main.py": b"print(1)\n",
        "a/lib/x.mpy": bytes(range(256)) * 30,
        "a/worn.mpy": b"abc",
        "a/MANIFEST": b"m",
    }.items():
        path = tmp_path / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return application.read(tmp_path / "app")


async def test_every_file_is_on_the_node_octet_for_octet(
    board: SimNode, app: application.Application
) -> None:
    shares: list[float] = []
    await mpremote_cli.copy(str(board.console), app, on_progress=shares.append)
    for file in app.files:
        assert (board.directory / "flash" / file.name).read_bytes() == file.source.read_bytes()
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


async def test_a_file_that_reads_back_otherwise_is_named(
    board: SimNode, app: application.Application
) -> None:
    def wear_out() -> None:
        with raw_repl.opened(str(board.console), within_s=30) as repl:
            repl.execute(WORN, within_s=30)

    await asyncio.to_thread(wear_out)
    with pytest.raises(BenchError) as caught:
        await mpremote_cli.copy(str(board.console), app, on_progress=lambda _: None)
    assert (caught.value.fault, caught.value.facts) == (Fault.HASH_DIFFERS, {"file": "a/worn.mpy"})


async def test_power_lost_while_writing_is_a_half_written_flash(
    board: SimNode, app: application.Application
) -> None:
    board.cut_power_at_write(2)
    with pytest.raises(BenchError) as caught:
        await mpremote_cli.copy(str(board.console), app, on_progress=lambda _: None, silence_s=5.0)
    assert caught.value.fault is Fault.HALF_WRITTEN


async def test_a_board_without_application_says_runtime_and_mac(board: SimNode) -> None:
    said = await node.version(str(board.console))
    assert (said.micropython, said.uid, said.version) == ("1.29.0", "02a0b1000001", None)


async def test_what_a_node_refuses_is_its_own_last_word(board: SimNode) -> None:
    with pytest.raises(BenchError) as caught:
        await node.self_test(str(board.console))
    assert caught.value.facts["said"] == "ImportError: no module named 'technician'"


async def test_a_running_program_is_stopped_for_a_question(board: SimNode) -> None:
    (board.directory / "flash/main.py").write_text(
        "import time\nwhile True:\n    time.sleep_ms(10)\n", encoding="ascii"
    )
    await board.power_cycle()
    assert await node.number(str(board.console), "6 * 7") == 42.0


async def test_what_is_no_number_is_refused(board: SimNode) -> None:
    with pytest.raises(BenchError) as caught:
        await node.number(str(board.console), "'many'")
    assert caught.value.fault is Fault.NODE_REFUSED
