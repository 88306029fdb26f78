"""Keeps evidence again and again, each time in a process that is killed after another few milliseconds. Arguments: folder, rounds."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from film import MADE_AT, film, promised

from gatehouse_edge.drivers.clip_keep import keep

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
packets, shape = film()
began = time.perf_counter()
(folder / "whole").mkdir()
keep(promised(), packets, shape, folder / "whole", made_at=MADE_AT)
whole_s = time.perf_counter() - began
rng = random.Random(1)
for number in range(rounds):
    mine = folder / str(number)
    mine.mkdir()
    child = os.fork()
    if child == 0:
        keep(promised(), packets, shape, mine, made_at=MADE_AT)
        os._exit(0)
    time.sleep(rng.uniform(0.0, 1.2 * whole_s))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
