"""`gatehouse-fleet backup FILE`: everything a server can be made of again, in one file."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Final

from gatehouse_fleet.backup import back_up
from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.clock import SystemClock

NAME: Final = "backup"
HELP: Final = "write database, keys and photos into one file while the server runs"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument("file", type=Path, help="file to make; it holds private keys")
    parser.add_argument(
        "--with-evidence", action="store_true", help="pack clips too, not only their names and hashes"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Run it."""
    made = asyncio.run(
        back_up(args.settings, args.file, now=SystemClock().now(), with_evidence=args.with_evidence)
    )
    size = args.file.stat().st_size
    out.fact(
        {"file": str(args.file), "bytes": size, "members": len(made.members), "outside": len(made.outside)},
        f"{args.file}: {size / 1e6:.1f} MB, {len(made.members)} files; {len(made.outside)} pieces of evidence named only.\n"
        "内含私钥，请妥善保管 It holds private keys: keep it safe.",
    )
    return 0
