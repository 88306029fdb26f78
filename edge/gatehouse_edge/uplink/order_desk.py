"""Carries the fleet's orders out: what each becomes at the desk, and what is answered. The ledger does it once.

What may never come from afar has no way through here: `RemoteCommand` names the three commands of the desk that an order can
become, and opening a gas valve is not among them.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final, Protocol, TypeGuard, assert_never

import msgspec
from msgspec import structs

from gatehouse_edge.alarms.commands import (
    MAX_TEXT,
    Acknowledge,
    AddNote,
    CloseAlarm,
    CommandResult,
    StartTest,
)
from gatehouse_edge.ledger import LedgerClosedError, LedgerError, OrderPlace, Settlement
from gatehouse_edge.ports import NoEvidenceError
from gatehouse_edge.uplink.evidence import EvidenceQueue
from gatehouse_events.alarm import Actor
from gatehouse_events.orders import (
    Acknowledgement,
    AlarmSeen,
    CityReceipt,
    Command,
    ConfigVersion,
    DispositionOrder,
    Issuer,
    Order,
    OrderOutcome,
    OrderResult,
    RolloutStep,
    UnknownOrder,
)

RemoteCommand = Acknowledge | CloseAlarm | AddNote | StartTest
"""Everything at the desk that an order can become."""
RECEIPT_KEY: Final = "fleet/receipt"
"""State key: how far the city has receipts (`Receipt`)."""
_STATION: Final = "fleet"
_MAX_DETAIL: Final = 1000
_SHA256_LENGTH: Final = 64
_log = logging.getLogger(__name__)


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Every alarm entry of `epoch` through `seq` is at the city platform."""

    epoch: str
    seq: int


class OrderLedger(Protocol):
    """What orders need of the ledger."""

    async def settle(self, settlement: Settlement) -> None:
        """Commit what an order does, its outcome and the place in the lane."""
        ...


class ConfigDesk(Protocol):
    """Who tries configurations."""

    def refusal(self) -> str | None:
        """Return why none can be tried now."""
        ...

    def key_of(self, order: Order) -> Mapping[str, bytes]:
        """Return the state keys that a trial begins with."""
        ...

    def begin(self, order: Order) -> None:
        """Begin the trial; its order is on disk."""
        ...


class HoldDesk(Protocol):
    """Who holds evidence beyond its time because the fleet does."""

    async def hold_afar(
        self, file: str, *, actor: Actor, reason: str, settle: Callable[[Settlement], Awaitable[None]]
    ) -> None:
        """Hold what a file belongs to; `settle` commits it."""
        ...

    async def lift_afar(
        self, file: str, *, actor: Actor, reason: str, settle: Callable[[Settlement], Awaitable[None]]
    ) -> None:
        """End that."""
        ...


Answered = Callable[[CommandResult | None], OrderOutcome]


class OrderDesk:
    """Settles one order at a time; what takes longer (a configuration, a clip) goes on by itself afterwards."""

    def __init__(
        self,
        ledger: OrderLedger,
        configs: ConfigDesk,
        evidence: EvidenceQueue,
        holds: HoldDesk,
        *,
        now: Callable[[], datetime],
        report_status: Callable[[], None],
        reload_config: Callable[[], None],
    ) -> None:
        self._ledger: Final = ledger
        self._configs: Final = configs
        self._evidence: Final = evidence
        self._holds: Final = holds
        self._now: Final = now
        self._report_status: Final = report_status
        self._reload_config: Final = reload_config

    async def carry(self, found: Order | UnknownOrder) -> None:
        """Carry an order out and return once its outcome is on disk.

        Raises:
            LedgerClosedError: the gateway is stopping; the order comes again.
        """
        try:
            await self._carry(found)
        except LedgerClosedError:
            raise
        except LedgerError as error:
            # Whatever one order does to us, those behind it must be carried out.
            _log.exception("order %d cannot be carried out", found.seq)
            await self._say(found, OrderResult.FAILED, str(error))

    async def _carry(self, found: Order | UnknownOrder) -> None:
        if isinstance(found, UnknownOrder):
            await self._say(found, OrderResult.NOT_UNDERSTOOD, "this version does not know such an order")
            return
        if found.is_expired(self._now()):
            await self._say(found, OrderResult.EXPIRED, "it came too late")
            return
        match found.action:
            case Acknowledgement() | DispositionOrder():
                await self._at_desk(found, _desk_commands(found, found.action))
            case CityReceipt():
                await self._receive(found, found.action)
            case ConfigVersion():
                await self._configure(found)
            case RolloutStep():
                await self._say(found, OrderResult.NOT_UNDERSTOOD, "this version takes no software from afar")
            case Command():
                await self._command(found, found.action)
            case _ as unreachable:
                assert_never(unreachable)

    async def _at_desk(self, order: Order, commands: tuple[RemoteCommand, ...]) -> None:
        await self._ledger.settle(
            Settlement(place=_place(order), commands=commands, answer=self._outcome(order))
        )

    async def _receive(self, order: Order, receipt: CityReceipt) -> None:
        through = Receipt(epoch=receipt.epoch, seq=receipt.through_seq)
        await self._say(order, OrderResult.DONE, state={RECEIPT_KEY: msgspec.json.encode(through)})

    async def _configure(self, order: Order) -> None:
        refusal = self._configs.refusal()
        if refusal is not None:
            await self._say(order, OrderResult.REFUSED, refusal)
            return
        # The lane goes on during the trial: an acknowledgement must not wait a minute behind a configuration.
        await self._ledger.settle(Settlement(place=_place(order), state=self._configs.key_of(order)))
        self._configs.begin(order)

    async def _command(self, order: Order, command: Command) -> None:
        """The named commands; anything else is not understood."""
        given = command.arguments
        match command.name:
            case "report_status":
                await self._say(order, OrderResult.DONE)
                self._report_status()
            case "reload_config":
                await self._say(order, OrderResult.DONE, "the local file is read again")
                self._reload_config()
            case "test_alarm":
                device, code, duration_s = (
                    given.get("device_id"),
                    given.get("code"),
                    given.get("duration_s", 300),
                )
                if not isinstance(device, str) or not isinstance(code, str) or not _is_number(duration_s):
                    await self._say(order, OrderResult.REFUSED, "device_id, code and duration_s are wanted")
                    return
                test = StartTest(
                    actor=_actor(order.issuer),
                    command_id=_command_id(order),
                    device_id=device,
                    code=code,
                    duration_s=float(duration_s),  # type: ignore[arg-type]  # a number, see above
                )
                await self._at_desk(order, (test,))
            case "send_evidence":
                await self._send_evidence(order, given.get("sha256"))
            case "hold_evidence" | "release_evidence":
                await self._hold_evidence(order, command)
            case _:
                await self._say(order, OrderResult.NOT_UNDERSTOOD, "no such command")

    async def _hold_evidence(self, order: Order, command: Command) -> None:
        """A hold at the fleet begins or ends: effect, register entry, outcome and place in one commit."""
        sha256, reason = command.arguments.get("sha256"), command.arguments.get("reason")
        if not _is_hash(sha256) or not isinstance(reason, str) or not reason.strip():
            await self._say(order, OrderResult.REFUSED, "sha256 (64 hex digits) and reason are wanted")
            return
        outcome = self._said(order, OrderResult.DONE)

        async def settle(change: Settlement) -> None:
            await self._ledger.settle(
                structs.replace(change, place=_place(order), answer=lambda _: outcome, is_late=False)
            )

        change = self._holds.hold_afar if command.name == "hold_evidence" else self._holds.lift_afar
        try:
            await change(sha256, actor=_actor(order.issuer), reason=reason[:MAX_TEXT], settle=settle)
        except NoEvidenceError as error:
            await self._say(order, OrderResult.FAILED, str(error))

    async def _send_evidence(self, order: Order, sha256: object) -> None:
        if not _is_hash(sha256):
            await self._say(order, OrderResult.REFUSED, "sha256 is wanted, 64 hex digits")
        elif not self._evidence.has(sha256):
            await self._say(order, OrderResult.FAILED, "there is no such file here")
        else:
            await self._say(order, OrderResult.DONE, "queued", state=self._evidence.key_of(sha256))
            self._evidence.want([sha256])

    async def _say(
        self,
        found: Order | UnknownOrder,
        result: OrderResult,
        detail: str = "",
        *,
        state: Mapping[str, bytes | None] | None = None,
    ) -> None:
        outcome = self._said(found, result, detail)
        if result is not OrderResult.DONE:
            _log.warning("order %d of the fleet: %s %s", found.seq, result, detail)
        await self._ledger.settle(
            Settlement(place=_place(found), answer=lambda _: outcome, state=state or {})
        )

    def _said(self, found: Order | UnknownOrder, result: OrderResult, detail: str = "") -> OrderOutcome:
        return OrderOutcome(
            epoch=found.epoch, seq=found.seq, result=result, at=self._now(), detail=detail[:_MAX_DETAIL]
        )

    def _outcome(self, order: Order) -> Answered:
        at = self._now()

        def answer(result: CommandResult | None) -> OrderOutcome:
            assert result is not None  # noqa: S101  # there was a command
            word, detail = _judged(result)
            seen = None
            if result.alarm_id is not None and result.seq is not None:
                seen = AlarmSeen(alarm_id=result.alarm_id, seq=result.seq)
            return OrderOutcome(
                epoch=order.epoch, seq=order.seq, result=word, at=at, detail=detail, alarm=seen
            )

        return answer


def _judged(result: CommandResult) -> tuple[OrderResult, str]:
    """Return what a result at the desk is to the fleet."""
    refused = result.refused
    if refused is None:
        if result.was_first:
            return OrderResult.DONE, ""
        return OrderResult.RECORDED, "somebody else had taken it before"
    # An alarm that is over has moved on since the issuer saw it, as has one in another state.
    word = OrderResult.STALE if refused.reason in {"stale", "not_open"} else OrderResult.REFUSED
    return word, f"{refused.reason}: {refused.text.zh} {refused.text.en}"[:_MAX_DETAIL]


def _desk_commands(order: Order, action: Acknowledgement | DispositionOrder) -> tuple[RemoteCommand, ...]:
    actor, command_id, seen = _actor(order.issuer), _command_id(order), action.alarm
    match action:
        case Acknowledgement():
            taken = Acknowledge(actor=actor, command_id=command_id, seen_seq=seen.seq, alarm_id=seen.alarm_id)
            if not action.note.strip():
                return (taken,)
            note = AddNote(
                actor=actor,
                command_id=f"{command_id}-note",
                alarm_id=seen.alarm_id,
                text=action.note[:MAX_TEXT],
            )
            return (taken, note)
        case DispositionOrder():
            closing = CloseAlarm(
                actor=actor,
                command_id=command_id,
                seen_seq=seen.seq,
                alarm_id=seen.alarm_id,
                disposition=action.disposition,
                reason=action.reason[:MAX_TEXT],
            )
            return (closing,)


def _actor(issuer: Issuer) -> Actor:
    """Return who gave the order, in printable words, as the console shows it."""
    name = f"{issuer.name}（{issuer.unit}）"
    clean = "".join(c if c.isprintable() else " " for c in name)
    return Actor(name=clean[:64], role=issuer.role[:32], station=_STATION)


def _command_id(order: Order) -> str:
    return f"order-{order.epoch}-{order.seq}"


def _place(found: Order | UnknownOrder) -> OrderPlace:
    return OrderPlace(epoch=found.epoch, seq=found.seq)


def _is_hash(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) == _SHA256_LENGTH and value.isalnum()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
