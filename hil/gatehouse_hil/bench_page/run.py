"""One command that the page has started: a process of its own session, its output in files, so that both outlive the page.

| file in the run's folder | what it is                                                                     |
|--------------------------|--------------------------------------------------------------------------------|
| `order.json`             | `Begun`: the command line, when, and which process                             |
| `progress.jsonl`         | what it wrote to standard error: `gatehouse_hil.bench.progress.Told`, or text  |
| `answer.json`            | what it wrote to standard output                                               |
| `hands`                  | a named pipe: a line written to it says that a hand task is done               |
| `end.json`               | `Ended`, once the page has seen the end                                        |
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec
import psutil
from msgspec import Struct

from gatehouse_events import bench_record
from gatehouse_hil.bench.clock import Clock
from gatehouse_hil.bench.disk_file import replace_file
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.words import Lang, Words

MAX_OUTPUT_BYTES: Final = 8 * 1024 * 1024
"""A command that writes more has lost its mind and is ended; a whole run writes some 100 KiB."""
LINES_SHOWN: Final = 200
_LINE_BYTES: Final = 16 * 1024
_LOOK_S: Final = 0.1
_GRACE_S: Final = 5.0
"""From the first, polite signal to the last one."""
_HASH: Final = re.compile(r"^([0-9a-f]{64}|\s*)$")
_STEPS_OF: Final = {
    "make": ("flash", "identify", "provision", "self_test", "test", "calibrate", "label"),
    "flash": ("flash", "identify"),
    "provision": ("identify", "provision", "self_test"),
    "test": ("identify", "test"),
    "calibrate": ("identify", "calibrate"),
}

_S = TypeVar("_S", bound=Struct)
State = Literal["running", "passed", "failed", "cancelled", "lost"]


class Begun(Struct, frozen=True, kw_only=True):
    """What was started."""

    id: str
    verb: str
    board: str
    room: str
    command: str
    """As it can be pasted into a terminal."""
    began_at: datetime
    pid: int
    pid_began_s: float
    """The system's start time of the process: a number alone may be another's by now."""


class Ended(Struct, frozen=True, kw_only=True):
    """How it ended. `lost`: the process is gone and has left no answer."""

    state: State
    ended_at: datetime
    fault: str = ""
    facts: dict[str, str] = {}
    zh: str = ""
    en: str = ""
    serial: str = ""
    """Of the device; of a board that never said who it is, the name of its history (`unknown-PLACE`)."""
    record: int = 0
    """Number of the record; 0: none was made."""
    has_label: bool = False
    trouble: str = ""


class StepSeen(Struct, kw_only=True):
    """One step as far as the run has told."""

    name: str
    state: Literal["waiting", "running", "passed", "failed"] = "waiting"
    share: float = 0.0
    began_s: float = 0.0
    took_s: float = 0.0


class Asked(Struct, frozen=True, kw_only=True):
    """Hands are wanted."""

    number: int
    """Counts within the run: an answer to an earlier question does not count for this one."""
    task: str
    zh: str
    en: str


class RunView(Struct, kw_only=True):
    """What the page shows of a run."""

    id: str
    verb: str
    board: str
    room: str
    command: str
    began_at: datetime
    state: State
    steps: list[StepSeen]
    asked: Asked | None
    last_s: float
    """Seconds into the run of the last thing it told."""
    said: list[str]
    """The last lines of tools."""
    ended: Ended | None


class Run:
    """A run, alive or over."""

    def __init__(self, folder: Path, begun: Begun, clock: Clock) -> None:
        self.begun: Final = begun
        self.folder: Final = folder
        self.ended: Ended | None = _read(folder / "end.json", Ended)
        self.steps: Final = [StepSeen(name=name) for name in _STEPS_OF.get(begun.verb, ())]
        self.asked: Asked | None = None
        self.said: Final[list[str]] = []
        self._last_s = 0.0
        self._asks = 0
        self._offset = 0
        self._rest = b""
        self._is_cancelled = False
        self._clock: Final = clock

    @classmethod
    def start(cls, folder: Path, argv: list[str], begun: Begun, clock: Clock) -> Run:
        """Start `argv`; `begun` comes without the process, which is filled in.

        Spawned by hand: asyncio and subprocess end or mourn a child that is still there when they go.
        """
        folder.mkdir(parents=True, mode=0o700)
        os.mkfifo(folder / "hands", 0o600)
        # Open for reading and writing, so that neither end ever sees the other one gone: a page that is started anew can answer.
        write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        pid = os.posix_spawn(
            argv[0],
            argv,
            {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, str(folder / "hands"), os.O_RDWR, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(folder / "answer.json"), write, 0o600),
                (os.POSIX_SPAWN_OPEN, 2, str(folder / "progress.jsonl"), write, 0o600),
            ],
            setsid=True,
        )
        began_s = psutil.Process(pid).create_time()
        begun = msgspec.structs.replace(begun, pid=pid, pid_began_s=began_s)
        replace_file(folder / "order.json", msgspec.json.encode(begun), mode=0o600)
        return cls(folder, begun, clock)

    @classmethod
    def found(cls, folder: Path, clock: Clock) -> Run | None:
        """Return the run in a folder that an earlier page left; None where there is none."""
        begun = _read(folder / "order.json", Begun)
        if begun is None:
            return None
        run = cls(folder, begun, clock)
        while run.look():
            pass
        return run

    @property
    def is_over(self) -> bool:
        """Whether its end has been seen."""
        return self.ended is not None

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        try:
            process = psutil.Process(self.begun.pid)
            if abs(process.create_time() - self.begun.pid_began_s) >= 1.0:
                return False
            if process.status() != psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return False
        with contextlib.suppress(ChildProcessError):  # an earlier page's child is not ours to wait for
            os.waitpid(self.begun.pid, os.WNOHANG)
        return False

    def view(self) -> RunView:
        """Return what there is to show."""
        begun = self.begun
        return RunView(
            id=begun.id,
            verb=begun.verb,
            board=begun.board,
            room=begun.room,
            command=begun.command,
            began_at=begun.began_at,
            state=self.ended.state if self.ended else "running",
            steps=self.steps,
            asked=None if self.ended else self.asked,
            last_s=self._last_s,
            said=self.said[-3:],
            ended=self.ended,
        )

    def lines(self) -> list[dict[str, Any]]:
        """Return everything it told, for a replay; the last of it where that is too much."""
        size = self._told.stat().st_size if self._told.exists() else 0
        if not size:
            return []
        with self._told.open("rb") as file:
            file.seek(max(0, size - MAX_OUTPUT_BYTES))
            content = file.read(MAX_OUTPUT_BYTES)
        return [_line(raw) for raw in content.splitlines()[-20_000:] if raw]

    @property
    def answer(self) -> dict[str, Any] | None:
        """What it answered; None while it has not."""
        return _answer(self.folder / "answer.json")

    def answer_hands(self, number: int) -> bool:
        """Say that the task asked for as `number` is done; False when that is not what it waits for."""
        if self.asked is None or self.asked.number != number or self.is_over:
            return False
        self.asked = None
        handle = os.open(self.folder / "hands", os.O_RDWR | os.O_NONBLOCK)
        try:
            os.write(handle, b"\n")
        finally:
            os.close(handle)
        return True

    async def follow(self, changed: Callable[[], None]) -> None:
        """Read along until it is over; call `changed()` whenever there is something new."""
        while self.is_alive:
            if self.look():
                changed()
            if self._output_bytes() > MAX_OUTPUT_BYTES:
                self._signal(signal.SIGKILL)
            await asyncio.sleep(_LOOK_S)
        self.look()
        self._finish()
        changed()

    async def cancel(self) -> None:
        """Ask it to stop as Ctrl-C does, and make it after a while. Whoever follows it sees the end."""
        self._is_cancelled = True
        self._signal(signal.SIGINT)
        for _ in range(round(_GRACE_S / _LOOK_S)):
            await asyncio.sleep(_LOOK_S)
            if not self.is_alive:
                return
        self._signal(signal.SIGKILL)

    def look(self) -> bool:
        """Read what is new; whether there was anything."""
        if not self._told.exists():
            return False
        with self._told.open("rb") as file:
            file.seek(self._offset)
            fresh = file.read(1 << 20)
        self._offset += len(fresh)
        *lines, self._rest = (self._rest + fresh).split(b"\n")
        self._rest = self._rest[-_LINE_BYTES:]
        for raw in lines:
            self._take(_line(raw))
        return bool(fresh)

    @property
    def _told(self) -> Path:
        return self.folder / "progress.jsonl"

    def _output_bytes(self) -> int:
        return sum(
            (self.folder / name).stat().st_size
            for name in ("progress.jsonl", "answer.json")
            if (self.folder / name).exists()
        )

    def _signal(self, number: int) -> None:
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.begun.pid, number)

    def _take(self, line: dict[str, Any]) -> None:
        at_s = _number(line.get("t"), self._last_s)
        self._last_s = at_s
        match line.get("event"):
            case "begin":
                self._close_step(at_s, "passed")
                self._open_step(str(line.get("step")), at_s)
            case "advance":
                for step in self.steps:
                    if step.state == "running":
                        step.share = _number(line.get("share"), step.share)
            case "end":
                self._close_step(at_s, "passed" if line.get("verdict") == "passed" else "failed")
            case "ask":
                self._ask(line)
            case "done":
                self.asked = None
            case "said":
                self._hear(str(line.get("line", "")))

    def _hear(self, text: str) -> None:
        if not _HASH.match(text):  # sums fly past by the dozen and tell a person nothing
            self.said.append(text)
            del self.said[:-LINES_SHOWN]

    def _ask(self, line: dict[str, Any]) -> None:
        self._asks += 1
        task, zh, en = (str(line.get(name, "")) for name in ("task", "zh", "en"))
        self.asked = Asked(number=self._asks, task=task, zh=zh, en=en)

    def _open_step(self, name: str, at_s: float) -> None:
        for step in self.steps:
            if step.name == name:
                step.state, step.began_s = "running", at_s

    def _close_step(self, at_s: float, state: Literal["passed", "failed"]) -> None:
        for step in self.steps:
            if step.state == "running":
                step.state, step.took_s = state, round(at_s - step.began_s, 1)
                step.share = 1.0 if state == "passed" else step.share

    def _finish(self) -> None:
        answer = _answer(self.folder / "answer.json")
        ended = _ended_by(answer, self._clock.now())
        if ended.state == "lost" and self._is_cancelled:
            ended = msgspec.structs.replace(ended, state="cancelled")
        if ended.state in ("lost", "cancelled"):
            for step in self.steps:
                if step.state == "running":
                    step.state = "failed"
        self.ended = ended
        replace_file(self.folder / "end.json", msgspec.json.encode(ended), mode=0o600)


def _ended_by(answer: dict[str, Any] | None, now: datetime) -> Ended:
    if answer is None:
        return Ended(state="lost", ended_at=now)
    state: State = "passed" if answer.get("ok") else "failed"
    boards = answer.get("boards")
    if not isinstance(boards, list) or len(boards) != 1 or "record" not in boards[0]:
        fault, facts = str(answer.get("fault", "")), answer.get("facts", {})
        zh, en = _sentences(fault, facts)
        return Ended(state=state, ended_at=now, fault=fault, facts=facts, zh=zh, en=en)
    board = boards[0]
    signed = _record(Path(board["record"]))
    last = signed.record.steps[-1] if signed and signed.record.steps else None
    return Ended(
        state=state,
        ended_at=now,
        fault=str(board.get("fault", "")),
        facts=last.facts if last else {},
        zh=last.zh if last else str(board.get("sentence", "")),
        en=last.en if last else str(board.get("sentence", "")),
        serial=bench_record.chain_name(signed.record) if signed else str(board.get("serial", "")),
        record=signed.record.number if signed else 0,
        has_label=bool(board.get("label")),
        trouble=str(answer.get("trouble", "")),
    )


def _record(path: Path) -> bench_record.SignedRecord | None:
    try:
        return bench_record.verify(path.read_bytes())
    except (OSError, bench_record.RecordDamagedError):
        return None


def _sentences(fault: str, facts: dict[str, str]) -> tuple[str, str]:
    if fault not in {each.value for each in Fault}:
        return "", ""
    error = BenchError(Fault(fault), **facts)
    return Words(Lang.ZH).fault(error), Words(Lang.EN).fault(error)


def _answer(path: Path) -> dict[str, Any] | None:
    """The last line of standard output that is a JSON object; None where there is none."""
    try:
        if path.stat().st_size > MAX_OUTPUT_BYTES:
            return None
        for raw in reversed(path.read_bytes().splitlines()):
            found = msgspec.json.decode(raw)
            if isinstance(found, dict):
                return found
    except (OSError, msgspec.DecodeError, RecursionError):
        return None
    return None


def _line(raw: bytes) -> dict[str, Any]:
    """A line of progress, or text that something else wrote there."""
    if raw.startswith(b"{") and len(raw) <= _LINE_BYTES:
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            found = msgspec.json.decode(raw)
            if isinstance(found, dict):
                return found
    return {"event": "said", "tool": "", "line": raw[:300].decode("utf-8", "replace")}


def _number(found: object, otherwise: float) -> float:
    return float(found) if isinstance(found, int | float) else otherwise


def _read(path: Path, kind: type[_S]) -> _S | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None
