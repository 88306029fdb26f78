"""`gatehouse-bench`: run the simulated estate, list its scenarios, play one."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from gatehouse_hil import control
from gatehouse_hil.city_arguments import add_city_arguments

DEFAULT_DIRECTORY: Final = Path("var/estate")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gatehouse-bench", description="simulated wires and devices for the Gatehouse gateway"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    estate = commands.add_parser("estate", help="run the simulated estate and a gateway on it until Ctrl-C")
    estate.add_argument(
        "--directory", type=Path, default=DEFAULT_DIRECTORY, help="where wires, keys and data are"
    )
    estate.add_argument(
        "--port", type=int, default=8443, help="port of the console on 127.0.0.1 (default 8443)"
    )
    estate.add_argument("--fresh", action="store_true", help="forget what an earlier gateway has stored")
    estate.add_argument(
        "--no-gateway", action="store_true", help="wires and devices only; start the gateway yourself"
    )
    scenarios = commands.add_parser("scenarios", help="list what can be played")
    scenarios.add_argument("--json", action="store_true", help="print JSON")
    play = commands.add_parser("play", help="play a scenario on the running estate")
    play.add_argument("scenario", help="name, see `gatehouse-bench scenarios`")
    play.add_argument(
        "target", nargs="?", default="", help="device to play it on, where a scenario takes one"
    )
    play.add_argument(
        "--directory", type=Path, default=DEFAULT_DIRECTORY, help="directory of the running estate"
    )
    play.add_argument("--json", action="store_true", help="print one JSON object a line")
    city = commands.add_parser("city", help="run a simulated city platform until Ctrl-C")
    add_city_arguments(city)
    return parser


async def _play(args: argparse.Namespace) -> int:
    request = control.Request(play=args.scenario, target=args.target)
    try:
        async for line in control.ask(args.directory / "control.sock", request):
            print(json.dumps({"said": line}, ensure_ascii=False) if args.json else f"  {line}", flush=True)
    except control.ControlError as error:
        print(f"gatehouse-bench: {error}", file=sys.stderr)
        return 1
    return 0


def _list(*, as_json: bool) -> int:
    from gatehouse_hil.scenarios import SCENARIOS

    if as_json:
        rows = [{"name": s.name, "zh": s.zh, "en": s.en, "target": s.target} for s in SCENARIOS.values()]
        print(json.dumps(rows, ensure_ascii=False, indent=1))
        return 0
    for scenario in SCENARIOS.values():
        target = f"  [{scenario.target}]" if scenario.target else ""
        print(f"  {scenario.name:<14} {scenario.zh} · {scenario.en}{target}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns 0 done, 1 failed, 2 misuse."""
    args = _parser().parse_args(argv)
    if args.command == "scenarios":
        return _list(as_json=args.json)
    if args.command == "play":
        return asyncio.run(_play(args))
    if args.command == "city":
        from gatehouse_hil.city_platform import run

        return run(args)
    from gatehouse_hil.stage import run_estate

    return asyncio.run(
        run_estate(args.directory, port=args.port, is_fresh=args.fresh, with_gateway=not args.no_gateway)
    )
