"""Orders to update a node, from the command line to the bus that carries them, and into the journal how each ended.

The spool is a folder of the gateway's storage. An order is two files, `ID.image` and, written last, `ID.order`; its end is `ID.result`.
An order that the gateway's own restart interrupted is still there and begins anew; the node throws the half away by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec import Struct
from ulid import ULID

from gatehouse_config.buses import ModbusRtuBus
from gatehouse_config.devices import GasDevice, LiftDevice
from gatehouse_config.model import GatewayConfig
from gatehouse_config.profiles import OWN_GAS_PROFILE
from gatehouse_edge.drivers.node_update import (
    MAX_IMAGE_BYTES,
    NodeUpdateError,
    Result,
    Transfer,
    UpdateOutcome,
    read_image,
)
from gatehouse_events.chain import EntryKind
from gatehouse_wire import node_update as wire

_log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
MAX_ORDER_BYTES: Final = 4096
_LINE_S: Final = 0.09
"""A piece takes the line for so long at most; an alarm register that falls due meanwhile waits no longer."""
_FRAME_CHARS: Final = 12
KEPT_RESULTS: Final = 100
"""Older results are removed; the journal has them all."""


class Order(Struct, frozen=True, kw_only=True):
    """What a technician asked for."""

    device_id: str
    by: str
    """Who asked, for the journal."""
    permits_older: bool = False


class NodeUpdated(Struct, frozen=True, kw_only=True):
    """Body of an `audit` entry: how an update of a node ended."""

    order_id: str
    device_id: str
    by: str
    outcome: UpdateOutcome
    what: str = "node_update"


class Carrier(Protocol):
    """A driver that can carry an update: the owner of a Modbus bus or of a lift node's line."""

    async def update(self, transfer: Transfer) -> UpdateOutcome:
        """Carry it; return how it ended; raises `NodeUpdateError` when it cannot begin."""
        ...


class Journal(Protocol):
    """Where outcomes are written; the ledger."""

    async def record(self, kind: EntryKind, body: Struct) -> None:
        """Return once the entry is on disk."""
        ...


def spool_directory(config: GatewayConfig) -> Path:
    """Return the folder of the orders; made by whoever needs it first."""
    return config.resolve(config.storage.directory) / "node-updates"


def place_order(
    config: GatewayConfig, device_id: str, image: bytes, *, by: str, permits_older: bool = False
) -> str:
    """Check an order and lay it into the spool; return its id.

    Raises:
        NodeUpdateError: the image is damaged, or the device is none that can be updated.
    """
    _check(config, device_id, image)
    folder = spool_directory(config)
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    order_id = str(ULID())
    (folder / f"{order_id}.image").write_bytes(image)
    fresh = folder / f"{order_id}.new"
    fresh.write_bytes(
        msgspec.json.encode(Order(device_id=device_id, by=by[:64], permits_older=permits_older))
    )
    fresh.replace(folder / f"{order_id}.order")
    return order_id


def read_result(config: GatewayConfig, order_id: str) -> UpdateOutcome | None:
    """Return how an order ended, None while it has not."""
    try:
        text = (spool_directory(config) / f"{order_id}.result").read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(text, type=NodeUpdated).outcome


class NodeUpdates:
    """The part of a running gateway that carries the orders out, one after the other."""

    def __init__(
        self,
        config: Callable[[], GatewayConfig],
        *,
        carriers: Callable[[], Mapping[str, object]],
        has_alarm: Callable[[str], bool],
        journal: Journal,
    ) -> None:
        """`carriers` are the running drivers by name, `has_alarm(device_id)` tells whether one of its alarms is open."""
        self._config: Final = config
        self._carriers: Final = carriers
        self._has_alarm: Final = has_alarm
        self._journal: Final = journal

    async def run(self) -> None:
        """Look into the spool once a second until cancelled."""
        while True:
            for path in await asyncio.to_thread(_orders, spool_directory(self._config())):
                await self._carry_out(path)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _carry_out(self, path: Path) -> None:
        order = Order(device_id="", by="")
        try:
            order, image = await asyncio.to_thread(_read_order, path)
            transfer, carrier = self._prepare(order, image)
            _log.info("updating %s", order.device_id, extra={"device_id": order.device_id})
            outcome = await carrier.update(transfer)
        except NodeUpdateError as error:
            outcome = UpdateOutcome(result=Result.REFUSED, detail=str(error)[:300])
        done = NodeUpdated(order_id=path.stem, device_id=order.device_id, by=order.by, outcome=outcome)
        _log.info("update of %s: %s %s", order.device_id, outcome.result, outcome.detail)
        await self._journal.record(EntryKind.AUDIT, done)
        await asyncio.to_thread(_finish, path, done)

    def _prepare(self, order: Order, image: bytes) -> tuple[Transfer, Carrier]:
        config = self._config()
        device = _check(config, order.device_id, image)
        carrier = self._carriers().get(device.bus)
        if carrier is None or not hasattr(carrier, "update"):
            raise NodeUpdateError(f"bus {device.bus} is not running")
        if self._has_alarm(device.id):
            raise NodeUpdateError(f"an alarm of {device.id} is open; deal with it first")
        key = max(device.keys, key=lambda one: one.id)
        bus = config.bus(device.bus)
        transfer = Transfer(
            read_image(image),
            node_id=device.unit_id if isinstance(device, GasDevice) else device.node_id or 0,
            key_id=key.id,
            key=config.key(key),
            chunk_bytes=_chunk_bytes(bus.baud) if isinstance(bus, ModbusRtuBus) else wire.MAX_CHUNK,
            is_alarm=lambda: self._has_alarm(device.id),
            is_older_permitted=order.permits_older,
        )
        return transfer, carrier


def _check(config: GatewayConfig, device_id: str, image: bytes) -> GasDevice | LiftDevice:
    """Return the device if this image can go to it."""
    try:
        device = config.device(device_id)
    except KeyError:
        raise NodeUpdateError(f"there is no device '{device_id}' in the configuration") from None
    if isinstance(device, GasDevice) and device.profile == OWN_GAS_PROFILE:
        kind = "gas"
    elif isinstance(device, LiftDevice) and device.node_id is not None:
        kind = "lift"
    else:
        raise NodeUpdateError(
            f"{device_id} is not a gas or lift node of ours; only those take updates over their bus"
        )
    if not device.keys:
        raise NodeUpdateError(f"{device_id} has no key in the configuration; the node would refuse the image")
    found = read_image(image)
    if found.kind != kind:
        raise NodeUpdateError(f"the image is for a {found.kind} node, {device_id} is a {kind} node")
    return device


def _chunk_bytes(baud: int) -> int:
    return max(16, min(wire.MAX_CHUNK, int(baud / 10 * _LINE_S) - _FRAME_CHARS))


def _orders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix == ".order")


def _read_order(path: Path) -> tuple[Order, bytes]:
    try:
        if path.stat().st_size > MAX_ORDER_BYTES:
            raise NodeUpdateError("the order is too long")
        order = msgspec.json.decode(path.read_bytes(), type=Order)
        image = path.with_suffix(".image")
        if image.stat().st_size > MAX_IMAGE_BYTES:
            raise NodeUpdateError("the image is too long")
        return order, image.read_bytes()
    except (OSError, msgspec.DecodeError) as error:
        raise NodeUpdateError(f"the order cannot be read: {error}") from error


def _finish(path: Path, done: NodeUpdated) -> None:
    """Write the result, then forget the order; a cut in between carries it out again, which the node answers the same."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(done))
    fresh.replace(path.with_suffix(".result"))
    path.unlink()
    with contextlib.suppress(FileNotFoundError):
        path.with_suffix(".image").unlink()
    for old in sorted(path.parent.glob("*.result"))[:-KEPT_RESULTS]:
        old.unlink(missing_ok=True)
