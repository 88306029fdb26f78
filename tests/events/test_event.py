"""The city event: strict going out, lossless coming in, readable by an independent CloudEvents SDK."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_events.clock import ClockQuality
from gatehouse_events.codes import CODES
from gatehouse_events.event import (
    MAX_EVENT_BYTES,
    AlarmData,
    Asset,
    EventError,
    EventSite,
    EventState,
    LiftState,
    Message,
    ThrowFacts,
    decode,
    encode,
    event_for,
    forward,
)
from gatehouse_events.ids import new_id
from gatehouse_events.states import SEVERITY
from gatehouse_events.validation import validate

VECTORS = Path(__file__).parents[1] / "vectors" / "events"
EXAMPLES = sorted(VECTORS.glob("*.json"))
GAS: dict[str, Any] = json.loads((VECTORS / "gas.json").read_text(encoding="utf-8"))
AT = datetime(2026, 11, 23, 13, 26, 14, 120000, tzinfo=UTC)


def _data(code: str, seq: int = 1) -> AlarmData:
    row = CODES[code]
    return AlarmData(
        alarm_id=new_id(AT),
        seq=seq,
        state=EventState.RAISED,
        category=row.category,
        code=code,
        severity=SEVERITY[row.priority],
        raised_at=AT,
        reported_at=AT,
        clock=ClockQuality(synced=False, offset_ms=None),
        site=EventSite(
            division_code="371002002", division_standard="stats_gov", community_id="wh-371002-0007"
        ),
        asset=Asset(id="device-1", kind="device"),
        message=Message(zh="示例：" + row.label.zh),
        evidence=(),
        kind=row.kind,
        lift=LiftState() if row.category == "lift" else None,
        throw=ThrowFacts() if row.category == "throw" else None,
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_of_the_domain_notes_are_valid(path: Path) -> None:
    validate(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_reading_and_writing_an_example_changes_nothing_but_the_spelling_of_times(path: Path) -> None:
    again = json.loads(forward(decode(path.read_bytes())))
    assert _plain(again) == _plain(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("code", CODES)
def test_every_code_of_this_product_makes_a_valid_event(code: str) -> None:
    assert decode(encode(event_for(_data(code), gateway_id="gw1"))).unknown == {}


def test_an_independent_sdk_reads_our_event() -> None:
    event = event_for(_data("gas.high_alarm"), gateway_id="wh-371002-0007-gw1")
    message = HTTPMessage(headers={"content-type": "application/cloudevents+json"}, body=encode(event))
    read = from_structured(message, JSONFormat(), CloudEvent)
    assert (read.get_id(), read.get_source(), read.get_type()) == (event.id, event.source, event.type)
    assert read.get_data()["code"] == "gas.high_alarm"
    assert read.get_extension("divisioncode") == "371002002"


def _without(*path: str) -> dict[str, Any]:
    document = json.loads(json.dumps(GAS))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return document


def _with(value: object, *path: str) -> dict[str, Any]:
    document = json.loads(json.dumps(GAS))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return document


@pytest.mark.parametrize(
    "path",
    [
        ("data", "clock"),
        ("data", "clock", "synced"),
        ("data", "clock", "offset_ms"),
        ("data", "site", "position", "crs"),
        ("data", "measure", "unit"),
        ("data", "message", "zh"),
        ("data", "alarm_id"),
        ("dataschema",),
        ("divisioncode",),
    ],
    ids=".".join,
)
def test_what_is_mandatory_cannot_be_left_out(path: tuple[str, ...]) -> None:
    with pytest.raises(EventError, match=path[-1]):
        validate(_without(*path))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("%LFL", ("data", "measure", "unit")),
        ("BD09", ("data", "site", "position", "crs")),
        ("2026-11-23 21:26:14", ("data", "raised_at")),
        ("2026-11-23T21:26:14", ("data", "raised_at")),
        ("2026-13-23T21:26:14Z", ("data", "reported_at")),
        ("urgent", ("data", "severity")),
        ("low", ("severity",)),
        ("another-id-1", ("id",)),
        ("2", ("sequence",)),
        ("cam-1", ("subject",)),
        ("scg.alarm.lift.v1", ("type",)),
        ("lift.trapped", ("data", "code")),
        (0, ("data", "seq")),
        ("x", ("data", "newfield")),
        ("x", ("Bad_Name",)),
    ],
    ids=str,
)
def test_what_a_platform_could_refuse_does_not_leave(value: object, path: tuple[str, ...]) -> None:
    with pytest.raises(EventError):
        validate(_with(value, *path))


def test_a_cleared_alarm_says_since_when() -> None:
    with pytest.raises(EventError, match="cleared_at"):
        validate(_with("cleared", "data", "state"))


@given(
    st.dictionaries(
        st.from_regex(r"new[a-z]{1,8}", fullmatch=True),
        st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5),
        min_size=1, max_size=4,
    ),
    st.sampled_from([(), ("data",), ("data", "site"), ("data", "site", "position"), ("data", "clock"), ("data", "measure")]),
)  # fmt: skip
def test_fields_of_a_newer_sender_are_kept_where_they_stood(
    extra: dict[str, object], path: tuple[str, ...]
) -> None:
    document = json.loads(json.dumps(GAS))
    inner = document
    for key in path:
        inner = inner[key]
    inner.update(extra)
    received = decode(msgspec.json.encode(document))
    assert _plain(json.loads(forward(received))) == _plain(document)


def test_an_unknown_field_of_a_piece_of_evidence_is_kept() -> None:
    document = json.loads((VECTORS / "throw.json").read_text(encoding="utf-8"))
    document["data"]["evidence"][0]["codec"] = "hevc"
    assert (
        json.loads(forward(decode(json.dumps(document).encode())))["data"]["evidence"][0]["codec"] == "hevc"
    )


@given(st.binary(max_size=300) | st.text().map(str.encode))
def test_any_other_bytes_are_a_named_error(raw: bytes) -> None:
    with pytest.raises(EventError):
        decode(raw)


@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b'{"a":' * 100_000, b" " * (MAX_EVENT_BYTES + 1), b"\xff" * 20]
)
def test_hostile_bytes_are_a_named_error(raw: bytes) -> None:
    with pytest.raises(EventError):
        decode(raw)


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=4))
def test_an_example_with_a_few_bytes_changed_is_read_or_refused_by_name(offset: int, garbage: bytes) -> None:
    raw = bytearray((VECTORS / "lift.json").read_bytes())
    raw[offset : offset + len(garbage)] = garbage
    with suppress(EventError):
        forward(decode(bytes(raw)))


def _plain(value: object) -> object:
    """The document with every time as UTC, so that only its spelling may differ."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str) and value[:3] == "202" and "T" in value:
        return datetime.fromisoformat(value).astimezone(UTC)
    return value
