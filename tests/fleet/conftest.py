"""Every store test runs on SQLite and on a PostgreSQL cluster that the tests start themselves."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pwdlib.hashers.argon2 import Argon2Hasher

from gatehouse_fleet.api.desk import Desk
from gatehouse_fleet.clock import SetClock, SystemClock
from gatehouse_fleet.people.passwords import Passwords
from gatehouse_fleet.pki.authority import FOLDER, Authority
from gatehouse_fleet.server.listen import bind
from gatehouse_fleet.server.worker import run_worker
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store, Wake
from gatehouse_hil.postgres import PostgresCluster

MORNING = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def cluster() -> Iterator[PostgresCluster]:
    """One cluster for all tests of this process; without fsync: what survives a kill has tests of its own."""
    with PostgresCluster(is_durable=False) as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Every test of a database runs on both; a module that asks only one overrides this."""
    kind: str = request.param
    return kind


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path, database_kind: str) -> Iterator[str]:
    """Address of an empty database."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path}/fleet.db"
        return
    cluster: PostgresCluster = request.getfixturevalue("cluster")
    name = cluster.create_database()
    yield cluster.url(name)
    cluster.drop_database(name)


@pytest.fixture(scope="session")
def sqlite_with_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with every table: copied for each test, for making sixty tables takes longer than most tests."""
    path = tmp_path_factory.mktemp("tables") / "fleet.db"
    asyncio.run(_make_tables(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_with_tables(cluster: PostgresCluster) -> str:
    """Name of a database with every table, the template of each test's own."""
    name = cluster.create_database()
    asyncio.run(_make_tables(cluster.url(name)))
    return name


async def _make_tables(url: str) -> None:
    store = Store.open(url)
    await store.create_all()
    await store.close()


@pytest.fixture
def store_url(request: pytest.FixtureRequest, tmp_path: Path, database_kind: str) -> Iterator[str]:
    """Address of a database with every table and nothing in them."""
    if database_kind == "sqlite":
        path = tmp_path / "fleet.db"
        shutil.copyfile(request.getfixturevalue("sqlite_with_tables"), path)
        yield f"sqlite:///{path}"
        return
    cluster: PostgresCluster = request.getfixturevalue("cluster")
    name = cluster.create_database(template=request.getfixturevalue("postgres_with_tables"))
    yield cluster.url(name)
    cluster.drop_database(name)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    store = Store.open(store_url)
    yield store
    await store.close()


@pytest.fixture
def clock() -> SetClock:
    return SetClock(MORNING)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> Callable[[str], str]:
    return lambda name="fleet": f"sqlite:///{tmp_path}/{name}.db"


PASSWORD = "gatehouse 示例 2026"
SETUP = {
    "name": "zhou",
    "full_name": "周示例",
    "unit": "示例市城管局",
    "password": PASSWORD,
    "city_code": "shili",
    "city_name": "示例市",
}
CSRF = {"X-Gatehouse": "1"}


@dataclass(frozen=True, kw_only=True)
class LiveServer:
    """A whole worker on loopback, with real TLS unless the settings say otherwise."""

    services: Services
    desk: Desk
    clock: SetClock
    port: int

    @property
    def url(self) -> str:
        scheme = "http" if self.services.settings.server.tls in {"off", "proxy"} else "https"
        return f"{scheme}://127.0.0.1:{self.port}"

    def client(
        self, certificate: tuple[Path, Path] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.AsyncClient:
        """A client that trusts the server's root and, if given, shows a certificate (chain, key)."""
        context = ssl.create_default_context(cadata=self.desk.authority.root_pem)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        return httpx.AsyncClient(
            base_url=self.url, verify=context, headers=CSRF | (headers or {}), timeout=60, trust_env=False
        )

    async def log_in_first(self, client: httpx.AsyncClient) -> None:
        """Make the first user and log in."""
        code = self.desk.first_code.ensure()
        made = await client.post("/api/v1/setup", json=SETUP | {"code": code})
        assert made.status_code == 201, made.text
        done = await client.post("/api/v1/login", json={"name": SETUP["name"], "password": PASSWORD})
        assert done.status_code == 200, done.text


@pytest.fixture
def live_server(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[LiveServer]]:
    """`async with live_server() as server:` runs a worker; keyword arguments are `ServerSettings`."""

    @contextlib.asynccontextmanager
    async def live(
        database_url: str = "sqlite:///fleet.db", *, oidc: object = None, **server: object
    ) -> AsyncIterator[LiveServer]:
        settings = FleetSettings.model_validate(
            {
                "directory": tmp_path / "fleet",
                "server": {"port": 0} | server,
                "database": {"url": database_url},
                "oidc": oidc,
            }
        )
        clock = SetClock(SystemClock().now())  # OpenSSL goes by the machine's clock
        settings.directory.mkdir(parents=True, exist_ok=True)
        store = Store.open(settings.database_url)
        await store.create_all()
        services = Services(settings=settings, store=store, clock=clock, wake=Wake())
        authority = Authority.open(settings.directory / FOLDER, at=clock.now())
        cheap = Passwords(Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1))
        desk = Desk.open(services, authority, passwords=cheap)
        stop = asyncio.Event()
        try:
            with bind("127.0.0.1", 0) as listener:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(run_worker(services, desk, listener, stop), name="worker")
                    try:
                        yield LiveServer(
                            services=services, desk=desk, clock=clock, port=listener.getsockname()[1]
                        )
                    finally:
                        stop.set()
        finally:
            desk.identifier.close()
            await store.close()

    return live
