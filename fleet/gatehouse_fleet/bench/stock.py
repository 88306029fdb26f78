"""Devices that came from a bench: in store under their serial number, until a technician binds them to a gateway and a room.

**Who gets a device's key.** It comes sealed for the fleet's own key (`wrapping`) and is kept so, as bytes. The server opens it once, in memory, to
see that it can be opened and that it is the one the label names; a key that nobody could ever open would be a button whose calls nobody can read.
It is handed to nobody: no interface gives it out, sealed or open, until gateways publish keys of their own for it to be sealed for.
"""

from __future__ import annotations

import base64
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Row, Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.bench_api import DeviceRegistration
from gatehouse_events.chain import canonical
from gatehouse_fleet.bench import tokens
from gatehouse_fleet.bench.errors import BenchError
from gatehouse_fleet.bench.tokens import BenchToken
from gatehouse_fleet.bench.wrapping import WrappingPair
from gatehouse_fleet.life import LifeError, LifeState
from gatehouse_fleet.registry import devices
from gatehouse_fleet.registry.devices import Device, NewDevice
from gatehouse_fleet.registry.gateways import Gateway
from gatehouse_fleet.store.schema.bench import bench_device, bench_registration
from gatehouse_fleet.store.schema.gateways import device, gateway
from gatehouse_fleet.store.schema.org import org_node

ASSET_KINDS: Final = {"gas": "household_gas_detector", "button": "ble_button"}
"""What the registry calls a bench's kinds; the others have the same name on both sides."""
_HOME = org_node.alias("home")
_OWN = org_node.alias("own")
PATH: Final = func.coalesce(_HOME.c.path, _OWN.c.path)
"""Where a device is now: its gateway's place, or the place whose stock it lies in."""


class StockDevice(Struct, frozen=True, kw_only=True):
    """One device as its bench registered it, and where it is now."""

    serial: str
    kind: str
    mac: str
    key_check: str
    key_id: int
    has_key: bool
    node_id: int
    path: str
    registered_at: datetime
    state: LifeState
    gateway_id: str | None
    """None: in store."""
    device_id: str | None


class Taken(Struct, frozen=True, kw_only=True):
    """What became of a registration."""

    is_new: bool
    was_at: str | None = None
    """Gateway and device id of the place it was bound to until now."""


async def register(
    db: AsyncConnection,
    new: DeviceRegistration,
    token: BenchToken,
    *,
    pair: WrappingPair,
    at: datetime,
) -> Taken:
    """Put a device into store, with its key as it was sealed. Told again, also an old registration changes nothing.

    A device that is bound to a gateway has another key now than the gateway knows: it goes back into store and is to be bound again.

    Raises:
        BenchError: `wrapped_key`, `foreign_device`, `scrapped`; as `tokens.lock`.
    """
    await tokens.lock(db, token, at=at)
    digest = sha256(canonical(new)).digest()
    query = select(bench_registration.c.serial).where(bench_registration.c.hash == digest)
    if (await db.execute(query)).one_or_none() is not None:
        return Taken(is_new=False)
    if new.wrapped_key is not None and not pair.fits(new.wrapped_key, serial=new.serial, check=new.key_check):
        raise BenchError("wrapped_key", "sealed for another key than GET /api/v1/bench/wrapping-key gives")
    known = await find(db, new.serial)
    if known is not None and not token.reaches(known.path):
        raise BenchError("foreign_device", "there is a device of this serial number elsewhere")
    was_at = None if known is None else await _take_home(db, known)
    values = {
        "kind": new.kind,
        "mac": new.mac,
        "key_check": new.key_check,
        "key_id": new.key_id,
        "wrapped_key": None if new.wrapped_key is None else base64.b64decode(new.wrapped_key),
        "node_id": token.node_id,
        "device_no": None,
        "registered_at": at,
        "token_id": token.id,
    }
    if known is None:
        await db.execute(insert(bench_device).values(serial=new.serial, **values))
    else:
        await db.execute(update(bench_device).where(bench_device.c.serial == new.serial).values(values))
    told = {"hash": digest, "serial": new.serial, "key_check": new.key_check, "registered_at": at}
    await db.execute(insert(bench_registration).values(told | {"token_id": token.id}))
    await tokens.take(db, token, len(canonical(new)), at=at)
    return Taken(is_new=True, was_at=was_at)


async def find(db: AsyncConnection, serial: str) -> StockDevice | None:
    """Return a device by its serial number."""
    row = (await db.execute(query_stock().where(bench_device.c.serial == serial))).one_or_none()
    return None if row is None else stock_of(row)


async def bind(db: AsyncConnection, found: StockDevice, at_gateway: Gateway, new: NewDevice) -> Device:
    """Deploy a device from store behind a gateway: as a new one, or in the place of a device the gateway has told of.

    Raises:
        BenchError: `bound`, `place_taken`; LifeError.
    """
    if found.gateway_id is not None:
        raise BenchError("bound", "the device is bound to a gateway; put it through the bench again first")
    there = await devices.find(db, at_gateway.id, new.id)
    if there is None:
        there = await devices.make(db, at_gateway.no, at_gateway.id, new)
    taken = select(bench_device.c.serial).where(bench_device.c.device_no == there.no)
    if (await db.execute(taken)).one_or_none() is not None:
        raise BenchError("place_taken", "another device of ours stands there")
    there = await devices.set_state(db, there, LifeState.DEPLOYED)
    done = await db.execute(
        update(bench_device)
        .where(bench_device.c.serial == found.serial, bench_device.c.device_no.is_(None))
        .values(device_no=there.no)
    )
    if done.rowcount != 1:
        raise BenchError("bound", "somebody has bound it meanwhile")
    return there


def query_stock() -> Select[Any]:
    """Return the SELECT whose rows `stock_of` reads; add conditions, order and limit."""
    columns = [column for column in bench_device.c if column.name != "wrapped_key"]
    return (
        select(
            *columns,
            bench_device.c.wrapped_key.is_not(None).label("has_key"),
            device.c.state,
            device.c.id.label("device_id"),
            gateway.c.id.label("gateway_id"),
            PATH.label("path"),
        )
        .join(_OWN, _OWN.c.id == bench_device.c.node_id)
        .outerjoin(device, device.c.no == bench_device.c.device_no)
        .outerjoin(gateway, gateway.c.no == device.c.gateway_no)
        .outerjoin(_HOME, _HOME.c.id == gateway.c.node_id)
    )


def stock_of(row: Row[Any]) -> StockDevice:
    """Return a row of `query_stock` as a value."""
    return StockDevice(
        serial=row.serial,
        kind=row.kind,
        mac=row.mac,
        key_check=row.key_check,
        key_id=row.key_id,
        has_key=bool(row.has_key),
        node_id=row.node_id,
        path=row.path,
        registered_at=row.registered_at,
        state=LifeState.STORED if row.state is None else LifeState(row.state),
        gateway_id=row.gateway_id,
        device_id=row.device_id,
    )


async def _take_home(db: AsyncConnection, known: StockDevice) -> str | None:
    """Take a bound device out of its place and say which that was."""
    if known.gateway_id is None or known.device_id is None:
        return None
    there = await devices.find(db, known.gateway_id, known.device_id)
    assert there is not None  # noqa: S101  # devices are never deleted
    try:
        await devices.set_state(db, there, LifeState.STORED)
    except LifeError as error:
        raise BenchError("scrapped", "this device was scrapped; it does not come back") from error
    return f"{known.gateway_id} {known.device_id}"
