"""The simulated bluetoothd keeps books on its clients as BlueZ does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest_asyncio
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio.message_bus import MessageBus

from gatehouse_hil.radio.bluetoothd import Adapter, Bluetoothd
from gatehouse_hil.radio.bus import PrivateBus
from gatehouse_hil.radio.medium import Medium


@dataclass
class Daemon:
    adapter: Adapter
    bus_address: str


@pytest_asyncio.fixture
async def daemon() -> AsyncIterator[Daemon]:
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(PrivateBus())
        daemon = await stack.enter_async_context(Bluetoothd(bus.address, Medium(seed=1)))
        yield Daemon(adapter=daemon["hci0"], bus_address=bus.address)


async def client(daemon: Daemon) -> MessageBus:
    return await MessageBus(bus_address=daemon.bus_address).connect()


async def order(bus: MessageBus, member: str, signature: str = "", body: list[Any] | None = None) -> str:
    """Call a method of the adapter; return the error's name, empty when it was done."""
    reply = await bus.call(
        Message(
            destination="org.bluez",
            path="/org/bluez/hci0",
            interface="org.bluez.Adapter1",
            member=member,
            signature=signature,
            body=body or [],
        )
    )
    assert reply is not None
    return str(reply.error_name) if reply.message_type is MessageType.ERROR else ""


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_true():
            await asyncio.sleep(0.01)


async def test_discovery_goes_on_as_long_as_one_client_wants_it(daemon: Daemon) -> None:
    first, second = await client(daemon), await client(daemon)
    assert [await order(first, "StartDiscovery"), await order(second, "StartDiscovery")] == ["", ""]
    assert await order(first, "StopDiscovery") == ""
    assert daemon.adapter.face.is_discovering
    assert await order(first, "StopDiscovery") == "org.bluez.Error.Failed"
    assert await order(second, "StopDiscovery") == ""
    assert not daemon.adapter.face.is_discovering
    first.disconnect()
    second.disconnect()


async def test_a_client_may_start_once_only(daemon: Daemon) -> None:
    bus = await client(daemon)
    assert await order(bus, "StartDiscovery") == ""
    assert await order(bus, "StartDiscovery") == "org.bluez.Error.InProgress"
    bus.disconnect()


async def test_discovery_ends_with_the_client_that_was_killed(daemon: Daemon) -> None:
    bus = await client(daemon)
    await order(bus, "StartDiscovery")
    assert daemon.adapter.face.is_discovering
    bus.disconnect()
    await until(lambda: not daemon.adapter.face.is_discovering)


async def test_repeats_are_told_when_any_client_wants_them(daemon: Daemon) -> None:
    quiet, curious = await client(daemon), await client(daemon)
    for bus, wants in ((quiet, False), (curious, True)):
        await order(bus, "SetDiscoveryFilter", "a{sv}", [{"DuplicateData": Variant("b", wants)}])
    await order(quiet, "StartDiscovery")
    assert not daemon.adapter.face.has_duplicates
    await order(curious, "StartDiscovery")
    assert daemon.adapter.face.has_duplicates
    quiet.disconnect()
    curious.disconnect()
