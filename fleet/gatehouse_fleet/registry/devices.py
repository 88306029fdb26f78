"""Devices: what stands where behind which gateway, and in which state of its life.

Most devices come from the gateways' own site cards (`projection`); one that lies in store is registered by hand or by the bench.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.registry.life import LifeState, step
from gatehouse_fleet.store.schema.gateways import device, gateway
from gatehouse_fleet.store.schema.org import org_node


class DeviceError(FleetError):
    """A device cannot be made or changed so; `reason` is a stable token."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason = reason


class Device(Struct, frozen=True, kw_only=True):
    """One device as the registry knows it."""

    no: int
    id: str
    gateway_id: str
    node_id: int
    node_path: str
    kind: str
    state: LifeState
    building: str
    unit: str
    floor: str
    room: str
    """Part of a person's address where `is_personal`."""
    is_personal: bool
    is_online: bool | None
    """As its gateway last said; None: nobody has said."""
    seen_at: datetime | None
    tags: tuple[str, ...]


class NewDevice(Struct, frozen=True, kw_only=True):
    """What a device in store is made of."""

    id: str
    kind: str
    building: str = ""
    unit: str = ""
    floor: str = ""
    room: str = ""
    is_personal: bool = False
    tags: tuple[str, ...] = ()


async def find(db: AsyncConnection, gateway_id: str, device_id: str) -> Device | None:
    """Return one device of a gateway."""
    query = query_devices().where(gateway.c.id == gateway_id, device.c.id == device_id)
    row = (await db.execute(query)).one_or_none()
    return None if row is None else device_of(row)


async def make(db: AsyncConnection, gateway_no: int, gateway_id: str, new: NewDevice) -> Device:
    """Register a device; it is in store until it is deployed.

    Raises:
        DeviceError: `id_taken`.
    """
    if await find(db, gateway_id, new.id) is not None:
        raise DeviceError("id_taken", "the gateway has a device of this id already")
    values = msgspec.structs.asdict(new) | {
        "gateway_no": gateway_no,
        "state": LifeState.STORED.value,
        "tags": _tags(new.tags),
    }
    await db.execute(insert(device).values(values))
    return await _known(db, gateway_id, new.id)


async def set_state(db: AsyncConnection, found: Device, new: LifeState) -> Device:
    """Take a device one step further in its life.

    Raises:
        LifeError: the step is not in the table.
    """
    state = step(found.state, new)
    await db.execute(update(device).where(device.c.no == found.no).values(state=state.value))
    return await _known(db, found.gateway_id, found.id)


async def set_tags(db: AsyncConnection, found: Device, tags: tuple[str, ...]) -> Device:
    """Replace a device's tags."""
    await db.execute(update(device).where(device.c.no == found.no).values(tags=_tags(tags)))
    return await _known(db, found.gateway_id, found.id)


def query_devices() -> Select[Any]:
    """Return the SELECT whose rows `device_of` reads; add conditions, order and limit."""
    return (
        select(device, gateway.c.id.label("gateway_id"), gateway.c.node_id, org_node.c.path)
        .join(gateway, gateway.c.no == device.c.gateway_no)
        .join(org_node, org_node.c.id == gateway.c.node_id)
    )


def device_of(row: Row[Any]) -> Device:
    """Return a row of `query_devices` as a value."""
    return Device(
        no=row.no,
        id=row.id,
        gateway_id=row.gateway_id,
        node_id=row.node_id,
        node_path=row.path,
        kind=row.kind,
        state=LifeState(row.state),
        building=row.building,
        unit=row.unit,
        floor=row.floor,
        room=row.room,
        is_personal=row.is_personal,
        is_online=row.online,
        seen_at=row.seen_at,
        tags=msgspec.json.decode(row.tags, type=tuple[str, ...]),
    )


def _tags(tags: tuple[str, ...]) -> str:
    return msgspec.json.encode(sorted(set(tags))).decode()


async def _known(db: AsyncConnection, gateway_id: str, device_id: str) -> Device:
    found = await find(db, gateway_id, device_id)
    assert found is not None  # noqa: S101  # just written
    return found
