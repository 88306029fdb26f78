"""What the page may run: a few verbs of `gatehouse-bench`, each with words that are checked here. Nothing else ever becomes a command.

The line that is shown is the line that is run; `python -m gatehouse_hil` is `gatehouse-bench`.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from gatehouse_events.bench_record import ROOM_LENGTH
from gatehouse_hil.bench_page.problems import RefusedError

BOARD_VERBS: Final = frozenset({"make", "flash", "provision", "test", "calibrate"})
"""Change or measure a board and end in a record."""
WATCHING_VERBS: Final = frozenset({"console", "registers", "scan", "aim"})
"""Go on until they are stopped; they change nothing."""
_OF_A_BOARD: Final = BOARD_VERBS | {"identify", "console", "registers"}
_VERBS: Final = {"upload": ["record", "upload"], "export": ["record", "export"], "mend": ["rig", "reset"]}
_RUNTIME_VERBS: Final = frozenset({"make", "flash"})
_GAS_VERBS: Final = frozenset({"make", "calibrate"})
_TAKE_OVER_VERBS: Final = frozenset({"make", "flash", "provision"})

Verb = Literal[
    "make", "flash", "provision", "test", "calibrate", "identify", "console", "registers", "scan", "aim",
    "list", "label", "mend", "upload", "export",
]  # fmt: skip
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Serial = Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]{0,23}$")]
Line = Annotated[str, Meta(max_length=200)]


class Order(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a button of the page asks for."""

    verb: Verb
    board: Name | None = None
    room: Annotated[str, Meta(max_length=ROOM_LENGTH)] = ""
    operator: Annotated[str, Meta(max_length=60)] = ""
    take_over: bool = False
    app_only: bool = False
    serial: Serial | None = None
    is_printed: bool = False
    part: Name | None = None
    reason: Line = ""
    profile: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,64}$")] | None = None
    unit_id: Annotated[int, Meta(ge=1, le=247)] = 1
    camera: Name | None = None
    lang: Literal["zh", "en"] = "zh"
    command_id: Annotated[str, Meta(max_length=64)] = ""
    """The browser's, so that an order told twice is done once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What `gatehouse-bench page` was started with; goes into every command line."""

    directory: Path
    is_own_directory: bool
    """The directory was named; else it is the default and is not written out."""
    rig: Path | None = None
    runtime: Path | None = None
    gas: Path | None = None
    floors: Path | None = None
    operator: str = ""


def words_of(order: Order, setup: Setup, boards: frozenset[str]) -> list[str]:
    """Return the words after `gatehouse-bench`.

    Raises:
        RefusedError: a board that is not on the rig, a word that is missing or cannot be one.
    """
    if order.verb in _OF_A_BOARD and order.board not in boards:
        raise RefusedError(404, "no_such_board", board=order.board or "-")
    words = _VERBS.get(order.verb, [order.verb])
    words = [*words, *_words_of_verb(order, setup), "--json"]
    if order.verb in BOARD_VERBS:
        words.append("--progress")
    if setup.rig is not None:
        words += ["--rig", str(setup.rig)]
    if setup.is_own_directory:
        words += ["--directory", str(setup.directory)]
    operator = _spoken(order.operator) or setup.operator
    if operator and order.verb in {*BOARD_VERBS, "mend"}:
        words.append(f"--operator={operator}")
    return [*words, "--lang", order.lang]


def _words_of_verb(order: Order, setup: Setup) -> list[str]:
    if order.verb == "label":
        if order.serial is None:
            raise RefusedError(422, "word_missing", what="serial")
        return [order.serial, *(["--print"] if order.is_printed else [])]
    if order.verb == "mend":
        if order.part is None or not _spoken(order.reason):
            raise RefusedError(422, "word_missing", what="part, reason")
        return [order.part, f"--reason={_spoken(order.reason)}"]
    if order.verb == "aim":
        return [f"--camera={order.camera}"] if order.camera else []
    if order.verb == "registers":
        profile = [f"--profile={order.profile}"] if order.profile else []
        return [f"--board={order.board}", f"--unit-id={order.unit_id}", *profile]
    if order.verb not in _OF_A_BOARD:
        return []
    return [f"--board={order.board}", *_words_of_run(order, setup)]


def _words_of_run(order: Order, setup: Setup) -> list[str]:
    words = []
    if order.verb in _RUNTIME_VERBS:
        if order.app_only:
            words.append("--app-only")
        elif setup.runtime is not None:
            words.append(f"--runtime={setup.runtime}")
    if order.verb in _GAS_VERBS:
        words += [f"--gas={setup.gas}"] if setup.gas else []
        words += [f"--floors={setup.floors}"] if setup.floors else []
    if order.verb in _TAKE_OVER_VERBS and order.take_over:
        words.append("--take-over")
    room = _spoken(order.room)
    if order.verb in BOARD_VERBS and room:
        words.append(f"--room={room}")
    return words


def _spoken(text: str) -> str:
    """What a person typed or a scanner read, in one line; nothing that a terminal would obey."""
    kept = " ".join(text.split())
    if not kept.isprintable():
        raise RefusedError(422, "not_printable")
    return kept


def shown(words: list[str]) -> str:
    """Return the command line as it can be pasted into a terminal."""
    return shlex.join(["gatehouse-bench", *words])


def argv(words: list[str]) -> list[str]:
    """Return what is started."""
    return [sys.executable, "-m", "gatehouse_hil", *words]
