"""What the fleet tells a gateway: one `orders` lane per gateway, with its own epoch and sequence numbers.

An order says who issued it, until when it is good and which revision of the alarm that person saw. The first
acknowledgement wins, a later one is recorded; a stale or expired order is reported, not executed. The gateway
reads by cursor and writes each outcome into its journal.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from gatehouse_events.chain import canonical
from gatehouse_events.replication import MessageError
from gatehouse_events.states import Disposition

MAX_ORDER_BYTES: Final = 64 * 1024
MAX_ORDERS: Final = 200
_MAX_ARGUMENTS: Final = 32

_Moment = Annotated[datetime, Meta(tz=True)]
_Name = Annotated[str, Meta(min_length=1, max_length=128)]
_Note = Annotated[str, Meta(max_length=2000)]
_Epoch = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
_Seq = Annotated[int, Meta(ge=1, le=2**63 - 1)]
_Ulid = Annotated[str, Meta(pattern="^[0-9A-HJKMNP-TV-Z]{26}$")]
_Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Issuer(Struct, frozen=True, kw_only=True):
    """Who gave the order."""

    name: _Name
    role: _Name
    unit: _Name
    """Organisation and place."""


class AlarmSeen(Struct, frozen=True, kw_only=True):
    """The alarm an order is about, and the revision its issuer had on the screen."""

    alarm_id: _Ulid
    seq: _Seq


class Acknowledgement(Struct, frozen=True, kw_only=True, tag="acknowledgement"):
    """Somebody takes the alarm."""

    alarm: AlarmSeen
    note: _Note = ""


class DispositionOrder(Struct, frozen=True, kw_only=True, tag="disposition"):
    """Somebody closes the alarm."""

    alarm: AlarmSeen
    disposition: Disposition
    reason: _Note


class CityReceipt(Struct, frozen=True, kw_only=True, tag="city_receipt"):
    """The city platform has the event; from here on the journal may forget it when its time comes."""

    alarm: AlarmSeen
    target: _Name
    receipt: _Note
    """As the platform gave it."""
    epoch: _Epoch
    through_seq: _Seq
    """Every alarm entry of `epoch` up to this one is received."""


class ConfigVersion(Struct, frozen=True, kw_only=True, tag="config_version"):
    """A configuration to fetch, try and confirm; without the confirmation the old one comes back."""

    version: _Name
    sha256: _Sha256
    size_bytes: Annotated[int, Meta(ge=1, le=16 * 1024 * 1024)]
    confirm_within_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0


class RolloutPhase(StrEnum):
    """Steps of a software rollout at one gateway."""

    DOWNLOAD = "download"
    INSTALL = "install"
    CONFIRM = "confirm"
    ROLL_BACK = "roll_back"


class RolloutStep(Struct, frozen=True, kw_only=True, tag="rollout_step"):
    """One step of bringing a new version to this gateway or its nodes."""

    rollout_id: _Name
    phase: RolloutPhase
    component: _Name
    version: _Name
    sha256: _Sha256 | None = None


class Command(Struct, frozen=True, kw_only=True, tag="command"):
    """Anything else, by name. What may never come from afar (opening a gas valve) has no name here."""

    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,63}$")]
    arguments: Annotated[dict[_Name, str | int | float | bool | None], Meta(max_length=_MAX_ARGUMENTS)] = {}
    alarm: AlarmSeen | None = None


Action = Acknowledgement | DispositionOrder | CityReceipt | ConfigVersion | RolloutStep | Command


class Order(Struct, frozen=True, kw_only=True):
    """One order."""

    epoch: _Epoch
    """Of the orders lane; not the journal's."""
    seq: _Seq
    issued_at: _Moment
    expires_at: _Moment
    issuer: Issuer
    action: Action

    def is_expired(self, now: datetime) -> bool:
        """Return whether it is too late to act on this."""
        return now >= self.expires_at


class UnknownOrder(Struct, frozen=True, kw_only=True):
    """An order of a kind a newer fleet knows: reported as not understood, and the cursor goes on."""

    epoch: _Epoch
    seq: _Seq
    detail: str


class OrderResult(StrEnum):
    """What became of an order."""

    DONE = "done"
    RECORDED = "recorded"
    """A second acknowledgement: somebody else was first."""
    STALE = "stale"
    """The alarm has moved on since the issuer saw it."""
    EXPIRED = "expired"
    REFUSED = "refused"
    NOT_UNDERSTOOD = "not_understood"
    FAILED = "failed"


class OrderOutcome(Struct, frozen=True, kw_only=True):
    """Body of the `outcome` entry that answers one order."""

    epoch: _Epoch
    seq: _Seq
    result: OrderResult
    at: _Moment
    detail: _Note = ""
    alarm: AlarmSeen | None = None
    """The alarm's revision afterwards."""


class OrderBatch(Struct, frozen=True, kw_only=True):
    """Orders that follow the gateway's cursor, each still to be decoded by itself (`orders_of`)."""

    epoch: _Epoch
    orders: Annotated[tuple[Raw, ...], Meta(max_length=MAX_ORDERS)]


class _Envelope(Struct, frozen=True, kw_only=True):
    epoch: _Epoch
    seq: _Seq


def encode(message: Order | OrderOutcome | OrderBatch) -> bytes:
    """Return a message for sending."""
    return canonical(message)


def decode_order(raw: bytes | Raw) -> Order | UnknownOrder:
    """Return one order; unknown fields are stepped over, an unknown kind keeps its place in the lane.

    Raises:
        MessageError: too large, or not even epoch and sequence number can be read.
    """
    text = bytes(raw)
    if len(text) > MAX_ORDER_BYTES:
        raise MessageError(f"{len(text)} bytes; an order has at most {MAX_ORDER_BYTES}")
    try:
        return msgspec.json.decode(text, type=Order)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        detail = str(error)
    try:
        place = msgspec.json.decode(text, type=_Envelope)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise MessageError(str(error)) from error
    return UnknownOrder(epoch=place.epoch, seq=place.seq, detail=detail)


def decode_batch(raw: bytes) -> OrderBatch:
    """Return the batch in `raw`.

    Raises:
        MessageError: too large, not JSON, or too many.
    """
    if len(raw) > MAX_ORDERS * MAX_ORDER_BYTES:
        raise MessageError(f"{len(raw)} bytes are more than {MAX_ORDERS} orders can have")
    try:
        return msgspec.json.decode(raw, type=OrderBatch)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise MessageError(str(error)) from error


def decode_outcome(raw: bytes) -> OrderOutcome:
    """Return the outcome in `raw`.

    Raises:
        MessageError: too large or not an outcome.
    """
    if len(raw) > MAX_ORDER_BYTES:
        raise MessageError(f"{len(raw)} bytes; an outcome has at most {MAX_ORDER_BYTES}")
    try:
        return msgspec.json.decode(raw, type=OrderOutcome)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise MessageError(str(error)) from error


def orders_of(batch: OrderBatch) -> list[Order | UnknownOrder]:
    """Return the orders of a batch.

    Raises:
        MessageError: one of them cannot be placed in the lane.
    """
    return [decode_order(raw) for raw in batch.orders]
