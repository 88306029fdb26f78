"""Orders about evidence from the command line to the running gateway, which alone may write the journal.

The spool is a folder of the storage directory: `ID.order`, written last, and `ID.result`. Whoever may write there is the gateway's
own user or root; the name of the person is taken on trust and stands in the journal.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct
from ulid import ULID

from gatehouse_edge.drivers.clip_masked import MaskError
from gatehouse_edge.evidence_desk import EvidenceDesk
from gatehouse_edge.ledger import LedgerError
from gatehouse_edge.ports import NoEvidenceError
from gatehouse_events.alarm import Actor
from gatehouse_journal.durable import write_file

LOOK_EVERY_S: Final = 1.0
KEPT_RESULTS: Final = 100
MAX_ORDER_BYTES: Final = 8192
_POLL_S: Final = 0.1
_MODE: Final = 0o640
_log = logging.getLogger(__name__)


class EvidenceOrder(Struct, frozen=True, kw_only=True):
    """What somebody at the machine asked for."""

    do: Literal["hold", "lift", "mask", "view"]
    sha: str
    by: str
    reason: str
    name: str = ""
    """`view`: of the file."""


class EvidenceResult(Struct, frozen=True, kw_only=True):
    """What became of it."""

    is_done: bool
    text: str = ""


def spool_directory(storage: Path) -> Path:
    """Return the folder of the orders."""
    return storage / "evidence-orders"


def place_order(storage: Path, order: EvidenceOrder) -> str:
    """Lay an order into the spool; return its id.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = spool_directory(storage)
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    order_id = str(ULID())
    write_file(folder / f"{order_id}.order", msgspec.json.encode(order), mode=_MODE)
    return order_id


def wait_for(storage: Path, order_id: str, *, at_most_s: float) -> EvidenceResult | None:
    """Return what became of an order; None: nobody carried it out in time, and nobody will (it is taken back)."""
    folder, left_s = spool_directory(storage), at_most_s
    while True:
        try:
            return msgspec.json.decode((folder / f"{order_id}.result").read_bytes(), type=EvidenceResult)
        except FileNotFoundError:
            pass
        if left_s <= 0:
            (folder / f"{order_id}.order").unlink(missing_ok=True)
            return None
        left_s -= _POLL_S
        time.sleep(_POLL_S)


class EvidenceOrders:
    """The part of a running gateway that carries them out, one after the other."""

    def __init__(self, desk: EvidenceDesk, storage: Path) -> None:
        self._desk: Final = desk
        self._folder: Final = spool_directory(storage)

    async def run(self) -> None:
        """Look into the spool once a second until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Carry out what lies there."""
        for path in await asyncio.to_thread(_orders, self._folder):
            result = await self._carry_out(path)
            _log.info("evidence order %s: %s", path.stem, result.text or "done")
            await asyncio.to_thread(_finish, path, result)

    async def _carry_out(self, path: Path) -> EvidenceResult:
        try:
            order = await asyncio.to_thread(_read, path)
        except (OSError, ValueError) as error:
            return EvidenceResult(is_done=False, text=f"the order cannot be read: {error}"[:200])
        actor = Actor(name=order.by[:40], role="system_user", station="local")
        try:
            match order.do:
                case "hold":
                    await self._desk.hold(order.sha, actor=actor, reason=order.reason)
                case "lift":
                    await self._desk.lift(order.sha, actor=actor, reason=order.reason)
                case "mask":
                    await self._desk.masked(order.sha)
                case "view":
                    shown = await self._desk.show(order.sha)
                    await self._desk.view(shown, order.name, actor=actor, reason=order.reason)
        except (NoEvidenceError, MaskError, LedgerError) as error:
            return EvidenceResult(is_done=False, text=str(error)[:200])
        await self._desk.sign()
        return EvidenceResult(is_done=True)


def _orders(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.order")) if folder.is_dir() else []


def _read(path: Path) -> EvidenceOrder:
    if path.stat().st_size > MAX_ORDER_BYTES:
        raise ValueError("too long")
    return msgspec.json.decode(path.read_bytes(), type=EvidenceOrder)


def _finish(path: Path, result: EvidenceResult) -> None:
    write_file(path.with_suffix(".result"), msgspec.json.encode(result), mode=_MODE)
    path.unlink(missing_ok=True)
    for old in sorted(path.parent.glob("*.result"))[:-KEPT_RESULTS]:
        old.unlink(missing_ok=True)
