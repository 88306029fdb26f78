"""The console of a simulated node: stock mpremote, Ctrl-C, the REPL of the VM."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., Any]
pytestmark = pytest.mark.slow


async def mpremote(node: Any, *words: str) -> tuple[int, str]:
    """Run one mpremote command on the node's console; return its exit status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mpremote", "connect", str(node.console), *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode().replace("\r", "").strip()


async def test_mpremote_evaluates_and_executes(make_node: Make) -> None:
    node = await make_node("print('main runs')")
    assert await mpremote(node, "eval", "6*7") == (0, "42")
    assert await mpremote(node, "exec", "import machine; print(machine.unique_id().hex())") == (
        0,
        "02005e100001",
    )
    status, printed = await mpremote(node, "exec", "1/0")
    assert status == 1
    assert "ZeroDivisionError" in printed


async def test_mpremote_copies_files_that_the_flash_really_holds(make_node: Make, tmp_path: Path) -> None:
    node = await make_node("print('main runs')")
    content = os.urandom(6000)
    (tmp_path / "image.bin").write_bytes(content)
    assert (await mpremote(node, "fs", "mkdir", ":a"))[0] == 0
    assert (await mpremote(node, "fs", "cp", str(tmp_path / "image.bin"), ":a/image.bin"))[0] == 0
    assert (node.directory / "flash" / "a" / "image.bin").read_bytes() == content
    assert hashlib.sha256(content).hexdigest() in (await mpremote(node, "fs", "sha256sum", ":a/image.bin"))[1]
    assert "6000 image.bin" in (await mpremote(node, "fs", "ls", ":a"))[1]
    assert (await mpremote(node, "fs", "cat", ":main.py")) == (0, "print('main runs')")
    assert (await mpremote(node, "fs", "rm", ":a/image.bin"))[0] == 0
    assert not (node.directory / "flash" / "a" / "image.bin").exists()


async def test_mpremote_says_that_a_file_is_missing(make_node: Make) -> None:
    node = await make_node("print('main runs')")
    status, printed = await mpremote(node, "fs", "cat", ":none.py")
    assert status == 1
    assert "No such file" in printed or "ENOENT" in printed


async def test_mpremote_resets_the_node_into_its_program(make_node: Make) -> None:
    node = await make_node("import machine\nprint('cause', machine.reset_cause())")
    await node.until("cause 1", timeout_s=10)
    assert (await mpremote(node, "reset"))[0] == 0
    await node.until("cause 2", timeout_s=20)


async def test_ctrl_c_stops_the_program_and_the_watchdog_brings_it_back(make_node: Make) -> None:
    node = await make_node(
        "import asyncio, machine\n"
        "print('cause', machine.reset_cause())\n"
        "async def main():\n"
        "    dog = machine.WDT(timeout=1500)\n"
        "    while True:\n"
        "        dog.feed()\n"
        "        await asyncio.sleep_ms(20)\n"
        "asyncio.run(main())\n"
    )
    await node.until("cause 1", timeout_s=10)
    with node.console.open("r+b", buffering=0) as port:
        port.write(b"\x03")
        await node.until("KeyboardInterrupt", timeout_s=10)
        await node.until("cause 3", timeout_s=20)


async def test_a_pulled_console_hangs_up_and_comes_back_under_its_name(make_node: Make) -> None:
    node = await make_node("print('main runs')")
    before = node.console.resolve()
    with node.console.open("r+b", buffering=0) as port:
        node.unplug()
        assert not node.console.exists()
        with pytest.raises(OSError, match="Input/output error"):
            port.write(b"x")
    node.plug()
    assert await mpremote(node, "eval", "1+1") == (0, "2")
    assert before.name  # the kernel may give the same number again: only the stable name is promised
