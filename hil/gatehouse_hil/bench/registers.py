"""A detector's registers as they stand on its bus: each word raw, and what it means under a profile. Reads only.

The profile is one of those a gateway uses (`gatehouse_config`), so a technician sees what the gateway will see.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from pymodbus.client import ModbusSerialClient
from pymodbus.exceptions import ModbusException

from gatehouse_config import gas_profile, profiles
from gatehouse_config.fault import ProfileError
from gatehouse_config.profiles import OWN_GAS_PROFILE, GasProfile, StatusBits, StatusCodes
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.raw_repl import open_port
from gatehouse_hil.bench.watching import Tell
from gatehouse_hil.bench.workplace import Workplace
from gatehouse_wire import gas_registers

_ANSWER_S: Final = 1.0
_OWN: Final = {
    gas_registers.START + 0: "identity",
    gas_registers.START + 3: "unit_decimals",
    gas_registers.START + 11: "reset_cause",
    gas_registers.START + 12: "uptime_high",
    gas_registers.START + 13: "uptime_low",
    gas_registers.START + 14: "firmware",
    gas_registers.START + 15: "slot",
}
"""What our own node tells a technician and no gateway asks for."""


def profile_of(name: str | None) -> GasProfile:
    """Return a gas profile by its id.

    Raises:
        BenchError: NO_SUCH_PROFILE.
    """
    known = {found.id: found for found in profiles.shipped().values() if isinstance(found, GasProfile)}
    wanted = name or OWN_GAS_PROFILE
    if wanted not in known:
        raise BenchError(Fault.NO_SUCH_PROFILE, profile=wanted, known=", ".join(sorted(known)))
    return known[wanted]


async def watch(
    place: Workplace, board: str, tell: Tell, *, unit: int, every_s: float, profile: GasProfile
) -> None:
    """Read all blocks of the profile every `every_s` until cancelled, and tell each answer or silence.

    Findings: `{"cells": [{"n", "word", "name", "text"}], "sample": {...} | null, "why": text, "took_ms": n}`, or
    `{"silent": reason}`.

    Raises:
        BenchError: NO_RESOURCE, the board has no field port; PORT_BUSY, PORT_GONE.
    """
    async with place.stations((board,)) as (station,):
        if station.uart is None:
            raise BenchError(Fault.NO_RESOURCE, part="uart", known="-")
        line = profile.serial
        with open_port(station.uart, baud=line.baud):
            pass  # pymodbus says only that it could not connect
        client = ModbusSerialClient(
            station.uart,
            baudrate=line.baud,
            parity=line.parity,
            stopbits=line.stop_bits,
            timeout=_ANSWER_S,
            retries=0,
        )
        try:
            while True:
                began_s = time.monotonic()
                finding = await asyncio.to_thread(_once, client, unit, profile)
                finding["took_ms"] = round((time.monotonic() - began_s) * 1000)
                tell(finding, _text(finding))
                await asyncio.sleep(max(0.05, every_s - (time.monotonic() - began_s)))
        finally:
            client.close()


def _once(client: ModbusSerialClient, unit: int, profile: GasProfile) -> dict[str, Any]:
    words: dict[int, int] = {}
    for block in profile.blocks:
        try:
            client.connect()  # pymodbus closes the port after a silence
            read = (
                client.read_input_registers if profile.function_code == 4 else client.read_holding_registers
            )
            answer = read(block.start, count=block.count, device_id=unit)
        except (ModbusException, OSError) as error:
            return {"silent": type(error).__name__}
        if answer.isError():
            return {"silent": str(answer)[:120]}
        words |= dict(zip(block.registers, answer.registers, strict=False))
    return explained(profile, words)


def explained(profile: GasProfile, words: Mapping[int, int]) -> dict[str, Any]:
    """Return the finding for one whole answer."""
    sample, why = None, ""
    try:
        sample = gas_profile.decode(profile, words)
    except ProfileError as error:
        why = str(error)
    names = roles(profile)
    texts = _texts(profile, words, sample)
    cells = [
        {"n": number, "word": words[number], "name": names.get(number, ""), "text": texts.get(number, "")}
        for number in sorted(words)
    ]
    return {"cells": cells, "sample": sample, "why": why}


def roles(profile: GasProfile) -> dict[int, str]:
    """Return what each register of the profile is for; keys of the page's catalogue (`register.<role>`)."""
    found = dict(_OWN) if profile.id == OWN_GAS_PROFILE else {}
    if profile.identity is not None:
        found[profile.identity.register_] = "identity"
    for status in profile.status:
        found[status.register_] = "status"
    for name in ("value", "low_set", "high_set", "full_scale", "heartbeat"):
        number = getattr(profile, f"{name}_register")
        if number is not None:
            found[number] = name
    for name in ("temperature_c", "humidity_pct", "warm_up_left_s"):
        formula = getattr(profile, name)
        if formula is not None:
            found[formula.register_] = name
    return found


def _texts(
    profile: GasProfile, words: Mapping[int, int], sample: gas_profile.GasSample | None
) -> dict[int, str]:
    texts = {
        status.register_: _status(status, words[status.register_])
        for status in profile.status
        if status.register_ in words
    }
    if sample is None:
        return texts
    for name in ("value", "low_set", "high_set", "full_scale"):
        number = getattr(profile, f"{name}_register")
        if number is not None:
            texts[number] = _figure(getattr(sample, name), sample.unit)
    for name, unit in (("temperature_c", "°C"), ("humidity_pct", "%"), ("warm_up_left_s", "s")):
        formula = getattr(profile, name)
        if formula is not None:
            texts[formula.register_] = _figure(formula.of(words[formula.register_]), unit)
    if profile.id == OWN_GAS_PROFILE:
        texts |= _own_texts(words, sample.unit)
    return texts


def _own_texts(words: Mapping[int, int], unit: str) -> dict[int, str]:
    return {
        0: words[0].to_bytes(2, "big").decode("latin-1"),
        3: f"{10.0 ** -(words[3] & 0xFF):g} {unit}",
        12: f"{words[12] << 16 | words[13]} s",
        14: f"{words[14] >> 8}.{words[14] & 0xFF}",
        15: "ab"[words[15] & 1] + (" ?" if words[15] & gas_registers.UNCONFIRMED else ""),
    }


def _figure(value: float | None, unit: str) -> str:
    return "—" if value is None else f"{value:g} {unit}"


def _status(status: StatusBits | StatusCodes, word: int) -> str:
    """Names of the flags that are set, in the profile's own words."""
    if isinstance(status, StatusCodes):
        return " ".join(status.codes.get(status.of(word), ("?",)))
    return " ".join(flag for bit, flag in sorted(status.bits.items()) if word >> bit & 1)


def _text(finding: Mapping[str, Any]) -> str:
    if "silent" in finding:
        return f"— {finding['silent']}"
    return "  ".join(f"{cell['n']:04x}={cell['word']:04x}" for cell in finding["cells"])
