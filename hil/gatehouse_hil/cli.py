"""`gatehouse-bench`: the technician's tool, and the simulated estate. Exit codes: 0 done, 1 failed, 2 misuse."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import getpass
import json
import logging
import os
import platform
import sys
from typing import TYPE_CHECKING

import msgspec

from gatehouse_hil import control
from gatehouse_hil.bench import arguments
from gatehouse_hil.bench.fault import BenchError
from gatehouse_hil.bench.words import Lang, Words, lang_of

if TYPE_CHECKING:
    from gatehouse_hil.bench import desk, runs
    from gatehouse_hil.bench.progress import Told
    from gatehouse_hil.bench.workplace import Workplace

_STEPS = {
    "flash": ("flash", "identify"),
    "provision": ("identify", "provision", "self_test"),
    "test": ("identify", "test"),
    "calibrate": ("identify", "calibrate"),
}


def _parser(words: Words | None = None) -> argparse.ArgumentParser:
    return arguments.parser(words or Words(Lang.ZH))


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns 0 done, 1 failed, 2 misuse."""
    given = sys.argv[1:] if argv is None else argv
    words = Words(_lang(given))
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # its silences are our findings
    args = _parser(words).parse_args(given)
    try:
        match args.command:
            case "scenarios":
                return _scenarios(as_json=args.json)
            case "play":
                return asyncio.run(_play(args))
            case "city":
                from gatehouse_hil.city_platform import run

                return run(args)
            case "estate":
                from gatehouse_hil.stage import run_estate

                return asyncio.run(
                    run_estate(
                        args.directory,
                        port=args.port,
                        is_fresh=args.fresh,
                        with_gateway=not args.no_gateway,
                        fleet_port=None if args.no_fleet else args.fleet_port,
                        light_gateways=args.communities,
                    )
                )
            case _:
                return _bench(args, words)
    except BenchError as error:
        return _failed(error, words, as_json=args.json)
    except KeyboardInterrupt:
        print(f"gatehouse-bench: {words('out.stopped')}", file=sys.stderr)
        return 1


def _lang(given: list[str]) -> Lang:
    """The language is needed before the parser that knows `--lang` can be made."""
    early = argparse.ArgumentParser(add_help=False)
    early.add_argument("--lang", choices=[lang.value for lang in Lang])
    wanted, _ = early.parse_known_args([word for word in given if word != "--help"])
    return lang_of(wanted.lang, os.environ.get("LC_ALL") or os.environ.get("LANG", ""))


def _failed(error: BenchError, words: Words, *, as_json: bool) -> int:
    if as_json:
        told = {"ok": False, "fault": error.fault, "facts": error.facts, "sentence": words.fault(error)}
        print(json.dumps(told, ensure_ascii=False))
    else:
        print(f"gatehouse-bench: {words.fault(error)}", file=sys.stderr)
    return error.exit_code


def _bench(args: argparse.Namespace, words: Words) -> int:
    from gatehouse_hil.bench import rig, soaking
    from gatehouse_hil.bench.backend_local import Technician, TechnicianAtPage
    from gatehouse_hil.bench.clock import SystemClock
    from gatehouse_hil.bench.progress import Told
    from gatehouse_hil.bench.workplace import DEFAULT_RIG, Workplace

    clock = SystemClock()
    told = Told(clock.elapsed_s) if getattr(args, "progress", False) else None
    place = Workplace(
        directory=args.directory,
        rig=rig.load(args.rig or DEFAULT_RIG),
        words=words,
        clock=clock,
        operator=args.operator or getpass.getuser(),
        bench=platform.node() or "bench",
        hands=Technician(words) if told is None else TechnicianAtPage(told),
    )
    match args.command:
        case "make" | "flash" | "provision" | "test" | "calibrate":
            return _run(place, args, told)
        case "soak":
            ended = asyncio.run(soaking.soak(place, _wish(args, ("identify", "test")), rounds=args.rounds))
            lines = [f"  {each.board:<12} {each.sentence}" for each in ended.failures]
            lines.append("  " + words("out.rounds", rounds=ended.rounds, failed=ended.failed))
            return _say(args, ended, lines, is_good=ended.ok)
        case "console" | "registers" | "scan" | "aim":
            return _watch(place, args)
        case "page":
            return _page(place, args)
        case _:
            return _at_desk(place, args)


def _at_desk(place: Workplace, args: argparse.Namespace) -> int:
    """What changes no board."""
    from gatehouse_hil.bench import desk

    words = place.words
    match args.command:
        case "list":
            return _list(args, words, desk.listing(place))
        case "identify":
            return _identify(args, asyncio.run(desk.identify(place, tuple(args.boards))))
        case "replay":
            frames = asyncio.run(desk.replay(place, tuple(args.boards), args.file))
            return _say(args, {"ok": True, "frames": frames}, ["  " + words("out.replayed", frames=frames)])
        case "label":
            return _label(place, args)
        case "rig":
            return _rig(place, args)
        case _:
            return _record(place, args)


def _wish(args: argparse.Namespace, steps: tuple[str, ...]) -> runs.Wish:
    from gatehouse_events.bench_record import StepName
    from gatehouse_hil.bench.runs import Wish

    given = {
        name: value
        for name, value in vars(args).items()
        if name
        in {"runtime", "app_only", "plan", "gas", "floors", "take_over", "unit_id", "is_printed", "room"}
    }
    return Wish(steps=tuple(StepName(step) for step in steps), boards=tuple(args.boards), **given)


def _run(place: Workplace, args: argparse.Namespace, told: Told | None) -> int:
    from gatehouse_hil.bench import progress, runs

    words = place.words
    steps = _STEPS.get(args.command, tuple(runs.ALL))
    wish = _wish(args, steps)
    shown = progress.shown(
        words, place.chosen(wish.boards), steps=len(steps), is_for_program=args.json, told=told
    )
    done = asyncio.run(runs.run(place, wish, shown))
    lines = []
    for board in done.boards:
        verdict = words(f"verdict.{board.verdict}")
        lines.append(f"  {board.board:<12} {board.serial or '-':<18} {verdict}  {board.sentence}".rstrip())
        lines.append("  " + " " * 13 + words("out.record", path=board.record))
    if done.labels:
        lines.append("  " + words("out.labels", path=done.labels))
    passed = sum(not board.fault for board in done.boards)
    lines.append(
        "  " + words("out.summary", passed=passed, failed=len(done.boards) - passed, took_s=done.took_s)
    )
    if place.rig.fleet is None:
        lines.append("  " + words("out.kept", kept=done.kept))
    elif not done.trouble:
        lines.append("  " + words("out.sent", sent=done.sent, kept=done.kept))
    if done.trouble:
        lines.append(f"  {done.trouble}")
    return _say(args, done, lines, is_good=done.ok)


def _list(args: argparse.Namespace, words: Words, found: desk.Listing) -> int:
    lines = [f"{words('head.rigs')}: {found.rig} ({found.backend})"]
    lines += [f"  ! {each.part}: {each.sentence}" for each in found.broken]
    lines.append(f"{words('head.boards')}:")
    lines += [
        f"  {each.name:<12} {each.kind:<7} {each.chip:<8} {each.mac:<12} {each.at}" for each in found.boards
    ]
    lines.append(f"{words('head.ports')}:")
    lines += [f"  {each.path}  {each.says}  {each.board}".rstrip() for each in found.ports] or [
        f"  {words('out.no_ports')}"
    ]
    return _say(args, found, lines)


def _identify(args: argparse.Namespace, seen: tuple[desk.Seen, ...]) -> int:
    lines = []
    for each in seen:
        found = each.identity
        if found is None:
            lines.append(f"  {each.board:<12} ✗ {each.sentence}")
            continue
        role = f"{found.kind} {found.version} {found.slot}".strip() or found.state.value
        lines.append(
            f"  {each.board:<12} {found.chip:<9} {found.mac}  {found.micropython:<8} {role}  {found.serial}".rstrip()
        )
    is_good = not any(each.fault for each in seen)
    return _say(args, {"ok": is_good, "boards": seen}, lines, is_good=is_good)


def _label(place: Workplace, args: argparse.Namespace) -> int:
    from gatehouse_hil.bench import desk, label

    path = desk.relabel(place, args.serial)
    if args.is_printed:
        asyncio.run(label.print_file(path, place.rig.printer or "-"))
    return _say(args, {"ok": True, "label": str(path)}, ["  " + place.words("out.label", path=path)])


def _rig(place: Workplace, args: argparse.Namespace) -> int:
    from gatehouse_hil.bench import desk

    if args.what == "reset":
        desk.mend(place, args.part, args.reason)
        return _say(args, {"ok": True, "part": args.part}, ["  " + place.words("out.mended", part=args.part)])
    found = desk.broken(place)
    lines = [f"  ! {each.part}: {each.sentence}" for each in found]
    whole = ["  " + place.words("out.whole", rig=place.rig.name)]
    return _say(args, {"ok": not found, "broken": found}, lines or whole, is_good=not found)


def _upload(place: Workplace, args: argparse.Namespace) -> int:
    from gatehouse_hil.bench import runs

    sent = asyncio.run(runs.upload(place))
    if sent.fault is not None:
        return _failed(sent.fault, place.words, as_json=args.json)
    key = "out.sent" if place.rig.fleet else "out.kept"
    answer = {"ok": True, "sent": sent.sent, "kept": sent.kept}
    return _say(args, answer, ["  " + place.words(key, sent=sent.sent, kept=sent.kept)])


def _overview(place: Workplace, args: argparse.Namespace) -> int:
    from gatehouse_hil.bench import overview

    found = overview.read(place.archive)
    lines = [
        f"  {device.serial:<22} {run.number:>4} {run.began_at:%Y-%m-%d %H:%M}Z  "
        f"{place.words(f'verdict.{run.verdict}')}  {run.room}".rstrip()
        for device in found.devices
        for run in device.runs
    ]
    return _say(args, found, lines)


def _watch(place: Workplace, args: argparse.Namespace) -> int:
    """Look on until Ctrl-C, which is how this is meant to end."""
    from gatehouse_hil.bench.watching import Teller

    tell = Teller(place.clock, as_json=args.json)
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        match args.command:
            case "console":
                from gatehouse_hil.bench import console

                asyncio.run(console.listen(place, args.board, tell))
            case "registers":
                from gatehouse_hil.bench import registers

                profile = registers.profile_of(args.profile)
                watching = registers.watch(
                    place, args.board, tell, unit=args.unit_id, every_s=args.every, profile=profile
                )
                asyncio.run(watching)
            case "scan":
                from gatehouse_hil.bench import air

                asyncio.run(air.scan(place, tell, keys=air.read_keys(args.keys) if args.keys else {}))
            case "aim":
                from gatehouse_hil.bench import aim

                asyncio.run(aim.watch(place, args.camera, tell))
    return 0


def _page(place: Workplace, args: argparse.Namespace) -> int:
    from gatehouse_hil.bench.arguments import BENCH_DIRECTORY
    from gatehouse_hil.bench_page.commands import Setup
    from gatehouse_hil.bench_page.server import serve

    setup = Setup(
        directory=args.directory,
        is_own_directory=args.directory != BENCH_DIRECTORY,
        rig=args.rig,
        runtime=args.runtime,
        gas=args.gas,
        floors=args.floors,
        operator=args.operator,
    )
    asyncio.run(serve(place, setup, port=args.port, opens_browser=not args.no_browser, as_json=args.json))
    return 0


def _record(place: Workplace, args: argparse.Namespace) -> int:
    from gatehouse_hil.bench import desk

    if args.what == "list":
        return _overview(place, args)
    if args.what == "upload":
        return _upload(place, args)
    if args.what == "export":
        from gatehouse_hil.bench import export

        done = export.write(place, args.since)
        line = place.words("out.exported", records=done.records, html=done.html, json=done.json)
        return _say(args, done, [f"  {line}"])
    if args.what == "key":
        path = str(place.archive.public_key_file)
        return _say(args, {"ok": True, "key": path}, [path])
    true = (
        (desk.verify(place, args.file, tuple(args.keys)),)
        if args.what == "verify"
        else desk.history(place, args.serial)
    )
    lines = [
        "  "
        + place.words(
            "out.true",
            serial=each.serial or "-",
            number=each.number,
            verdict=place.words(f"verdict.{each.verdict}"),
            key=each.key,
        )
        for each in true
    ]
    return _say(args, {"ok": True, "records": true}, lines)


def _say(args: argparse.Namespace, answer: object, lines: list[str], *, is_good: bool = True) -> int:
    print(msgspec.json.encode(answer).decode() if args.json else "\n".join(lines), flush=True)
    return 0 if is_good else 1


async def _play(args: argparse.Namespace) -> int:
    request = control.Request(play=args.scenario, target=args.target)
    try:
        async for line in control.ask(args.directory / "control.sock", request):
            print(json.dumps({"said": line}, ensure_ascii=False) if args.json else f"  {line}", flush=True)
    except control.ControlError as error:
        print(f"gatehouse-bench: {error}", file=sys.stderr)
        return 1
    return 0


def _scenarios(*, as_json: bool) -> int:
    from gatehouse_hil.scenarios import SCENARIOS

    if as_json:
        rows = [{"name": s.name, "zh": s.zh, "en": s.en, "target": s.target} for s in SCENARIOS.values()]
        print(json.dumps(rows, ensure_ascii=False, indent=1))
        return 0
    for scenario in SCENARIOS.values():
        target = f"  [{scenario.target}]" if scenario.target else ""
        print(f"  {scenario.name:<14} {scenario.zh} · {scenario.en}{target}")
    return 0
