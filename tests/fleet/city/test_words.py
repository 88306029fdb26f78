"""Code maps, times, coordinates, signatures: what a platform reads means what we meant."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from city_events import lift
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_events.event import Crs, Point
from gatehouse_fleet.city import codemap
from gatehouse_fleet.city.coordinates import to_crs
from gatehouse_fleet.city.errors import CityError, SigningError, UnsayableError
from gatehouse_fleet.city.signing import SignatureKind, signed_bytes, signer
from gatehouse_fleet.city.times import TimeFormat, formatted

SHANGHAI = ZoneInfo("Asia/Shanghai")
AT = datetime(2026, 11, 23, 13, 26, 14, 120_999, tzinfo=UTC)


@pytest.mark.parametrize("name", codemap.shipped())
def test_every_row_of_every_shipped_table_has_a_source(name: str) -> None:
    table = codemap.load(name, beside=Path())
    assert [row for row in table.rows if len(row.provenance) < 8] == []


@pytest.mark.parametrize("name", [name for name in codemap.shipped() if name != "gbt26875_3"])
def test_two_codes_share_a_word_only_where_the_table_says_so(name: str) -> None:
    table = codemap.load(name, beside=Path())
    owners = [row for row in table.rows if row.shares_with is None]
    assert len({row.says for row in owners}) == len(owners)


def row(**fields: str) -> dict[str, str]:
    return {"code": "lift.overspeed", "says": "3", "provenance": "manual rev. 2, table 4", **fields}


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([{"code": "lift.overspeed", "says": "3"}], "provenance"),
        ([row(provenance="")], "length"),
        ([row(code="lift.flies_away")], "no code of ours"),
        ([row(), row()], "stands twice"),
        ([row(), row(code="lift.overrun_top")], "shares_with"),
        ([row(colour="red")], "colour"),
        ([], "length"),
    ],
)
def test_a_table_that_could_mislead_is_refused(rows: list[dict[str, str]], why: str) -> None:
    raw = json.dumps({"id": "x", "title": "示例", "rows": rows}).encode()
    with pytest.raises(codemap.CodeMapError, match=why):
        codemap.parse(raw, where="x.json")


def test_the_same_alarm_has_another_code_on_another_platform() -> None:
    event = lift("lift.trapped_off_level")
    said = {}
    for name in codemap.shipped():
        try:
            said[name] = codemap.load(name, beside=Path()).word(event)
        except UnsayableError:
            said[name] = "-"
    # Domain notes (c), mapping sample, row trapped_off_level.
    assert said == {
        "chongqing": "-",
        "elevatorcloud_ws": "1",
        "gbt24476_2017": "-",
        "gbt26875_3": "-",
        "houqi": "1",
        "maixin": "8",
        "songjiang_telecom": "F9994",
    }


def test_a_word_that_depends_on_the_direction_is_not_guessed() -> None:
    table = codemap.load("songjiang_telecom", beside=Path())
    assert table.word(lift("lift.motion_door_open", direction="up")) == "F9997"
    assert table.word(lift("lift.motion_door_open", direction="down")) == "F9996"
    with pytest.raises(UnsayableError, match="no code for"):
        table.word(lift("lift.motion_door_open"))


def test_there_is_no_table_of_that_name() -> None:
    with pytest.raises(codemap.CodeMapError, match="shipped are"):
        codemap.load("shanghai", beside=Path())


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (TimeFormat.RFC3339, "2026-11-23T21:26:14.120+08:00"),
        (TimeFormat.EPOCH_S, "1795440374"),
        (TimeFormat.EPOCH_MS, "1795440374120"),
        (TimeFormat.LOCAL, "2026-11-23 21:26:14"),
    ],
)
def test_a_time_as_each_platform_writes_it(form: TimeFormat, text: str) -> None:
    assert formatted(AT, form, SHANGHAI) == text


@given(st.integers(694_224_000, 4_102_444_800))
def test_local_time_is_always_eight_hours_ahead(epoch_s: int) -> None:
    at = datetime.fromtimestamp(epoch_s, UTC)
    # From 1992 on: until 1991 China had summer time.
    ahead = (at + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")
    assert formatted(at, TimeFormat.LOCAL, SHANGHAI) == ahead


def test_a_time_without_zone_is_told_to_nobody() -> None:
    with pytest.raises(ValueError, match="without zone"):
        formatted(AT.replace(tzinfo=None), TimeFormat.EPOCH_S, SHANGHAI)


def metres(a: Point, b: Point) -> float:
    mean = math.radians((a.lat + b.lat) / 2)
    return math.hypot((a.lon - b.lon) * 111_320 * math.cos(mean), (a.lat - b.lat) * 110_996)


def weihai(crs: Crs) -> Point:
    return Point(lon=122.1205, lat=37.5131, crs=crs)


@pytest.mark.parametrize("crs", [Crs.WGS84, Crs.CGCS2000])
def test_a_point_in_weihai_moves_461_metres(crs: Crs) -> None:
    moved = to_crs(weihai(crs), Crs.GCJ02)
    assert moved.crs is Crs.GCJ02
    assert metres(weihai(crs), moved) == pytest.approx(461, abs=5)


def test_tiananmen_stands_where_the_reference_program_puts_it() -> None:
    # eviltransform's own test point: wgs (39.90734, 116.39089) is gcj (39.90874, 116.39713).
    moved = to_crs(Point(lon=116.39089, lat=39.90734, crs=Crs.WGS84), Crs.GCJ02)
    assert (moved.lat, moved.lon) == pytest.approx((39.90874, 116.39713), abs=2e-5)


def test_a_point_is_never_moved_twice() -> None:
    once = to_crs(weihai(Crs.WGS84), Crs.GCJ02)
    assert to_crs(once, Crs.GCJ02) == once
    with pytest.raises(ValueError, match="way back"):
        to_crs(once, Crs.WGS84)


def test_cgcs2000_is_only_renamed() -> None:
    assert to_crs(weihai(Crs.CGCS2000), Crs.WGS84) == weihai(Crs.WGS84)
    assert to_crs(weihai(Crs.CGCS2000), None) == weihai(Crs.CGCS2000)


def test_hmac_sha256_is_what_everybody_computes() -> None:
    data = signed_bytes("1795440374", b"{}")
    expected = hmac.new(b"0123456789abcdef", data, hashlib.sha256).hexdigest()
    assert signer(SignatureKind.HMAC_SHA256, b"0123456789abcdef")(data) == f"sha256={expected}"


def test_hmac_sm3_is_what_openssl_computes() -> None:
    told = subprocess.run(
        ["openssl", "dgst", "-sm3", "-mac", "HMAC", "-macopt", "key:0123456789abcdef"],
        input=b"1795440374.{}",
        capture_output=True,
        check=True,
    )
    expected = told.stdout.split()[-1].decode()
    assert signer(SignatureKind.HMAC_SM3, b"0123456789abcdef")(b"1795440374.{}") == f"sm3={expected}"


def test_openssl_accepts_our_sm2_signature(tmp_path: Path) -> None:
    pytest.importorskip("gmalg", reason="the extra gm is not installed")
    key, public, data, signature = (tmp_path / name for name in ("k.pem", "p.pem", "data", "sig"))
    subprocess.run(["openssl", "ecparam", "-genkey", "-name", "SM2", "-noout", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    text = subprocess.run(
        ["openssl", "pkey", "-in", key, "-noout", "-text"], capture_output=True, check=True
    ).stdout.decode()
    scalar = "".join(text.split("priv:")[1].split("pub:")[0].split()).replace(":", "").zfill(64)
    data.write_bytes(b"1795440374.{}")
    made = signer(SignatureKind.SM2_SM3, scalar.encode())(b"1795440374.{}")
    signature.write_bytes(bytes.fromhex(made.removeprefix("sm2=")))
    verify = ["openssl", "dgst", "-sm3", "-verify", public, "-sigopt", "distid:1234567812345678"]
    told = subprocess.run([*verify, "-signature", signature, data], capture_output=True, check=False)
    assert told.stdout.strip() == b"Verified OK", told
    data.write_bytes(b"1795440375.{}")
    told = subprocess.run([*verify, "-signature", signature, data], capture_output=True, check=False)
    assert told.returncode != 0


@pytest.mark.parametrize("key", [b"no hex", b"00ff"])
def test_an_sm2_key_that_is_none_is_refused(key: bytes) -> None:
    pytest.importorskip("gmalg", reason="the extra gm is not installed")
    with pytest.raises(SigningError, match="scalar"):
        signer(SignatureKind.SM2_SM3, key)


def test_every_fault_of_this_package_is_a_city_error() -> None:
    assert issubclass(codemap.CodeMapError, CityError)
