"""What people and test servers read of a record."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatehouse_hil.bench import junit, record, report
from gatehouse_hil.bench.record import Measurement, Record, SignedRecord, Step, StepName, Verdict, Where

AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
NASTY = '<script>alert("x")</script>\x07&'


def signed(**changes: object) -> SignedRecord:
    key = Ed25519PrivateKey.generate()
    where = Where(
        bench="b", operator=NASTY, rig="r", station="left", backend="local", is_simulated=False, esptool="5", mpremote="1",
    )  # fmt: skip
    made = Record(
        serial="GHG-02A0B1000001", number=2, kind="gas", mac="02a0b1000001", verdict=Verdict.FAILED, began_at=AT, ended_at=AT,
        where=where, key_check="57a3b5d1",
        steps=(
            Step(name=StepName.FLASH, verdict=Verdict.PASSED, began_at=AT, took_s=1.0),
            Step(name=StepName.TEST, verdict=Verdict.FAILED, began_at=AT, took_s=1.0, fault="out_of_limits", zh="请检查", en=NASTY),
        ),
        measurements=(
            Measurement(name="supply", zh="供电", en="Supply", unit="V", value=4.2, low=4.75, high=5.25, instrument="meter-1", verdict=Verdict.FAILED, at=AT),
            Measurement(name="key", zh="密钥", en="Key", unit="", value=1, equals=1, instrument="node", verdict=Verdict.PASSED, at=AT),
        ),
    )  # fmt: skip
    return record.verify(record.sign(made, key), frozenset({record.public_bytes(key.public_key())}))


class Words(HTMLParser):
    """Text and tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[str] = []

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


def read() -> Words:
    words = Words()
    words.feed(report.page(signed()))
    return words


def test_the_page_says_verdict_value_limits_and_what_to_do() -> None:
    text = read().text
    for word in (
        "不合格",
        "FAILED",
        "GHG-02A0B1000001",
        "02:a0:b1:00:00:01",
        "4.2 V",
        "4.75 … 5.25 V",
        "= 1",
        "请检查",
    ):
        assert word in text


def test_no_text_of_a_board_or_an_operator_becomes_part_of_the_page() -> None:
    words = read()
    assert "script" not in words.tags
    assert 'alert("x")' in words.text


def test_the_page_loads_nothing_from_elsewhere() -> None:
    page = report.page(signed()).replace("http://www.w3.org/2000/svg", "")
    assert "http" not in page
    assert "src=" not in page


def test_the_page_is_a4() -> None:
    assert "@page{size:A4" in report.page(signed())


def test_a_test_server_reads_every_step_and_measurement_as_a_case() -> None:
    suite = ET.fromstring(junit.xml(signed()))  # noqa: S314  # our own
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")
    assert [case.get("name") for case in suite.findall("testcase")] == ["flash", "test", "supply", "key"]
    assert suite.findall("testcase")[2].find("failure").get("message") == "Supply: 4.2 V, 4.75 … 5.25 V"


def test_the_rig_that_ran_the_test_stands_in_the_junit_file() -> None:
    suite = ET.fromstring(junit.xml(signed()))  # noqa: S314  # our own
    properties = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert (properties["rig"], properties["station"], len(properties["record"])) == ("r", "left", 64)
