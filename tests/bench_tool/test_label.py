"""The label: its size, its words, its code."""

from __future__ import annotations

import re
from datetime import date
from xml.etree import ElementTree as ET

import pytest
import segno

from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.kind import Kind, serial_number
from gatehouse_hil.bench.label import Label, page, print_file, svg

LABEL = Label(serial="GHG-02A0B1000001", kind=Kind.GAS, key_check="57a3b5d1", made=date(2026, 3, 1))


def test_a_label_is_forty_by_thirty_millimetres() -> None:
    root = ET.fromstring(svg(LABEL))  # noqa: S314  # our own
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("40mm", "30mm", "0 0 40 30")


def test_a_label_names_kind_serial_number_and_key_check_in_both_languages() -> None:
    text = svg(LABEL)
    for word in ("守望", "燃气探测器", "Gas detector", "GHG-02A0B1000001", "57a3 b5d1", "2026-03-01"):
        assert word in text


def test_the_code_is_drawn_dot_for_dot_and_keeps_its_quiet_zone() -> None:
    # A second drawing of the same code: segno's own matrix, against the path on the label.
    matrix = segno.make("GH1 GHG-02A0B1000001 57A3B5D1", error="m", boost_error=False, micro=False).matrix
    path = re.search(r'<path[^>]* d="([^"]+)"', svg(LABEL))
    assert path is not None
    drawn: set[tuple[int, int]] = set()
    x = y = 0.0
    for command, numbers in re.findall(r"([Mmh])([^Mmh]*)", path.group(1)):
        values = [float(number) for number in numbers.replace(",", " ").split()]
        if command == "M":
            x, y = values
        elif command == "m":
            x, y = x + values[0], y + values[1]
        else:
            drawn |= {(int(x) + step, int(y)) for step in range(int(values[0]))}
            x += values[0]
    wanted = {(column, row) for row, dots in enumerate(matrix) for column, dot in enumerate(dots) if dot}
    assert drawn == wanted
    assert "translate(2.6 2.6)" in svg(LABEL)


def test_the_code_is_small_enough_for_large_dots() -> None:
    code = segno.make_qr(LABEL.code, error="m", boost_error=False)
    assert (code.mode, code.version) == ("alphanumeric", 2)


def test_a_page_prints_each_label_on_a_sheet_of_its_own() -> None:
    text = page([LABEL, LABEL])
    assert text.count("<section>") == 2
    assert "@page{size:40mm 30mm;margin:0}" in text


@pytest.mark.parametrize("kind", Kind)
def test_a_serial_number_is_short_enough_for_the_node(kind: Kind) -> None:
    assert len(serial_number(kind, "02a0b1000001").encode("ascii")) <= 24


async def test_no_printer_is_a_named_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    from pathlib import Path

    monkeypatch.setenv("PATH", "")
    with pytest.raises(BenchError) as caught:
        await print_file(Path("labels.html"), "label-40x30")
    assert caught.value.fault is Fault.PRINTER_ABSENT


async def test_a_printer_that_cups_does_not_know_is_a_named_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    lp = folder / "lp"
    lp.write_text(
        '#!/bin/sh\necho "lp: The printer or class does not exist." >&2\nexit 1\n', encoding="ascii"
    )
    lp.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    with pytest.raises(BenchError) as caught:
        await print_file(Path("labels.html"), "label-40x30")
    assert caught.value.facts["said"] == "lp: The printer or class does not exist."
