"""A record as JUnit XML, for test servers: one suite for each board, one case for each step and measurement."""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree as ET

from gatehouse_hil.bench.measuring import figure, limits
from gatehouse_hil.bench.record import Measurement, SignedRecord, Step, Verdict

_ILLEGAL: Final = dict.fromkeys(number for number in range(32) if number not in (9, 10, 13))
"""Control characters that XML 1.0 cannot carry."""


def xml(signed: SignedRecord) -> bytes:
    """Return the record as one `testsuite`."""
    record = signed.record
    cases = len(record.steps) + len(record.measurements)
    parts: tuple[Step | Measurement, ...] = (*record.steps, *record.measurements)
    bad = sum(part.verdict is Verdict.FAILED for part in parts)
    suite = ET.Element(
        "testsuite",
        name=_clean(record.serial or record.where.station),
        tests=str(cases),
        failures=str(bad),
        errors="0",
        timestamp=record.began_at.strftime("%Y-%m-%dT%H:%M:%S"),
        time=f"{(record.ended_at - record.began_at).total_seconds():.3f}",
        hostname=_clean(record.where.bench),
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("rig", record.where.rig),
        ("station", record.where.station),
        ("backend", record.where.backend),
        ("operator", record.where.operator),
        ("mac", record.mac),
        ("runtime_sha256", record.firmware.runtime_sha256),
        ("application_sha256", record.firmware.application_sha256),
        ("record", signed.hash),
    ):
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    for step in record.steps:
        _step(suite, step)
    for measurement in record.measurements:
        _measurement(suite, measurement)
    ET.indent(suite)
    return bytes(ET.tostring(suite, encoding="utf-8", xml_declaration=True))


def _step(suite: ET.Element, step: Step) -> None:
    case = ET.SubElement(suite, "testcase", classname="step", name=step.name.value, time=f"{step.took_s:.3f}")
    if step.verdict is Verdict.FAILED:
        failure = ET.SubElement(case, "failure", type=_clean(step.fault), message=_clean(step.en))
        failure.text = _clean(step.zh)


def _measurement(suite: ET.Element, measurement: Measurement) -> None:
    case = ET.SubElement(suite, "testcase", classname="measurement", name=_clean(measurement.name), time="0")
    value = f"{figure(measurement.value)} {measurement.unit}".strip()
    if measurement.verdict is Verdict.FAILED:
        message = f"{measurement.en}: {value}, {limits(measurement)}"
        ET.SubElement(case, "failure", type="out_of_limits", message=_clean(message))
    else:
        ET.SubElement(case, "system-out").text = _clean(f"{value} ({limits(measurement)})")


def _clean(text: str) -> str:
    return text.translate(_ILLEGAL)
