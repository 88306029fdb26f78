"""When a worker stops, streams end with their last chunk, unanswered requests with 503, and nothing else changes."""

from __future__ import annotations

import asyncio

import pytest

from gatehouse_fleet.server.ending import Ending


class Client:
    """One request to an application that waits for ever after `first`."""

    def __init__(self, first: tuple[dict[str, object], ...]) -> None:
        self.first, self.said, self.waits = first, [], asyncio.Event()

    async def app(self, scope, receive, send) -> None:
        for message in self.first:
            await send(message)
        self.waits.set()
        await asyncio.Event().wait()

    async def send(self, message) -> None:
        self.said.append(message)

    async def receive(self):
        await asyncio.Event().wait()


async def ended(client: Client) -> list[dict[str, object]]:
    ending = Ending(client.app)
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(ending({"type": "http"}, client.receive, client.send), name="request")
        await client.waits.wait()
        ending.end()
        ending.end()
    return client.said


async def test_a_stream_ends_with_its_last_chunk() -> None:
    start = {"type": "http.response.start", "status": 200, "headers": []}
    chunk = {"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True}
    assert await ended(Client((start, chunk))) == [start, chunk, {"type": "http.response.body", "body": b""}]


async def test_a_request_without_answer_is_told_to_try_again() -> None:
    said = await ended(Client(()))
    assert (said[0]["status"], dict(said[0]["headers"])[b"retry-after"]) == (503, b"1")


async def test_a_time_out_of_the_application_stays_its_own() -> None:
    async def app(scope, receive, send) -> None:
        raise TimeoutError("of the database")

    with pytest.raises(TimeoutError, match="of the database"):
        await Ending(app)({"type": "http"}, None, None)


async def test_being_cancelled_stays_being_cancelled() -> None:
    client = Client(())
    ending = Ending(client.app)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(ending({"type": "http"}, client.receive, client.send), name="request")
        await client.waits.wait()
        task.cancel()
    assert task.cancelled()
    assert client.said == []
