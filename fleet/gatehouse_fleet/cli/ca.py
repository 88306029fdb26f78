"""`gatehouse-fleet ca`: the certificate authority, and taking its root key away."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from gatehouse_fleet.cli.local import CommandError
from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.pki.authority import FOLDER, Authority
from gatehouse_fleet.pki.files import PRIVATE, write_file

NAME: Final = "ca"
HELP: Final = "show the certificate authority; take the root's key away"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("show", help="fingerprint, expiry, whether the root's key is here")
    what.add_parser("certificate", help="print the root certificate (PEM) for desks and gateways")
    export = what.add_parser("export-root", help="move the root's key into a file to be kept offline")
    export.add_argument("file", type=Path, help="must not exist; carry it away on a medium of its own")


def run(args: argparse.Namespace, out: Output) -> int:
    """Run it."""
    directory = args.settings.directory / FOLDER
    if not (directory / "root.pem").exists():
        raise CommandError(f"there is no authority in {directory} yet: `gatehouse-fleet serve` makes it")
    authority = Authority.open(directory, at=SystemClock().now())
    match args.what:
        case "show":
            facts = {
                "fingerprint": authority.root_fingerprint,
                "intermediate_expires": authority.intermediate_expires_at.isoformat(" ", "seconds"),
                "root_key_is_here": authority.has_root_key,
            }
            out.table(tuple(facts), [facts])
        case "certificate":
            out.raw(authority.root_pem)
        case _:
            _export(authority, args.file)
            words = (
                f"the root's key is in {args.file} only; keep it offline, it is needed again in some years"
            )
            out.fact({"file": str(args.file)}, words)
    return 0


def _export(authority: Authority, target: Path) -> None:
    if target.exists():
        raise CommandError(f"{target} exists; nothing was overwritten")
    # Written and synced before it is removed here: a full stick must not cost the only copy.
    write_file(target, authority.read_root_key(), PRIVATE)
    authority.drop_root_key()
