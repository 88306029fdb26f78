"""Text messages byte for byte as others write them, and read back by a decoder that knows nothing of the encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_edge.notifier.pdu import MAX_PARTS, submits
from gatehouse_hil.sms_pdu import PduError, read_submit

VECTORS = Path(__file__).parents[1] / "vectors" / "sms_submit.txt"
LINES = [
    line.split(" | ") for line in VECTORS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
]
NUMBERS = st.from_regex(r"\+?[0-9]{3,20}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)


def joined(number: str, text: str, reference: int = 3) -> str:
    parts = [
        read_submit(bytes.fromhex(part.hex), length=part.length)
        for part in submits(number, text, reference=reference)
    ]
    assert {part.number for part in parts} == {number}
    assert [(part.index, part.parts) for part in parts] == [
        (index, len(parts)) for index in range(1, len(parts) + 1)
    ]
    return "".join(part.text for part in parts)


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line[0]}-{line[4][:20]}")
def test_a_text_is_written_as_other_programs_and_manuals_write_it(line: list[str]) -> None:
    number, reference, text, pdus, source = line
    assert " ".join(part.hex for part in submits(number, text, reference=int(reference))) == pdus, source


def test_the_length_told_to_the_modem_leaves_out_the_service_centre() -> None:
    (part,) = submits("13421839693", "hello", reference=0)
    assert part.length == 23


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line[0]}-{line[4][:20]}")
def test_the_simulated_modem_reads_what_other_programs_wrote(line: list[str]) -> None:
    octets = [bytes.fromhex(pdu) for pdu in line[3].split(" ")]
    parts = [read_submit(pdu, length=len(pdu) - 1) for pdu in octets]
    assert "".join(part.text for part in parts) == line[2]


@given(number=NUMBERS, text=TEXTS)
def test_any_text_arrives_whole_or_ends_in_an_ellipsis(number: str, text: str) -> None:
    arrived = joined(number, text)
    assert arrived == text or (arrived.endswith("…") and text.startswith(arrived[:-1]))


@given(text=TEXTS)
def test_no_text_needs_more_than_four_messages_of_140_bytes(text: str) -> None:
    parts = submits("+8613900000001", text, reference=0)
    assert len(parts) <= MAX_PARTS
    assert all(bytes.fromhex(part.hex)[14] <= 140 for part in parts)


@pytest.mark.parametrize("number", ["", "+", "12", "1234567890123456789012", "+86 139", "１２３", "ATD"])
def test_what_is_no_number_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="number"):
        submits(number, "x", reference=0)


@given(octets=st.binary(min_size=1, max_size=60), length=st.integers(0, 60))
def test_the_simulated_modem_refuses_garbage_with_one_error(octets: bytes, length: int) -> None:
    try:
        read_submit(octets, length=length)
    except PduError:
        return
