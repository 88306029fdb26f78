"""How far each board is: a bar for each on a terminal, a line for each step elsewhere, nothing at all for a program."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from typing_extensions import override

from gatehouse_events.bench_record import StepName, Verdict
from gatehouse_hil.bench.fault import printable
from gatehouse_hil.bench.words import Words

_TOOLS: Final = logging.getLogger("gatehouse_hil.bench.tool_process")
_ADVANCE_S: Final = 0.1
_SAID_LINES: Final = 4000
"""Lines of other programs passed on in one run; esptool and mpremote write some hundred."""
_SAID_LENGTH: Final = 300


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def begin(self, station: str, step: StepName) -> None:
        """Do nothing."""

    def advance(self, station: str, share: float) -> None:
        """Do nothing."""

    def end(self, station: str, verdict: Verdict) -> None:
        """Do nothing."""


class Lines:
    """One line for each step and each end, on standard error."""

    def __init__(self, words: Words) -> None:
        self._words: Final = words

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def begin(self, station: str, step: StepName) -> None:
        """Say which step begins."""
        sys.stderr.write(f"  {station:<12} {self._words(f'step.{step}')}\n")

    def advance(self, station: str, share: float) -> None:
        """Say nothing: a log is not a bar."""

    def end(self, station: str, verdict: Verdict) -> None:
        """Say how it ended."""
        sys.stderr.write(f"  {station:<12} {self._words(f'verdict.{verdict}')}\n")


class Bars:
    """A bar for each board, side by side; large enough to be read from the other end of the bench."""

    def __init__(self, words: Words, stations: tuple[str, ...], steps: int) -> None:
        self._words: Final = words
        self._steps: Final = max(1, steps)
        self._bars: Final = Progress(
            TextColumn("  {task.fields[station]:<12}"),
            BarColumn(bar_width=40),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._tasks: Final[dict[str, TaskID]] = {
            station: self._bars.add_task("", station=station, total=self._steps) for station in stations
        }
        self._begun: Final[dict[str, int]] = dict.fromkeys(stations, 0)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, station: str, step: StepName) -> None:
        """Show which step runs."""
        self._begun[station] += 1
        self._bars.update(
            self._tasks[station], description=self._words(f"step.{step}"), completed=self._begun[station] - 1
        )

    def advance(self, station: str, share: float) -> None:
        """Move the bar within its step."""
        self._bars.update(self._tasks[station], completed=self._begun[station] - 1 + min(1.0, share))

    def end(self, station: str, verdict: Verdict) -> None:
        """Show the verdict; a failed bar stays where it stopped."""
        is_good = verdict is Verdict.PASSED
        text = self._words(f"verdict.{verdict}")
        shown = f"[green]✓ {text}[/]" if is_good else f"[red]✗ {text}[/]"
        completed = self._steps if is_good else None
        self._bars.update(self._tasks[station], description=shown, completed=completed)
        self._bars.stop_task(self._tasks[station])


class Told:
    """A line of JSON on standard error for everything that happens: for the page, or any other program that watches.

    | `event`   | with                          | meaning                                             |
    |-----------|-------------------------------|-----------------------------------------------------|
    | `begin`   | `board`, `step`               | a step has begun                                    |
    | `advance` | `board`, `share` 0 to 1       | so far is the running step; at most 10 a second      |
    | `end`     | `board`, `verdict`            | the run on this board is over                       |
    | `ask`     | `board`, `task`, `zh`, `en`   | hands are wanted; a line on standard input says done |
    | `done`    | `board`, `task`               | somebody said so                                    |
    | `said`    | `tool`, `line`                | what esptool, mpremote or another program wrote     |

    `t` is in seconds since the command began.
    """

    def __init__(self, elapsed_s: Callable[[], float], out: TextIO | None = None) -> None:
        self._elapsed_s: Final = elapsed_s
        self._began_s: Final = elapsed_s()
        self._out: Final = out or sys.stderr
        self._advanced_s: Final[dict[str, float]] = {}
        self._said: Final = _Said(self)
        self._lines = 0

    def __enter__(self) -> Self:
        _TOOLS.addHandler(self._said)
        _TOOLS.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_: object) -> None:
        _TOOLS.removeHandler(self._said)
        _TOOLS.setLevel(logging.NOTSET)

    def tell(self, event: str, **facts: str | float) -> None:
        """Write one line."""
        row = {"t": round(self._elapsed_s() - self._began_s, 3), "event": event, **facts}
        self._out.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._out.flush()

    def begin(self, station: str, step: StepName) -> None:
        """Say which step begins."""
        self._advanced_s.pop(station, None)
        self.tell("begin", board=station, step=step.value)

    def advance(self, station: str, share: float) -> None:
        """Say how far it is, not oftener than anybody can see."""
        now_s = self._elapsed_s()
        if share < 1 and now_s - self._advanced_s.get(station, -1.0) < _ADVANCE_S:
            return
        self._advanced_s[station] = now_s
        self.tell("advance", board=station, share=round(min(1.0, share), 3))

    def end(self, station: str, verdict: Verdict) -> None:
        """Say how it ended."""
        self.tell("end", board=station, verdict=verdict.value)

    def said(self, tool: str, line: str) -> None:
        """Pass on what a program wrote; a program gone wild is cut off."""
        self._lines += 1
        if self._lines <= _SAID_LINES:
            self.tell("said", tool=tool, line=printable(line, limit=_SAID_LENGTH))
        elif self._lines == _SAID_LINES + 1:
            self.tell("said", tool=tool, line="…")


class _Said(logging.Handler):
    def __init__(self, told: Told) -> None:
        super().__init__(logging.DEBUG)
        self._told: Final = told

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self._told.said(str(getattr(record, "tool", "")), record.getMessage())


Shown = Silent | Lines | Bars | Told


def shown(
    words: Words, stations: tuple[str, ...], *, steps: int, is_for_program: bool, told: Told | None = None
) -> Shown:
    """Return what suits whoever looks."""
    if told is not None:
        return told
    if is_for_program:
        return Silent()
    return Bars(words, stations, steps) if sys.stderr.isatty() else Lines(words)
