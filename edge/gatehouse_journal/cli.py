"""`gatehouse-edge journal verify|show|export|events`: looking at a journal, also beside a running gateway."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gatehouse_events.chain import Lane, canonical
from gatehouse_journal.city_feed import city_events
from gatehouse_journal.errors import JournalError
from gatehouse_journal.export import export
from gatehouse_journal.faults import SQL_ERRORS
from gatehouse_journal.reader import Reader
from gatehouse_journal.verify import Report

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_DONE: Final = 0
_FAILED: Final = 1
_MISUSE: Final = 2
_SHOWN_CHARS: Final = 160


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> ArgumentParser:
    """Add `journal` with its verbs; the parsed arguments go to `run`."""
    parser = subparsers.add_parser("journal", help="prove, show or export the journal")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verify = verbs.add_parser("verify", help="read everything and prove chains, hashes and signatures")
    verify.add_argument(
        "--key",
        action="append",
        default=[],
        help="public key to trust (hex), instead of the journal's own list",
    )
    show = verbs.add_parser("show", help="print the newest entries")
    show.add_argument("-n", "--count", type=int, default=20, help="how many (default 20)")
    whole = verbs.add_parser("export", help="write a lane as lines of JSON")
    whole.add_argument("-o", "--output", type=Path, help="file to write (default: standard output)")
    whole.add_argument("--after", type=int, default=0, help="start after this sequence number")
    events = verbs.add_parser("events", help="write alarms as CloudEvents, as a city platform receives them")
    events.add_argument("-o", "--output", type=Path, help="file to write (default: standard output)")
    events.add_argument("--after", type=int, default=0, help="start after this sequence number")
    for verb in (verify, show, whole, events):
        verb.add_argument("directory", type=Path, help="the gateway's storage directory")
        verb.add_argument("--json", action="store_true", help="print JSON")
    for verb in (show, whole):
        verb.add_argument(
            "--lane", type=Lane, choices=list(Lane), default=Lane.ALARM, help="which lane (default alarm)"
        )
    return parser


def run(args: Namespace) -> int:
    """Do what `args` (from `add_parser`) ask; return 0 done, 1 failed or not intact, 2 misuse."""
    try:
        with Reader.open(args.directory) as reader:
            if args.verb == "verify":
                return _verify(reader, tuple(args.key), as_json=args.json)
            if args.verb == "show":
                return _show(reader, args.lane, args.count, as_json=args.json)
            if args.verb == "events":
                return _copy(city_events(reader, after=args.after), args.output)
            return _copy(export(reader, args.lane, after=args.after), args.output)
    except JournalError as error:
        sys.stderr.write(f"{error}\n")
        return _MISUSE
    except (*SQL_ERRORS, OSError) as error:
        sys.stderr.write(f"the journal in {args.directory} cannot be read: {error}\n")
        return _FAILED


def _verify(reader: Reader, keys: tuple[str, ...], *, as_json: bool) -> int:
    report = reader.verify(keys=keys, progress=_progress if sys.stderr.isatty() else None)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if as_json:
        sys.stdout.write(canonical({"intact": report.is_intact, "report": report}).decode() + "\n")
    else:
        sys.stdout.write(_sentences(report))
    return _DONE if report.is_intact else _FAILED


def _sentences(report: Report) -> str:
    lines = [
        f"{lane}: {found.entries} entries, {found.first} to {found.last}, {found.holes} declared holes, {found.erased} erased bodies"
        for lane, found in report.lanes.items()
    ]
    lines.append(
        f"epoch {report.epoch} ({report.epochs} seen); {report.checkpoints} checkpoints, signed through {report.signed_through}"
    )
    lines += [f"declared: {notice}" for notice in report.notices]
    lines += [f"FAULT {fault.lane} {fault.seq or '-'}: {fault.what}" for fault in report.faults]
    lines.append("intact" if report.is_intact else f"NOT intact: {len(report.faults)} faults")
    return "\n".join(lines) + "\n"


def _progress(done: int, total: int) -> None:
    sys.stderr.write(f"\r{done} of {total} entries")
    sys.stderr.flush()


def _show(reader: Reader, lane: Lane, count: int, *, as_json: bool) -> int:
    after = max(0, reader.head(lane).seq - count)
    if as_json:
        return _copy(export(reader, lane, after=after), None)
    entries = reader.read(lane, after, max(0, count))
    for entry, at in zip(entries, reader.corrected(entries), strict=True):
        text = "(erased)" if entry.body is None else entry.body.decode("utf-8", "replace")
        clean = "".join(char if char.isprintable() else "?" for char in text)
        sys.stdout.write(
            f"{entry.seq:>9} {at.isoformat(timespec='milliseconds')} {entry.kind:<10} {clean[:_SHOWN_CHARS]}\n"
        )
    return _DONE


def _copy(lines: Iterable[bytes], output: Path | None) -> int:
    if output is None:
        for line in lines:
            sys.stdout.write(line.decode("utf-8"))
        return _DONE
    with output.open("wb") as file:
        file.writelines(lines)
    return _DONE
