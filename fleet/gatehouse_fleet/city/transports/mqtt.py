"""MQTT 5, QoS 1. A PUBACK says the broker has it; done is an event only with the platform's receipt on its own topic.

The broker acknowledged 2000 messages and lost all of them in a kill (fleet notes §3): so each message carries a response topic
and its event id as correlation data, and waits for an answer with the same correlation data.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gatehouse_config.secret_files import read_secret
from gatehouse_fleet.city.errors import LostError
from gatehouse_fleet.city.exchange import Message, Outcome, Scope, Trouble
from gatehouse_fleet.city.signing import Sign, signed_bytes
from gatehouse_fleet.city.target import Mqtt, Signature
from gatehouse_fleet.city.transports.answers import of_body
from gatehouse_fleet.city.transports.tls import client_context
from gatehouse_fleet.clock import Clock

_QOS: Final = 1
_MAX_RECEIPT_BYTES: Final = 64 * 1024


class MqttPublish:
    """Publishes to one topic of one broker and listens on one other."""

    def __init__(
        self, settings: Mqtt, *, beside: Path, signature: Signature | None, sign: Sign | None, clock: Clock
    ) -> None:
        self._settings: Final = settings
        self._signature: Final = signature
        self._sign: Final = sign
        self._clock: Final = clock
        self._tls: Final = (
            client_context(settings.ca_file, settings.client_certificate, beside=beside)
            if settings.tls
            else None
        )
        self._password: Final = (
            None if settings.password_file is None else read_secret(beside / settings.password_file)
        )

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[MqttSession]:
        """See `Transport.open`."""
        settings = self._settings
        client = aiomqtt.Client(
            settings.host,
            settings.port,
            identifier=settings.client_id,
            username=settings.username,
            password=self._password,
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=self._tls,
            timeout=settings.timeout_s,
        )
        try:
            async with client, asyncio.TaskGroup() as tasks:
                await client.subscribe(settings.receipt_topic, qos=_QOS)
                session = MqttSession(settings, client, self._properties)
                listener = tasks.create_task(session.listen(), name="city receipts")
                try:
                    yield session
                finally:
                    listener.cancel()
        except* aiomqtt.MqttError as errors:
            raise LostError(f"broker: {type(errors.exceptions[0]).__name__}") from errors

    def _properties(self, message: Message) -> Properties:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
        properties.ContentType = message.content_type
        properties.ResponseTopic = self._settings.receipt_topic
        properties.CorrelationData = message.event_id.encode()
        if self._signature is not None and self._sign is not None:
            timestamp = str(int(self._clock.now().timestamp()))
            properties.UserProperty = [
                (self._signature.timestamp_header, timestamp),
                (self._signature.header, self._sign(signed_bytes(timestamp, message.body))),
            ]
        return properties


class MqttSession:
    """One connection; many events may wait for their receipts at the same time."""

    def __init__(
        self, settings: Mqtt, client: aiomqtt.Client, properties: Callable[[Message], Properties]
    ) -> None:
        self._settings: Final = settings
        self._client: Final = client
        self._properties: Final = properties
        self._waiting: Final[dict[bytes, asyncio.Future[bytes | LostError]]] = {}
        self._is_lost = False

    async def listen(self) -> None:
        """Hand receipts to those who wait for them; what nobody waits for is left."""
        try:
            async for message in self._client.messages:
                correlation = getattr(message.properties, "CorrelationData", None)
                waiter = self._waiting.pop(correlation, None) if isinstance(correlation, bytes) else None
                if waiter is not None and not waiter.done() and isinstance(message.payload, bytes):
                    waiter.set_result(message.payload[:_MAX_RECEIPT_BYTES])
        except aiomqtt.MqttError:
            self._is_lost = True
            for waiter in self._waiting.values():
                if not waiter.done():
                    waiter.set_result(LostError("the connection to the broker broke"))

    async def send(self, message: Message) -> Outcome:
        """See `Session.send`."""
        settings = self._settings
        if self._is_lost:
            return Trouble(reason="the connection to the broker broke", scope=Scope.TARGET)
        key = message.event_id.encode()
        waiter: asyncio.Future[bytes | LostError] = asyncio.get_running_loop().create_future()
        self._waiting[key] = waiter
        try:
            async with asyncio.timeout(settings.timeout_s):
                await self._client.publish(
                    settings.topic + message.path,
                    message.body,
                    qos=_QOS,
                    properties=self._properties(message),
                )
                answer = await waiter
        except TimeoutError:
            return Trouble(reason=f"no receipt in {settings.timeout_s:g} s", scope=Scope.EVENT)
        except aiomqtt.MqttError as error:
            return Trouble(reason=f"broker: {type(error).__name__}", scope=Scope.TARGET)
        finally:
            self._waiting.pop(key, None)
        if isinstance(answer, LostError):
            return Trouble(reason=str(answer), scope=Scope.TARGET)
        return of_body(answer, settings.accept)
