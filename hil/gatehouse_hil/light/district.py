"""A district on one machine: the fleet server as it is shipped, a simulated city platform, and light gateways that live in it.

Everything is started as a person would start it: processes with configuration files, the first user by its one-time code, places and
gateways over the HTTP interface, enrolment with one-time codes. All names in it are invented (示例).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
import yaml

from gatehouse_hil.light.city import CityProcess
from gatehouse_hil.light.community import DISTRICT_NAMES, DISTRICTS, STREET_NAMES, Community
from gatehouse_hil.light.fleet import LightFleet
from gatehouse_hil.light.process import end

_log = logging.getLogger(__name__)
START_LIMIT_S: Final = 90.0
USER: Final = "operator"
CITY: Final = "weihai"


class DistrictError(Exception):
    """The district cannot be set up; the text says at which step."""


class Fleet:
    """The fleet server in a process of its own, and a session of its first user."""

    def __init__(self, directory: Path, *, port: int) -> None:
        self.directory: Final = directory
        self.url: Final = f"https://127.0.0.1:{port}"
        self._config: Final = directory / "fleet.yaml"
        self._port: Final = port
        self._process: Process | None = None
        self._client: httpx.AsyncClient | None = None

    @property
    def root_file(self) -> Path:
        """Certificate of its authority: desks and gateways trust it."""
        return self.directory / "data" / "pki" / "root.pem"

    @property
    def targets(self) -> Path:
        """Folder of the city platform's targets."""
        return self.directory / "data" / "city"

    @property
    def login_file(self) -> Path:
        """Name and password of the first user, for the person at this machine only."""
        return self.directory / "login"

    @property
    def process_id(self) -> int:
        """The server's process; it has been started."""
        assert self._process is not None  # noqa: S101  # started
        return self._process.pid

    async def start(self) -> None:
        """Start the server and log in, as the first user at the very first time.

        Raises:
            DistrictError: it does not come up or does not let us in.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        told = {"directory": "data", "server": {"host": "127.0.0.1", "port": self._port}}
        self._config.write_text(yaml.safe_dump(told), encoding="utf-8")
        with (self.directory / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gatehouse_fleet",
                "serve",
                "--config",
                str(self._config),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        await self._answering()
        await self._log_in()

    async def stop(self) -> None:
        """End it in order."""
        if self._client is not None:
            await self._client.aclose()
        process, self._process = self._process, None
        if process is not None:
            await end(process)

    async def call(self, method: str, path: str, body: object | None = None) -> Any:  # noqa: ANN401  # JSON
        """Call the interface as the first user and return the answer.

        Raises:
            DistrictError: refused.
        """
        assert self._client is not None  # noqa: S101  # started
        answer = await self._client.request(method, f"/api/v1{path}", json=body, headers={"X-Gatehouse": "1"})
        if not answer.is_success:
            raise DistrictError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json() if answer.content else None

    async def every(self, path: str) -> list[dict[str, Any]]:
        """Return all items of a paged list."""
        found: list[dict[str, Any]] = []
        after = None
        while True:
            separator = "&" if "?" in path else "?"
            page = await self.call(
                "GET", f"{path}{separator}limit=200" + (f"&after={after}" if after else "")
            )
            found += page["items"]
            after = page.get("next")
            if after is None:
                return found

    async def _answering(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_LIMIT_S
        while loop.time() < deadline:
            if self._process is None or self._process.returncode is not None:
                break
            if self.root_file.exists() and await self._is_up():
                return
            await asyncio.sleep(0.2)
        tail = (self.directory / "log").read_text(encoding="utf-8", errors="replace")[-800:]
        raise DistrictError(f"the fleet server did not start: {tail}")

    async def _is_up(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.root_file))
        client = httpx.AsyncClient(base_url=self.url, verify=context, trust_env=False, timeout=30.0)
        try:
            await client.get("/api/v1/setup")
        except (httpx.HTTPError, ssl.SSLError):
            await client.aclose()
            return False
        self._client = client
        return True

    async def _log_in(self) -> None:
        code_file = self.directory / "data" / "first-user-code"
        if not self.login_file.exists():
            password = secrets.token_urlsafe(15)
            self.login_file.touch(mode=0o600)
            self.login_file.write_text(f"{USER} {password}\n", encoding="ascii")
            setup = {
                "code": code_file.read_text(encoding="ascii").strip(),
                "name": USER,
                "full_name": "示例值守员",
                "unit": "示例市城市运行管理中心",
                "password": password,
                "city_code": CITY,
                "city_name": "示例市",
            }
            await self.call("POST", "/setup", setup)
        name, password = self.login_file.read_text(encoding="ascii").split()
        await self.call("POST", "/login", {"name": name, "password": password})


class District:
    """An async context manager: fleet server, places, enrolled light gateways; `run` makes them live."""

    def __init__(
        self, directory: Path, *, port: int, communities: Sequence[Community], now: Callable[[], datetime]
    ) -> None:
        self.directory: Final = directory
        self.fleet: Final = Fleet(directory / "fleet", port=port)
        self.city: Final = CityProcess(directory / "city", port=port + 1)
        self.lights: Final = LightFleet(
            directory / "light", url=self.fleet.url, communities=communities, now=now
        )
        self._stack = AsyncExitStack()
        self._places: dict[tuple[int | None, str], int] = {}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.city.write_target(self.fleet.targets)
            stack.push_async_callback(self.city.stop)
            await self.city.start()
            stack.push_async_callback(self.fleet.stop)
            await self.fleet.start()
            await stack.enter_async_context(self.lights)
            await self._know_places()
            for gateway in self.lights.gateways:
                if not gateway.identity.is_enrolled:
                    node = await self.community(gateway.community)
                    code = await self.register(gateway.gateway_id, node)
                    await gateway.enrol(code, ca=self.fleet.root_file)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def community(self, community: Community) -> int:
        """Return the place of a community, making it and what it lies in when missing."""
        city = next(number for (parent, _), number in self._places.items() if parent is None)
        street = await self._street(city, community)
        return await self._place("community", street, community.community_id, community.name)

    async def street(self) -> int:
        """Return the street in which the estate of `make run` lies."""
        estate = Community(len(DISTRICTS))
        city = next(number for (parent, _), number in self._places.items() if parent is None)
        return await self._street(city, estate)

    async def place(self, kind: str, parent: int, code: str, name: str) -> int:
        """Return a place, making it when missing."""
        return await self._place(kind, parent, code, name)

    async def register(self, gateway_id: str, node: int) -> str:
        """Return a fresh enrolment code of a gateway, registering it when missing."""
        known = {row["id"] for row in await self.fleet.every("/gateways")}
        if gateway_id not in known:
            await self.fleet.call(
                "POST", "/gateways", {"id": gateway_id, "node_id": node, "tags": ["simulated"]}
            )
        answer = await self.fleet.call("POST", f"/gateways/{gateway_id}/enrolment-code", {})
        return str(answer["code"])

    async def run(self, *, alarm_every_s: float) -> None:
        """Let the light gateways live until cancelled."""
        await self.lights.run(alarm_every_s=alarm_every_s)

    async def _street(self, city: int, community: Community) -> int:
        name = f"{DISTRICT_NAMES[community.district]}（示例）"
        district = await self._place(
            "district", city, community.district, name, community.district, "gbt2260"
        )
        name = f"{STREET_NAMES[community.street]}（示例）"
        return await self._place("street", district, community.street, name, community.street, "stats_gov")

    async def _know_places(self) -> None:
        for row in await self.fleet.every("/nodes"):
            self._places[row["parent_id"], row["code"]] = row["id"]

    async def _place(  # a place is that much
        self,
        kind: str,
        parent: int,
        code: str,
        name: str,
        division: str | None = None,
        standard: str | None = None,
    ) -> int:
        if (parent, code) not in self._places:
            made = await self.fleet.call(
                "POST",
                "/nodes",
                {
                    "kind": kind,
                    "parent_id": parent,
                    "code": code,
                    "name": name,
                    "division_code": division,
                    "division_standard": standard,
                },
            )
            self._places[parent, code] = made["id"]
        return self._places[parent, code]
