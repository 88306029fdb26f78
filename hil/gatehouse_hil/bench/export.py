"""All records of a bench as two files to hand over: one page that needs nothing else, and the signed originals as JSON."""

from __future__ import annotations

from datetime import datetime
from html import escape
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from gatehouse_events.bench_record import SignedRecord, StepName, Verdict, fingerprint_of
from gatehouse_hil.bench.archive import Filed
from gatehouse_hil.bench.disk_file import replace_file
from gatehouse_hil.bench.measuring import figure, limits
from gatehouse_hil.bench.words import Lang, Words
from gatehouse_hil.bench.workplace import Workplace

SCHEMA: Final = "gatehouse-bench-report/1"
_ZH: Final = Words(Lang.ZH)
_EN: Final = Words(Lang.EN)
_STYLE: Final = """
:root{--ink:#171b20;--soft:#5b646e;--line:#cbd0d5;--pale:#eef0f2;--bad:#a80a24;--bad-tint:#fbe3e5}
*{box-sizing:border-box}body{margin:0 auto;max-width:1080px;padding:24px;color:var(--ink);background:#fff;
font:15px/1.5 "Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif;font-variant-numeric:tabular-nums}
h1{font-size:24px;margin:0}h1 small{font-weight:400;color:var(--soft);font-size:15px;margin-left:8px}h2{font-size:18px;margin:28px 0 8px}
.sum{display:flex;gap:24px;margin:12px 0;flex-wrap:wrap}.sum b{font-size:26px;margin-right:6px}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:6px 10px;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--soft);font-size:13px}.n{text-align:right;white-space:nowrap}
.bad{color:var(--bad);font-weight:700}td.bad{background:var(--bad-tint)}.mono{font-family:ui-monospace,"DejaVu Sans Mono",monospace}
details{border:1px solid var(--line);border-radius:6px;margin:8px 0;padding:0 14px}summary{padding:10px 0;cursor:pointer}
details[open] summary{border-bottom:1px solid var(--line)}.do{background:var(--bad-tint);border-left:4px solid var(--bad);padding:8px 12px;margin:10px 0}
.sim{background:#fff4d6;padding:8px 12px;border-radius:6px}small{color:var(--soft)}
@media print{details{break-inside:avoid}body{padding:0}}
"""


class Exported(Struct, frozen=True, kw_only=True):
    """What was written."""

    ok: bool
    records: int
    html: str
    json: str


def write(place: Workplace, since: datetime | None = None) -> Exported:
    """Write the report of every true record that began at or after `since`.

    Raises:
        BenchError: an archive that cannot be read.
    """
    archive = place.archive
    found = [
        filed
        for serial in archive.serials()
        for filed in archive.readable(serial)[0]
        if since is None or filed.signed.record.began_at >= since
    ]
    found.sort(key=lambda filed: filed.signed.record.began_at, reverse=True)
    now = place.clock.now()
    base = place.directory / "reports" / f"gatehouse-bench-{now:%Y%m%dT%H%M%SZ}"
    # Octet for octet as they were signed: written anew, a figure may read otherwise and the signature is gone.
    records = [msgspec.Raw(filed.content) for filed in found]
    originals = msgspec.json.encode(
        {"schema": SCHEMA, "bench": place.bench, "made_at": now, "records": records}
    )
    replace_file(base.with_suffix(".json"), originals)
    replace_file(base.with_suffix(".html"), page(found, bench=place.bench, made_at=now).encode())
    return Exported(
        ok=True,
        records=len(found),
        html=str(base.with_suffix(".html")),
        json=str(base.with_suffix(".json")),
    )


def page(found: list[Filed], *, bench: str, made_at: datetime) -> str:
    """Return the page: sums, the matrix, then every run; the signed originals at its end."""
    records = [filed.signed for filed in found]
    passed = sum(signed.record.verdict is Verdict.PASSED for signed in records)
    simulated = any(signed.record.where.is_simulated for signed in records)
    originals = b",".join(filed.content for filed in found).decode().replace("<", "\\u003c")
    return (
        '<!doctype html><html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>调试台报告 {escape(bench)} {made_at:%Y-%m-%d}</title><style>{_STYLE}</style>"
        f"<h1>调试台报告<small>Bench report · {escape(bench)} · {made_at:%Y-%m-%d %H:%M} UTC</small></h1>"
        f'<div class="sum"><span><b>{len({_name(s) for s in records})}</b>台设备 devices</span>'
        f"<span><b>{len(records)}</b>次运行 runs</span><span><b>{passed}</b>合格 passed</span>"
        f'<span class="{"bad" if passed < len(records) else ""}"><b>{len(records) - passed}</b>不合格 failed</span></div>'
        + ('<p class="sim">其中有模拟板的记录。 Some of these boards are simulated.</p>' if simulated else "")
        + _table(records)
        + "<h2>每次运行 Each run</h2>"
        + "".join(_details(signed) for signed in records)
        + f'<script type="application/json" id="records">[{originals}]</script></html>'
    )


def _name(signed: SignedRecord) -> str:
    record = signed.record
    return record.serial or record.where.station


def _table(records: list[SignedRecord]) -> str:
    head = "".join(f"<th>{_ZH(f'step.{step}')}<br>{_EN(f'step.{step}')}</th>" for step in StepName)
    rows = []
    for signed in records:
        record = signed.record
        steps = {step.name: step for step in record.steps}
        cells = "".join(
            "<td>–</td>"
            if step not in steps
            else f"<td>✓ {steps[step].took_s:.1f} s</td>"
            if steps[step].verdict is Verdict.PASSED
            else f'<td class="bad">✗ {steps[step].took_s:.1f} s</td>'
            for step in StepName
        )
        rows.append(
            f'<tr><td class="mono">{escape(_name(signed))}<br><small>#{record.number} · {record.began_at:%m-%d %H:%M}</small></td>'
            f"<td>{escape(record.room) or '–'}</td>{cells}</tr>"
        )
    return f"<table><thead><tr><th>设备 Device</th><th>房间 Room</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _details(signed: SignedRecord) -> str:
    record = signed.record
    is_good = record.verdict is Verdict.PASSED
    verdict = f"{_ZH(f'verdict.{record.verdict}')} {_EN(f'verdict.{record.verdict}')}"
    faults = "".join(
        f'<div class="do">{escape(step.zh)}<br><small>{escape(step.en)}</small></div>'
        for step in record.steps
        if step.fault
    )
    measured = "".join(
        f"<tr><td>{escape(each.zh)} <small>{escape(each.en)}</small></td>"
        f'<td class="n{"" if each.verdict is Verdict.PASSED else " bad"}">{figure(each.value)} {escape(each.unit)}</td>'
        f'<td class="n">{escape(limits(each))}</td><td>{escape(each.instrument)}</td></tr>'
        for each in record.measurements
    )
    table = (
        "<table><thead><tr><th>测量 Measurement</th><th>值 Value</th><th>限值 Limits</th><th>仪器 Instrument</th></tr></thead>"
        f"<tbody>{measured}</tbody></table>"
        if measured
        else ""
    )
    return (
        f'<details{"" if is_good else " open"}><summary><span class="mono">{escape(_name(signed))}</span> #{record.number} · '
        f"{record.began_at:%Y-%m-%d %H:%M} UTC · "
        f'<span class="{"" if is_good else "bad"}">{"✓" if is_good else "✗"} {verdict}</span></summary>{faults}{table}'
        f'<p><small>操作员 operator {escape(record.where.operator)} · 工位密钥 bench key <span class="mono">{fingerprint_of(signed)}</span> · '
        f'SHA-256 <span class="mono">{signed.hash}</span></small></p></details>'
    )


def files(directory: Path) -> dict[str, Path]:
    """Return the reports there are, by file name."""
    return {path.name: path for path in (directory / "reports").glob("gatehouse-bench-*.*")}
