"""A target's file: what is missing or wrong is named with its place."""

from __future__ import annotations

import pytest
import targets

from gatehouse_fleet.city.errors import TargetFileError
from gatehouse_fleet.city.target import parse

ALL = [targets.CLOUDEVENTS, targets.ONE_HOT, targets.TEXT_FRAMES, targets.FIRE, targets.MQTT]


@pytest.mark.parametrize("text", ALL)
def test_a_good_file_is_taken(text: str) -> None:
    assert parse(text, name="t.yaml").reader.startswith("city:")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("title:", "titel:"), "titel"),
        (("kinds: [alarm, fault]", "kinds: []"), "send.kinds"),
        (("{kind: cloudevents}", "{kind: soap}"), "envelope"),
        (("http://127.0.0.1:9/events", "http://city.example/events"), "use https"),
        (("http://127.0.0.1:9/events", "https://u:p@city.example/"), "no credentials"),
        (("{kind: cloudevents}", "{kind: cloudevents}\nid: again"), "again|twice|duplicate"),
        (("start: beginning", "start: beginning\ntime: {format: epoch_s}"), "RFC 3339"),
        (("start: beginning", "start: beginning\ntime: {format: rfc3339, zone: Mars/Sea}"), "no time zone"),
        (
            ('{kind: http, url: "http://127.0.0.1:9/events"}', "{kind: tcp, host: h, port: 1}"),
            "goes over http",
        ),
    ],
)
def test_a_faulty_file_is_refused_with_the_place(change: tuple[str, str], why: str) -> None:
    with pytest.raises(TargetFileError, match=why):
        parse(targets.CLOUDEVENTS.replace(*change), name="t.yaml")


def test_every_fault_is_named_at_once() -> None:
    text = targets.CLOUDEVENTS.replace("id: weihai", "id: Weihai!").replace("title:", "titel:")
    with pytest.raises(TargetFileError) as caught:
        parse(text, name="t.yaml")
    assert len(caught.value.faults) >= 2
    assert "line 1" in caught.value.faults[0]


def test_alarms_do_not_go_over_a_plain_broker_elsewhere() -> None:
    with pytest.raises(TargetFileError, match="use tls"):
        parse(targets.MQTT.replace("host: 127.0.0.1", "host: broker.example"), name="t.yaml")


def test_a_dialect_without_code_map_is_refused() -> None:
    with pytest.raises(TargetFileError, match="needs a code map"):
        parse(targets.ONE_HOT.replace("codes: {map: songjiang_telecom}\n", ""), name="t.yaml")
