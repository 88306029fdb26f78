"""Bytes fixed outside our code, each with its source (tests/vectors)."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

TESTS = Path(__file__).parents[1]
WIRE_FILES = (
    "bthome", "button_receipt", "cobs", "crc", "gas_node", "lift_link", "lift_push", "modbus_rtu", "node_update",
    "presence", "witmotion",
)  # fmt: skip
REPLAY = runpy.run_path(str(TESTS / "micropython" / "replay.py"))


def vectors() -> list[tuple[str, ...]]:
    """Return every line of the wire vectors: operation, argument, result, source."""
    lines: list[tuple[str, ...]] = []
    for name in WIRE_FILES:
        text = (TESTS / "vectors" / f"{name}.txt").read_text(encoding="utf-8")
        lines += [tuple(line.split(" | ")) for line in text.splitlines() if line and not line.startswith("#")]
    return lines


def ccm_open(key: str, nonce: str, sealed: str) -> str:
    try:
        return (
            AESCCM(bytes.fromhex(key), tag_length=4)
            .decrypt(bytes.fromhex(nonce), bytes.fromhex(sealed), None)
            .hex()
        )
    except InvalidTag:
        return ""


@pytest.mark.parametrize("line", vectors(), ids=lambda line: f"{line[0]}-{line[3][:40]}")
def test_the_wire_modules_say_what_the_outside_source_says(line: tuple[str, ...]) -> None:
    operation, argument, expected, source = line
    assert REPLAY["run"](operation, argument, ccm_open) == expected, source


def test_every_vector_names_its_source() -> None:
    assert [line for line in vectors() if len(line) != 4 or len(line[3]) < 4] == []


def test_every_reason_to_refuse_is_proven_by_a_vector() -> None:
    from gatehouse_wire import errors

    reasons = {value for name, value in vars(errors).items() if name.isupper()}
    assert {line[2][1:] for line in vectors() if line[2].startswith("!")} == reasons
