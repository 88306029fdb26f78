"""A throw-away PostgreSQL cluster on loopback, started by whoever needs one and gone afterwards.

PostgreSQL refuses to run as root, so then the ordinary user `postgres` that Debian's package brings runs it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_START_LIMIT_S: Final = 60.0
_STOP_LIMIT_S: Final = 30.0


class PostgresError(Exception):
    """The cluster cannot be made or started."""


def find_binaries() -> Path | None:
    """Return the folder of the newest installed server programs; None: PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class PostgresCluster:
    """A context manager; `url(name)` addresses a database of it, `kill` ends it as a power cut would."""

    def __init__(self, *, is_durable: bool = True) -> None:
        self._binaries = find_binaries()
        self._is_durable: Final = is_durable
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port: Final = _free_port()

    def __enter__(self) -> Self:
        if self._binaries is None:
            raise PostgresError("PostgreSQL is not installed: apt-get install postgresql")
        self._folder = Path(tempfile.mkdtemp(prefix="gatehouse-pg-"))
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres", "postgres")
        self._run(
            "initdb",
            "-D",
            str(self._data),
            "-U",
            "gatehouse",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
        )
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        assert self._folder is not None  # noqa: S101  # entered
        return self._folder / "data"

    def start(self) -> None:
        """Start the server and wait until it answers; it recovers by itself after `kill`.

        Raises:
            PostgresError: it does not come up; the text has its last words.
        """
        assert self._folder is not None  # noqa: S101  # entered
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self._folder),
            "max_connections": "100",
            "shared_buffers": "64MB",
            **({} if self._is_durable else {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}),
        }
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_user(), str(self._program("postgres")), "-D", str(self._data), *settings],
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )
        deadline = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < deadline:
            ready = subprocess.run(
                [str(self._program("pg_isready")), "-h", "127.0.0.1", "-p", str(self.port), "-q"], check=False
            )
            if ready.returncode == 0:
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise PostgresError(
            f"PostgreSQL did not start: {(self._folder / 'log').read_text(errors='replace')[-800:]}"
        )

    def stop(self) -> None:
        """Stop the server in order, quickly."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the server without a goodbye (immediate shutdown: recovery at the next start)."""
        self._end(signal.SIGQUIT)

    def create_database(self, *, template: str = "template1") -> str:
        """Make a fresh database and return its name."""
        name = f"gh_{secrets.token_hex(6)}"
        self._run(
            "createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "gatehouse", "-T", template, name
        )
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        self._run("dropdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "gatehouse", "--force", name)

    def url(self, database: str) -> str:
        """Return the address a server is given."""
        return f"postgresql://gatehouse@127.0.0.1:{self.port}/{database}"

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        # Started through runuser as root, the server is its child: the postmaster's own pid stands in its file.
        pid = int((self._data / "postmaster.pid").read_text(encoding="ascii").splitlines()[0])
        os.kill(pid, number)
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.kill(pid, signal.SIGKILL)
            process.wait()

    def _program(self, name: str) -> Path:
        assert self._binaries is not None  # noqa: S101  # entered
        return self._binaries / name

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as_user(), str(self._program(name)), *arguments],
            capture_output=True,
            check=False,
            cwd=self._folder,
        )
        if done.returncode != 0:
            raise PostgresError(f"{name} failed: {done.stderr.decode(errors='replace')[-800:]}")

    @staticmethod
    def _as_user() -> list[str]:
        return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
