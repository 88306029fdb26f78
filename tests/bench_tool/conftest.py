"""The bench for the tests of this folder: the command itself, and one day of nine boards of which seven are wrong."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gatehouse_hil import cli
from gatehouse_hil.simnode import VmError, vm

DAY_RIG = """
name: day
backend: simulated
fleet: {{url: "{url}", token_file: "{directory}/token", wrap_key_file: "{directory}/fleet.pem"}}
boards:
  - {{name: good-gas, kind: gas, mac: 02a0b1000001}}
  - {{name: good-button, kind: button, mac: 02a0b1000002, baud: 921600}}
  - {{name: other-chip, kind: gas, mac: 02a0b1000003, practice: wrong_chip}}
  - {{name: other-board, kind: gas, mac: 02a0b1000004, expects: {{mac: 02a0b10000ff}}}}
  - {{name: cut, kind: gas, mac: 02a0b1000005, practice: cut_while_flashing}}
  - {{name: vanishes, kind: gas, mac: 02a0b1000006, practice: vanishes, baud: 921600}}
  - {{name: deaf, kind: gas, mac: 02a0b1000007, practice: deaf}}
  - {{name: stays-on, kind: gas, mac: 02a0b1000008, practice: power_stays_on}}
  - {{name: dead-sensor, kind: gas, mac: 02a0b1000009, practice: sensor_dead, baud: 921600}}
"""


class Ran(NamedTuple):
    """How one command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run_bench(*words: str | Path) -> Ran:
    """Run `gatehouse-bench WORDS` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main([str(word) for word in words])
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Ran(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def bench() -> Callable[..., Ran]:
    return run_bench


@pytest.fixture(scope="session")
def needs_vm() -> None:
    try:
        vm.prepare()
    except VmError as error:
        pytest.skip(str(error))


class Fleet:
    """The fleet's half of the contract, as a real HTTP server: token checked, posts kept, the second of the same refused as known."""

    def __init__(self, token: str) -> None:
        self.key = X25519PrivateKey.generate()
        self.posts: list[tuple[str, Any]] = []
        fleet = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = 401
                if self.headers["authorization"] == f"Bearer {token}":
                    post = (self.path, json.loads(body))
                    status = 409 if post in fleet.posts else 201
                    fleet.posts.append(post)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def posted(self, what: str) -> list[Any]:
        """Bodies that came for `records` or `devices`."""
        return [body for path, body in self.posts if path == f"/api/v1/bench/{what}"]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)


class Day(NamedTuple):
    """What is left of a day at the bench."""

    directory: Path
    rig: Path
    ran: Ran
    fleet: Fleet

    def board(self, name: str) -> dict[str, Any]:
        """What the command said about one board."""
        return next(board for board in self.ran.json["boards"] if board["board"] == name)

    def record(self, name: str) -> dict[str, Any]:
        """The record of one board."""
        return json.loads(Path(self.board(name)["record"]).read_bytes())["record"]


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory, needs_vm: None) -> Iterator[Day]:
    """`gatehouse-bench make` on nine boards at once: two good ones, and one of each trouble."""
    directory = tmp_path_factory.mktemp("day")
    rig = directory / "day.yaml"
    (directory / "token").write_text("示例".encode().hex(), encoding="ascii")
    fleet = Fleet("示例".encode().hex())
    public = fleet.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (directory / "fleet.pem").write_bytes(public)
    rig.write_text(DAY_RIG.format(url=fleet.url, directory=directory), encoding="utf-8")
    ran = run_bench(
        "make", "--lang", "en", "--json", "--rig", rig, "--directory", directory, "--operator", "示例 Zhang"
    )
    yield Day(directory, rig, ran, fleet)
    fleet.close()
