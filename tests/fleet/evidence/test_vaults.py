"""Where files are kept: the directory, and a separate small program that speaks S3 (`npm ci` in tests/s3)."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from gatehouse_fleet.evidence.errors import VaultError
from gatehouse_fleet.evidence.s3 import S3Vault
from gatehouse_fleet.evidence.vault import DirectoryVault, Vault
from gatehouse_fleet.settings import S3Settings

FOLDER = Path(__file__).parents[2] / "s3"
BUCKET = "gatehouse"


@pytest.fixture(scope="module")
def s3_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if not (FOLDER / "node_modules/s3rver").exists() or shutil.which("node") is None:
        pytest.skip("no S3-speaking server here: npm ci in tests/s3")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder = tmp_path_factory.mktemp("s3")
    command = ["node", str(FOLDER / "serve.js"), str(port), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["directory", "s3"])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Vault:
    if request.param == "directory":
        return DirectoryVault(tmp_path / "vault")
    return s3(request.getfixturevalue("s3_port"), tmp_path)


def s3(port: int, folder: Path) -> S3Vault:
    (folder / "access").write_text("gatehouse-access")
    (folder / "secret").write_text("gatehouse-hidden-word")
    settings = S3Settings(
        endpoint=f"127.0.0.1:{port}",
        bucket=BUCKET,
        region="us-east-1",
        tls=False,
        access_key_file=Path("access"),
        secret_key_file=Path("secret"),
    )
    return S3Vault(settings, beside=folder)


def put(vault: Vault, folder: Path, content: bytes) -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    part = folder / "file.part"
    part.write_bytes(content)
    vault.put(sha256, part)
    assert not part.exists()
    return sha256


def test_a_file_is_kept_read_in_parts_and_deleted(vault: Vault, tmp_path: Path) -> None:
    content = bytes(range(256)) * 2000
    sha256 = put(vault, tmp_path, content)
    assert vault.size(sha256) == len(content)
    assert b"".join(vault.read(sha256, 0, len(content))) == content
    assert b"".join(vault.read(sha256, 1000, 3)) == content[1000:1003]
    assert put(vault, tmp_path, content) == sha256
    vault.delete(sha256)
    assert vault.size(sha256) is None
    vault.delete(sha256)


def test_what_is_not_there_is_said(vault: Vault) -> None:
    assert vault.size("0" * 64) is None
    with pytest.raises(VaultError):
        list(vault.read("0" * 64, 0, 1))


def test_a_store_that_is_away_keeps_the_file_in_the_spool(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    part = tmp_path / "file.part"
    part.write_bytes(b"x")
    vault = s3(port, tmp_path)
    with pytest.raises(VaultError):
        vault.put("0" * 64, part)
    assert part.read_bytes() == b"x"


def test_clips_do_not_go_to_a_store_elsewhere_without_tls() -> None:
    with pytest.raises(ValidationError, match="use tls"):
        S3Settings(
            endpoint="s3.example:9000",
            bucket="b",
            tls=False,
            access_key_file=Path("a"),
            secret_key_file=Path("s"),
        )
