"""How `gatehouse-bench play` reaches a running estate: JSON lines over a Unix socket only its owner can open.

request   {"play": "leak", "target": "gas-3-2-501"}
answers   {"said": "..."} as the scenario goes on, then {"done": true} or {"error": "..."}
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

LINE_LIMIT: Final = 4096
"""Longest request; a scenario and a device name need a tenth of it."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Play this scenario, on this device if it takes one."""

    play: str
    target: str = ""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of what happened."""

    said: str = ""
    error: str = ""
    done: bool = False


Say = Callable[[str], Awaitable[None]]
Player = Callable[[Request, Say], Awaitable[None]]


class ControlError(Exception):
    """The estate refused the request or is not running."""


@asynccontextmanager
async def serve(path: Path, player: Player) -> AsyncIterator[None]:
    """Answer requests on the socket at `path` while the block runs."""

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def send(answer: Answer) -> None:
            writer.write(msgspec.json.encode(answer) + b"\n")
            await writer.drain()

        async def say(text: str) -> None:
            await send(Answer(said=text))

        try:
            line = await reader.readline()
            await player(msgspec.json.decode(line, type=Request), say)
            await send(Answer(done=True))
        except (msgspec.DecodeError, ValueError, KeyError) as error:
            await send(Answer(error=str(error)))
        except (ConnectionError, BrokenPipeError):
            return
        finally:
            writer.close()

    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(on_connection, path, limit=LINE_LIMIT)
    path.chmod(0o600)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def ask(path: Path, request: Request) -> AsyncIterator[str]:
    """Send `request` to the estate at `path` and yield what it says until it is done.

    Raises:
        ControlError: no estate runs there, or it refused.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=LINE_LIMIT)
    except OSError as error:
        raise ControlError(f"no simulated estate answers at {path}; start one with `make run`") from error
    try:
        writer.write(msgspec.json.encode(request) + b"\n")
        while line := await reader.readline():
            answer = msgspec.json.decode(line, type=Answer)
            if answer.error:
                raise ControlError(answer.error)
            if answer.said:
                yield answer.said
            if answer.done:
                return
        raise ControlError("the estate went away in the middle of the scenario")
    finally:
        writer.close()
