"""What the bench asks a node through its console, and the answers as values (`firmware/node/README.md`, "The console").

Each call prints one line of JSON that begins with `{"gatehouse": "<what>"`. A line that is not the awaited one (a log line,
the start line) is stepped over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from gatehouse_hil.bench import raw_repl
from gatehouse_hil.bench.fault import BenchError, Fault, printable
from gatehouse_hil.bench.kind import NUMBERS, Kind

_ANSWER_S: Final = 30.0
"""A self-test waits for a sensor to settle."""
_ENTER_S: Final = 20.0
KNOCK_S: Final = 4.0
"""Whoever has a REPL enters it within a second; a board that does not in this time is asked through its loader."""
_START_S: Final = 20.0
_STARTED: Final = b'{"gatehouse": "start"'
_LINE_LIMIT: Final = 8192
_MARK: Final = '{"gatehouse"'

_WHO: Final = """
import sys, os, machine, binascii
print('{"gatehouse": "runtime", "micropython": "%s", "uid": "%s", "machine": "%s"}' % (
    ".".join(str(part) for part in sys.implementation.version[:3]),
    binascii.hexlify(machine.unique_id()).decode(),
    os.uname().machine))
try:
    import technician
    technician.version()
except ImportError:
    pass
"""
"""The chip is what the runtime says; the rest is the application's, where there is one."""


class Answer(Struct, frozen=True, kw_only=True):
    """The part that every answer has."""

    gatehouse: str
    ok: bool = True


class Version(Answer, frozen=True, kw_only=True):
    """Which program runs, in which slot, on which board. Only `micropython` and `uid` on a board without application."""

    micropython: str = ""
    uid: str = ""
    mac: str | None = None
    machine: str = ""
    kind: str | None = None
    version: str | None = None
    slot: str | None = None
    confirmed: bool | None = None
    serial: str | None = None
    node: int | None = None


class SelfTest(Answer, frozen=True, kw_only=True):
    """What the node found out about itself."""

    checks: dict[str, bool] = {}
    values: dict[str, float | int | bool | None] = {}


class Provisioned(Answer, frozen=True, kw_only=True):
    """The node holds an identity and a key."""

    serial: str = ""
    key_check: str = ""


class Floors(Answer, frozen=True, kw_only=True):
    """How many landings the node has stored."""

    floors: int = 0
    why: str = ""


class Calibrated(Answer, frozen=True, kw_only=True):
    """What is stored now, by NVS key."""

    stored: dict[str, int | None] = {}
    why: str = ""


_A = TypeVar("_A", bound=Answer)


async def version(port: str, *, within_s: float = _ENTER_S) -> Version:
    """Ask who is there; works on a board with a runtime and no application too. `within_s`: to get its attention.

    Raises:
        BenchError: NO_ANSWER, PORT_BUSY, PORT_GONE, NODE_REFUSED.
    """
    lines = _lines(await asyncio.to_thread(_talk, port, _WHO, within_s))
    runtime = _decode(lines[0], Version)
    if len(lines) == 1:
        return runtime
    return msgspec.structs.replace(_decode(lines[-1], Version), machine=runtime.machine, uid=runtime.uid)


async def self_test(port: str) -> SelfTest:
    """Let the node test itself.

    Raises:
        BenchError: as `version`.
    """
    return await _ask(port, "import technician; technician.self_test()", SelfTest)


async def provision(port: str, *, kind: Kind, serial: str, node: int, key_id: int, key: bytes) -> Provisioned:
    """Write identity and key into the node's NVS. The key passes through the raw REPL only.

    Raises:
        BenchError: as `version`; never with the key in it.
    """
    code = (
        "import technician; technician.provision("
        f"kind={NUMBERS[kind]}, serial={serial!r}, node={node}, key_id={key_id}, key=bytes({list(key)}))"
    )
    return await _ask(port, code, Provisioned)


async def calibrate(port: str, values: Mapping[str, int]) -> Calibrated:
    """Store calibration values (`gh_cal`) and return what is stored.

    Raises:
        BenchError: as `version`.
    """
    arguments = ", ".join(f"{name}={value:d}" for name, value in values.items())
    return await _ask(port, f"import technician; technician.calibrate({arguments})", Calibrated)


async def floors(port: str, landings: tuple[tuple[str, int], ...]) -> Floors:
    """Store the landings from the bottom: name of at most 4 ASCII characters, height in mm above the lowest.

    Raises:
        BenchError: as `version`.
    """
    return await _ask(port, f"import technician; technician.floors({list(landings)!r})", Floors)


async def confirm(port: str) -> None:
    """Mark the running slot as good; called when the whole plan has passed, never before.

    Raises:
        BenchError: as `version`.
    """
    await asyncio.to_thread(_talk, port, "import slots; slots.on_chip().confirm()")


async def adopt(port: str) -> None:
    """Let a board whose application was just written choose its slot, without starting the program.

    A button without an identity sleeps at once and could not be given one; it starts for the first time when it has.

    Raises:
        BenchError: as `version`.
    """
    await asyncio.to_thread(_talk, port, "import boot")


async def hold(port: str) -> None:
    """Stretch the node's watchdog so that copying does not end in a reset. A board without application has none.

    Raises:
        BenchError: as `version`.
    """
    code = "try:\n    import technician\n    technician.hold(s=600)\nexcept ImportError:\n    pass"
    await asyncio.to_thread(_talk, port, code)


async def number(port: str, expression: str) -> float:
    """Return the number that a Python expression has on the node.

    Raises:
        BenchError: as `version`; NODE_REFUSED also when it is no number.
    """
    said = await asyncio.to_thread(_talk, port, f"print(float({expression}))")
    try:
        return float(said.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise BenchError(Fault.NODE_REFUSED, said=said) from error


async def restart(port: str) -> None:
    """Let the node start anew (a soft reset, which is not counted) and wait until its program says so.

    A program that does not say so in time is left to the caller's next question, which then finds what is the matter.

    Raises:
        BenchError: NO_ANSWER, PORT_BUSY, PORT_GONE.
    """
    await asyncio.to_thread(_restart, port)


async def reset(port: str) -> None:
    """Reset the chip, as its button would.

    Raises:
        BenchError: NO_ANSWER, PORT_BUSY, PORT_GONE.
    """
    await asyncio.to_thread(_reset, port)


async def _ask(port: str, code: str, kind: type[_A]) -> _A:
    return _decode(_lines(await asyncio.to_thread(_talk, port, code))[-1], kind)


def _lines(said: str) -> list[str]:
    """The lines of JSON in what was printed; at least one."""
    lines = [line for line in said.splitlines() if line.startswith(_MARK) and len(line) <= _LINE_LIMIT]
    if not lines:
        raise BenchError(Fault.NODE_REFUSED, said=printable(said) or "-")
    return lines


def _decode(line: str, kind: type[_A]) -> _A:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BenchError(Fault.NODE_REFUSED, said=str(error)) from error


def _talk(port: str, code: str, enter_s: float = _ENTER_S) -> str:
    with raw_repl.opened(port, within_s=enter_s) as repl:
        return repl.execute(code, within_s=_ANSWER_S)


def _restart(port: str) -> None:
    with raw_repl.open_port(port) as device:
        repl = raw_repl.RawRepl(device, port)
        repl.enter(within_s=_ENTER_S)
        repl.restart(_STARTED, within_s=_START_S)


def _reset(port: str) -> None:
    with raw_repl.opened(port, within_s=_ENTER_S) as repl:
        repl.send("import machine\nmachine.reset()")
