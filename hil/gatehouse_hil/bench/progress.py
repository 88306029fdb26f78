"""How far each board is: a bar for each on a terminal, a line for each step elsewhere, nothing at all for a program."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from gatehouse_hil.bench.record import StepName, Verdict
from gatehouse_hil.bench.words import Words


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


Shown = Silent | Lines | Bars


def shown(words: Words, stations: tuple[str, ...], *, steps: int, is_for_program: bool) -> Shown:
    """Return what suits whoever looks."""
    if is_for_program:
        return Silent()
    return Bars(words, stations, steps) if sys.stderr.isatty() else Lines(words)
