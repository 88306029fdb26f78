"""A bench's page as a technician has it: `gatehouse-bench page` as a process of its own, on simulated boards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from gatehouse_hil import node_build, rom_image
from gatehouse_hil.simnode.commissioning import commission

RIG = """
name: page
backend: simulated
asks: true
boards:
  - {name: gas-1, kind: gas, mac: 02a0b1000031, baud: 921600}
  - {name: vanishes, kind: gas, mac: 02a0b1000032, practice: vanishes, baud: 921600}
  - {name: deaf, kind: gas, mac: 02a0b1000033, practice: deaf, baud: 921600}
"""
"""MACs are invented (示例)."""


class BenchSite:
    """The page and its directory."""

    def __init__(self, folder, rig=RIG):
        self.folder = Path(folder)
        self.rig = self.folder / "rig.yaml"
        self.rig.write_text(rig, encoding="utf-8")
        self.directory = self.folder / "var" / "bench"
        self.port = 0
        self.cookie = ("", "")
        self.client = httpx.Client(timeout=30)
        self._process = None

    @property
    def base(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, is_fresh=False):
        """Start the page and come in through its address; started again, it has the same port and needs no new address.

        `is_fresh`: leave the address to somebody else, and return it.
        """
        words = ["page", "--json", "--no-browser", "--port", str(self.port), "--rig", self.rig.name]
        words += ["--operator", "示例王工"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gatehouse_hil", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env={**os.environ, "LANG": "zh_CN.UTF-8"},
        )
        line = self._process.stdout.readline()
        assert line, self._process.stderr.read().decode()
        address = json.loads(line)["address"]
        self.port = urlsplit(address).port
        if is_fresh:
            return address
        if not self.cookie[0]:
            answer = self.client.get(address)
            assert answer.status_code == 200
            self.cookie = next(iter(answer.cookies.items()))
        return self

    def stop(self):
        """End the page as Ctrl-C does; runs go on."""
        self._process.send_signal(signal.SIGINT)
        _, told = self._process.communicate(timeout=20)
        assert self._process.returncode == 0, told.decode()

    def kill(self):
        """End the page as the power does."""
        self._process.kill()
        self._process.communicate(timeout=20)

    def close(self):
        """End the page and everything it started."""
        if self._process.poll() is None:
            self.stop()
        for file in (self.directory / "page" / "runs").glob("*/order.json"):
            begun = json.loads(file.read_bytes())
            with contextlib.suppress(psutil.NoSuchProcess):
                if abs(psutil.Process(begun["pid"]).create_time() - begun["pid_began_s"]) < 1:
                    os.killpg(begun["pid"], signal.SIGKILL)
        self.client.close()

    def get(self, path, **options):
        return self.client.get(self.base + path, **options)

    def post(self, path, body=None, *, headers=None):
        given = {"Origin": self.base, "X-Gatehouse": "1", "Content-Type": "application/json"} | (
            headers or {}
        )
        return self.client.post(
            self.base + path,
            content=json.dumps(body or {}),
            headers={name: value for name, value in given.items() if value is not None},
        )

    def order(self, **wish):
        answer = self.post("/api/orders", wish)
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    def state(self):
        return self.get("/api/state").json()

    def run(self, board):
        return next(slot["run"] for slot in self.state()["places"] if slot["place"]["name"] == board)

    def until(self, wanted, *, timeout_s=60.0):
        """Ask for the state until `wanted(state)` is something, and return that."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            state = self.state()
            if found := wanted(state):
                return found
            assert time.monotonic() < deadline_s, state
            time.sleep(0.1)

    def ended(self, board, **options):
        def look(state):
            run = next(slot["run"] for slot in state["places"] if slot["place"]["name"] == board)
            return run if run and run["ended"] else None

        return self.until(look, **options)

    def make_ready(self, board, mac, kind=node_build.NodeKind.GAS):
        """Put a finished board into its place: runtime, application, identity and key, as `make` leaves them."""
        folder = self.directory / "simulated" / board
        folder.mkdir(parents=True)
        (folder / "flash.bin").write_bytes(rom_image.stand_in(chip_id=5, version="v1.29.0"))
        commission(
            folder, node_build.build(kind), serial=f"GHG-{mac.upper()}", node=1, keys={1: bytes(range(16))}
        )
