"""How far one writer carries: the ingest queue of a fleet server, simulated from two measured figures. Pure but for printing.

A commit of k entries takes `commit_s + entry_s * k`. While it runs, batches arrive and wait; the next commit takes what waits, alarm lane
first, at most `GROUP` entries. That is what `gatehouse_fleet.ingest.writer` does, without its network and its parsing, which other
processors can do. Several writers are districts of their own, each with its share of the gateways.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

GROUP: Final = 4000
"""Most entries of one commit."""
ALARM_BATCH: Final = 2
"""Entries of an alarm batch: the alarm and what follows from it in the same second."""
TELEMETRY_BATCH: Final = 20
TELEMETRY_EVERY_S: Final = 20.0
"""A gateway posts its telemetry this often (1 entry a second)."""
ALARMS_PER_DAY: Final = 60.0
"""Alarm-lane batches of one community in a bad day; a quiet one has a tenth."""
BACKLOG_ALARMS: Final = 200
BACKLOG_TELEMETRY: Final = 20_000
"""Entries a gateway brings along after 72 h offline (alarm lane, and what is left of its telemetry)."""
BACKLOG_BATCH: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """One writer's two figures."""

    commit_s: float
    """A commit of nothing: the sync of the log."""
    entry_s: float
    """Each entry more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a simulated fleet has felt."""

    gateways: int
    writers: int
    entries_per_s: float
    """Offered in the steady state, per writer."""
    busy: float
    """Share of the time a writer works; above 1 it can never catch up."""
    alarm_p50_ms: float
    alarm_p99_ms: float
    """From arrival of an alarm batch at the server to the end of its commit."""
    drain_s: float | None
    """Until the backlog of everybody after 72 h is in; None: none was simulated, or it never is."""
    alarm_worst_drain_ms: float | None
    """Largest delay of a new alarm while the backlog drains."""


def simulate(
    gateways: int,
    writer: Writer,
    *,
    writers: int = 1,
    seconds: float = 60.0,
    with_backlog: bool = False,
    seed: int = 0,
) -> Outcome:
    """Return what `gateways` feel that share `writers` equally, over `seconds` or until the backlog is in."""
    share = -(-gateways // writers)
    telemetry_per_s = share * TELEMETRY_BATCH / TELEMETRY_EVERY_S
    alarms_per_s = share * ALARMS_PER_DAY / 86_400
    offered = telemetry_per_s + alarms_per_s * ALARM_BATCH
    busy = offered * writer.entry_s + writer.commit_s * offered / GROUP
    if busy >= 1:
        return Outcome(
            gateways=gateways,
            writers=writers,
            entries_per_s=round(offered, 1),
            busy=round(busy, 3),
            alarm_p50_ms=float("inf"),
            alarm_p99_ms=float("inf"),
            drain_s=None,
            alarm_worst_drain_ms=None,
        )
    rng = np.random.default_rng(seed)
    backlog_alarms = share * BACKLOG_ALARMS if with_backlog else 0
    backlog_telemetry = share * BACKLOG_TELEMETRY if with_backlog else 0
    if with_backlog:
        capacity = 1 / (writer.entry_s + writer.commit_s / GROUP)
        seconds = max(seconds, 1.3 * (backlog_alarms + backlog_telemetry) / (capacity - offered))
    alarms = np.sort(rng.uniform(0, seconds, rng.poisson(alarms_per_s * seconds)))
    delays, drained = _run(alarms, telemetry_per_s, backlog_alarms, backlog_telemetry, writer, seconds)
    worst = float(delays.max()) * 1000 if len(delays) and with_backlog else None
    p50, p99 = (np.quantile(delays, (0.5, 0.99)) * 1000) if len(delays) else (0.0, 0.0)
    return Outcome(
        gateways=gateways, writers=writers, entries_per_s=round(offered, 1), busy=round(busy, 3), alarm_p50_ms=round(float(p50), 2),
        alarm_p99_ms=round(float(p99), 2), drain_s=None if drained is None else round(drained, 1),
        alarm_worst_drain_ms=None if worst is None else round(worst, 1),
    )  # fmt: skip


def _run(
    alarms: npt.NDArray[np.float64],
    telemetry_per_s: float,
    old_alarms: int,
    old_telemetry: int,
    writer: Writer,
    seconds: float,
) -> tuple[npt.NDArray[np.float64], float | None]:
    """Return (delay of each new alarm batch, when the backlog was in)."""
    now, served, taken_telemetry = 0.0, 0, 0.0
    delays = np.zeros(len(alarms))
    drained: float | None = None
    had_backlog = old_alarms + old_telemetry > 0
    while served < len(alarms) or (old_alarms + old_telemetry > 0 and now < seconds):
        waiting = int(np.searchsorted(alarms, now, side="right"))
        fresh = telemetry_per_s * now - taken_telemetry
        if waiting == served and old_alarms + old_telemetry <= 0 and fresh < 1:
            upcoming = alarms[served] if served < len(alarms) else seconds
            now = min(float(upcoming), now + 1 / max(telemetry_per_s, 1e-9))
            continue
        room = GROUP
        new = min(waiting - served, room // ALARM_BATCH)
        room -= new * ALARM_BATCH
        past = min(old_alarms, room)
        room -= past
        telemetry = min(fresh, room)
        room -= int(telemetry)
        past_telemetry = min(old_telemetry, max(0, room))
        size = new * ALARM_BATCH + past + telemetry + past_telemetry
        now += writer.commit_s + writer.entry_s * size
        delays[served : served + new] = now - alarms[served : served + new]
        served += new
        old_alarms -= past
        old_telemetry -= past_telemetry
        taken_telemetry += telemetry
        if had_backlog and drained is None and old_alarms + old_telemetry <= 0:
            drained = now
        if now > 10 * seconds:
            break
    return delays[:served], drained


def main(argv: list[str] | None = None) -> int:
    """Print a table for 1 to 100 000 gateways."""
    parser = argparse.ArgumentParser(prog="python -m gatehouse_hil.light.scale", description=__doc__)
    parser.add_argument(
        "--entries-per-s",
        type=float,
        required=True,
        help="measured: entries committed per second in large groups",
    )
    parser.add_argument("--commit-ms", type=float, required=True, help="measured: an empty commit")
    parser.add_argument(
        "--per-writer",
        type=int,
        default=10_000,
        help="gateways of one district, which has a writer of its own",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    writer = Writer(commit_s=args.commit_ms / 1000, entry_s=1 / args.entries_per_s)
    rows = []
    for gateways in (1, 100, 1_000, 10_000, 100_000):
        writers = max(1, -(-gateways // args.per_writer))
        steady = simulate(gateways, writer, writers=writers)
        after = simulate(gateways, writer, writers=writers, with_backlog=True)
        rows.append(
            {**asdict(steady), "drain_s": after.drain_s, "alarm_worst_drain_ms": after.alarm_worst_drain_ms}
        )
    if args.json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return 0
    sys.stdout.write(
        "| gateways | writers | entries/s each | busy | alarm p50 ms | p99 ms | 72 h backlog in, s | worst alarm meanwhile, ms |\n"
    )
    sys.stdout.write("|---:|---:|---:|---:|---:|---:|---:|---:|\n")
    for row in rows:
        sys.stdout.write(
            f"| {row['gateways']:,} | {row['writers']} | {row['entries_per_s']:,.0f} | {row['busy']:.1%} | {row['alarm_p50_ms']:.1f} | {row['alarm_p99_ms']:.1f} | {row['drain_s']} | {row['alarm_worst_drain_ms']} |\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
