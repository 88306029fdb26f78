"""The radio of a simulated node, heard and connected to by stock bleak over its BlueZ backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice

from gatehouse_hil.radio.bluetoothd import Bluetoothd
from gatehouse_hil.radio.bus import PrivateBus
from gatehouse_hil.radio.listening import listening
from gatehouse_hil.radio.medium import Medium

Make = Callable[..., Any]
pytestmark = pytest.mark.slow

UUID = "0000fcd2-0000-1000-8000-00805f9b34fb"
SERVICE = "ef3af7b8-aa87-4f26-a71d-a47e6fe1ef99"
RECEIPT = "4bbb9e4a-c696-42cc-8606-91613bfbdd18"
SHOUT = (
    "import bluetooth, time\n"
    "ble = bluetooth.BLE()\nble.active(True)\n"
    "print('address', ble.config('mac')[1].hex())\n"
    "ble.gap_advertise(30_000, b'\\x02\\x01\\x06\\x06\\x16\\xd2\\xfc\\x40\\x01\\x61', connectable=False)\n"
)


@pytest_asyncio.fixture
async def medium(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Medium]:
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(PrivateBus())
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        air = Medium(seed=3)
        await stack.enter_async_context(Bluetoothd(bus.address, air))
        yield air


async def heard_from(address: str, *, timeout_s: float = 20.0) -> tuple[BLEDevice, bytes]:
    """Scan until an advert of `address` comes; return who sent it, and its service data."""
    async with asyncio.timeout(timeout_s), listening() as adverts:
        while True:
            device, advert = await adverts.get()
            if device.address == address:
                return device, advert.service_data[UUID]


async def test_bleak_hears_a_node(make_node: Make, medium: Medium) -> None:
    node = await make_node(SHOUT + "while True: time.sleep(1)", medium=medium)
    assert node.bluetooth_address == "02:00:5E:10:00:03"
    assert (await heard_from(node.bluetooth_address))[1] == b"\x40\x01\x61"
    await node.until("address 02005e100003", timeout_s=10)


async def test_an_advert_that_comes_while_the_scan_starts_is_heard(
    medium: Medium, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = BleakScanner.start

    async def start_slowly(scanner: BleakScanner) -> None:
        await start(scanner)
        medium.inject("02:00:5E:10:00:09", b"\x02\x01\x06\x06\x16\xd2\xfc\x40\x01\x61")
        async with asyncio.timeout(20):
            while not scanner.discovered_devices:
                await asyncio.sleep(0.01)

    monkeypatch.setattr(BleakScanner, "start", start_slowly)
    assert (await heard_from("02:00:5E:10:00:09", timeout_s=5))[1] == b"\x40\x01\x61"


async def test_an_advert_that_says_the_same_again_is_heard_again(make_node: Make, medium: Medium) -> None:
    node = await make_node(SHOUT + "while True: time.sleep(1)", medium=medium)
    async with asyncio.timeout(20), listening() as adverts:
        assert {(await adverts.get())[0].address for _ in range(4)} == {node.bluetooth_address}


async def test_a_node_without_power_is_silent_at_once(make_node: Make, medium: Medium) -> None:
    node = await make_node(SHOUT + "while True: time.sleep(1)", medium=medium)
    await node.until(lambda _: medium.sent > 3, timeout_s=20)
    await node.power_off()
    sent = medium.sent
    with pytest.raises(TimeoutError):
        await heard_from(node.bluetooth_address, timeout_s=0.5)
    assert medium.sent == sent


async def test_a_node_out_of_range_is_not_heard_and_later_is(make_node: Make, medium: Medium) -> None:
    medium.out_of_range.add("02:00:5E:10:00:03")
    node = await make_node(SHOUT + "while True: time.sleep(1)", medium=medium)
    await node.until(lambda _: medium.lost > 3, timeout_s=20)
    medium.out_of_range.clear()
    assert (await heard_from(node.bluetooth_address))[1] == b"\x40\x01\x61"


async def test_bleak_writes_to_a_node_that_opens_a_window(make_node: Make, medium: Medium) -> None:
    node = await make_node(
        "import bluetooth, time, machine\n"
        "ble = bluetooth.BLE()\nble.active(True)\n"
        f"service = (bluetooth.UUID('{SERVICE}'), ((bluetooth.UUID('{RECEIPT}'), bluetooth.FLAG_WRITE | bluetooth.FLAG_READ),))\n"
        "((handle,),) = ble.gatts_register_services((service,))\n"
        "ble.gatts_write(handle, b'ask me')\n"
        "def happened(event, data):\n"
        "    print('event', event)\n"
        "    if event == 3: print('written', ble.gatts_read(data[1]))\n"
        "ble.irq(happened)\n"
        "ble.gap_advertise(50_000, b'\\x02\\x01\\x06\\x06\\x16\\xd2\\xfc\\x40\\x01\\x61', connectable=True)\n"
        "while True: time.sleep_ms(20)\n",
        medium=medium,
    )
    async with asyncio.timeout(60):
        device, _ = await heard_from(node.bluetooth_address)
        async with BleakClient(device) as client:
            assert await client.read_gatt_char(RECEIPT) == b"ask me"
            await client.write_gatt_char(RECEIPT, b"thank you", response=True)
            await node.until("event 1", timeout_s=10)
            await node.until("written b'thank you'", timeout_s=10)
        await node.until("event 2", timeout_s=10)
