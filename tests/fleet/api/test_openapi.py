"""schemathesis asks every operation of the description for everything it allows and much that it does not."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from pwdlib.hashers.argon2 import Argon2Hasher
from schemathesis import APIOperation, GenerationMode
from schemathesis.checks import load_all_checks

from gatehouse_fleet.api.app import create_app
from gatehouse_fleet.api.desk import Desk
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.people.passwords import Passwords
from gatehouse_fleet.pki.authority import FOLDER, Authority
from gatehouse_fleet.server.listen import bind
from gatehouse_fleet.server.worker import run_worker
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.web.session import session_gate

load_all_checks()
PASSWORD = "gatehouse 示例 2026"
HEADERS = {"X-Gatehouse": "1"}


class Server:
    """A worker in a thread of its own: schemathesis is synchronous."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: Future[tuple[str, str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="server")

    def __enter__(self) -> Server:
        self._thread.start()
        self.url, self._code, self._loop, self._stop = self._started.result(60)
        self.client = httpx.Client(base_url=self.url, headers=HEADERS, timeout=60, trust_env=False)
        person = {
            "name": "zhou",
            "full_name": "周示例",
            "unit": "示例市城管局",
            "password": PASSWORD,
            "city_code": "shili",
            "city_name": "示例市",
        }
        assert self.client.post("/api/v1/setup", json=person | {"code": self._code}).status_code == 201
        city = self.ask("GET", "/api/v1/nodes").json()["items"][0]["id"]
        place = {"kind": "community", "parent_id": city, "code": "yuan", "name": "示例花园"}
        community = self.ask("POST", "/api/v1/nodes", json=place).json()["id"]
        self.ask("POST", "/api/v1/gateways", json={"id": "gw1", "node_id": community})
        self.ask("POST", "/api/v1/gateways", json={"id": "wh-gw1", "node_id": community})
        self.ask("POST", "/api/v1/gateways/wh-gw1/devices", json={"id": "gas-1", "kind": "lift"})
        guard = {
            "name": "li",
            "full_name": "李示例",
            "unit": "示例物业",
            "role": "guard",
            "scope_id": community,
        }
        assert self.ask("POST", "/api/v1/users", json=guard | {"password": PASSWORD}).status_code == 201
        bench = {"name": "pi-1", "node_id": community, "key": "A" * 43 + "="}
        token = self.ask("POST", "/api/v1/bench/tokens", json=bench).json()["token"]
        self.headers = HEADERS | {"Authorization": f"Bearer {token}"}
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    def cookies(self) -> dict[str, str]:
        """A live session; made anew after `client.cookies.clear()`."""
        if not self.client.cookies:
            self._throttle.succeed("peer 127.0.0.1")  # five wrong guesses of the fuzzer would shut us out
            login = {"name": "zhou", "password": PASSWORD}
            assert self.client.post("/api/v1/login", json=login).status_code == 200
        return dict(self.client.cookies)

    def ask(self, method: str, path: str, **body: object) -> httpx.Response:
        self.cookies()
        return self.client.request(method, path, **body)

    async def _run(self) -> None:
        given = {"directory": self._directory, "server": {"port": 0, "tls": "off"}}
        settings = FleetSettings.model_validate(given)
        clock, stop = SystemClock(), asyncio.Event()
        store = Store.open(settings.database_url)
        await store.create_all()
        services = Services(settings=settings, store=store, clock=clock, wake=Wake())
        authority = Authority.open(self._directory / FOLDER, at=clock.now())
        cheap = Passwords(Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1))
        desk = Desk.open(services, authority, passwords=cheap)
        self._throttle = desk.throttle
        with bind("127.0.0.1", 0) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(run_worker(services, desk, listener, stop), name="worker")
                self._started.set_result((url, desk.first_code.ensure(), asyncio.get_running_loop(), stop))
        desk.identifier.close()
        await store.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("openapi")) as server:
        yield server


def description(directory: Path) -> dict[str, object]:
    given = {"directory": directory, "server": {"tls": "off"}}
    settings = FleetSettings.model_validate(given)
    store = Store.open("sqlite:///nowhere.db")
    services = Services(settings=settings, store=store, clock=SystemClock(), wake=Wake())
    found = create_app(services, session_gate(services)).openapi()
    # Every request below has a session; what happens without one stands in test_access.
    for path in found["paths"].values():
        for operation in path.values():
            operation.pop("security", None)
    return found


ENDS_SESSIONS = {"/api/v1/logout", "/api/v1/me/sessions", "/api/v1/me/password"}
# A body that is larger than the server takes is answered 413, which schemathesis does not expect by itself.
CONFIG = schemathesis.Config.from_dict(
    {"checks": {"negative_data_rejection": {"expected-statuses": ["4xx"]}}}
)
OPERATIONS = [
    found.ok()
    for found in schemathesis.openapi.from_dict(
        description(Path("nowhere")), config=CONFIG
    ).get_all_operations()
]
ENDLESS = {"/api/v1/stream"}
"""Server-sent events never end, and schemathesis takes each event for the whole body; its beginning is asked for below."""
ROUNDS = [
    pytest.param(operation, mode, id=f"{operation.label} {mode.value}")
    for operation in OPERATIONS
    for mode in GenerationMode
    # Where nothing is asked for, nothing wrong can be said.
    if operation.path not in ENDLESS
    and (mode is GenerationMode.POSITIVE or [*operation.iter_parameters(), *operation.body])
]


@pytest.mark.parametrize(("operation", "mode"), ROUNDS)
def test_every_operation_keeps_to_its_description(
    operation: APIOperation, mode: GenerationMode, server: Server
) -> None:
    @settings(
        max_examples=settings().max_examples // 50,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(
            base_url=server.url, headers=server.headers, cookies=server.cookies(), timeout=60
        )
        if operation.path in ENDS_SESSIONS:
            server.client.cookies.clear()

    ask()


@pytest.mark.parametrize(
    ("number", "status"), [(7, 200), (7.0, 200), (True, 422), ("7", 422), (7.5, 422), (-1, 422)]
)
def test_a_number_of_a_body_is_written_as_one(server: Server, number: object, status: int) -> None:
    body = {"facts": {"households": number}}
    assert server.ask("PATCH", "/api/v1/nodes/1", json=body).status_code == status


@pytest.mark.parametrize(
    ("moment", "status"),
    [("2026-11-01T00:00:00+08:00", 200), ("2026-11-01T00:00:00", 422), ("0", 422), ("1e9", 422), ("2026-11-01", 422)],
)  # fmt: skip
def test_a_moment_is_written_as_one(server: Server, moment: str, status: int) -> None:
    assert server.ask("GET", "/api/v1/alarms", params={"since": moment}).status_code == status


STREAM = "/api/v1/stream"
STREAM_EVENTS = {"hello", "reset", "time", "alarm", "case", "gateway", "rollout", "city"}
"""As the description of the stream names them; the first three say the server's time."""


def first_event(lines: Iterator[str]) -> dict[str, str]:
    """Return the fields of the first event that has a name; fields before it (`retry`) are told as the server sends them."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            assert name in {"retry", "id", "event", "data"}, line
            fields[name] = value
        elif "event" in fields:
            return fields
    raise AssertionError("the stream ended")


def test_the_stream_names_its_events_in_the_description() -> None:
    told = description(Path("nowhere"))["paths"][STREAM]["get"]["responses"]["200"]  # type: ignore[index]
    assert all(f"`{name}`" in told["description"] for name in STREAM_EVENTS)
    assert set(told["content"]) == {"text/event-stream"}


@settings(
    max_examples=settings().max_examples // 10,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@example(after=None, last=None)
@example(after="9007199254740992", last=None)
@example(after="0", last="99999999999999999999")
@given(
    after=st.none() | st.integers(-2, 2**54).map(str) | st.text("0123456789abc -.", max_size=8),
    last=st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=24),
)
def test_the_stream_begins_as_described_whatever_it_is_asked_for(
    server: Server, after: str | None, last: str | None
) -> None:
    """An endless body cannot be validated whole: what is refused, and the first event, can."""
    headers = {} if last is None else {"Last-Event-ID": last}
    query = {} if after is None else {"after": after}
    server.cookies()
    with server.client.stream("GET", STREAM, params=query, headers=headers) as answer:
        is_right = after is None or (after.strip().isdecimal() and int(after) <= 2**53)
        if answer.status_code != 200:
            assert answer.status_code == 422
            assert not is_right or (last is not None and len(last) > 20)
            problem = json.loads(answer.read())
            assert answer.headers["content-type"].startswith("application/problem+json")
            assert problem.keys() >= {"reason", "errors"}
            return
        assert last is None or len(last) <= 20
        assert answer.headers["content-type"].startswith("text/event-stream")
        event = first_event(answer.iter_lines())
    assert event["event"] in STREAM_EVENTS
    assert int(event["id"]) >= 0
    said = json.loads(event["data"])
    if event["event"] in {"hello", "reset", "time"}:
        assert datetime.fromisoformat(said["at"]).tzinfo is not None
        assert isinstance(said["utc_offset_s"], int)
    if after is None and (last is None or not last.isdecimal()):
        assert event["event"] == "hello"
