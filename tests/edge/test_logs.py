"""Log lines are JSON on disk and carry no secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatehouse_edge import logs


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    kept, level = list(root.handlers), root.level
    yield
    for handler in list(root.handlers):
        root.removeHandler(handler)
        if handler not in kept:
            handler.close()
    for handler in kept:
        root.addHandler(handler)
    root.setLevel(level)


def test_a_line_is_one_json_object_with_its_identifiers(tmp_path: Path) -> None:
    logs.set_up(tmp_path)
    logging.getLogger("gatehouse_edge.bus").warning("unit lost 探测器", extra={"device_id": "gas-1"})
    line = json.loads((tmp_path / "gatehouse.log").read_text(encoding="utf-8"))
    assert (line["event"], line["device_id"], line["level"]) == ("unit lost 探测器", "gas-1", "warning")


@pytest.mark.parametrize("name", ["bind_key", "password", "session_token", "one_time_code"])
def test_a_field_named_like_a_secret_is_masked(tmp_path: Path, name: str) -> None:
    logs.set_up(tmp_path)
    logging.getLogger("x").warning("y", extra={name: "abcdef"})
    assert "abcdef" not in (tmp_path / "gatehouse.log").read_text(encoding="utf-8")


def test_a_flood_of_lines_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_DAY_BYTES", 20_000)
    logs.set_up(tmp_path)
    for number in range(2_000):
        logging.getLogger("gatehouse_edge.bus").warning("frame %d refused", number)
    lines = (tmp_path / "gatehouse.log").read_text(encoding="utf-8").splitlines()
    assert sum(map(len, lines)) < 21_000
    assert "further lines go to standard error only" in json.loads(lines[-1])["event"]


def test_the_next_day_has_room_again_and_200_days_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MAX_DAY_BYTES", 500)
    logs.set_up(tmp_path)
    file = next(handler for handler in logging.getLogger().handlers if isinstance(handler, logs.DayFile))
    for number in range(50):
        logging.getLogger("x").warning("line %d", number)
    file.rolloverAt = 0  # midnight has passed
    logging.getLogger("x").warning("good morning")
    assert "good morning" in (tmp_path / "gatehouse.log").read_text(encoding="utf-8")
    assert len(list(tmp_path.glob("gatehouse.log.*"))) == 1
    assert file.backupCount == logs.KEEP_DAYS == 200


def test_a_traceback_is_told_without_the_local_variables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up(tmp_path)
    secret = bytes.fromhex("00112233445566778899aabbccddeeff")
    try:
        int(f"{len(secret)} bytes")
    except ValueError:
        logging.getLogger("x").exception("failed")
    written = (tmp_path / "gatehouse.log").read_text(encoding="utf-8")
    for text in (written, capsys.readouterr().err):
        assert "ValueError: invalid literal" in text
        assert repr(secret) not in text
