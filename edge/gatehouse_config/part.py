"""The base of every configuration model, and the kinds of value they share."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

RESERVED_IDS: Final = frozenset({"all", "desk", "family", "prompt_120", "prompt_110"})
"""Words with a meaning of their own in `serves` and `notify`."""


class Part(BaseModel):
    """Frozen; an unknown key is refused; no NaN, no infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=False)


def _not_reserved(text: str) -> str:
    if text in RESERVED_IDS:
        raise ValueError(f"'{text}' has a meaning of its own, choose another id")
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("contains characters that cannot be printed")
    return text


Id = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
    AfterValidator(_not_reserved),
]
"""Letters, digits, `.`, `_`, `-`; at most 64."""
Text = Annotated[str, StringConstraints(max_length=120, strip_whitespace=True), AfterValidator(_printable)]
"""One printable line of at most 120 characters."""
BleAddress = Annotated[str, StringConstraints(pattern=r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$", to_upper=True)]
"""`AA:BB:CC:DD:EE:FF`."""
FilePath = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_printable)]
"""A path, relative to the yaml file unless absolute."""
UnitId = Annotated[int, Field(ge=1, le=247)]
"""Modbus unit id; 0 is broadcast and 248 to 255 are reserved (Modbus serial line V1.02 §2.2)."""
Port = Annotated[int, Field(ge=1, le=65535)]
MaxSilenceS = Annotated[float, Field(gt=0, le=604_800)]
"""Seconds without a good reading after which the device is a fault; a week at most."""
