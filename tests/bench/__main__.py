# it prints
"""`make bench`: every benchmark, one after the other, each printing its table with the peer's figure beside it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

PARTS = (
    ("gateway.py", "the whole gateway: wire to screen, CPU, memory, disk"),
    ("looking_back.py", "100 000 alarm entries: the index beside a walk over the journal"),
    ("modbus_line.py", "RTU against the line's own bound, one dead unit"),
    ("modbus_controllers.py", "fifty TCP slaves"),
    ("modbus_failures.py", "100 000 failed reads"),
    ("city_receipts.py", "from the fleet's commit to the city's receipt"),
    ("fleet_ingest.py", "committed events a second at the fleet, beside the bare database"),
    ("fleet_latency.py", "a thousand gateways posting, an alarm to a screen, a backlog beside news"),
    ("fleet_commits.py", "entries a second through one vault, one commit: the figures of docs/scale.md"),
    ("ble_presses.py", "200 presses over a bad radio, dead scanner"),
    ("fleet_page.py", "the fleet console: first load, event to paint, 5 000 rows, 500 gateways flapping"),
    ("throw_cost.py", "throw detection of one camera beside OpenCV MOG2"),
    ("duty_page.py", "the duty screen: event to paint, load, CPU, tabs, heap, resync"),
    ("bench_tool.py", "the technician's bench: an application verified at 115200, four boards at once"),
)


def main() -> int:
    """Run all, or those named on the command line; returns 1 if one failed."""
    wanted = set(sys.argv[1:])
    failed = []
    for name, about in PARTS:
        if wanted and name.removesuffix(".py") not in wanted:
            continue
        print(f"\n== {name.removesuffix('.py')}: {about}", flush=True)
        began_s = time.monotonic()
        if subprocess.run([sys.executable, str(Path(__file__).with_name(name))], check=False).returncode:
            failed.append(name)
        print(f"   ({time.monotonic() - began_s:.0f} s)", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
