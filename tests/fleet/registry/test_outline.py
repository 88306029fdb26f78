"""The outline map: what ships is marked invented, what a city imports is checked, and nothing else is drawn."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_fleet.cli import main
from gatehouse_fleet.registry import outline
from gatehouse_fleet.registry.outline import OutlineError
from gatehouse_hil.light.community import Community

SQUARE = [[122.0, 37.0], [123.0, 37.0], [123.0, 38.0], [122.0, 37.0]]


def collection(**geometry: Any) -> bytes:
    feature = {"type": "Feature", "properties": {"code": "east", "name": "<b>东</b>"}, "geometry": geometry}
    return json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()


def inside(lon: float, lat: float, ring: list[tuple[float, float]]) -> bool:
    """Even-odd rule, a second hand for the drawing."""
    found = False
    for (x1, y1), (x2, y2) in pairwise(ring):
        if (y1 > lat) != (y2 > lat) and lon < (x2 - x1) * (lat - y1) / (y2 - y1) + x1:
            found = not found
    return found


def test_what_ships_says_that_it_is_invented_and_holds_the_simulated_communities() -> None:
    shown = outline.check(outline.shipped())
    assert shown["is_invented"]
    areas = {area["code"]: area["rings"][0] for area in shown["areas"]}
    for number in range(1, 400):
        one = Community(number)
        place = one.card().site.position
        assert place is not None
        assert inside(place.lon, place.lat, areas[one.district]), number


def test_an_imported_outline_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / outline.FILE).write_bytes(collection(type="MultiPolygon", coordinates=[[SQUARE], [SQUARE]]))
    shown = outline.load(tmp_path)
    assert not shown["is_invented"]
    assert [area["code"] for area in shown["areas"]] == ["east"]
    assert len(shown["areas"][0]["rings"]) == 2


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"type":"FeatureCollection","features":[]}',
        b'{"type":"FeatureCollection","features":[null]}',
        collection(type="Point", coordinates=[1, 2]),
        collection(type="Polygon", coordinates=[[[4_000_000, 13_000_000]] * 4]),
        collection(type="Polygon", coordinates=[[["122", "37"]] * 4]),
        collection(type="Polygon", coordinates=[[[1, 2], [3, 4]]]),
        collection(type="Polygon", coordinates=7),
        b" " * (outline.MAX_BYTES + 1),
    ],
)
def test_what_is_no_outline_is_refused_with_its_place(raw: bytes) -> None:
    with pytest.raises(OutlineError):
        outline.check(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "features", "geometry", "coordinates", "properties"])
            | st.text(max_size=3),
            inner | st.sampled_from(["FeatureCollection", "Feature", "Polygon", "MultiPolygon"]),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_whatever_comes_is_an_outline_or_refused(told: object) -> None:
    try:
        areas = outline.check(json.dumps(told).encode())["areas"]
    except OutlineError:
        return
    assert all(abs(lon) <= 180 for area in areas for ring in area["rings"] for lon, _ in ring)


def test_the_command_checks_and_takes_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, file = tmp_path / "fleet.yaml", tmp_path / "own.geojson"
    config.write_text(f"directory: {tmp_path / 'data'}\n")
    file.write_bytes(collection(type="Polygon", coordinates=[SQUARE]))
    assert main(["outline", str(file), "--check", "--config", str(config)]) == 0
    assert not (tmp_path / "data" / outline.FILE).exists()
    assert main(["outline", str(file), "--config", str(config)]) == 0
    assert not outline.load(tmp_path / "data")["is_invented"]
    file.write_text("{}")
    assert main(["outline", str(file), "--config", str(config)]) == 1
    assert "FeatureCollection" in capsys.readouterr().err
