"""Shared by the journal's tests: directories, a signer, time that is passed in."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from gatehouse_journal import Journal, Limits, Signer

HERE = Path(__file__).parent


def _load_writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gatehouse_test_writer", HERE / "writer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def writer() -> ModuleType:
    """The module of the test writer: its batches, stamps and limits."""
    return _load_writer()


@pytest.fixture(scope="session")
def writer_command() -> list[str]:
    """How to start the test writer as a process."""
    return [sys.executable, str(HERE / "writer.py")]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An empty place for a journal."""
    place = tmp_path / "journal"
    place.mkdir()
    return place


@pytest.fixture
def open_journal(directory: Path, writer: ModuleType) -> Iterator[Callable[..., Journal]]:
    """Open the journal in `directory`; whatever is open at the end is closed."""
    opened: list[Journal] = []

    def opener(number: int = 0, *, boot: str = "b" * 32, limits: Limits = writer.LIMITS) -> Journal:
        journal = Journal.open(
            directory,
            limits=limits,
            signer=Signer.load_or_create(directory),
            stamp=writer.stamp(number, boot),
        )
        opened.append(journal)
        return journal

    yield opener
    for journal in opened:
        journal.close()
