"""The monthly report of coverage as CSV: one row per community, one for all together (domain row 42). Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from msgspec import Struct

from gatehouse_fleet.registry.coverage import SENSE_LABELS, Figures, Sense, indicators, total
from gatehouse_fleet.registry.spreadsheet import BOM, safe


class ReportRow(Struct, frozen=True, kw_only=True):
    """One community in the report."""

    code: str
    name: str
    figures: Figures


def monthly_csv(month: str, rows: Sequence[ReportRow]) -> str:
    """Return the report of a month (`2026-11`), sorted as given; rates in per cent with one decimal, empty where nothing was measured."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    labels = [f"{one.label.zh} {one.label.en} %" for one in indicators(Figures())]
    senses = [f"{SENSE_LABELS[sense].zh} {SENSE_LABELS[sense].en}" for sense in Sense]
    counts = ["设备 devices", "摄像机 cameras", "报警 alarms", "已处置 handled"]
    writer.writerow(["月份 month", "编号 code", "小区 community", *senses, *labels, *counts])
    for row in rows:
        writer.writerow([month, safe(row.code), safe(row.name), *_cells(row.figures)])
    writer.writerow([month, "", "合计 total", *_cells(total(row.figures for row in rows))])
    return BOM + out.getvalue()


def _cells(figures: Figures) -> list[str]:
    rates = ["" if one.value is None else f"{100 * one.value:.1f}" for one in indicators(figures)]
    senses = [str(getattr(figures, sense.value)) for sense in Sense]
    counts = (figures.devices, figures.cameras, figures.alarms_raised, figures.alarms_handled)
    return [*senses, *rates, *(str(count) for count in counts)]
