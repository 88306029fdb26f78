# a benchmark prints
"""Looking back over 100 000 alarm entries: the index beside a walk over the journal, which was the only way before."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import structs

from gatehouse_edge.alarms import life_cycle
from gatehouse_edge.alarms.commands import Acknowledge, Reset
from gatehouse_edge.clock import Now
from gatehouse_edge.history import History, Term, Wanted, search_text
from gatehouse_edge.history.fold import change_of
from gatehouse_edge.rules.condition import Condition
from gatehouse_events.alarm import Actor, Change
from gatehouse_events.chain import Lane
from gatehouse_events.clock import ClockQuality
from gatehouse_journal import Batch, Journal, Limits, NewEntry, Reader, Signer, Stamp, canonical

ENTRIES = 100_000
ROUNDS = 15
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
GUARD = Actor(name="测量", role="operator", station="local")
CODES = (
    "gas.high_alarm",
    "gas.low_alarm",
    "sos.pressed",
    "lift.trapped",
    "gas.offline",
    "throw.object_falling",
)


def now_at(s: float) -> Now:
    quality = ClockQuality(synced=True, offset_ms=1.0)
    return Now(
        service_s=s, wall=BEGAN + timedelta(seconds=s), mono_ns=int(s * 1e9), boot="bench", clock=quality
    )


def life(at_s: float, name: str, code: str) -> list[Change | None]:
    """Return one alarm from its raising to its end."""
    raised = life_cycle.begin(name, Condition(code=code, text="8.1 %LEL"), now_at(at_s), cause=str(at_s))
    alarm_id = raised.alarm.alarm_id
    taken = life_cycle.acknowledge(
        raised.alarm,
        now_at(at_s + 10),
        Acknowledge(actor=GUARD, command_id=f"a{at_s}", alarm_id=alarm_id),
    )
    gone = life_cycle.leave(taken.alarm, now_at(at_s + 20))
    if not isinstance(gone, Change) or not gone.alarm.is_open:
        return [raised, taken, gone if isinstance(gone, Change) else None]
    command = Reset(actor=GUARD, command_id=f"r{at_s}", alarm_id=alarm_id)
    return [raised, taken, gone, life_cycle.reset(gone.alarm, now_at(at_s + 25), command)]


def write(folder: Path) -> float:
    """Fill a journal; return how many seconds it spans."""
    journal = Journal.open(
        folder,
        limits=Limits(ballast_bytes=0),
        signer=Signer.load_or_create(folder),
        stamp=Stamp(at=BEGAN, boot="bench", mono_ns=0),
    )
    chosen, at_s, written = random.Random(7), 0.0, 0
    entries: list[NewEntry] = []
    while written < ENTRIES:
        at_s += 300
        for change in life(at_s, f"gas-{chosen.randrange(400)}", chosen.choice(CODES)):
            if change is None:
                continue
            now = now_at(change.alarm.changed_s)
            body = canonical(structs.replace(change, clock=now.clock))
            entries.append(
                NewEntry(kind="alarm", body=body, stamp=Stamp(at=now.wall, boot="bench", mono_ns=now.mono_ns))
            )
            written += 1
        if len(entries) > 5000:
            journal.commit(Batch(entries=tuple(entries)))
            entries.clear()
    journal.commit(Batch(entries=tuple(entries)))
    journal.close()
    return at_s


def walk(reader: Reader, device: str) -> int:
    """Return how many alarms of one device a walk over the whole journal finds."""
    found, after = set[str](), 0
    while entries := reader.read(Lane.ALARM, after, 2000):
        for entry in entries:
            change = change_of(entry) if entry.kind == "alarm" else None
            if change is not None and change.alarm.device_id == device:
                found.add(change.alarm.alarm_id)
        after = entries[-1].seq
    return len(found)


def median_ms(work: Callable[[], object]) -> float:
    took = []
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        work()
        took.append(time.perf_counter() - began_s)
    return sorted(took)[ROUNDS // 2] * 1e3


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spans_s = write(folder)
        with Reader.open(folder) as reader, Reader.open(folder) as other:
            began_s = time.perf_counter()
            history = History(folder / "history.db", other)
            history.catch_up(budget_s=600)
            built_s = time.perf_counter() - began_s
            began_s = time.perf_counter()
            count = walk(reader, "gas-77")
            walked_ms = (time.perf_counter() - began_s) * 1e3
            end = int((BEGAN + timedelta(seconds=spans_s + 100)).timestamp() * 1e6)
            day, whole = Wanted(from_us=end - 86_400 * 10**6, to_us=end), Wanted(from_us=0, to_us=end)
            word = structs.replace(whole, terms=(Term(text=search_text("gas-77")),))
            room = structs.replace(whole, terms=(Term(text="501", devices=("gas-1", "gas-2", "gas-3")),))
            middle = (int(BEGAN.timestamp() * 1e6) + end) // 2
            questions: dict[str, Callable[[], object]] = {
                "is anything new": lambda: history.catch_up(budget_s=1),
                "a day, first 100": lambda: history.alarms(day, limit=100),
                "a day's timeline": lambda: history.tallies(day, bucket_us=600 * 10**6),
                "a word, over everything": lambda: history.alarms(word, limit=100),
                "a room, over everything": lambda: history.alarms(room, limit=100),
                "what the screen knew": lambda: history.moment(middle),
            }
            assert len(history.alarms(word, limit=500)[0]) == count
            size = (folder / "history.db").stat().st_size
            print(
                f"{ENTRIES} entries over {spans_s / 86_400:.0f} days; index made in {built_s:.1f} s"
                f" ({built_s / ENTRIES * 1e6:.0f} us an entry), {size / 2**20:.0f} MiB beside"
                f" {(folder / 'alarm.db').stat().st_size / 2**20:.0f}"
            )
            print(f"{'a walk over the journal for one device':42s} {walked_ms:9.1f} ms")
            for about, question in questions.items():
                took_ms = median_ms(question)
                print(f"{about:42s} {took_ms:9.2f} ms   1/{walked_ms / took_ms:.0f}")
            history.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
