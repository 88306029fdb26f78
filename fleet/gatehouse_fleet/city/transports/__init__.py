"""What carries messages to a platform: one module for each, chosen by the target's file."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, assert_never
from zoneinfo import ZoneInfo

from gatehouse_fleet.city.errors import CityError
from gatehouse_fleet.city.exchange import Message, Outcome
from gatehouse_fleet.city.signing import Sign, signer
from gatehouse_fleet.city.target import Gbt26875, Http, Mqtt, Target, Tcp, TextFrames
from gatehouse_fleet.city.transports.binary_tcp import BinaryTcp
from gatehouse_fleet.city.transports.http import HttpPost
from gatehouse_fleet.city.transports.mqtt import MqttPublish
from gatehouse_fleet.city.transports.text_tcp import TextTcp
from gatehouse_fleet.clock import Clock


class Session(Protocol):
    """An open way to the platform."""

    async def send(self, message: Message) -> Outcome:
        """Send one message and return what became of it; never raises for what a platform may do."""
        ...


class Transport(Protocol):
    """Opens ways to one platform."""

    def open(self) -> AbstractAsyncContextManager[Session]:
        """Open a session for the time of a block.

        Raises:
            LostError: the platform cannot be reached, or does not let us in.
        """
        ...


def transport_for(target: Target, *, beside: Path, clock: Clock) -> Transport:
    """Return the transport a target's file asks for; secrets and certificates are read from the files it names.

    Raises:
        SecretError, SigningError, CityError: one of those files cannot be used.
    """
    sign = _signer(target, beside)
    match target.transport:
        case Http():
            return HttpPost(
                target.transport, beside=beside, signature=target.signature, sign=sign, clock=clock
            )
        case Mqtt():
            return MqttPublish(
                target.transport, beside=beside, signature=target.signature, sign=sign, clock=clock
            )
        case Tcp():
            match target.envelope:
                case TextFrames():
                    return TextTcp(target.transport, target.envelope, beside=beside)
                case Gbt26875():
                    return BinaryTcp(
                        target.transport,
                        target.envelope,
                        beside=beside,
                        clock=clock,
                        zone=ZoneInfo(target.time.zone),
                    )
                case _:
                    raise CityError(f"{target.envelope.kind} does not go over tcp")
        case _:
            assert_never(target.transport)


def _signer(target: Target, beside: Path) -> Sign | None:
    from gatehouse_config.secret_files import read_secret

    if target.signature is None:
        return None
    return signer(target.signature.kind, read_secret(beside / target.signature.key_file).encode())
