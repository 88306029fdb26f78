from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import termios
from pathlib import Path

import pytest

from gatehouse_edge.clock import SystemClock
from gatehouse_edge.drivers.serial_port import (
    BUFFER_BYTES,
    ListeningPort,
    PortLostError,
    SerialPort,
    SerialSettings,
    WriteStuckError,
)
from gatehouse_edge.reading import AnyObservation, BusReading, Silence, SilenceReason
from gatehouse_hil.pty_pair import PtyPair


class Noted:
    """An inbox that keeps what it is given and lets a test wait for it."""

    def __init__(self) -> None:
        self.items: list[AnyObservation] = []
        self._news = asyncio.Condition()

    async def put(self, observation: AnyObservation) -> None:
        async with self._news:
            self.items.append(observation)
            self._news.notify_all()

    async def until(self, is_wanted) -> None:
        async with asyncio.timeout(5), self._news:
            await self._news.wait_for(lambda: any(is_wanted(item) for item in self.items))


@pytest.fixture
def cable(tmp_path: Path):
    with PtyPair(tmp_path / "adapter") as pair:
        yield pair


def opened(kind, cable: PtyPair, inbox: Noted):
    settings = SerialSettings(path=str(cable.path), baud=115200)
    return kind("line-1", settings, device_ids=("lift-1", "lift-2"), inbox=inbox, clock=SystemClock())


def is_bus_up(item: AnyObservation) -> bool:
    return isinstance(item, BusReading) and item.is_up


def is_bus_down(item: AnyObservation) -> bool:
    return isinstance(item, BusReading) and not item.is_up


async def gather_octets(port, count: int) -> bytes:
    octets = b""
    async with asyncio.timeout(5):
        while len(octets) < count:
            octets += (await port.read()).octets
    return octets


@pytest.mark.parametrize("kind", [SerialPort, ListeningPort])
async def test_octets_arrive_unchanged_in_order(kind, cable: PtyPair) -> None:
    every_octet = bytes(range(256)) * 4
    with opened(kind, cable, Noted()) as port:
        assert (await port.read()).is_fresh
        cable.send(every_octet)
        assert await gather_octets(port, len(every_octet)) == every_octet


@pytest.mark.parametrize("kind", [SerialPort, ListeningPort])
async def test_a_pulled_adapter_is_reported_and_resumes_when_put_back(kind, cable: PtyPair) -> None:
    inbox = Noted()
    with opened(kind, cable, inbox) as port:
        await port.read()
        cable.unplug()
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(port.read())
            await inbox.until(is_bus_down)
            silences = await _silences(inbox, 2)
            inbox.items.clear()
            cable.plug()
            async with asyncio.timeout(3):
                assert (await reading).is_fresh
        cable.send(b"again")
        assert await gather_octets(port, 5) == b"again"
    assert [(s.device_id, s.reason) for s in silences] == [
        ("lift-1", SilenceReason.PORT_LOST),
        ("lift-2", SilenceReason.PORT_LOST),
    ]
    assert is_bus_up(inbox.items[0])


async def _silences(inbox: Noted, count: int) -> list[Silence]:
    def found() -> list[Silence]:
        return [item for item in inbox.items if isinstance(item, Silence)]

    await inbox.until(lambda _: len(found()) >= count)
    return found()


async def test_octets_received_before_the_pull_are_still_delivered(cable: PtyPair) -> None:
    with opened(SerialPort, cable, Noted()) as port:
        await port.read()
        cable.send(b"last words")
        await asyncio.sleep(0)
        octets = await gather_octets(port, 10)
        cable.unplug()
    assert octets == b"last words"


async def test_a_missing_port_is_reported_once_and_opened_when_it_appears(tmp_path: Path) -> None:
    cable = PtyPair(tmp_path / "adapter")
    inbox = Noted()
    with opened(SerialPort, cable, inbox) as port:
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(port.read())
            await inbox.until(is_bus_down)
            await asyncio.sleep(1.2)  # two more attempts
            cable.plug()
            assert (await reading).is_fresh
        cable.unplug()
    assert sum(is_bus_down(item) for item in inbox.items) == 1


async def test_a_second_owner_is_refused_and_told_why(cable: PtyPair) -> None:
    inbox = Noted()
    with opened(SerialPort, cable, Noted()) as first, opened(ListeningPort, cable, inbox) as second:
        await first.read()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(second.read())
            await inbox.until(is_bus_down)
            waiting.cancel()
    assert inbox.items[0].detail == "held by another process"


async def test_the_port_is_locked_against_programs_that_know_only_flock(cable: PtyPair) -> None:
    with opened(SerialPort, cable, Noted()) as port:
        await port.read()
        fd = os.open(cable.path, os.O_RDWR | os.O_NOCTTY) if os.geteuid() == 0 else None
        try:
            if fd is not None:
                with pytest.raises(BlockingIOError):
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            if fd is not None:
                os.close(fd)


async def test_a_listening_port_cannot_write_even_by_force(cable: PtyPair) -> None:
    with opened(ListeningPort, cable, Noted()) as port:
        await port.read()
        assert not [name for name in dir(port) if "write" in name or "send" in name]
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(port._fd, b"x")


async def test_a_listening_port_never_echoes_even_on_a_tty_left_in_terminal_mode(cable: PtyPair) -> None:
    fd = os.open(cable.path, os.O_RDWR | os.O_NOCTTY)
    modes = termios.tcgetattr(fd)
    modes[0] |= termios.IXOFF
    modes[3] |= termios.ECHO | termios.ICANON
    termios.tcsetattr(fd, termios.TCSANOW, modes)
    os.close(fd)
    with opened(ListeningPort, cable, Noted()) as port:
        await port.read()
        cable.send(b"#10#{}#13#\r\n" * 200)
        await gather_octets(port, 2400)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await cable.receive()
    assert cable.received_bytes == 0


async def test_a_stuck_peer_fails_the_write_instead_of_blocking_for_ever(cable: PtyPair) -> None:
    with opened(SerialPort, cable, Noted()) as port:
        await port.read()
        with pytest.raises(WriteStuckError):
            await port.write(bytes(200_000))


async def test_writing_to_a_pulled_port_is_a_named_error(cable: PtyPair) -> None:
    with opened(SerialPort, cable, Noted()) as port:
        await port.read()
        cable.unplug()
        with pytest.raises(PortLostError):
            await port.write(b"x")


async def test_what_nobody_takes_is_bounded_and_the_newest_is_kept(cable: PtyPair) -> None:
    with opened(ListeningPort, cable, Noted()) as port:
        await port.read()
        async with asyncio.timeout(5):
            for number in range(BUFFER_BYTES // 1024 * 3):
                before = port._held_bytes + port.dropped_bytes
                cable.send(number.to_bytes(2, "big") * 512)
                while port._held_bytes + port.dropped_bytes < before + 1024:
                    port._arrived.clear()
                    await port._arrived.wait()
        octets = await gather_octets(port, port._held_bytes)
    assert len(octets) <= BUFFER_BYTES
    assert octets.endswith((BUFFER_BYTES // 1024 * 3 - 1).to_bytes(2, "big") * 512)
    assert port.dropped_bytes > 0


async def test_an_idle_port_costs_no_processor_time(cable: PtyPair) -> None:
    with opened(SerialPort, cable, Noted()) as port:
        await port.read()
        before = os.times()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await port.read()
        after = os.times()
    assert after.user + after.system - before.user - before.system < 0.1
