"""The command line of `gatehouse-bench`, in either language."""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from gatehouse_events.bench_record import ROOM_LENGTH
from gatehouse_hil.bench.words import Lang, Words
from gatehouse_hil.city_arguments import add_city_arguments

ESTATE_DIRECTORY: Final = Path("var/estate")
BENCH_DIRECTORY: Final = Path("var/bench")


def parser(words: Words) -> argparse.ArgumentParser:
    """Return the parser; help texts in the language of `words`."""
    made = argparse.ArgumentParser(prog="gatehouse-bench", description=words("help.bench"))
    _lang(made, words)
    verbs = made.add_subparsers(dest="command", required=True)
    for name in ("make", "flash", "provision", "test", "calibrate", "soak"):
        _boards(_verb(verbs, name, words), words)
    for name in ("make", "flash"):
        verbs.choices[name].add_argument("--runtime", type=Path, help=words("help.runtime"))
        verbs.choices[name].add_argument("--app-only", action="store_true", help=words("help.app_only"))
    for name in ("make", "flash", "provision"):
        verbs.choices[name].add_argument("--take-over", action="store_true", help=words("help.take_over"))
    for name in ("make", "flash", "provision", "test", "calibrate"):
        verbs.choices[name].add_argument("--room", type=_room, default="", help=words("help.room"))
        verbs.choices[name].add_argument("--progress", action="store_true", help=words("help.progress"))
    for name in ("make", "provision"):
        verbs.choices[name].add_argument("--unit-id", type=_unit, default=1, help=words("help.unit"))
    for name in ("make", "test", "soak"):
        verbs.choices[name].add_argument("--plan", type=Path, help=words("help.plan"))
    for name in ("make", "calibrate"):
        verbs.choices[name].add_argument("--gas", type=Path, help=words("help.gas"))
        verbs.choices[name].add_argument("--floors", type=Path, help=words("help.floors"))
    verbs.choices["make"].add_argument(
        "--print", action="store_true", dest="is_printed", help=words("help.print")
    )
    verbs.choices["soak"].add_argument("--rounds", type=_rounds, default=10, help=words("help.rounds"))
    _boards(_verb(verbs, "list", words), words)
    _boards(_verb(verbs, "identify", words), words)
    label = _boards(_verb(verbs, "label", words), words)
    label.add_argument("serial", help=words("help.serial"))
    label.add_argument("--print", action="store_true", dest="is_printed", help=words("help.print"))
    _boards(_verb(verbs, "replay", words), words).add_argument("file", type=Path, help=words("help.file"))
    _watching(verbs, words)
    page = _common(_verb(verbs, "page", words), words)
    page.add_argument("--port", type=int, default=8470, help=words("help.page_port"))
    page.add_argument("--no-browser", action="store_true", help=words("help.no_browser"))
    for name, help_key in (("--runtime", "help.runtime"), ("--gas", "help.gas"), ("--floors", "help.floors")):
        page.add_argument(name, type=Path, help=words(help_key))
    _record(verbs.add_parser("record", help=words("help.record")), words)
    _rig(verbs.add_parser("rig", help=words("help.rig_verb")), words)
    _estate(verbs, words)
    return made


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, words: Words
) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=words(f"help.{name}"), description=words(f"help.{name}"))


def _lang(made: argparse.ArgumentParser, words: Words) -> None:
    """Before or after the verb; it has been read already when this parser is made."""
    choices = [lang.value for lang in Lang]
    made.add_argument("--lang", choices=choices, default=argparse.SUPPRESS, help=words("help.lang"))


def _common(made: argparse.ArgumentParser, words: Words) -> argparse.ArgumentParser:
    _lang(made, words)
    made.add_argument("--json", action="store_true", help=words("help.json"))
    made.add_argument("--rig", type=Path, metavar="FILE", help=words("help.rig"))
    made.add_argument("--directory", type=Path, default=BENCH_DIRECTORY, help=words("help.directory"))
    made.add_argument("--operator", default="", help=words("help.operator"))
    return made


def _boards(made: argparse.ArgumentParser, words: Words) -> argparse.ArgumentParser:
    _common(made, words).add_argument(
        "--board", action="append", default=[], dest="boards", help=words("help.board")
    )
    return made


def _watching(verbs: argparse._SubParsersAction[argparse.ArgumentParser], words: Words) -> None:
    for name in ("console", "registers"):
        _common(_verb(verbs, name, words), words).add_argument(
            "--board", required=True, help=words("help.board")
        )
    registers = verbs.choices["registers"]
    registers.add_argument("--profile", help=words("help.profile"))
    registers.add_argument("--unit-id", type=_unit, default=1, help=words("help.unit"))
    registers.add_argument("--every", type=float, default=1.0, help=words("help.every"))
    scan = _common(_verb(verbs, "scan", words), words)
    scan.add_argument("--keys", type=Path, help=words("help.keys"))
    aim = _common(_verb(verbs, "aim", words), words)
    aim.add_argument("--camera", help=words("help.camera"))


def _record(made: argparse.ArgumentParser, words: Words) -> None:
    what = made.add_subparsers(dest="what", required=True)
    verify = _common(what.add_parser("verify", help=words("help.record_verify")), words)
    verify.add_argument("file", type=Path, help=words("help.file"))
    verify.add_argument("--key", type=Path, action="append", default=[], dest="keys", help="bench.pub")
    history = _common(what.add_parser("history", help=words("help.record_history")), words)
    history.add_argument("serial", help=words("help.serial"))
    _common(what.add_parser("list", help=words("help.record_list")), words)
    export = _common(what.add_parser("export", help=words("help.record_export")), words)
    export.add_argument("--since", type=_day, help=words("help.since"))
    _common(what.add_parser("key", help=words("help.record_key")), words)
    _common(what.add_parser("upload", help=words("help.record_upload")), words)


def _rig(made: argparse.ArgumentParser, words: Words) -> None:
    what = made.add_subparsers(dest="what", required=True)
    _common(what.add_parser("check", help=words("help.rig_check")), words)
    reset = _common(what.add_parser("reset", help=words("help.rig_reset")), words)
    reset.add_argument("part", help=words("help.part"))
    reset.add_argument("--reason", required=True, help=words("help.reason"))


def _estate(verbs: argparse._SubParsersAction[argparse.ArgumentParser], words: Words) -> None:
    estate = _verb(verbs, "estate", words)
    estate.add_argument(
        "--directory", type=Path, default=ESTATE_DIRECTORY, help=words("help.estate_directory")
    )
    estate.add_argument("--port", type=int, default=8443, help=words("help.port"))
    estate.add_argument("--fresh", action="store_true", help=words("help.fresh"))
    estate.add_argument("--no-gateway", action="store_true", help=words("help.no_gateway"))
    estate.add_argument("--fleet-port", type=int, default=8460, help=words("help.fleet_port"))
    estate.add_argument("--no-fleet", action="store_true", help=words("help.no_fleet"))
    estate.add_argument("--communities", type=int, default=20, help=words("help.communities"))
    _lang(estate, words)
    city = _verb(verbs, "city", words)
    _lang(city, words)
    add_city_arguments(city)
    scenarios = _verb(verbs, "scenarios", words)
    _lang(scenarios, words)
    scenarios.add_argument("--json", action="store_true", help=words("help.json"))
    play = _verb(verbs, "play", words)
    _lang(play, words)
    play.add_argument("scenario", help=words("help.scenario"))
    play.add_argument("target", nargs="?", default="", help=words("help.target"))
    play.add_argument("--directory", type=Path, default=ESTATE_DIRECTORY, help=words("help.estate_directory"))
    play.add_argument("--json", action="store_true", help=words("help.json"))


def _unit(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65_535:
        raise argparse.ArgumentTypeError("1..65535")
    return number


def _room(text: str) -> str:
    room = " ".join(text.split())
    if len(room) > ROOM_LENGTH or not room.isprintable():
        raise argparse.ArgumentTypeError(f"1..{ROOM_LENGTH}")
    return room


def _day(text: str) -> datetime:
    return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)


def _rounds(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 100_000:
        raise argparse.ArgumentTypeError("1..100000")
    return number
