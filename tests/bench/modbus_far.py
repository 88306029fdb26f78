# a benchmark prints, waits and compares with plain numbers
"""The far end of the Modbus benchmarks, in a process of its own so that its CPU time is not counted.

Usage: modbus_far.py line BAUD UNITS [DEAD_UNIT] [GAP_S] [LENIENT] | tcp SERVERS UNITS. Prints where it is reached (a path, or ports),
then serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from gatehouse_hil.gas_controller import GasController
from gatehouse_hil.gas_detector import Cn6in1Detector
from gatehouse_hil.line import Line


def serve_line(baud: int, units: int, dead: int = 0, gap_s: float = 0.0, lenient: int = 0) -> None:
    """Put `units` detectors on a paced line; number `dead` does not answer."""
    with Line(baud=baud) as line:
        line.is_lenient = bool(lenient)
        for unit_id in range(1, units + 1):
            detector = Cn6in1Detector(unit_id, min_gap_s=gap_s)
            if unit_id == dead:
                detector.kill()
            line.attach(detector)
        print(line.port, flush=True)
        sys.stdin.read()


async def serve_tcp(servers: int, units: int) -> None:
    """Listen on `servers` ports with `units` detectors behind each."""
    async with AsyncExitStack() as stack:
        ports = [
            (
                await stack.enter_async_context(
                    GasController([Cn6in1Detector(at) for at in range(1, units + 1)])
                )
            ).port
            for _ in range(servers)
        ]
        print(*ports, flush=True)
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def far(*arguments: object) -> Iterator[list[str]]:
    """Run this program beside the caller; yields the words it printed."""
    command = [sys.executable, str(Path(__file__)), *(str(one) for one in arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()
        finally:
            assert process.stdin is not None
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()


if __name__ == "__main__":
    if sys.argv[1] == "line":
        serve_line(int(sys.argv[2]), int(sys.argv[3]), *(float(one) for one in sys.argv[4:]))  # type: ignore[arg-type]
    else:
        asyncio.run(serve_tcp(int(sys.argv[2]), int(sys.argv[3])))
