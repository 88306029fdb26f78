"""`gatehouse-fleet serve` as people run it: starts on nothing, says how to begin, stops in order, several workers."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gatehouse_hil.postgres import PostgresCluster

STOP_LIMIT_S = 60  # the machine is loaded; the order of things is what is tested
PERSON = {
    "name": "zhou",
    "full_name": "周示例",
    "unit": "示例市城管局",
    "password": "gatehouse 示例 2026",
    "city_code": "shili",
    "city_name": "示例市",
}


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    """A server on a free port; its first words as JSON."""
    command = [sys.executable, "-m", "gatehouse_fleet", "serve", "--json", "--port", "0", *arguments]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder)
    try:
        assert process.stdout is not None
        lines = []
        while not lines or lines[-1] != "}\n":
            line = process.stdout.readline()
            assert line, (folder / "log").read_text()
            lines.append(line)
        yield process, json.loads("".join(lines))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def client_of(folder: Path, said: dict[str, object]) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=str(folder / "var/fleet/pki/root.pem"))
    with httpx.Client(
        base_url=str(said["url"]), verify=context, headers={"X-Gatehouse": "1"}, trust_env=False, timeout=60
    ) as client:
        yield client


def stopped(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(STOP_LIMIT_S)


def test_it_starts_on_nothing_and_the_printed_code_lets_the_first_person_in(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, said), client_of(tmp_path, said) as client:
        assert str(said["url"]).startswith("https://127.0.0.1:")
        body = PERSON | {"code": said["first_user_code"]}
        assert client.post("/api/v1/setup", json=body).status_code == 201
        login = {"name": PERSON["name"], "password": PERSON["password"]}
        assert client.post("/api/v1/login", json=login).status_code == 200
        assert client.get("/api/v1/me").json()["role"] == "city_operator"
        assert stopped(process) == 0
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert PERSON["password"] not in log
    with serving(tmp_path) as (_, said), client_of(tmp_path, said) as client:
        assert said["first_user_code"] is None
        assert client.post("/api/v1/login", json=login).status_code == 200, "everything is still there"


def test_a_taken_port_is_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, said):
        port = str(said["url"]).rpartition(":")[2]
        command = [sys.executable, "-m", "gatehouse_fleet", "serve", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert (
        done.stderr.strip() == f"gatehouse-fleet: cannot listen on 127.0.0.1:{port}: Address already in use"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("server: {tls: off, host: 0.0.0.0}", "127.0.0.1 only"),
        ("server: {tls: proxy}", "proxy_address"),
        ("server: {tls: files}", "certificate_file"),
        ("server: {workers: 2}", "PostgreSQL"),
        ("retention: {audit_days: 30}", "retention.audit_days"),
        ("sever: {}", "sever"),
        ("server: [", "cannot be read"),
    ],
)
def test_settings_that_are_not_safe_are_refused_in_words(
    tmp_path: Path, text: str, words: str, capsys
) -> None:
    from gatehouse_fleet.cli import main

    file = tmp_path / "fleet.yaml"
    file.write_text(text.replace("off", '"off"'))
    assert main(["migrate", "--config", str(file)]) == 1
    assert words in capsys.readouterr().err


def test_a_worker_that_dies_is_replaced_and_the_others_go_on(
    tmp_path: Path, cluster: PostgresCluster
) -> None:
    url = cluster.url(cluster.create_database())
    file = tmp_path / "fleet.yaml"
    file.write_text(f"directory: var/fleet\ndatabase: {{url: '{url}'}}\nserver: {{workers: 2}}\n")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    migrate = [sys.executable, "-m", "gatehouse_fleet", "migrate", "--config", str(file)]
    subprocess.run(migrate, check=True, cwd=tmp_path, env=environment, capture_output=True)
    with serving(tmp_path, "--config", str(file)) as (process, said), client_of(tmp_path, said) as client:
        body = PERSON | {"code": said["first_user_code"]}
        answer = asked(client, "POST", "/api/v1/setup", json=body)
        assert answer.status_code == 201
        login = {"name": PERSON["name"], "password": PERSON["password"]}
        assert asked(client, "POST", "/api/v1/login", json=login).status_code == 200
        before = children(process.pid)
        assert len(before) == 2
        os.kill(min(before), signal.SIGKILL)
        deadline = time.monotonic() + STOP_LIMIT_S
        while len(found := children(process.pid)) < 2 or found == before:
            assert time.monotonic() < deadline
            asked(client, "GET", "/api/v1/me")
            time.sleep(0.2)  # not so often that the server asks for patience
        assert asked(client, "GET", "/api/v1/me").status_code == 200, "any worker knows the session"
        assert stopped(process) == 0
    log = (tmp_path / "log").read_text()
    assert "ended with -9 and is started again" in log
    assert "Traceback" not in log


def asked(client: httpx.Client, method: str, path: str, **more: object) -> httpx.Response:
    """A request, again if the worker that had taken it was killed."""
    for _ in range(200):
        try:
            return client.request(method, path, **more)
        except httpx.TransportError:
            continue
    raise AssertionError("no worker answers")


def children(pid: int) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.add(int(path.parent.name))
    return found


def test_an_open_stream_does_not_hold_the_end_up(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, said), client_of(tmp_path, said) as client:
        client.post("/api/v1/setup", json=PERSON | {"code": said["first_user_code"]})
        client.post("/api/v1/login", json={"name": PERSON["name"], "password": PERSON["password"]})
        with client.stream("GET", "/api/v1/stream") as stream:
            assert stream.status_code == 200
            began_s = time.monotonic()
            assert stopped(process) == 0
            print(f"stopped after {time.monotonic() - began_s:.1f} s")  # noqa: T201  # shown with -s; never asserted
    assert "Traceback" not in (tmp_path / "log").read_text()
