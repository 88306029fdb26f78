"""False alarms need hours, and hours need nights: rendered scenes without a throw, one after another, in a ledger that is gone on with.

Each line of the ledger (JSON lines) is one scene: {"seed", "seconds", "scene", "models", "threshold", "told": [probabilities]}. A run takes the next
seeds; what other models or another threshold have left is not counted. Seeds are of the test split, beyond those that are evaluated.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from gatehouse_throw.clips import MakeWatch, render
from gatehouse_throw.evaluate import run_clip
from gatehouse_throw.metrics import upper_bound
from gatehouse_throw.scenes.spec import Split, seeds, spec_of

FIRST: Final = 1_000_000
"""Number of the first scene within the test split."""
SECONDS: Final = 20.0


class Entry(Struct, frozen=True, kw_only=True):
    """One scene watched."""

    seed: int
    seconds: float
    scene: str
    models: str
    """SHA-256 of the release."""
    threshold: float
    told: tuple[float, ...]
    """Probabilities of the false alarms."""


class Tally(Struct, frozen=True, kw_only=True):
    """What a ledger says of one release."""

    scenes: int
    hours: float
    false_alarms: int
    per_day: float
    per_day_95: float
    """95 % upper bound of the false alarms a camera and day (Poisson, exact)."""
    by_scene: dict[str, tuple[float, int]]
    """Kind of scene -> (hours, false alarms)."""


def entries(ledger: Path, models: str, threshold: float) -> list[Entry]:
    """Return the lines of a release; a line that was cut off by a power failure is no line."""
    found = []
    for line in ledger.read_bytes().splitlines() if ledger.exists() else []:
        try:
            entry = msgspec.json.decode(line, type=Entry)
        except msgspec.DecodeError:
            continue
        if entry.models == models and entry.threshold == threshold:
            found.append(entry)
    return found


def watch(
    ledger: Path, make: MakeWatch, *, models: str, threshold: float, until_s: float, seconds: float = SECONDS
) -> Iterator[Entry]:
    """Watch scene after scene until `time.monotonic()` passes `until_s`; each is in the ledger before it is yielded."""
    done = {entry.seed for entry in entries(ledger, models, threshold)}
    number = FIRST
    while time.monotonic() < until_s:
        seed = seeds(Split.TEST, number + 1)[number]
        number += 1
        if seed in done:
            continue
        entry = _watched(seed, make, models, threshold, seconds)
        ledger.parent.mkdir(parents=True, exist_ok=True)
        with ledger.open("ab") as out:  # a line break first ends whatever a power failure has cut off
            out.write((b"\n" if out.tell() else b"") + msgspec.json.encode(entry))
        yield entry


def tally(kept: Iterable[Entry]) -> Tally:
    """Return the sums of a release."""
    by_scene: dict[str, tuple[float, int]] = {}
    count, false, seconds = 0, 0, 0.0
    for entry in kept:
        hours, told = by_scene.get(entry.scene, (0.0, 0))
        by_scene[entry.scene] = (hours + entry.seconds / 3600, told + len(entry.told))
        count, false, seconds = count + 1, false + len(entry.told), seconds + entry.seconds
    days = max(seconds, 1e-9) / 86_400
    return Tally(
        scenes=count,
        hours=round(seconds / 3600, 3),
        false_alarms=false,
        per_day=round(false / days, 2),
        per_day_95=round(upper_bound(false) / days, 2),
        by_scene={name: (round(hours, 3), told) for name, (hours, told) in sorted(by_scene.items())},
    )


def _watched(seed: int, make: MakeWatch, models: str, threshold: float, seconds: float) -> Entry:
    with tempfile.TemporaryDirectory() as folder:
        spec = spec_of(seed, throws=0, seconds=seconds)
        clip = render(spec, Path(folder) / "clip.mkv")
        report = run_clip(clip, make)
    told = tuple(round(one.probability, 4) for one in report.found)
    return Entry(
        seed=seed, seconds=report.seconds, scene=clip.scene, models=models, threshold=threshold, told=told
    )
