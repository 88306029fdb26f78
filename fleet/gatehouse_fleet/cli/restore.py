"""`gatehouse-fleet restore FILE`: make an empty server from a backup."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Final

from gatehouse_fleet.backup import restore
from gatehouse_fleet.backup.server import missing_evidence
from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.clock import SystemClock

NAME: Final = "restore"
HELP: Final = "make an empty server from a backup; gateways send again what came after it"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument("file", type=Path, help="a backup")


def run(args: argparse.Namespace, out: Output) -> int:
    """Run it."""
    found = asyncio.run(restore(args.settings, args.file, now=SystemClock().now()))
    lost = missing_evidence(args.settings, found)
    out.fact(
        {
            "made_at": found.made_at.isoformat(),
            "members": len(found.members),
            "missing_evidence": [member.name for member in lost],
        },
        f"restored the server of {found.made_at:%Y-%m-%d %H:%M} UTC, {len(found.members)} files; "
        f"{len(lost)} of {len(found.outside)} pieces of evidence are not here.",
    )
    return 0
