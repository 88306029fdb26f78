"""Simulated nodes for the tests of this folder: each with the firmware a test writes for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gatehouse_hil.simnode import SimNode, VmError, vm

MAC = bytes.fromhex("02005e100001")  # locally administered: nobody's


@pytest.fixture(scope="session", autouse=True)
def _needs_the_vm() -> None:
    try:
        vm.prepare()
    except VmError as error:
        pytest.skip(str(error))


@pytest_asyncio.fixture
async def make_node(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """`await make_node("print(1)")` starts a node with this main.py; further files as keyword `files={"boot.py": ...}`."""
    async with AsyncExitStack() as stack:

        async def make(
            main: str,
            *,
            name: str = "node",
            files: dict[str, str] | None = None,
            is_on: bool = True,
            **options: Any,
        ) -> SimNode:
            directory = tmp_path / name
            for path, text in {"main.py": main, **(files or {})}.items():
                target = directory / "flash" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
            node = await stack.enter_async_context(SimNode(directory, mac=MAC, name=name, **options))
            if is_on:
                await node.power_on()
            return node

        yield make
