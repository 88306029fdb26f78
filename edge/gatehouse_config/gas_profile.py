"""Turn a detector's registers into a sample. Pure; the Modbus driver does the reading.

What is not measuring has no value: warming up, over range, calibration due and every fault give `None`,
never 0 (domain table row 23).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from gatehouse_config.fault import ProfileError
from gatehouse_config.profiles import DecimalsTable, GasProfile, Linear, StatusBits, StatusCodes, UnitTable

SampleQuality = Literal["good", "warming_up", "over_range", "fault"]
"""The words of `gatehouse_edge.reading.Quality`."""

NOT_MEASURING: Final = frozenset(
    {"data_fault", "sensor_fault", "access_fault", "calibration_due", "timeout", "comm_fault"}
)
"""Flags under which the number in the value register means nothing."""

_EXPLAINS: Final = NOT_MEASURING | {"warming_up", "over_range"}


class GasSample(Struct, frozen=True, kw_only=True):
    """What one answer of one detector says."""

    value: float | None
    unit: str
    """`%LEL`, `ppm`, `%VOL`, `mg/m3` or `ppb`."""
    quality: SampleQuality
    flags: frozenset[str]
    """Names of `gatehouse_edge.reading.GasFlag`."""
    low_set: float | None = None
    high_set: float | None = None
    full_scale: float | None = None
    temperature_c: float | None = None
    humidity_pct: float | None = None
    warm_up_left_s: float | None = None
    heartbeat: int | None = None


def decode(profile: GasProfile, registers: Mapping[int, int]) -> GasSample:
    """Return what `registers` (number on the wire -> 16-bit word) mean under `profile`.

    Raises:
        ProfileError: a register is missing or no 16-bit word; a unit, decimals or status code is not in
            the profile; the profile leaves unit or decimals to the device and nobody stated them.
    """
    words = _Words(profile.id, registers)
    if profile.identity is not None and words[profile.identity.register_] != profile.identity.word:
        raise ProfileError(
            f"{profile.id}: this is no detector of that map (identity {words[profile.identity.register_]:#06x})"
        )
    divisor = 10 ** _decimals(profile, words)
    unit = _unit(profile, words)
    flags: set[str] = set()
    left_s: float | None = None
    for status in profile.status:
        named, remaining_s = _flags(profile.id, status, words[status.register_])
        flags |= named
        left_s = remaining_s if remaining_s is not None else left_s
    if profile.warm_up_left_s is not None and "warming_up" in flags:
        left_s = words.linear(profile.warm_up_left_s)
    quality = _quality(flags)
    word = words[profile.value_register]
    if quality == "good" and word == profile.value_absent:
        raise ProfileError(f"{profile.id}: says it is measuring and has no value")
    number = word - 0x10000 if profile.value_is_signed and word >= 0x8000 else word  # noqa: PLR2004  # two's complement
    return GasSample(
        value=number / divisor if quality == "good" else None,
        unit=unit,
        quality=quality,
        flags=frozenset(flags),
        low_set=words.scaled(profile.low_set_register, divisor),
        high_set=words.scaled(profile.high_set_register, divisor),
        full_scale=words.scaled(profile.full_scale_register, divisor),
        temperature_c=words.linear(profile.temperature_c),
        humidity_pct=words.linear(profile.humidity_pct),
        warm_up_left_s=left_s,
        heartbeat=None if profile.heartbeat_register is None else words[profile.heartbeat_register],
    )


class _Words:
    """The answer, with a named error for what is not in it."""

    def __init__(self, profile_id: str, registers: Mapping[int, int]) -> None:
        self._profile_id = profile_id
        self._registers = registers

    def __getitem__(self, number: int) -> int:
        word = self._registers.get(number)
        if word is None:
            raise ProfileError(f"{self._profile_id}: register {number:#06x} is missing from the answer")
        if not 0 <= word <= 0xFFFF:  # noqa: PLR2004  # a Modbus register has 16 bits
            raise ProfileError(f"{self._profile_id}: register {number:#06x} holds {word}, not a 16-bit word")
        return word

    def linear(self, formula: Linear | None) -> float | None:
        return None if formula is None else formula.of(self[formula.register_])

    def scaled(self, number: int | None, divisor: int) -> float | None:
        return None if number is None else self[number] / divisor


def _unit(profile: GasProfile, words: _Words) -> str:
    if isinstance(profile.unit, UnitTable):
        code = profile.unit.of(words[profile.unit.register_])
        unit = profile.unit.map.get(code)
        if unit is None:
            raise ProfileError(f"{profile.id}: unit code {code} is not in the profile")
        return unit
    if profile.unit == "device":
        raise ProfileError(f"{profile.id}: the unit must be stated in gateway.yaml")
    return profile.unit


def _decimals(profile: GasProfile, words: _Words) -> int:
    if isinstance(profile.decimals, DecimalsTable):
        code = profile.decimals.of(words[profile.decimals.register_])
        decimals = profile.decimals.map.get(code)
        if decimals is None:
            raise ProfileError(f"{profile.id}: decimals code {code} is not in the profile")
        return decimals
    if profile.decimals == "device":
        raise ProfileError(f"{profile.id}: the decimals must be stated in gateway.yaml")
    return profile.decimals


def _flags(profile_id: str, status: StatusCodes | StatusBits, word: int) -> tuple[set[str], float | None]:
    if isinstance(status, StatusCodes):
        code = status.of(word)
        if code not in status.codes:
            raise ProfileError(f"{profile_id}: status code {code} is not in the profile")
        return set(status.codes[code]), None
    if status.ready_bit is not None and not word >> status.ready_bit & 1:
        left_s = None
        if status.warm_up_s_per_step is not None:
            left_s = (word & ~(1 << status.ready_bit)) * status.warm_up_s_per_step
        return {"warming_up"}, left_s
    if word & status.reserved_mask:
        raise ProfileError(f"{profile_id}: status word {word:#06x} has reserved bits set")
    flags: set[str] = {flag for bit, flag in status.bits.items() if word >> bit & 1}
    if status.measuring_bit is not None and not word >> status.measuring_bit & 1 and not flags & _EXPLAINS:
        # Says it is not measuring and not why (self-test): a fault, never a number.
        flags.add("data_fault")
    return flags, None


def _quality(flags: set[str]) -> SampleQuality:
    if "warming_up" in flags:
        return "warming_up"
    if flags & NOT_MEASURING:
        return "fault"
    return "over_range" if "over_range" in flags else "good"
