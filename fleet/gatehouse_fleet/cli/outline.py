"""`gatehouse-fleet outline`: the city's own outline for the overview."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.registry import outline

NAME: Final = "outline"
HELP: Final = "check a GeoJSON outline of the districts and take it over for the overview map"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        "file", type=Path, help="FeatureCollection, WGS-84; `code` of a feature is its district's"
    )
    parser.add_argument("--check", action="store_true", help="only read it")


def run(args: argparse.Namespace, out: Output) -> int:
    """Run it."""
    raw = args.file.read_bytes()
    areas = outline.check(raw)["areas"]
    corners = sum(len(ring) for area in areas for ring in area["rings"])
    facts: dict[str, object] = {"areas": len(areas), "corners": corners}
    if not args.check:
        args.settings.directory.mkdir(parents=True, exist_ok=True)
        path = args.settings.directory / outline.FILE
        # Renamed into place: a server that reads it meanwhile gets the old one or the new one.
        beside = path.with_suffix(".new")
        beside.write_bytes(raw)
        beside.replace(path)
        facts["file"] = str(path)
    out.fact(
        facts,
        f"{len(areas)} areas, {corners} corners" + ("" if args.check else f", taken over as {facts['file']}"),
    )
    return 0
