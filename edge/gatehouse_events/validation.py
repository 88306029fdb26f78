"""Strict checking of an event before it leaves: JSON Schema 2020-12 with formats, and envelope against data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from gatehouse_events.event import EventError

_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_MAX_FAULTS: Final = 20
_FORMATS: Final = FormatChecker(formats=())
"""Only what is checked here: the stock `date-time` silently checks nothing unless an optional package is there."""


def validate(document: Mapping[str, Any]) -> None:
    """Refuse a document that a city platform could refuse.

    Raises:
        EventError: with every fault and its path.
    """
    found = sorted(_validator().iter_errors(document), key=lambda error: error.json_path)
    faults = [f"{error.json_path}: {error.message[:200]}" for error in found[:_MAX_FAULTS]]
    if not faults:
        faults = [*_disagreements(document)]
    if faults:
        raise EventError(tuple(faults))


def schema(name: str) -> dict[str, Any]:
    """Return one of the schema documents of this package (`event.schema.json`, `event.data.schema.json`)."""
    text = files("gatehouse_events").joinpath("schema", name).read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


@cache
def _validator() -> Draft202012Validator:
    data = schema("event.data.schema.json")
    registry: Registry[Any] = Registry().with_resource(data["$id"], Resource.from_contents(data))
    return Draft202012Validator(schema("event.schema.json"), registry=registry, format_checker=_FORMATS)


@_FORMATS.checks("date-time")
def _is_date_time(value: object) -> bool:
    if not isinstance(value, str):
        return True
    if _RFC_3339.fullmatch(value) is None:
        return False
    try:
        datetime.fromisoformat(value.upper())
    except ValueError:
        return False
    return True


def _disagreements(document: Mapping[str, Any]) -> list[str]:
    data = document["data"]
    wanted = {
        "id": f"{data['alarm_id']}-{data['seq']}",
        "subject": data["asset"]["id"],
        "sequence": str(data["seq"]),
        "divisioncode": data["site"]["division_code"],
        "severity": data["severity"],
    }
    faults = [
        f"$.{name}: is {document[name]!r} but the data say {value!r}"
        for name, value in wanted.items()
        if document[name] != value
    ]
    if f".alarm.{data['category']}.v1" not in document["type"]:
        faults.append(f"$.type: is {document['type']!r} but the category is {data['category']!r}")
    if not data["code"].startswith(data["category"] + "."):
        faults.append(f"$.data.code: {data['code']!r} is not of category {data['category']!r}")
    return faults
