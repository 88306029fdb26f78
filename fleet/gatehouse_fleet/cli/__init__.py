"""`gatehouse-fleet`: run the server and look after it from its own machine. Exit codes: 0 done, 1 failed, 2 misuse."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final, Protocol

from gatehouse_fleet.cli import (
    audit,
    backup,
    bench,
    ca,
    case,
    city,
    config,
    gateway,
    migrate,
    org,
    outline,
    restore,
    serve,
    user,
)
from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.settings import load


class Command(Protocol):
    """A module of this package."""

    NAME: str
    HELP: str

    @staticmethod
    def arguments(parser: argparse.ArgumentParser) -> None:
        """Describe the command's arguments."""

    @staticmethod
    def run(args: argparse.Namespace, out: Output) -> int:
        """Run it; `args.settings` is the loaded fleet.yaml."""
        ...


COMMANDS: Final = (
    serve,
    user,
    gateway,
    org,
    outline,
    case,
    city,
    config,
    bench,
    backup,
    restore,
    ca,
    audit,
    migrate,
)
"""Every command, one module each: NAME, HELP, `arguments(parser)`, `run(args, out) -> int`."""


class _Parser(argparse.ArgumentParser):
    """Takes `--config` and `--json` at every level: people type them last."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  # argparse's own
        super().__init__(**options)
        self.add_argument(
            "--config",
            type=Path,
            default=argparse.SUPPRESS,
            help="fleet.yaml; without: defaults, loopback only",
        )
        self.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns 0 done, 1 failed, 2 misuse."""
    parser = _Parser(prog="gatehouse-fleet", description="the fleet server of Gatehouse 守望")
    parser.set_defaults(config=None, json=False)
    commands = parser.add_subparsers(dest="command", required=True)
    for module in COMMANDS:
        one = commands.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        module.arguments(one)
        one.set_defaults(run=module.run)
    try:
        args = parser.parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    out = Output(is_json=args.json)
    try:
        args.settings = load(args.config)
        return int(args.run(args, out))
    except FleetError as error:
        out.fault(str(error))
        return 1
    except OSError as error:
        out.fault(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "))
        return 1
    except KeyboardInterrupt:
        return 1


if __name__ == "__main__":
    sys.exit(main())
