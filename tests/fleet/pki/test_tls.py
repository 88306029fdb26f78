"""The listening side of TLS: slow peers are cut, old versions refused, and what the gateway sends is what the API takes."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import uvicorn

from gatehouse_events import fleet_api
from gatehouse_fleet.api.enrolment import CertificateAnswer, EnrolBody, RenewBody
from gatehouse_fleet.pki.tls import TlsProtocol


class Hasty(TlsProtocol):
    """The same with less patience, so that the test need not wait."""

    headers_within_s = 0.2


async def app(scope, receive, send) -> None:
    await asyncio.sleep(0.5)  # longer than the patience: an answer may take its time
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def talk(*words: bytes) -> bytes:
    """What a server without patience answers to these words; empty: it has cut the line."""
    config = uvicorn.Config(app, http=Hasty, ws="none", lifespan="off", log_config=None, port=0)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.main_loop(), name="server")
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for word in words:
            writer.write(word)
        try:
            async with asyncio.timeout(30):
                answer = await reader.readline()
        except ConnectionResetError:
            answer = b""
        writer.close()
        server.should_exit = True
    await server.shutdown()
    return answer


@pytest.mark.parametrize(
    "words",
    [(), (b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ",), (b"GET / HT",)],
    ids=["says nothing", "never ends its headers", "never ends its first line"],
)
async def test_a_peer_that_never_says_what_it_wants_is_cut(words: tuple[bytes, ...]) -> None:
    assert await talk(*words) == b""


async def test_a_request_that_is_complete_is_answered_however_long_it_takes() -> None:
    assert await talk(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n") == b"HTTP/1.1 204 No Content\r\n"


async def test_old_versions_of_tls_are_refused(live_server) -> None:
    async with live_server() as server:
        context = ssl.create_default_context(cadata=server.desk.authority.root_pem)
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", server.port, ssl=context)


@pytest.mark.parametrize(
    ("model", "struct"),
    [
        (EnrolBody, fleet_api.EnrolRequest),
        (RenewBody, fleet_api.RenewRequest),
        (CertificateAnswer, fleet_api.EnrolAnswer),
    ],
)
def test_the_description_and_the_gateways_own_messages_have_the_same_fields(model, struct) -> None:
    assert tuple(model.model_fields) == struct.__struct_fields__
