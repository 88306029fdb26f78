"""The technician's bench: an application over a console of 115200 bit/s, and four boards from bare to signed at once.

Run: `python tests/bench/bench_tool.py`. Everything is real but the silicon: stock esptool and mpremote against paced ports.
Peer for the copy: `mpremote fs cp -r`, the documented way, on the same board, files and cable.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gatehouse_hil import node_build, rom_image
from gatehouse_hil.bench import application, esptool_cli, mpremote_cli, power, rig, runs
from gatehouse_hil.bench.backend_local import Technician
from gatehouse_hil.bench.backend_simulated import stations
from gatehouse_hil.bench.clock import SystemClock
from gatehouse_hil.bench.progress import Silent
from gatehouse_hil.bench.runs import ALL, Wish
from gatehouse_hil.bench.words import Lang, Words
from gatehouse_hil.bench.workplace import DEFAULT_RIG, Workplace

APPLICATION_S = 6.0
RUN_S = 60.0


def nothing(_: float) -> None:
    """Nobody watches."""


async def copied(folder: Path) -> None:
    """Time our way and the peer's on one bare board each."""
    folder.mkdir()
    node_build.build(node_build.NodeKind.GAS).write(folder / "app")
    app = application.read(folder / "app")
    runtime = folder / "runtime.bin"
    runtime.write_bytes(rom_image.stand_in(chip_id=5, version="v1.29.0"))
    boards = [
        {"name": name, "mac": f"02a0b100000{number}"} for number, name in enumerate(("ours", "peer"), start=1)
    ]
    made = rig.parse({"name": "bench", "backend": "simulated", "boards": boards})
    assert isinstance(made, rig.SimulatedRig)
    async with stations(made, folder) as (ours, peer):
        for station in (ours, peer):
            async with power.loader(station) as options:
                await esptool_cli.write_runtime(station, options, runtime, on_progress=nothing)
            await power.cycle(station)
        began_s = time.monotonic()
        await mpremote_cli.copy(ours.port, app, on_progress=nothing)
        ours_s = time.monotonic() - began_s
        roots = sorted(str(path) for path in (folder / "app").iterdir())
        command = [
            sys.executable,
            "-m",
            "mpremote",
            "connect",
            peer.port,
            "resume",
            "fs",
            "cp",
            "-r",
            *roots,
            ":",
        ]
        began_s = time.monotonic()
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
        peer_s = time.monotonic() - began_s
    print(f"   application      {len(app.files)} files, {app.size} B, console 115200 bit/s")
    print(f"   ours, verified   {ours_s:6.2f} s   (must reach {APPLICATION_S:g} s for 30 kB)")
    print(f"   mpremote fs cp   {peer_s:6.2f} s   not verified, exit {done.returncode}")


async def four(folder: Path) -> bool:
    """Time `gatehouse-bench make` on the default rig."""
    place = Workplace(
        directory=folder,
        rig=rig.load(DEFAULT_RIG),
        words=Words(Lang.EN),
        clock=SystemClock(),
        operator="benchmark",
        bench="benchmark",
        hands=Technician(Words(Lang.EN)),
    )
    done = await runs.run(place, Wish(steps=ALL), Silent())
    print(
        f"   four boards      {done.took_s:6.2f} s   flash to signed record, at once (must reach {RUN_S:g} s)"
    )
    for board in done.boards:
        print(f"   {board.board:<16} {board.verdict} {board.sentence}")
    return done.ok


def main() -> int:
    """Run both; returns 1 if a board failed."""
    print(f"   load average     {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores before")
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as folder:
        asyncio.run(copied(Path(folder) / "copy"))
        is_good = asyncio.run(four(Path(folder) / "four"))
    print(f"   load average     {os.getloadavg()[0]:.1f} after")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
