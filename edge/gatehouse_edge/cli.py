"""`gatehouse-edge`: run the gateway and look after it. Only this module prints."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from gatehouse_config import ConfigError, check, load
from gatehouse_edge import evidence_tools, vision_tools
from gatehouse_journal import JournalError
from gatehouse_journal import cli as journal_cli

_LOOK_EVERY_S: Final = 0.5
_MARKS: Final = {"ok": " ok ", "warn": "warn", "fail": "FAIL"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gatehouse-edge",
        description="the gateway of a community: gas alarms, lifts, help buttons, cameras",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the gateway until SIGTERM; SIGHUP reloads the configuration")
    _config(run)
    run.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    checker = commands.add_parser("check", help="print every fault of a configuration at once")
    _config(checker)
    _json(checker)
    doctor = commands.add_parser(
        "doctor", help="look at ports, Bluetooth, clock, disk and keys; say what to do"
    )
    _config(doctor)
    _json(doctor)
    bundle = commands.add_parser("bundle", help="write a diagnostics bundle without secrets or names")
    _config(bundle)
    bundle.add_argument("--output", type=Path, default=Path("gatehouse-bundle.tar.gz"), help="file to write")
    _add_node(commands)
    enrol = commands.add_parser(
        "enrol", help="trade a one-time code for this gateway's certificate at its fleet server"
    )
    _config(enrol)
    enrol.add_argument("--url", help="the server, when the configuration does not name it yet")
    enrol.add_argument(
        "--code",
        default="-",
        metavar="-",
        choices=["-"],
        help="`-`: read from standard input or asked for; never an argument, which every user of the machine could see",
    )
    enrol.add_argument("--ca", type=Path, help="the server's root certificate (PEM)")
    enrol.add_argument("--fingerprint", help="or its SHA-256 fingerprint, as the server prints it")
    local = commands.add_parser(
        "local-config",
        help="go back from the fleet's configuration to the local file, at the next reload or start",
    )
    _config(local)
    journal_cli.add_parser(commands)
    vision_tools.add_parser(commands)
    evidence_tools.add_parser(commands)
    _json(commands.add_parser("version", help="print the version"))
    return parser


def _add_node(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    node = commands.add_parser("node", help="look after the sensor nodes of our own")
    verbs = node.add_subparsers(dest="verb", required=True, metavar="VERB")
    update = verbs.add_parser(
        "update", help="send new firmware to a gas or lift node over its own bus, through the running gateway"
    )
    _config(update)
    update.add_argument("device", help="id of the device in gateway.yaml")
    update.add_argument("image", type=Path, help="firmware image")
    update.add_argument("--permit-older", action="store_true", help="also when the node runs a newer version")
    update.add_argument(
        "--by", default=getpass.getuser(), help="who asks, for the journal (default: this user)"
    )
    update.add_argument("--wait", type=float, default=1800, metavar="S", help="how long to wait for the end")
    _json(update)


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="gateway.yaml")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _run(args: argparse.Namespace) -> int:
    from gatehouse_edge.gateway import run

    return asyncio.run(run(args.config, log_level=args.log_level))


def _check(args: argparse.Namespace) -> int:
    faults = check(args.config)
    if args.json:
        rows = [{"path": fault.path, "line": fault.line, "message": fault.message} for fault in faults]
        print(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        for fault in faults:
            print(fault)
        print(f"{args.config}: {len(faults)} fault(s)" if faults else f"{args.config}: good")
    return 1 if faults else 0


def _doctor(args: argparse.Namespace) -> int:
    from gatehouse_edge.doctor import Verdict, examine

    found = []
    for finding in examine(args.config):
        found.append(finding)
        if not args.json:
            print(f"[{_MARKS[finding.verdict]}] {finding.about}: {finding.text}")
            if finding.advice:
                print(f"       -> {finding.advice}")
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    return 1 if any(finding.verdict is Verdict.FAIL for finding in found) else 0


def _bundle(args: argparse.Namespace) -> int:
    from gatehouse_edge.bundle import write

    names = write(args.config, args.output)
    print(f"{args.output}: {', '.join(names)}")
    return 0


def _node(args: argparse.Namespace) -> int:
    from gatehouse_config import load
    from gatehouse_edge.drivers.node_update import NodeUpdateError, Result
    from gatehouse_edge.node_updates import place_order, read_result

    config = load(args.config)
    try:
        order_id = place_order(
            config, args.device, args.image.read_bytes(), by=args.by, permits_older=args.permit_older
        )
    except NodeUpdateError as error:
        print(f"gatehouse-edge: {error}", file=sys.stderr)
        return 1
    left_s = args.wait
    while (outcome := read_result(config, order_id)) is None:
        if left_s <= 0:
            print(
                f"gatehouse-edge: order {order_id} has not ended; the journal will say how", file=sys.stderr
            )
            return 1
        left_s -= _LOOK_EVERY_S
        time.sleep(_LOOK_EVERY_S)
    if args.json:
        print(msgspec.json.encode(outcome).decode())
    else:
        versions = f"{outcome.from_version or '?'} -> {outcome.to_version or '?'}"
        print(f"{args.device}: {outcome.result} ({versions}) {outcome.detail}".rstrip())
    return 0 if outcome.result is Result.CONFIRMED else 1


def _enrol(args: argparse.Namespace) -> int:
    from gatehouse_edge.uplink.enrolment import enrol, fetch_root
    from gatehouse_edge.uplink.errors import UplinkError
    from gatehouse_journal import Signer

    config = load(args.config)
    url = args.url or (config.fleet.url if config.fleet is not None else None)
    if url is None or (args.ca is None) == (args.fingerprint is None):
        print("gatehouse-edge: enrol wants a url, and either --ca or --fingerprint", file=sys.stderr)
        return 2
    proxy = config.fleet.proxy if config.fleet is not None else None
    try:
        if args.ca is not None:
            root = args.ca.read_text(encoding="ascii")
        else:
            root = asyncio.run(fetch_root(url, args.fingerprint, proxy=proxy))
        code = getpass.getpass("one-time code 一次性登记码: ") if sys.stdin.isatty() else sys.stdin.readline()
        asyncio.run(
            enrol(
                config.fleet_directory,
                url=url,
                gateway_id=config.gateway.id,
                code=code.strip(),
                root_pem=root,
                journal_key=Signer.load_or_create(config.resolve(config.storage.directory)).public_key,
                version=version("gatehouse"),
                proxy=proxy,
            )
        )
    except (UplinkError, ValueError) as error:
        print(f"gatehouse-edge: not enrolled: {error}", file=sys.stderr)
        return 1
    print(f"{config.gateway.id} is enrolled at {url}")
    if config.fleet is None:
        print(f'now add to {args.config}:  fleet: {{url: "{url}"}}')
    return 0


def _local_config(args: argparse.Namespace) -> int:
    from gatehouse_edge.uplink.config_trial import USE_LOCAL

    config = load(args.config)
    if not config.fleet_directory.is_dir():
        print(f"{args.config}: no fleet has ever sent a configuration")
        return 0
    (config.fleet_directory / USE_LOCAL).touch(mode=0o600)
    print(f"{args.config} is in force again from the next reload (SIGHUP) or start")
    return 0


def _version(args: argparse.Namespace) -> int:
    number = version("gatehouse")
    print(json.dumps({"gatehouse": number}) if args.json else f"gatehouse {number}")
    return 0


_COMMANDS: Final[dict[str, Callable[[argparse.Namespace], int]]] = {
    "run": _run,
    "check": _check,
    "doctor": _doctor,
    "bundle": _bundle,
    "enrol": _enrol,
    "local-config": _local_config,
    "journal": journal_cli.run,
    "node": _node,
    "vision": vision_tools.run,
    "evidence": evidence_tools.run,
    "version": _version,
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns 0 done, 1 failed, 2 misuse."""
    args = _parser().parse_args(argv)
    try:
        return _COMMANDS[args.command](args)
    except ConfigError as error:
        print(error, file=sys.stderr)
        print(f"gatehouse-edge: {args.config} is refused; nothing was changed", file=sys.stderr)
        return 1
    except (JournalError, OSError) as error:
        print(f"gatehouse-edge: {error}", file=sys.stderr)
        return 1
