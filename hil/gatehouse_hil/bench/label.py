"""The label on the device: 40 x 30 mm, a QR code and what a person reads out on the telephone.

The code holds `GH1 SERIAL KEYCHECK`, upper case, so that QR's alphanumeric mode keeps its dots large (0.7 mm: a 203 dpi
thermal printer makes them with five dots). No key, no address, nothing of the estate.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import segno

from gatehouse_hil.bench import tool_process
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.kind import Kind

WIDTH_MM: Final = 40
HEIGHT_MM: Final = 30
_CODE_MM: Final = 18.0
_QUIET_MM: Final = 2.6
"""White around the code: three and a half dots, with nothing printed nearer."""
_PRINT_S: Final = 30.0
_NAMES: Final = {
    Kind.GAS: ("燃气探测器", "Gas detector"),
    Kind.LIFT: ("电梯传感器", "Lift sensor"),
    Kind.BUTTON: ("求助按钮", "Help button"),
    Kind.BEACON: ("蓝牙信标", "Beacon"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What stands on one label."""

    serial: str
    kind: Kind
    key_check: str
    made: date

    @property
    def code(self) -> str:
        """Text of the QR code."""
        return f"GH1 {self.serial} {self.key_check}".upper()


def svg(label: Label) -> str:
    """Return the label as an SVG of its true size; black on white, because thermal printers know no grey."""
    zh, en = _NAMES[label.kind]
    check = " ".join(re.findall("..?.?.?", label.key_check))
    texts = (
        (23.4, 5.6, 3.0, "700", "sans", "守望"),
        (30.2, 5.6, 1.7, "400", "sans", "Gatehouse"),
        (23.4, 10.4, 2.8, "700", "sans", zh),
        (23.4, 13.0, 2.0, "400", "sans", en),
        (23.4, 16.4, 1.7, "400", "sans", "校验 check"),
        (23.4, 19.2, 2.6, "700", "mono", check),
        (23.4, 22.2, 1.8, "400", "sans", f"{label.made:%Y-%m-%d}"),
        (2.6, 27.3, 3.4, "700", "mono", label.serial),
    )
    rows = "".join(_text(*row) for row in texts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_MM}mm" height="{HEIGHT_MM}mm" '
        f'viewBox="0 0 {WIDTH_MM} {HEIGHT_MM}" role="img" aria-label="{escape(label.serial)}">'
        f"<title>{escape(label.code)}</title>"
        f'<rect width="{WIDTH_MM}" height="{HEIGHT_MM}" rx="1.5" fill="#fff"/>'
        f'<g transform="translate({_QUIET_MM} {_QUIET_MM}) scale({_CODE_MM / _code_modules(label):.5f})">{code_paths(label)}</g>'
        f"{rows}</svg>"
    )


def code_paths(label: Label) -> str:
    """Return the dots of the QR code as one SVG path, one unit each, without the quiet zone (the label is white)."""
    out = io.BytesIO()
    _qr(label).save(
        out, kind="svg", border=0, xmldecl=False, svgns=False, svgclass=None, lineclass=None, omitsize=True
    )
    found = re.search(rb"<path[^>]*/>", out.getvalue())
    return found.group().decode() if found else ""


def page(labels: list[Label]) -> str:
    """Return one HTML file that prints each label on a sheet of its own size."""
    sheets = "".join(f"<section>{svg(label)}</section>" for label in labels)
    return (
        '<!doctype html><html lang="zh"><meta charset="utf-8"><title>标签 Labels</title><style>'
        f"@page{{size:{WIDTH_MM}mm {HEIGHT_MM}mm;margin:0}}body{{margin:0}}"
        f"section{{width:{WIDTH_MM}mm;height:{HEIGHT_MM}mm;break-after:page;overflow:hidden}}"
        "svg{display:block}@media screen{body{background:#e8eaed;padding:8mm}section{margin:0 0 6mm;"
        "box-shadow:0 1px 4px #0003;border-radius:1.5mm}}"
        f"</style>{sheets}</html>"
    )


async def print_file(path: Path, printer: str) -> None:
    """Hand the file to CUPS.

    Raises:
        BenchError: PRINTER_ABSENT; the file stays where it is.
    """
    try:
        told = await tool_process.run(["lp", "-d", printer, str(path)], timeout_s=_PRINT_S)
    except BenchError as error:
        raise BenchError(Fault.PRINTER_ABSENT, printer=printer, path=path, said="lp") from error
    if told.status:
        raise BenchError(Fault.PRINTER_ABSENT, printer=printer, path=path, said=told.last)


def _qr(label: Label) -> segno.QRCode:
    return segno.make_qr(label.code, error="m", boost_error=False)


def _code_modules(label: Label) -> int:
    return int(_qr(label).symbol_size(border=0)[0])


def _text(x_mm: float, y_mm: float, size_mm: float, weight: str, style: str, text: str) -> str:
    family = "ui-monospace,DejaVu Sans Mono,monospace" if style == "mono" else "Noto Sans CJK SC,sans-serif"
    return (
        f'<text x="{x_mm:g}" y="{y_mm:g}" font-size="{size_mm:g}" font-weight="{weight}" '
        f'font-family="{family}">{escape(text)}</text>'
    )
