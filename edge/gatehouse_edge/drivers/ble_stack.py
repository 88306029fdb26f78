"""The Bluetooth stack itself, over D-Bus: is it there, switch the adapter off and on, let go of bleak's connection.

bleak keeps one D-Bus connection per event loop in a module global and has no public way to close it (bleak 3.1,
backends/bluezdbus/manager.py `_global_instances`), so `close_bleak` reaches in; everything else is public API.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from bleak.backends.bluezdbus import manager as bluez
from bleak.backends.bluezdbus.version import BlueZFeatures
from bleak.exc import BleakError
from dbus_fast import AuthError, BusType, DBusError, Message, MessageType, Variant
from dbus_fast.aio.message_bus import MessageBus

_log = logging.getLogger(__name__)

STACK_ERRORS: Final = (BleakError, DBusError, AuthError, OSError, EOFError, TimeoutError)
"""What bleak and dbus-fast raise when bluetoothd, the bus or the adapter is not well. All expected."""
BLEAK_FAULTS: Final = (*STACK_ERRORS, LookupError, AssertionError, AttributeError, ValueError)
"""What calls into bleak may raise besides: its tables race with objects that vanish from the bus (seen: KeyError out of
`get_services` when a button hangs up during discovery). A lamp that stays dark must not stop the radio."""
CALL_LIMIT_S: Final = 5.0
"""A call bluetoothd has not answered by then is lost; its own D-Bus calls to the kernel take under 1 s."""
_OFF_S: Final = 0.5
"""Long enough for the kernel to close the HCI device."""
_RECONNECT_FIRST_S: Final = 0.2
_RECONNECT_LAST_S: Final = 5.0
_DAEMON: Final = "org.freedesktop.DBus"
_RULE: Final = f"type='signal',sender='{_DAEMON}',member='NameOwnerChanged',arg0='org.bluez'"


class StackError(OSError):
    """bluetoothd refused what was asked of it."""


async def prime_bleak() -> None:
    """Let bleak look at the BlueZ version once, before anything has a deadline.

    bleak does it inside the first `connect` with a class-wide event; if that connect is cancelled by a time-out, the
    event is never set and every later connect of the process waits for ever (bleak 3.1, bluezdbus/version.py).
    """
    if BlueZFeatures.checked_bluez_version:
        return
    BlueZFeatures._check_bluez_event = None  # noqa: SLF001  # see above: left behind by a cancelled check
    await BlueZFeatures.check_bluez_version()


def drop_bleak() -> asyncio.Task[None] | None:
    """Close bleak's D-Bus connection of this event loop; the next scanner opens a new one with fresh state.

    Every scanner made before is dead after this and is to be thrown away without `stop` (a call on a closed bus). BlueZ
    ends the discovery of a client that hangs up. Returns bleak's own task that ends with the connection, if any.
    """
    manager = bluez._global_instances.pop(asyncio.get_running_loop(), None)  # noqa: SLF001  # no public way
    if manager is None or manager._bus is None:  # noqa: SLF001
        return None
    manager._bus.disconnect()  # noqa: SLF001
    return manager._bus_watcher_task  # noqa: SLF001


async def close_bleak() -> None:
    """Close bleak's D-Bus connection and wait until it is gone; for the end of the program."""
    watcher = drop_bleak()
    if watcher is not None:
        await asyncio.wait({watcher}, timeout=CALL_LIMIT_S)


async def power_cycle(adapter: str) -> None:
    """Switch an adapter (``hci0``) off and on again.

    Raises:
        StackError: bluetoothd refused to switch it on.
        OSError, EOFError, TimeoutError: the bus or bluetoothd is not there.
    """
    bus = MessageBus(bus_type=BusType.SYSTEM)
    try:
        async with asyncio.timeout(CALL_LIMIT_S):
            await bus.connect()
            with suppress(StackError):  # a dead adapter may refuse to go down and still come up
                await _set_powered(bus, adapter, is_on=False)
            await asyncio.sleep(_OFF_S)
            await _set_powered(bus, adapter, is_on=True)
    finally:
        await _close(bus)


async def _set_powered(bus: MessageBus, adapter: str, *, is_on: bool) -> None:
    reply = await bus.call(
        Message(
            destination="org.bluez",
            path=f"/org/bluez/{adapter}",
            interface="org.freedesktop.DBus.Properties",
            member="Set",
            signature="ssv",
            body=["org.bluez.Adapter1", "Powered", Variant("b", is_on)],
        )
    )
    if reply is None or reply.message_type is MessageType.ERROR:
        name = reply.error_name if reply is not None else "no reply"
        raise StackError(f"{adapter}: Powered={is_on} refused: {name}")


async def _close(bus: MessageBus) -> None:
    bus.disconnect()
    with suppress(*STACK_ERRORS):
        async with asyncio.timeout(CALL_LIMIT_S):
            await bus.wait_for_disconnect()


class StackWatch:
    """Says at once when bluetoothd or the bus goes away or comes back; silence alone would take seconds."""

    def __init__(self, disturbed: Callable[[str], None]) -> None:
        """``disturbed`` is called with a word for the log, from the event loop."""
        self._disturbed = disturbed

    async def run(self) -> None:
        """Watch until cancelled; a bus that is not there is asked for again every 0.2 to 5 s."""
        pause_s = _RECONNECT_FIRST_S
        was_lost = False
        while True:
            try:
                bus = MessageBus(bus_type=BusType.SYSTEM)
                try:
                    await self._open(bus)
                    if was_lost:
                        self._disturbed("bus_back")
                    was_lost, pause_s = False, _RECONNECT_FIRST_S
                    await bus.wait_for_disconnect()
                finally:
                    bus.disconnect()
            except STACK_ERRORS as error:
                _log.info("system bus not reachable: %s", error or type(error).__name__)
            if not was_lost:
                self._disturbed("bus_lost")
            was_lost = True
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _RECONNECT_LAST_S)

    async def _open(self, bus: MessageBus) -> None:
        async with asyncio.timeout(CALL_LIMIT_S):
            await bus.connect()
            bus.add_message_handler(self._hear)
            await bus.call(
                Message(
                    destination=_DAEMON,
                    path="/org/freedesktop/DBus",
                    interface=_DAEMON,
                    member="AddMatch",
                    signature="s",
                    body=[_RULE],
                )
            )

    def _hear(self, message: Message) -> None:
        if message.message_type is MessageType.SIGNAL and message.member == "NameOwnerChanged":
            name, _old, new = message.body
            if name == "org.bluez":
                self._disturbed("bluetoothd_back" if new else "bluetoothd_gone")
