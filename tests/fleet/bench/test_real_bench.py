"""The technicians' own command against a whole fleet server in a process of its own, over TLS."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gatehouse_events.bench_api import DEVICES, RECORDS
from gatehouse_events.key_wrap import key_check, unwrap
from gatehouse_fleet import cli as fleet_cli
from gatehouse_fleet.bench.wrapping import FILE
from gatehouse_hil import cli
from gatehouse_hil.simnode import VmError, vm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PERSON = {
    "name": "zhou",
    "full_name": "周示例",
    "unit": "示例市城管局",
    "password": "gatehouse 示例 2026",
}
SERIAL = "GHB-02A0B1000002"


@pytest.fixture(autouse=True)
def needs_vm() -> None:
    try:
        vm.prepare()
    except VmError as error:
        pytest.skip(str(error))


@contextlib.contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[dict[str, Any]]:
    """`gatehouse-fleet serve`; gives its first words and ends it in order."""
    command = [sys.executable, "-m", "gatehouse_fleet", "serve", "--json", "--config", "fleet.yaml"]
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)], stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder
        )
    assert process.stdout is not None
    try:
        lines: list[str] = []
        while not lines or lines[-1] != "}\n":
            lines.append(process.stdout.readline())
            assert lines[-1], (folder / "log").read_text()
        yield json.loads("".join(lines))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def bench(folder: Path, *words: str) -> Any:
    """`gatehouse-bench WORDS` in this process; what it says as JSON."""
    out = io.StringIO()
    common = [
        "--json",
        "--lang",
        "en",
        "--rig",
        str(folder / "rig.yaml"),
        "--directory",
        str(folder / "bench"),
    ]
    with contextlib.redirect_stdout(out):
        assert cli.main([*words, *common]) == 0, out.getvalue()
    return json.loads(out.getvalue())


def fleet(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """`gatehouse-fleet WORDS`, beside the running server."""
    assert fleet_cli.main([*words, "--config", str(folder / "fleet.yaml"), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@contextlib.contextmanager
def logged_in(folder: Path, url: str) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=str(folder / "fleet/pki/root.pem"))
    with httpx.Client(
        base_url=url, verify=context, headers={"X-Gatehouse": "1"}, trust_env=False, timeout=60
    ) as client:
        login = {"name": PERSON["name"], "password": PERSON["password"]}
        assert client.post("/api/v1/login", json=login).status_code == 200
        yield client


def prepare(folder: Path, said: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Take the server into use, let the bench in, and write its rig file: as docs/bench.md says."""
    context = ssl.create_default_context(cafile=str(folder / "fleet/pki/root.pem"))
    first = PERSON | {"code": said["first_user_code"], "city_code": "shili", "city_name": "示例市"}
    url = f"{said['url']}/api/v1/setup"
    answer = httpx.post(
        url, json=first, headers={"X-Gatehouse": "1"}, verify=context, trust_env=False, timeout=60
    )
    assert answer.status_code == 201, answer.text
    rig: dict[str, Any] = {
        "name": "shelf",
        "backend": "simulated",
        "boards": [{"name": "one", "kind": "button", "mac": "02a0b1000002", "baud": 921600}],
    }
    (folder / "rig.yaml").write_text(yaml.safe_dump(rig), encoding="utf-8")
    key = bench(folder, "record", "key")["key"]
    capsys.readouterr()
    made = fleet(folder, capsys, "bench", "token", "pi-1", "--node", "1", "--key", key)
    (folder / "token").write_text(made["token"], encoding="ascii")
    (folder / "wrap.pem").write_text(fleet(folder, capsys, "bench", "key")["pem"], encoding="ascii")
    files = {"token_file": "token", "wrap_key_file": "wrap.pem", "ca_file": "fleet/pki/root.pem"}
    rig["fleet"] = {"url": said["url"]} | {name: str(folder / file) for name, file in files.items()}
    (folder / "rig.yaml").write_text(yaml.safe_dump(rig), encoding="utf-8")


def key_of_the_node(folder: Path) -> bytes:
    stored = json.loads((folder / "bench/simulated/one/nvs/gh_key.json").read_bytes())
    return bytes.fromhex(stored["key1"].removeprefix("b"))


def test_a_board_is_made_its_record_uploaded_and_what_the_fleet_missed_is_sent_once(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"directory": "fleet", "database": {"url": database_url}}
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert fleet_cli.main(["migrate", "--config", str(tmp_path / "fleet.yaml")]) == 0
    with serving(tmp_path) as said:
        prepare(tmp_path, said, capsys)
        done = bench(tmp_path, "make")
        assert (done["ok"], done["sent"], done["kept"], done["trouble"]) == (True, 2, 0, "")
        with logged_in(tmp_path, said["url"]) as boss:
            [row] = boss.get(RECORDS).json()["items"]
            written = Path(done["boards"][0]["record"]).read_bytes()
            assert boss.get(f"{RECORDS}/{row['hash']}").content == written
            assert boss.get(f"{DEVICES}/{SERIAL}").json()["state"] == "stored"
    port = int(said["url"].rpartition(":")[2])

    alone = bench(tmp_path, "provision")  # the fleet is down: another key, another record
    assert (alone["ok"], alone["sent"], alone["kept"]) == (True, 0, 2)
    assert "fleet" in alone["trouble"]
    waiting = {path.name: path.read_bytes() for path in (tmp_path / "bench/outbox").glob("*.json")}

    with serving(tmp_path, port) as said:
        assert bench(tmp_path, "record", "upload")["sent"] == 2
        assert bench(tmp_path, "record", "upload")["sent"] == 0
        for name, content in waiting.items():  # the answer was lost: the bench tells it again
            (tmp_path / "bench/outbox/sent" / name).unlink()
            (tmp_path / "bench/outbox" / name).write_bytes(content)
        assert bench(tmp_path, "record", "upload")["sent"] == 2
        with logged_in(tmp_path, said["url"]) as boss:
            rows = boss.get(RECORDS, params={"serial": SERIAL}).json()["items"]
            assert [(row["number"], row["history"]) for row in rows] == [(2, "whole"), (1, "whole")]
            device = boss.get(f"{DEVICES}/{SERIAL}").json()
            key = key_of_the_node(tmp_path)
            assert device["key_check"] == key_check(key)
    sealed = json.loads(min(waiting.items())[1])["body"]["wrapped_key"]
    private = load_pem_private_key((tmp_path / "fleet" / FILE).read_bytes(), None)
    assert isinstance(private, X25519PrivateKey)
    assert unwrap(sealed, serial=SERIAL, fleet=private) == key
    for path in (tmp_path / "log", *(tmp_path / "fleet").glob("fleet.db*")):
        assert key not in path.read_bytes()
    assert "Traceback" not in (tmp_path / "log").read_text()
