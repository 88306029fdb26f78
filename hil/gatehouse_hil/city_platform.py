"""A city platform as a process of its own: speaks the real protocols, gives receipts, and fails on demand.

`python -m gatehouse_hil.city_platform --store FILE` prints one line of JSON with its ports, then serves until it is ended. What it
took stands in the file (see `city_shelf`), on disk before it answers. How it behaves is set by `POST /control`:

| key | meaning |
|---|---|
| `slow_s` | waits so long before each answer |
| `refuse` | answers this status instead of storing |
| `refuse_alarms` | refuses events of these alarm ids only, with 422 |
| `fail_alarms` | answers 500 to events of these alarm ids |
| `crash_after` | after storing so many more messages it ends without answering the last |
| `deaf` | takes and stores, and never answers |
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gatehouse_hil.city_arguments import add_city_arguments
from gatehouse_hil.city_dialects import (
    FIRE_HEAD,
    FIRE_TAIL,
    ONE_HOT_PATHS,
    RefusedError,
    check_signature,
    cloud_event,
    fire_confirmation,
    fire_status,
    info,
    one_hot,
)
from gatehouse_hil.city_shelf import Arrived, Shelf

_MAX_BODY: Final = 256 * 1024


@dataclass(kw_only=True)
class Behaviour:
    """How the platform treats its clients; see the module."""

    slow_s: float = 0.0
    refuse: int = 0
    refuse_alarms: list[str] = field(default_factory=list)
    fail_alarms: list[str] = field(default_factory=list)
    crash_after: int = 0
    deaf: bool = False


class Platform:
    """All doors of one platform, behind them one shelf."""

    def __init__(self, shelf: Shelf, *, key: bytes | None, type_field: str) -> None:
        self.behaviour = Behaviour()
        self._shelf: Final = shelf
        self._key: Final = key
        self._type_field: Final = type_field
        self._frames = 0

    async def take(self, arrived: Arrived) -> dict[str, Any]:
        """Store a message and return the receipt; ends the process where the behaviour says so."""
        behaviour = self.behaviour
        alarm_id = arrived.alarm.rpartition("/")[2]
        if behaviour.refuse:
            raise RefusedError(behaviour.refuse, "told to refuse")
        if alarm_id in behaviour.refuse_alarms:
            raise RefusedError(422, "told to refuse this alarm")
        if alarm_id in behaviour.fail_alarms:
            raise RefusedError(500, "told to fail on this alarm")
        verdict = self._shelf.keep(arrived)
        if behaviour.crash_after and self._shelf.stored >= behaviour.crash_after:
            os._exit(9)
        if behaviour.deaf:
            await asyncio.Event().wait()
        if behaviour.slow_s:
            await asyncio.sleep(behaviour.slow_s)
        return {"code": "0", "receipt": f"R-{arrived.id}", "verdict": verdict}

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one HTTP connection."""
        try:
            while head := await _head(reader):
                method, path, headers = head
                length = int(headers.get("content-length", "0"))
                body = await reader.readexactly(min(length, _MAX_BODY))
                status, answer = await self._answer(method, path, headers, body)
                text = json.dumps(answer, ensure_ascii=False).encode()
                writer.write(
                    f"HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n".encode()
                    + text
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, Any]]:
        if (method, path) == ("POST", "/control"):
            self.behaviour = Behaviour(**json.loads(body))
            if self.behaviour.crash_after:
                self.behaviour.crash_after += self._shelf.stored
            return 200, {}
        try:
            check_signature(self._key, headers, body, now_s=time.time())  # noqa: TID251  # a platform has its own clock
            return 200, await self.take(_posted(path, headers, body))
        except RefusedError as error:
            return error.status, {"code": "1", "error": str(error)}

    async def text(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of `#10#{json}#13#` frames."""
        is_known = False
        try:
            while True:
                raw = await reader.readuntil(b"#13#")
                document = json.loads(raw.removeprefix(b"#10#").removesuffix(b"#13#"))
                kind = document.get(self._type_field)
                if kind == "login":
                    is_known = True
                elif not is_known:
                    writer.write(b'#10#{"%s":"need_login"}#13#' % self._type_field.encode())
                elif kind == "ping":
                    writer.write(b'#10#{"%s":"cping"}#13#' % self._type_field.encode())
                elif kind == "info":
                    self._frames += 1
                    await self.take(info(document, self._frames))
                await writer.drain()
        except RefusedError:
            writer.write(b'#10#{"%s":"kick","code":2}#13#' % self._type_field.encode())
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    async def fire(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of GB/T 26875.3 frames; each new connection is first asked whether somebody is on duty."""
        duty = b"\x07\x00\x01\x01" + bytes(6) + bytes(12) + b"\x03\x00" + b"\x01" + bytes([91, 1, 5])
        writer.write(b"@@" + duty + bytes([sum(duty) % 256]) + b"##")
        try:
            while True:
                head = await reader.readexactly(FIRE_HEAD)
                rest = await reader.readexactly(int.from_bytes(head[24:26], "little") + FIRE_TAIL)
                if head[26] in (3, 6):
                    continue
                try:
                    await self.take(fire_status(head + rest))
                    writer.write(fire_confirmation(head + rest, command=3))
                except RefusedError:
                    writer.write(fire_confirmation(head + rest, command=6))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def mqtt(self, host: str, port: int, topic: str) -> None:
        """Take events from a broker and answer each on its response topic."""
        while True:
            try:
                async with aiomqtt.Client(host, port, protocol=aiomqtt.ProtocolVersion.V5) as client:
                    await client.subscribe(topic, qos=1)
                    async for message in client.messages:
                        await self._receipt(client, message)
            except aiomqtt.MqttError:
                await asyncio.sleep(0.2)

    async def _receipt(self, client: aiomqtt.Client, message: aiomqtt.Message) -> None:
        asked = message.properties
        headers = {name.lower(): value for name, value in getattr(asked, "UserProperty", [])}
        body = bytes(message.payload) if isinstance(message.payload, bytes | bytearray) else b""
        try:
            check_signature(self._key, headers, body, now_s=time.time())  # noqa: TID251  # as above
            answer = await self.take(cloud_event(body, via="mqtt"))
        except RefusedError as error:
            answer = {"code": str(error.status), "error": str(error)}
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = asked.CorrelationData  # type: ignore[union-attr]  # MQTT 5: always there
        await client.publish(
            asked.ResponseTopic,  # type: ignore[union-attr]
            json.dumps(answer),
            qos=1,
            properties=properties,
        )


def _posted(path: str, headers: dict[str, str], body: bytes) -> Arrived:
    if path in ONE_HOT_PATHS:
        return one_hot(path, body)
    if path != "/events":
        raise RefusedError(404, "no such address")
    arrived = cloud_event(body, via="http")
    if headers.get("idempotency-key") != arrived.id:
        raise RefusedError(400, "idempotency key")
    return arrived


async def _head(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]] | None:
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = lines[0].split(" ", 2)
    pairs = (line.partition(":") for line in lines[1:] if line)
    return method, path, {name.lower(): value.strip() for name, _, value in pairs}


async def serve(args: argparse.Namespace) -> None:
    """Open every door, print the ports, serve until cancelled."""
    key = None if args.key_file is None else args.key_file.read_bytes().strip()
    with Shelf(args.store) as shelf:
        platform = Platform(shelf, key=key, type_field=args.type_field)
        doors = {"http": platform.http, "text": platform.text, "fire": platform.fire}
        ports = {"http": args.http, "text": args.text, "fire": args.fire}
        servers = {
            name: await asyncio.start_server(door, "127.0.0.1", ports[name], limit=_MAX_BODY)
            for name, door in doors.items()
        }
        sys.stdout.write(
            json.dumps({name: server.sockets[0].getsockname()[1] for name, server in servers.items()}) + "\n"
        )
        sys.stdout.flush()
        async with asyncio.TaskGroup() as tasks:
            if args.mqtt:
                host, _, port = args.mqtt.partition(":")
                tasks.create_task(platform.mqtt(host, int(port), args.topic), name="mqtt")
            for name, server in servers.items():
                tasks.create_task(server.serve_forever(), name=name)


def run(args: argparse.Namespace) -> int:
    """Run the platform until Ctrl-C."""
    try:
        asyncio.run(serve(args))
    except KeyboardInterrupt:
        return 0
    return 0


def main(argv: list[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        prog="gatehouse_hil.city_platform", description="a simulated city platform"
    )
    add_city_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
