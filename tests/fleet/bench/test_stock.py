"""Devices from the bench: in store with a sealed key that nobody is given, then bound to a gateway and a room."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import select

from gatehouse_events.bench_api import DEVICES
from gatehouse_events.key_wrap import key_check, unwrap, wrap
from gatehouse_fleet.bench.errors import BenchError
from gatehouse_fleet.bench.wrapping import FILE, WrappingPair
from gatehouse_fleet.store.schema.bench import bench_device

SERIAL = "GHB-02A0B1000002"
PATH = f"{DEVICES}/{SERIAL}"
PLACE = {"gateway_id": "wh-gw1", "building": "3", "room": "301", "is_personal": True}


async def kept(fleet: Any) -> Any:
    async with fleet.server.services.store.read() as db:
        return (await db.execute(select(bench_device).where(bench_device.c.serial == SERIAL))).one()


async def test_a_device_lies_in_store_and_its_key_as_it_was_sealed(fleet: Any) -> None:
    bench = await fleet.bench()
    sealed = wrap(bytes(16), serial=SERIAL, fleet=await bench.wrapping_key())
    body = {"key_check": key_check(bytes(16)), "wrapped_key": sealed}
    answers = [await bench.register(**body) for _ in range(2)]
    assert [(one.status_code, one.json()["is_new"]) for one in answers] == [(201, True), (200, False)]
    row = (await fleet.boss.get(PATH)).json()
    assert (row["state"], row["gateway_id"], row["has_key"]) == ("stored", None, True)
    assert (await kept(fleet)).wrapped_key == base64.b64decode(sealed)


async def test_a_bound_device_is_deployed_behind_its_gateway_in_its_room(fleet: Any) -> None:
    bench = await fleet.bench()
    await bench.register()
    row = (await fleet.boss.post(f"{PATH}/bind", json=PLACE)).json()
    assert (row["state"], row["gateway_id"], row["device_id"]) == ("deployed", "wh-gw1", SERIAL)
    device = (await fleet.boss.get(f"/api/v1/gateways/wh-gw1/devices/{SERIAL}")).json()
    assert (device["kind"], device["state"], device["room"]) == ("ble_button", "deployed", "301")
    again = await fleet.boss.post(f"{PATH}/bind", json=PLACE)
    assert (again.status_code, again.json()["reason"]) == (409, "bound")
    assert (await fleet.boss.get(DEVICES, params={"is_bound": False})).json()["items"] == []
    assert (
        len((await fleet.boss.get(DEVICES, params={"is_bound": True, "kind": "button"})).json()["items"]) == 1
    )


async def test_a_device_that_the_gateway_has_told_of_gets_its_serial_number(small_fleet: Any) -> None:
    bench = await small_fleet.bench()
    known = {"id": "sos-301", "kind": "ble_button", "room": "301"}
    await small_fleet.boss.post("/api/v1/gateways/wh-gw1/devices", json=known)
    await bench.register()
    place = {"gateway_id": "wh-gw1", "device_id": "sos-301"}
    assert (await small_fleet.boss.post(f"{PATH}/bind", json=place)).json()["device_id"] == "sos-301"
    device = (await small_fleet.boss.get("/api/v1/gateways/wh-gw1/devices/sos-301")).json()
    assert (device["state"], device["room"]) == ("deployed", "301")
    other = "GHB-02A0B1000003"
    await bench.register(other)
    answer = await small_fleet.boss.post(f"{DEVICES}/{other}/bind", json=place)
    assert (answer.status_code, answer.json()["reason"]) == (409, "place_taken")


async def test_a_device_that_is_made_again_goes_back_into_store_and_an_old_key_does_not_come_back(
    fleet: Any,
) -> None:
    bench = await fleet.bench()
    old = {
        "key_check": key_check(bytes(16)),
        "wrapped_key": wrap(bytes(16), serial=SERIAL, fleet=await bench.wrapping_key()),
    }
    await bench.register(**old)
    await fleet.boss.post(f"{PATH}/bind", json=PLACE)
    again = await bench.register(key=b"another key here")
    assert (again.status_code, again.json()["was_at"]) == (201, f"wh-gw1 {SERIAL}")
    row = (await fleet.boss.get(PATH)).json()
    assert (row["state"], row["gateway_id"], row["key_check"]) == (
        "stored",
        None,
        key_check(b"another key here"),
    )
    device = (await fleet.boss.get(f"/api/v1/gateways/wh-gw1/devices/{SERIAL}")).json()
    assert device["state"] == "stored"
    replayed = await bench.register(**old)
    assert (replayed.status_code, replayed.json()["is_new"]) == (200, False)
    assert (await kept(fleet)).key_check == key_check(b"another key here")
    assert (await fleet.boss.post(f"{PATH}/bind", json=PLACE)).json()["state"] == "deployed"


async def test_a_key_that_nobody_here_could_open_is_refused(small_fleet: Any) -> None:
    bench = await small_fleet.bench()
    stranger = wrap(bytes(16), serial=SERIAL, fleet=X25519PrivateKey.generate().public_key())
    other_serial = wrap(bytes(16), serial="GHB-1", fleet=await bench.wrapping_key())
    other_key = wrap(bytes(15) + b"\1", serial=SERIAL, fleet=await bench.wrapping_key())
    for sealed in (stranger, other_serial, other_key):
        answer = await bench.register(key_check=key_check(bytes(16)), wrapped_key=sealed)
        assert (answer.status_code, answer.json()["reason"]) == (403, "wrapped_key")
    assert (await small_fleet.boss.get(PATH)).status_code == 404


async def test_another_places_bench_cannot_take_a_device_over(fleet: Any) -> None:
    bench, other = await fleet.bench(), await fleet.bench("pi-west", node=fleet.west)
    await bench.register()
    for _ in range(2):
        answer = await other.register(key=b"another key here")
        assert (answer.status_code, answer.json()["reason"]) == (403, "foreign_device")
        await fleet.boss.post(f"{PATH}/bind", json=PLACE)  # and neither when it is bound
    assert (await fleet.boss.get(PATH)).json()["gateway_id"] == "wh-gw1"


async def test_a_scrapped_device_does_not_come_back(small_fleet: Any) -> None:
    bench = await small_fleet.bench()
    await bench.register()
    await small_fleet.boss.post(f"{PATH}/bind", json=PLACE)
    device = f"/api/v1/gateways/wh-gw1/devices/{SERIAL}"
    assert (await small_fleet.boss.patch(device, json={"state": "scrapped"})).status_code == 200
    answer = await bench.register(key=b"another key here")
    assert (answer.status_code, answer.json()["reason"]) == (403, "scrapped")


async def test_no_answer_to_anybody_has_a_device_key_in_it(small_fleet: Any) -> None:
    bench = await small_fleet.bench()
    await bench.register()
    await small_fleet.boss.post(f"{PATH}/bind", json=PLACE)
    sealed = base64.b64encode((await kept(small_fleet)).wrapped_key).decode()
    for path in (
        DEVICES,
        PATH,
        "/api/v1/devices",
        f"/api/v1/gateways/wh-gw1/devices/{SERIAL}",
        "/api/v1/audit",
    ):
        assert sealed not in (await small_fleet.boss.get(path)).text


def test_the_wrapping_key_is_made_once_for_its_owner_only_and_never_replaced(tmp_path: Any) -> None:
    first = WrappingPair.open(tmp_path)
    assert WrappingPair.open(tmp_path).fingerprint == first.fingerprint
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    (tmp_path / FILE).write_bytes(b"torn")
    with pytest.raises(BenchError, match="backup"):
        WrappingPair.open(tmp_path)
    assert (tmp_path / FILE).read_bytes() == b"torn"


def test_what_the_server_opens_is_what_the_bench_sealed(tmp_path: Any) -> None:
    pair = WrappingPair.open(tmp_path)
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    private = load_pem_private_key((tmp_path / FILE).read_bytes(), None)
    assert isinstance(private, X25519PrivateKey)
    sealed = wrap(bytes(16), serial=SERIAL, fleet=private.public_key())
    assert unwrap(sealed, serial=SERIAL, fleet=private) == bytes(16)
    assert pair.fits(sealed, serial=SERIAL, check=key_check(bytes(16)))
    assert not pair.fits(sealed, serial=SERIAL, check="00000000")
