"""systemd's own protocol, with a real datagram socket as systemd."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatehouse_edge.service import Service


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(5)
        yield sock, path


def test_ready_and_stopping_are_said(systemd: tuple[socket.socket, str]) -> None:
    sock, path = systemd
    service = Service({"NOTIFY_SOCKET": path})
    service.ready("14 devices")
    service.stopping()
    assert sock.recv(100) == b"READY=1\nSTATUS=14 devices"
    assert sock.recv(100) == b"STOPPING=1"


async def test_the_watchdog_is_fed_only_while_the_gateway_is_alive(
    systemd: tuple[socket.socket, str],
) -> None:
    sock, path = systemd
    asked = 0

    def is_alive() -> bool:
        nonlocal asked
        asked += 1
        return asked == 1

    service = Service({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000"})
    feeding = asyncio.timeout(0.2)
    with pytest.raises(TimeoutError):
        async with feeding:
            await service.feed_watchdog(is_alive)
    sock.setblocking(False)
    assert sock.recv(100) == b"WATCHDOG=1"
    with pytest.raises(BlockingIOError):
        sock.recv(100)


async def test_without_systemd_nothing_happens() -> None:
    service = Service({})
    service.ready("x")
    await service.feed_watchdog(lambda: True)
    assert service.watchdog_s == 0


def test_a_systemd_that_does_not_listen_ends_nothing(tmp_path: Path) -> None:
    service = Service({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    service.ready("14 devices")
    service.stopping()


def test_systemd_is_told_never_to_give_the_gateway_up() -> None:
    unit = (Path(__file__).parents[2] / "edge" / "gatehouse-edge.service").read_text(encoding="utf-8")
    assert "Restart=always" in unit
    assert "StartLimitIntervalSec=0" in unit
