"""A fleet server as it is shipped, in a process of its own, with light communities that have real journals and certificates.

It lives in a thread of its own, because Playwright's calls block. Names in it are invented.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
import threading
import time
from datetime import timedelta
from typing import Any

from gatehouse_events.states import Kind
from gatehouse_fleet.clock import SystemClock
from gatehouse_hil.light import Community
from gatehouse_hil.light.district import USER, District

REPORT_EVERY_S = 20
WRITTEN_S = 1.2
"""The server writes down each second whom it has heard."""
PASSWORD = "gatehouse 示例 2026"
MARKUP = "<img src=x onerror=alert(1)>\u202eطربوش"
"""A name with markup and letters that run from the right."""


def free_port_pair():
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two free ports side by side")


class FleetCity:
    """A context manager; every method returns when the server has committed what it tells."""

    def __init__(self, directory, *, communities=12):
        self.directory = directory
        self._port = free_port_pair()
        self._communities = [Community(number) for number in range(1, communities + 1)]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="city")
        self._stack = contextlib.AsyncExitStack()
        self.base = f"https://127.0.0.1:{self._port}"
        self.district = None
        self.people = {}

    def __enter__(self):
        self._thread.start()
        try:
            self._run(self._start())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_):
        self._run(self._stack.aclose())
        self._end()

    def _end(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    async def _start(self):
        made = District(self.directory, port=self._port, communities=self._communities, now=SystemClock().now)
        self.district = await self._stack.enter_async_context(made)
        _, password = made.fleet.login_file.read_text(encoding="ascii").split()
        self.people[USER] = password
        for one in made.lights.gateways:
            await one.report()
            await one.send()

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(90)

    @property
    def gateways(self):
        return self.district.lights.gateways

    def gateway(self, number):
        return self.gateways[number - 1]

    def call(self, method, path, body=None):
        return self._run(self.district.fleet.call(method, path, body))

    def every(self, path):
        return self._run(self.district.fleet.every(path))

    def place(self, name):
        """Return the place of that name."""
        return next(one for one in self.every("/nodes") if one["name"] == name)

    def add_person(self, login, role, scope_id, **more):
        full_name = more.pop("full_name", f"示例{login}")
        body = {"name": login, "full_name": full_name, "unit": "示例物业", "role": role, "scope_id": scope_id}
        self.call("POST", "/users", body | {"password": PASSWORD} | more)
        self.people[login] = PASSWORD

    def raise_alarm(self, number, code, *, ago_s=0.0, kind=None):
        """Let the n-th gateway raise an alarm and send it; returns the alarm."""

        async def work():
            one = self.gateway(number)
            change = one.story.raise_alarm(one.now() - timedelta(seconds=ago_s), code=code, kind=kind)
            await one.write(change)
            await one.send()
            return change.alarm

        return self._run(work())

    def raise_many(self, number, code, count):
        async def work():
            one = self.gateway(number)
            changes = [one.story.raise_alarm(one.now(), code=code) for _ in range(count)]
            await one.write(*changes)
            await one.send()
            return [change.alarm for change in changes]

        return self._run(work())

    def move(self, number, what, alarm_id):
        """Let the desk on site `acknowledge`, `give_back` or `close` an alarm."""

        async def work():
            one = self.gateway(number)
            await one.write(getattr(one.story, what)(alarm_id, one.now()))
            await one.send()

        self._run(work())

    def close_all(self, *numbers):
        """Let the desks of these communities close everything that is open."""

        async def work():
            for number in numbers:
                one = self.gateway(number)
                await one.write(*[one.story.close(name, one.now()) for name in list(one.story.open)])
                await one.send()

        self._run(work())

    @contextlib.contextmanager
    def frozen(self):
        """Let the server's process stand still: connections stay open and nothing comes."""
        pid = self.district.fleet.process_id
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def drill(self, number):
        return self.raise_alarm(number, "sos.pressed", kind=Kind.TEST)

    def heard(self, number, ago_s):
        """Let the server have heard a gateway so long ago. The 90 s of silence are not waited for."""
        time.sleep(WRITTEN_S)
        self.write_database(
            "UPDATE gateway SET last_contact_at = ? WHERE id = ?",
            [(self.now_us() - int(ago_s * 1_000_000), self.gateway(number).gateway_id)],
        )

    def now_us(self):
        """Return this instant as the database keeps it."""
        return int(SystemClock().now().timestamp() * 1_000_000)

    def write_database(self, sql: str, rows: list[tuple[Any, ...]]):
        path = self.district.fleet.directory / "data" / "fleet.db"
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as db, db:
            db.executemany(sql, rows)

    @contextlib.contextmanager
    def alive(self, *, but=()):
        """Let every gateway be heard again and again, for as long as somebody looks."""

        async def work():
            while True:
                for number, one in enumerate(self.gateways, 1):
                    if number not in but:
                        await one.report()
                await asyncio.sleep(REPORT_EVERY_S)

        task = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            yield
        finally:
            task.cancel()

    def report(self, *numbers):
        """Let these gateways, or all, be heard now."""

        async def work():
            for one in [self.gateway(number) for number in numbers] or self.gateways:
                await one.report()

        self._run(work())


def log_in(context, city, person=USER):
    answer = context.request.post(
        f"{city.base}/api/v1/login",
        data={"name": person, "password": city.people[person]},
        headers={"X-Gatehouse": "1"},
    )
    assert answer.ok, answer.text()
