"""What the simulated city platform keeps: one line of JSON for each message it was sent, on disk before it answers.

| key | meaning |
|---|---|
| `via` | `http`, `one_hot`, `mqtt`, `text`, `fire` |
| `id` | the event's id, or what identifies a message in a dialect without ids |
| `alarm`, `seq` | of CloudEvents: the alarm and its revision |
| `verdict` | `stored`, `repeat` (the id is known: answered again, not stored again), `late` (a revision behind one it has) |
| `body` | what came |
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """One message, taken apart as far as keeping it needs."""

    via: str
    id: str
    body: Any
    alarm: str = ""
    seq: int = 0


class Shelf:
    """Appends to one file; knows again after a restart what it had."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._ids: Final[set[str]] = set()
        self._last: Final[dict[str, int]] = {}
        self._file: IO[str] | None = None
        self.stored = 0
        """Messages stored since this process began."""

    def __enter__(self) -> Self:
        for line in read(self._path):
            self._learn(line["id"], line.get("alarm", ""), line.get("seq", 0))
        self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def keep(self, arrived: Arrived) -> str:
        """Write a message down, synced, and return the verdict."""
        verdict = "stored"
        if arrived.id in self._ids:
            verdict = "repeat"
        elif arrived.alarm and arrived.seq <= self._last.get(arrived.alarm, 0):
            verdict = "late"
        line = {
            "via": arrived.via,
            "id": arrived.id,
            "alarm": arrived.alarm,
            "seq": arrived.seq,
            "verdict": verdict,
            "body": arrived.body,
        }
        assert self._file is not None  # noqa: S101  # entered
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._learn(arrived.id, arrived.alarm, arrived.seq)
        self.stored += verdict != "repeat"
        return verdict

    def _learn(self, event_id: str, alarm: str, seq: int) -> None:
        self._ids.add(event_id)
        if alarm:
            self._last[alarm] = max(seq, self._last.get(alarm, 0))


def read(path: Path) -> list[dict[str, Any]]:
    """Return every whole line of a shelf; a line cut by a kill was never answered for."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]
