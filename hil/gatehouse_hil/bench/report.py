"""A record as one A4 page for people: Chinese first, English beside it; no script, nothing loaded from elsewhere."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import Final

from gatehouse_hil.bench import label
from gatehouse_hil.bench.kind import Kind
from gatehouse_hil.bench.label import Label
from gatehouse_hil.bench.measuring import figure, limits
from gatehouse_hil.bench.record import (
    Calibration,
    Measurement,
    Record,
    SignedRecord,
    Step,
    Verdict,
    fingerprint_of,
)

_STEPS: Final = {
    "flash": ("烧录", "Flash"),
    "identify": ("核对身份", "Identify"),
    "provision": ("写入密钥", "Provision"),
    "self_test": ("自检", "Self-test"),
    "test": ("测量", "Measurements"),
    "calibrate": ("标定", "Calibrate"),
    "label": ("标签", "Label"),
}

_POINTS: Final = {"zero": "零点 zero", "span": "量程 span", "check": "复核 check"}

_STYLE: Final = """
@page{size:A4;margin:14mm}
:root{--ink:#1b1f24;--soft:#5b6570;--line:#dfe3e8;--pale:#f5f7f9;--good:#0b6b43;--bad:#b3261e}
*{box-sizing:border-box}
body{margin:0 auto;max-width:182mm;font:9.5pt/1.45 "Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif;color:var(--ink)}
header{display:flex;justify-content:space-between;align-items:flex-start;gap:8mm;border-bottom:.6mm solid var(--ink);padding-bottom:4mm}
h1{font-size:17pt;line-height:1.2;margin:0 0 1mm}h1 small{display:block;font-size:9.5pt;font-weight:400;color:var(--soft)}
h2{font-size:11pt;margin:6mm 0 1.5mm}h2 small{font-weight:400;color:var(--soft);font-size:9pt;margin-left:1.5mm}
.serial{font:700 14pt/1.3 ui-monospace,"DejaVu Sans Mono",monospace;margin-top:2mm}
.stamp{border:.9mm solid;border-radius:2mm;padding:2mm 5mm;text-align:center;font-weight:700;font-size:15pt;line-height:1.15;white-space:nowrap}
.stamp small{display:block;font-size:8pt;letter-spacing:.08em}
.passed{color:var(--good)}.failed{color:var(--bad)}
aside{width:40mm;border:.2mm solid var(--line);border-radius:1.5mm;overflow:hidden}aside svg{display:block}
dl{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:0 8mm;margin:3mm 0 0}
dl div{display:flex;justify-content:space-between;gap:4mm;border-bottom:.2mm solid var(--line);padding:.9mm 0}
dt{color:var(--soft);white-space:nowrap}dd{margin:0;text-align:right;overflow-wrap:anywhere}
table{width:100%;border-collapse:collapse}th{text-align:left;font-weight:400;color:var(--soft);font-size:8.5pt;border-bottom:.3mm solid var(--ink);padding:1mm 2mm 1mm 0}
td{border-bottom:.2mm solid var(--line);padding:1.1mm 2mm 1.1mm 0;vertical-align:top}tr{break-inside:avoid}
td small{display:block;color:var(--soft);font-size:8pt}.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.steps td:first-child{width:30mm}
.mark{font-weight:700;white-space:nowrap}.do{background:#fdf1ef;border-left:1mm solid var(--bad);padding:1.5mm 3mm;margin:1mm 0}
code{font:8pt/1.4 ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
footer{margin-top:6mm;background:var(--pale);border-radius:1.5mm;padding:3mm 4mm;break-inside:avoid;color:var(--soft);font-size:8.5pt}
.sim{background:#fff4d6;border-radius:1.5mm;padding:1.5mm 3mm;margin:3mm 0 0;font-size:9pt}
@media screen{body{padding:10mm;background:#fff;box-shadow:0 0 8mm #0002;margin:8mm auto}html{background:#e8eaed}}
"""


def page(signed: SignedRecord) -> str:
    """Return the page of a signed record."""
    record = signed.record
    return (
        '<!doctype html><html lang="zh"><head><meta charset="utf-8">'
        f"<title>{escape(record.serial or record.where.station)} · {record.number}</title>"
        f"<style>{_STYLE}</style></head><body>"
        f"{_head(record)}{_facts(record)}{_steps(record.steps)}{_measured(record.measurements)}"
        f"{_calibrated(record.calibration)}{_foot(signed)}</body></html>"
    )


def _head(record: Record) -> str:
    zh, en = ("合格", "PASSED") if record.verdict is Verdict.PASSED else ("不合格", "FAILED")
    sticker = ""
    if record.key_check:
        shown = Label(
            serial=record.serial,
            kind=Kind(record.kind),
            key_check=record.key_check,
            made=record.ended_at.date(),
        )
        sticker = f"<aside>{label.svg(shown)}</aside>"
    serial = escape(record.serial) or "序列号未知 serial number unknown"
    return (
        "<header><div><h1>检验记录<small>守望 Gatehouse · bench record</small></h1>"
        f'<div class="serial">{serial}</div><div class="stamp {record.verdict}" style="display:inline-block;margin-top:3mm">'
        f"{zh}<small>{en}</small></div></div>{sticker}</header>"
    )


def _facts(record: Record) -> str:
    where, firmware = record.where, record.firmware
    rows = (
        ("类型 kind", record.kind),
        ("第几次 run", str(record.number)),
        ("芯片 chip", record.chip),
        ("MAC", ":".join(record.mac[at : at + 2] for at in range(0, len(record.mac), 2))),
        ("开始 began", _moment(record.began_at)),
        ("结束 ended", _moment(record.ended_at)),
        ("操作员 operator", where.operator),
        ("工位 bench", f"{where.bench} / {where.station}"),
        ("治具 rig", f"{where.rig} ({where.backend})"),
        ("工具 tools", f"esptool {where.esptool}, mpremote {where.mpremote}"),
        ("运行时 runtime", firmware.runtime),
        ("MicroPython", firmware.micropython),
        (
            "应用 application",
            f"{firmware.application} {('槽 slot ' + firmware.slot) if firmware.slot else ''}".strip(),
        ),
        ("密钥校验 key check", record.key_check),
        ("测试计划 plan", record.plan),
    )
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in rows if value
    )
    note = ""
    if where.is_simulated:
        note = '<p class="sim">模拟板：没有真实硬件。 Simulated board: no hardware was there.</p>'
    return f"{note}<dl>{cells}</dl>"


def _steps(steps: tuple[Step, ...]) -> str:
    rows = ""
    for step in steps:
        zh, en = _STEPS[step.name]
        advice = ""
        if step.fault:
            advice = f'<div class="do">{escape(step.zh)}<br><small>{escape(step.en)}</small></div>'
        rows += (
            f"<tr><td>{zh}<small>{en}</small></td><td>{_mark(step.verdict)}{advice}</td>"
            f'<td class="number">{step.took_s:.1f} s</td></tr>'
        )
    return f"<h2>步骤<small>Steps</small></h2><table class='steps'>{rows}</table>"


def _measured(measurements: tuple[Measurement, ...]) -> str:
    if not measurements:
        return ""
    rows = "".join(
        f"<tr><td>{escape(each.zh)}<small>{escape(each.en)}</small></td>"
        f'<td class="number">{figure(each.value)} {escape(each.unit)}</td>'
        f'<td class="number">{escape(limits(each))}</td><td>{_gauge(each)}</td>'
        f"<td>{escape(each.instrument)}</td><td>{_mark(each.verdict)}</td></tr>"
        for each in measurements
    )
    heads = "".join(
        f"<th{' class=number' if number in (1, 2) else ''}>{text}</th>"
        for number, text in enumerate(("项目 item", "测得 value", "限值 limits", "", "仪器 by", ""))
    )
    return f"<h2>测量<small>Measurements</small></h2><table><tr>{heads}</tr>{rows}</table>"


def _gauge(measurement: Measurement) -> str:
    """Where the value lies between its two limits, as a bar; nothing where there is one limit."""
    low, high = measurement.low, measurement.high
    if low is None or high is None or high <= low:
        return ""
    share = min(1.0, max(0.0, (measurement.value - low) / (high - low)))
    colour = "#0b6b43" if measurement.verdict is Verdict.PASSED else "#b3261e"
    return (
        '<svg width="26mm" height="3mm" viewBox="0 0 104 12" aria-hidden="true"><rect y="4" width="104" height="4" rx="2" '
        f'fill="#dfe3e8"/><circle cx="{4 + 96 * share:.1f}" cy="6" r="5" fill="{colour}"/></svg>'
    )


def _calibrated(calibration: Calibration | None) -> str:
    if calibration is None:
        return ""
    rows = "".join(
        f"<tr><td>{escape(_POINTS.get(point.name, point.name))}</td><td class=number>{figure(point.applied)} {escape(point.unit)}</td>"
        f"<td class=number>{figure(point.shown)} {escape(point.shown_unit)}</td></tr>"
        for point in calibration.points
    )
    gas = ""
    if calibration.gas is not None:
        used = calibration.gas
        gas = (
            f"<p>标准气 gas: {escape(used.gas)} {used.percent_lel:g} %LEL, 气瓶 bottle {escape(used.bottle)}, "
            f"有效期至 valid to {used.expires:%Y-%m-%d}</p>"
        )
    head = "<tr><th>点 point</th><th class=number>施加 applied</th><th class=number>示值 shown</th></tr>"
    return f"<h2>标定<small>Calibration</small></h2><table>{head}{rows}</table>{gas}"


def _foot(signed: SignedRecord) -> str:
    record = signed.record
    lines = [
        ("记录哈希 hash", signed.hash),
        ("上一条 previous", record.previous or "-"),
        ("工位密钥 bench key", fingerprint_of(signed)),
        ("签名 signature", signed.signature),
        ("运行时 runtime SHA-256", record.firmware.runtime_sha256 or "-"),
        ("应用 application SHA-256", record.firmware.application_sha256 or "-"),
    ]
    rows = "".join(f"<div>{escape(name)} <code>{escape(value)}</code></div>" for name, value in lines)
    return f"<footer>{rows}<div>核验 verify: <code>gatehouse-bench record verify FILE</code></div></footer>"


def _mark(verdict: Verdict) -> str:
    text = "✓ 合格" if verdict is Verdict.PASSED else "✗ 不合格"
    return f'<span class="mark {verdict}">{text}</span>'


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
